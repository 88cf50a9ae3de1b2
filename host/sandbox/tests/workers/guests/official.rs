//! The client that Amazon publishes, unchanged.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tomte_sandbox::WorkerSpec;
use tomte_sandbox::runtime::{FunctionFacts, Interpreter, Wanted, environment, find};

use super::{facts, response_path};
use crate::mock_hub::{MockHub, REQUEST_ID, call};
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

#[test]
fn the_official_python_client_runs_unchanged() {
    let python = match find(&OFFICIAL) {
        Ok(python) => python,
        Err(missing) => return eprintln!("skipped: {missing}"),
    };
    let Some(client) = official_client(&python) else { return };
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
