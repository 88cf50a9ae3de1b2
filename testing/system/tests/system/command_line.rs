//! The first five minutes and the demonstration, as a person would type them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tomte_testkit::{Hub, Output, Process, peers, tomte_binary, until};

use crate::client::{Client, Library};
use crate::manifests::broker;

const PATIENCE: Duration = Duration::from_secs(30);

fn tomte(folder: &Path) -> Command {
    let mut command = Command::new(tomte_binary().unwrap());
    command.current_dir(folder).env_remove("TOMTE_STATE").env("NO_COLOR", "1");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Output::of(tomte(folder).args(arguments)).unwrap()
}

#[track_caller]
fn run_well(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
    output.stdout
}

/// A new project with a hub of `tomte dev`.
struct Workshop {
    folder: tempfile::TempDir,
    dev: Process,
}

impl Workshop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run_well(folder.path(), &["new", "greenhouse"]);
        let project = folder.path().join("greenhouse");
        let manifest = fs::read_to_string(project.join("tomte.toml")).unwrap();
        let quiet = format!("{manifest}\n[listeners.mqtts]\nbind = \"127.0.0.1:0\"\n");
        fs::write(project.join("tomte.toml"), quiet).unwrap();
        let mut dev = Process::start(tomte(&project).arg("dev")).unwrap();
        dev.line_with("127.0.0.1:", PATIENCE).unwrap();
        Self { folder, dev }
    }

    fn project(&self) -> std::path::PathBuf {
        self.folder.path().join("greenhouse")
    }
}

/// Runs a line in a shell that finds mosquitto's programs.
fn paste(project: &Path, line: &str) -> Output {
    let program = peers::debian("mosquitto_pub");
    let mut path = vec![Path::new(program.get_program()).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(project).env("PATH", std::env::join_paths(path).unwrap());
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap());
    }
    Output::of(&mut shell).unwrap()
}

