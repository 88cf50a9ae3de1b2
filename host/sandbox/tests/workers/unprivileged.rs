//! The same without the rights of root.

use std::os::unix::process::CommandExt;
use std::process::Command;

const NOBODY: u32 = 65534;

/// Runs this test program again as a user without rights, with the tests that must hold there too.
#[test]
fn an_ordinary_user_gets_the_same_walls() {
    if !tomte_sandbox::survey().separate_users {
        return eprintln!("skipped: is an ordinary user already");
    }
    let folder = tempfile::Builder::new().prefix("tomte-nobody").tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let me = std::env::current_exe().unwrap();
    let output = Command::new(me)
        .args(["--nocapture", "--test-threads=2", "escape::", "network::", "isolation::"])
        .arg("lifecycle::a_worker_that_aborts")
        .env("TMPDIR", folder.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: an ordinary user cannot run this test: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("every_escape_attempt_fails_as_it_must ... ok"), "{text}");
}

#[test]
fn what_an_ordinary_user_lacks_is_said() {
    let survey = tomte_sandbox::survey();
    assert_eq!(survey.separate_users, survey.missing.iter().all(|m| m.what != "separate users"));
}
