//! The binary itself: exit codes, streams, colour, a reader that goes away.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn tomte(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tomte"));
    command.current_dir(folder).env_remove("TOMTE_STATE").env_remove("NO_COLOR");
    command
}

fn run(folder: &Path, words: &[&str]) -> Output {
    tomte(folder).args(words).output().expect("the binary under test starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn how_a_command_ended_is_told_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let code = |words: &[&str]| run(folder.path(), words).status.code().unwrap();
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["new", "greenhouse"]), 0);
    assert_eq!(code(&["new", "greenhouse"]), 1);
    assert_eq!(code(&["fly"]), 2);
    assert_eq!(code(&["plan"]), 3);
    assert_eq!(code(&["status"]), 4);
    std::fs::write(folder.path().join("tomte.toml"), "[hub]\nnam = \"x\"\n").unwrap();
    assert_eq!(code(&["run"]), 3);
    assert_eq!(code(&["dev", "--project", "nowhere"]), 3);
}

#[test]
fn results_go_to_standard_output_and_errors_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), &["status", "-o", "json"]);
    assert_eq!(text(&ended.stdout), "");
    let error: serde_json::Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!(error["exit_code"], 4);
    assert!(error["help"].as_str().unwrap().contains("tomte dev"), "{error}");
}

#[test]
fn the_nearest_manifest_upwards_is_the_project() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["new", "greenhouse"]);
    let inside = folder.path().join("greenhouse/functions/regulate");
    let error = text(&run(&inside, &["status"]).stderr);
    assert!(error.contains("greenhouse/.tomte/control.sock"), "{error}");
    let elsewhere = folder.path().join("state");
    let named = tomte(&inside).env("TOMTE_STATE", &elsewhere).arg("status").output().unwrap();
    assert!(text(&named.stderr).contains("/state/control.sock"), "{}", text(&named.stderr));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let colored = |words: &[&str]| text(&run(folder.path(), words).stderr).contains('\x1b');
    assert!(!colored(&["status"]));
    assert!(colored(&["status", "--color", "always"]));
    assert!(!colored(&["status", "--color", "never"]));
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tomte(folder.path())
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(text(&ended.stderr), "");
    assert!(ended.status.success(), "{:?}", ended.status);
}

#[test]
fn completion_and_man_pages_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(folder.path(), &["completion", shell]).stdout);
        assert!(script.contains("tomte"), "{shell}");
    }
    assert!(run(folder.path(), &["man", "pages"]).status.success());
    let page = std::fs::read_to_string(folder.path().join("pages/tomte.1")).unwrap();
    assert!(page.contains("no hub answers at the state folder"), "{page}");
}

/// Proves: DOC-1.
#[test]
fn doctor_names_each_problem_and_its_fix() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["new", "greenhouse"]);
    let project = folder.path().join("greenhouse");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let manifest = project.join("tomte.toml");
    let text_of = |path: &Path| std::fs::read_to_string(path).unwrap();
    let listeners = format!("\n[listeners]\nmqtts = {{ bind = \"{address}\" }}\n");
    std::fs::write(&manifest, text_of(&manifest) + &listeners).unwrap();
    std::fs::remove_dir_all(project.join("functions")).unwrap();
    let ended = tomte(&project)
        .args(["doctor", "-o", "json", "--state", "/proc/tomte"])
        .env("PATH", folder.path())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&ended.stdout).unwrap();
    let verdict_on = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("{name} is not among {checks:?}"));
        assert!(!check["fix"].as_str().unwrap().is_empty(), "{check}");
        check["verdict"].as_str().unwrap().to_owned()
    };
    for name in ["python3", "node"] {
        assert_eq!(verdict_on(name), "warning", "{name}");
    }
    for name in ["state folder", "code", "port"] {
        assert_eq!(verdict_on(name), "problem", "{name}");
    }
}