#[test]
fn the_first_five_minutes_go_as_the_readme_says() {
    let workshop = Workshop::open();
    let project = workshop.project();
    let added = run_well(&project, &["device", "add", "thermometer"]);
    let line = added.lines().find(|line| line.starts_with("mosquitto_pub")).unwrap();
    assert_eq!(paste(&project, line).code, Some(0), "{line}");
    let reading = ["sensors/1/temperature", r#"{"celsius": 31}"#, "--as", "thermometer"];
    run_well(&project, &[&["send"], reading.as_slice()].concat());
    let why = run_well(&project, &["why", "sensors/1/temperature", "--as", "thermometer"]);
    for expect in ["thermometer", "hot", "regulate", "fan"] {
        assert!(why.contains(expect), "{expect} in {why}");
    }
    until("both calls to end", PATIENCE, || {
        let status = run_well(&project, &["-o", "json", "status"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["functions"]["regulate"]["succeeded"] == 2).then_some(())
    });
    assert!(run_well(&project, &["logs"]).contains("31 degrees"));
    let called = run_well(&project, &["call", "regulate", r#"{"celsius": 30}"#]);
    assert!(called.contains("\"speed\""), "{called}");
}

/// The receiver that is away gets it once too, although the hub was killed in between.
#[test]
fn a_message_sent_with_each_quality_of_service_arrives_with_it_and_once() {
    let mut hub = Hub::start(&broker()).unwrap();
    let subscriber = Client::anonymous(Library::Paho, 5, "here", hub.mqtt);
    let mut here = subscriber.subscribe("s", 2);
    let away = Client { id: "away".to_owned(), ..subscriber }.with_kept_session();
    drop(away.subscribe("s", 2));
    for qos in ["0", "1", "2"] {
        let sent = hub.tomte(&["send", "s", qos, "--as", "one", "--qos", qos]).unwrap();
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let message = here.expect("message");
        assert_eq!(
            (message["payload"].as_str(), message["qos"].to_string()),
            (Some(qos), qos.to_owned())
        );
    }
    let refused = hub.tomte(&["send", "s", "3", "--as", "one", "--qos", "3"]).unwrap();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    hub.kill9();
    hub.restart().unwrap();
    let mut away = away.start(serde_json::json!({"do": "nothing"}));
    hub.tomte(&["send", "s", "last", "--as", "one", "--qos", "2"]).unwrap();
    let mut received = Vec::new();
    while received.last().is_none_or(|last| last != "last") {
        received.push(away.payload());
    }
    assert_eq!(received, ["1", "2", "last"]);
}

#[test]
fn saving_a_function_makes_the_hub_run_the_new_one() {
    let mut workshop = Workshop::open();
    let project = workshop.project();
    let file = project.join("functions/regulate/app.py");
    let code = "def handler(event, context):\n    return {'fan': 'changed'}\n";
    fs::write(&file, code).unwrap();
    workshop.dev.line_with("revision", PATIENCE).unwrap();
    let called = run_well(&project, &["call", "regulate", r#"{"celsius": 30}"#]);
    assert!(called.contains("changed"), "{called}");
    // A mistake is shown once, however often it is saved, and the hub goes on with what it has.
    let good = fs::read_to_string(project.join("tomte.toml")).unwrap();
    fs::write(project.join("tomte.toml"), "[hbu]\n").unwrap();
    workshop.dev.line_with("error:", PATIENCE).unwrap();
    let called = run_well(&project, &["call", "regulate", r#"{"celsius": 30}"#]);
    assert!(called.contains("changed"), "{called}");
    fs::write(project.join("tomte.toml"), "[hbu]\n").unwrap();
    fs::write(project.join("notes"), "[hbu]\n").unwrap();
    fs::write(project.join("tomte.toml"), good.replace("celsius > 28", "celsius > 29")).unwrap();
    workshop.dev.line_with("revision", PATIENCE).unwrap();
    assert_eq!(workshop.dev.written().matches("error:").count(), 1, "{}", workshop.dev.written());
}

#[test]
fn a_misspelled_device_or_function_is_answered_with_the_one_that_was_meant() {
    let workshop = Workshop::open();
    let project = workshop.project();
    let topic = "sensors/1/temperature";
    for arguments in
        [&["send", topic, "{}", "--as", "termometer"][..], &["why", topic, "--as", "termometer"]]
    {
        let output = run(&project, arguments);
        assert_eq!(output.code, Some(8), "{output:?}");
        let text = "there is no device termometer; did you mean thermometer?";
        assert!(output.stdout.contains(text), "{}", output.stdout);
    }
    let called = run(&project, &["call", "regulat", "{}"]);
    assert_eq!(called.code, Some(5), "{called:?}");
    assert!(called.stderr.contains("did you mean regulate?"), "{}", called.stderr);
}

#[test]
fn a_function_is_tested_without_a_hub() {
    let folder = tempfile::tempdir().unwrap();
    run_well(folder.path(), &["new", "greenhouse"]);
    let project = folder.path().join("greenhouse");
    let tested = run_well(&project, &["test", "regulate", r#"{"celsius": 33}"#]);
    assert!(tested.contains("100"), "{tested}");
    let failed = run(&project, &["test", "regulate", r#"{}"#]);
    assert_eq!(failed.code, Some(6), "the function raised: {failed:?}");
}

#[test]
fn the_demonstration_ends_by_itself_with_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["demo", "--for", "4s"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for expect in ["thermometer", "regulate", "fan"] {
        assert!(output.stdout.contains(expect), "{expect} in {}", output.stdout);
    }
}

#[test]
fn interrupting_the_demonstration_ends_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Process::start(tomte(folder.path()).arg("demo")).unwrap();
    // The first reading that went all the way.
    demo.line_with("in all", PATIENCE).unwrap();
    demo.signal(rustix::process::Signal::INT).unwrap();
    let status = demo.wait(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0), "{}", demo.written());
}

#[test]
fn without_a_hub_a_command_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    run_well(folder.path(), &["new", "greenhouse"]);
    let output = run(&folder.path().join("greenhouse"), &["status"]);
    assert_eq!(output.code, Some(4), "{output:?}");
    assert!(output.stderr.contains("tomte "), "{}", output.stderr);
}
