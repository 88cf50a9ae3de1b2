//! Whole commands against a control server that answers what a hub would.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use clap::Parser as _;
use expect_test::{Expect, expect};

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{describe, exit_of};
use crate::fake_hub::FakeHub;
use crate::paint::Paint;
use crate::screen::Screen;

const WHY: &str = r#"{"source":"device:thermometer","topic":"sensors/1/temperature","message":7,
    "at_ms":0,"hops":[{"kind":"route","subject":"routes[0] \"hot\"","verdict":"matched",
    "detail":"to function:regulate","bad":false,"depth":0,"at_us":1},{"kind":"function",
    "subject":"regulate","verdict":"ok","detail":"ran 0.4 ms","bad":false,"depth":0,"at_us":2}]}"#;

const LOST: &str = r#"{"source":"device:fan","topic":"x","message":7,"at_ms":0,"hops":[
    {"kind":"admission","subject":"","verdict":"dropped","detail":"no route from device:fan takes x",
    "bad":true,"depth":0,"at_us":1}]}"#;

const LOG: &str =
    "{\"at_ms\":0,\"function\":\"regulate\",\"call\":null,\"stream\":\"stdout\",\"text\":\"31\"}\n";

/// What a command wrote.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command line and returns how it ended and what it wrote.
fn run(words: &[&str], project: &Path, state: &Path) -> (Exit, String) {
    let words = ["tomte"].iter().chain(words);
    let Arguments { global, command } = Arguments::try_parse_from(words).unwrap();
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()), global.output);
    let mut context = Context::with(screen, project, state);
    let exit = crate::run(command, &mut context);
    let mut text = String::from_utf8(written.0.borrow().clone()).unwrap();
    let exit = exit.unwrap_or_else(|error| {
        text += &describe(&error, Paint::plain());
        exit_of(&error)
    });
    (exit, text)
}

/// Runs a command line against a hub with prepared answers.
fn check<const N: usize>(
    words: &[&str],
    answers: [(&'static str, &'static str); N],
    exit: Exit,
    expect: Expect,
) -> Vec<String> {
    let hub = FakeHub::answering(answers);
    let (ended, text) = run(words, hub.state(), hub.state());
    expect.assert_eq(text.trim_end());
    assert_eq!(ended, exit, "{text}");
    hub.requests()
}

