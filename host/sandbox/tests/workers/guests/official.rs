//! The client that Amazon publishes, unchanged.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tomte_sandbox::WorkerSpec;
use tomte_sandbox::runtime::{FunctionFacts, Interpreter, Wanted, environment, find};

use super::{Guest, facts, response_path};
use crate::mock_hub::{Call, MockHub, REQUEST_ID, call};
use crate::support::bench;

/// The oldest version that the official client runs on.
const OFFICIAL: Wanted = Wanted::Python { minor: 10 };

/// Installs the official Python client once, or says why it cannot.
fn official_client(python: &Interpreter) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../test-tools/awslambdaric");
    // It has a part that is made for one version of Python.
    let folder = folder.join(&python.version);
    if !folder.join("awslambdaric/bootstrap.py").is_file() {
        let output = Command::new(&python.program)
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg("awslambdaric==4.2.2")
            .output()
            .unwrap();
        if !output.status.success() {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
    }
    Some(folder)
}

/// Returns the Python that the official client runs on and the folder with that client.
fn python_and_client() -> Option<(Interpreter, PathBuf)> {
    match find(&OFFICIAL) {
        Ok(python) => official_client(&python).map(|client| (python, client)),
        Err(missing) => {
            eprintln!("skipped: {missing}");
            None
        }
    }
}

#[test]
fn the_official_python_client_runs_unchanged() {
    let Some((python, client)) = python_and_client() else { return };
    let Some(bench) = bench() else { return };
    let program = python.program.display();
    let bootstrap = format!("#!/bin/sh\nexec {program} -m awslambdaric \"$_HANDLER\"\n");
    let code = "def run(event, context):\n    return [event, context.aws_request_id]\n";
    let mut facts = FunctionFacts { runtime: None, ..facts(OFFICIAL, "app.run") };
    let client = client.canonicalize().unwrap();
    facts.variables.push(("PYTHONPATH".into(), client.display().to_string()));
    let spec = WorkerSpec {
        env: environment(&facts),
        code: bench.code("official", &[("bootstrap", &bootstrap), ("app.py", code)]),
        extra_read_only: python.read_only.iter().cloned().chain([client]).collect(),
        ..bench.spec(&["/var/task/bootstrap"])
    };
    let started = bench.launcher.spawn(&spec).unwrap();
    let hub = MockHub::start(started.listener.into(), vec![call("[1]"), call("\"ä\"")]);
    for event in [json!([1]), json!("ä")] {
        let post = hub.post();
        assert_eq!(post.path, response_path("response"), "{post:?}");
        assert_eq!(post.json(), json!([event, REQUEST_ID]));
    }
    bench.launcher.kill(spec.id);
}

/// Handlers and modules in which our client and the official one must not differ.
const MODULE: &str = r#"
import collections, decimal, json
class Odd(Exception):
    pass
def deep(n):
    if n == 0:
        raise Odd('Größe\nsecond line')
    deep(n - 1)
def run(event, context):
    kind = event if isinstance(event, str) else json.dumps(event)
    values = {
        'text': 'ä \u2028 "quoted" \\ \x01',
        'numbers': [0, -1, 1.0, 1e300, 10**30, True, None, float('nan'), -float('inf')],
        'decimals': {'a': decimal.Decimal('1.50'), 'b': [decimal.Decimal('1E+5')]},
        'keys': {1: 'a', None: 'b', True: 'c', 1.5: 'd'},
        'nested': {'a': [{'b': ()}]},
        'bytes inside': {'a': b'text'},
        'context': repr(context.client_context),
        'identity': repr(context.identity),
    }
    if kind in values:
        return values[kind]
    if kind == 'raise':
        deep(2)
    if kind == 'chain':
        try:
            deep(0)
        except Odd as error:
            raise ValueError() from error
    if kind == 'key':
        return {}['missing']
    if kind == 'set':
        return {1, 2}
    if kind == 'bad keys':
        return {(1, 2): 3}
    if kind == 'class':
        return {'a': context}
    if kind == 'circle':
        circle = []
        circle.append(circle)
        return circle
    return [kind, type(event).__name__]
"#;

const EVENTS: [&str; 24] = [
    "\"text\"",
    "\"numbers\"",
    "\"decimals\"",
    "\"keys\"",
    "\"nested\"",
    "\"bytes inside\"",
    "\"context\"",
    "\"identity\"",
    "\"raise\"",
    "\"chain\"",
    "\"key\"",
    "\"set\"",
    "\"bad keys\"",
    "\"class\"",
    "1",
    "[1.5, {\"a\": \"\\ud83d\\ude00\"}]",
    "  null\n",
    "NaN",
    "{\"a\":1,\"a\":2}",
    "",
    "{",
    "[1,]",
    "nope",
    "\"open",
];

/// Returns what a client posts, with paths that do not depend on the run.
fn posts(guest: &Guest, count: usize) -> Vec<(String, Value)> {
    let post = || {
        let post = guest.hub.post();
        let text = guest.without_folder(&post.body);
        // NaN and infinity are no JSON for the parser of this test.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (post.path, body)
    };
    (0..count).map(|_| post()).collect()
}

#[test]
fn our_python_client_answers_as_the_official_one() {
    let Some((python, client)) = python_and_client() else { return };
    let calls = || -> Vec<Call> { EVENTS.iter().map(|event| call(event)).collect() };
    let files = [("app.py", MODULE)];
    let ours = Guest::start_outside(&python, "app.run", &files, calls());
    let argv =
        [python.program.as_os_str(), "-m".as_ref(), "awslambdaric".as_ref(), "app.run".as_ref()];
    let mut facts = facts(python.wanted, "app.run");
    facts.variables.push(("PYTHONPATH".into(), client.display().to_string()));
    let argv = argv.map(Into::into);
    let official = Guest::start_command(&argv, environment(&facts), &files, calls());
    let (ours_posted, official_posted) =
        (posts(&ours, EVENTS.len()), posts(&official, EVENTS.len()));
    for (event, (ours, official)) in EVENTS.iter().zip(ours_posted.iter().zip(&official_posted)) {
        if official.1["errorType"] == "Runtime.UnmarshalError" {
            // The two JSON libraries word their complaints differently.
            assert_eq!((&ours.0, &ours.1["errorType"]), (&official.0, &official.1["errorType"]));
        } else {
            assert_eq!(ours, official, "for the event {event}");
        }
    }
    let log = |guest: Guest| -> Vec<String> {
        let text = guest.output();
        let lines = text.lines().filter(|line| !line.contains("Runtime.UnmarshalError"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(log(ours), log(official));
}