#[test]
fn send_shows_the_way_of_the_message() {
    let requests = check(
        &["send", "sensors/1/temperature", "{\"celsius\": 31}", "--as", "thermometer", "--retain"],
        [("200 OK", WHY)],
        Exit::Ok,
        expect![[r#"
            thermometer --> sensors/1/temperature
              1 route        matched   routes[0] "hot"   to function:regulate
              2 function     regulate  ran 0.4 ms"#]],
    );
    let body = requests[0].split("\r\n\r\n").nth(1).unwrap();
    expect![[r#"{"source":"device:thermometer","topic":"sensors/1/temperature","payload_base64":"eyJjZWxzaXVzIjogMzF9","qos":1,"retain":true,"wait_ms":5000}"#]]
        .assert_eq(body);
}

#[test]
fn a_message_that_reaches_nobody_has_an_exit_code_of_its_own() {
    check(
        &["send", "x", "{}", "--as", "fan"],
        [("200 OK", LOST)],
        Exit::Nowhere,
        expect![[r#"
            fan --> x
              1 admission    dropped   no route from device:fan takes x"#]],
    );
}

#[test]
fn why_asks_with_the_payload() {
    let requests = check(
        &["why", "a/b", "--as", "fan", "--payload", "{\"a\": 1}", "-o", "json"],
        [("200 OK", LOST)],
        Exit::Nowhere,
        expect![[
            r#"{"source":"device:fan","topic":"x","message":7,"at_ms":0,"hops":[{"kind":"admission","subject":"","verdict":"dropped","detail":"no route from device:fan takes x","bad":true,"depth":0,"at_us":1}]}"#
        ]],
    );
    let first = requests[0].lines().next().unwrap();
    expect!["GET /v1/why?topic=a%2Fb&source=device%3Afan&payload=%7B%22a%22%3A%201%7D HTTP/1.1"]
        .assert_eq(first);
}

#[test]
fn call_tells_errors_of_the_code_from_those_of_the_platform() {
    let answer = |outcome| match outcome {
        "handled" => {
            r#"{"call":"c","outcome":"handled","payload_base64":"e30=","queued_us":0,"ran_us":400,"worker":3,"warm":true}"#
        }
        _ => {
            r#"{"call":"c","outcome":"unhandled","payload_base64":"e30=","queued_us":0,"ran_us":400,"worker":3,"warm":false}"#
        }
    };
    check(
        &["call", "regulate"],
        [("200 OK", answer("handled"))],
        Exit::FunctionError,
        expect![[r#"
            {}
            the code returned an error after 0.4 ms (queued 0.0 ms, warm worker 3)"#]],
    );
    let requests = check(
        &["call", "regulate", "{}", "--subject", "a/b"],
        [("200 OK", answer("unhandled"))],
        Exit::PlatformError,
        expect![[r#"
            {}
            the platform ended it after 0.4 ms (queued 0.0 ms, new worker 3)"#]],
    );
    assert!(requests[0].starts_with("POST /v1/calls/regulate?subject=a%2Fb "), "{requests:?}");
}

#[test]
fn a_refusal_is_shown_with_its_advice() {
    check(
        &["call", "regulat"],
        [(
            "404 Not Found",
            r#"{"reason":"unknown_function","message":"there is no function \"regulat\"","help":"functions are: regulate"}"#,
        )],
        Exit::Refused,
        expect![[r#"
            error: there is no function "regulat"
              help: functions are: regulate"#]],
    );
}

#[test]
fn a_hub_that_does_not_run_is_said_with_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let (exit, text) = run(&["status"], state.path(), state.path());
    assert_eq!(exit, Exit::Unreachable);
    expect![[r#"
        error: no hub answers at /state/control.sock: No such file or directory (os error 2)
          help: start one with `tomte dev` or `tomte run`; if it runs with another state folder, name that with --state or TOMTE_STATE"#]]
    .assert_eq(&text.replace(&state.path().display().to_string(), "/state"));
}

#[test]
fn a_folder_without_a_manifest_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, text) = run(&["plan"], folder.path(), folder.path());
    assert_eq!(exit, Exit::Manifest);
    expect![[r#"
        error: no tomte.toml in /folder or a folder above it
          help: make one with `tomte init`, or name its folder with --project"#]]
    .assert_eq(&text.replace(&folder.path().display().to_string(), "/folder"));
}

#[test]
fn apply_sends_only_the_code_that_the_hub_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("greenhouse");
    let (exit, _) = run(&["new", project.to_str().unwrap()], folder.path(), folder.path());
    assert_eq!(exit, Exit::Ok);
    let plan = |missing: &str| {
        let text =
            format!(r#"{{"from":null,"changes":[],"missing_code":[{missing}],"warnings":[]}}"#);
        &*Box::leak(text.into_boxed_str())
    };
    let applied =
        r#"{"revision":1,"plan":{"from":null,"changes":[],"missing_code":[],"warnings":[]}}"#;
    let digest = packed_digest(&project);
    let hub = FakeHub::answering([
        ("200 OK", plan(&format!("{digest:?}"))),
        ("204 No Content", ""),
        ("200 OK", applied),
    ]);
    let (exit, text) = run(&["apply"], &project, hub.state());
    assert_eq!(exit, Exit::Ok, "{text}");
    assert!(text.contains("revision 1 runs"), "{text}");
    let requests: Vec<String> = hub.requests();
    let verbs = requests.iter().map(|request| request.split(' ').next().unwrap());
    assert_eq!(verbs.collect::<Vec<_>>(), ["POST", "PUT", "POST"]);
    assert!(requests[1].starts_with(&format!("PUT /v1/code/{digest} ")), "{}", requests[1]);
    let hub = FakeHub::answering([("200 OK", plan("")), ("200 OK", applied)]);
    assert_eq!(run(&["apply"], &project, hub.state()).0, Exit::Ok);
    assert_eq!(hub.requests().len(), 2);
}

fn packed_digest(project: &Path) -> String {
    let packed = crate::project::Project::read(project).unwrap().pack().unwrap();
    packed.request.code["regulate"].clone()
}

#[test]
fn logs_are_lines_of_json_for_programs() {
    let requests = check(
        &["logs", "regulate", "-o", "json"],
        [("200 OK", LOG)],
        Exit::Ok,
        expect![[r#"{"at_ms":0,"function":"regulate","call":null,"stream":"stdout","text":"31"}"#]],
    );
    assert!(requests[0].starts_with("GET /v1/logs?tail=100&follow=false&function=regulate "));
}

#[test]
fn the_schema_is_json_and_the_defaults_are_toml() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, schema) = run(&["schema"], folder.path(), folder.path());
    assert_eq!(exit, Exit::Ok);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["devices"].is_object(), "{schema}");
    let (_, defaults) = run(&["schema", "--defaults"], folder.path(), folder.path());
    assert!(defaults.parse::<toml::Table>().unwrap().contains_key("hub"), "{defaults}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let words = ["tomte", "schema"];
    let Arguments { global, command } = Arguments::try_parse_from(words).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::to(Box::new(Gone), global.output);
    let mut context = Context::with(screen, folder.path(), folder.path());
    let error = crate::run(command, &mut context).unwrap_err();
    assert!(crate::failure::is_broken_pipe(&error));
}
