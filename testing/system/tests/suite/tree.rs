//! A copy of the suite in a folder of its own, with the hub where it expects mosquitto.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tomte_testkit::peers;

use crate::catalogue::{Case, cases};
use crate::certificates;

const HUB: &str = include_str!("../../suite/mosquitto.py");
const CLOSING: &str = include_str!("../../suite/closing.py");
/// MQTT 3.1, the version before the two standards: the hub answers 0x01 (3.1.1, 3.1.2.2), and the
/// tests that try all three versions would not come to the others.
const BEFORE_THE_STANDARDS: &str = "do_test(proto_ver=3)";

/// Where scripts wait for the end of the connection: a DISCONNECT that says why may come first.
const WAITS_FOR_THE_END: [(&str, &str); 2] = [
    (
        "p = sock.recv(len(pingresp_packet))",
        "p = mosq_test.receive_or_end(sock, len(pingresp_packet))",
    ),
    ("data = sock.recv(1)", "data = mosq_test.receive_or_end(sock, 1)"),
];

/// What is copied: scripts, and files of users with hashed passwords.
const COPIED: [&str; 2] = ["py", "pwfile"];

/// The copy: `src/mosquitto`, `test` and `test/broker`, `test/ssl` with certificates that are good today,
/// and `tmp` for the projects of the hubs.
pub(crate) struct Tree {
    folder: TempDir,
    /// The tests to run.
    pub(crate) cases: Vec<Case>,
}

impl Tree {
    /// Copies the suite.
    ///
    /// # Errors
    /// Fails when it is not installed, or a file cannot be written.
    pub(crate) fn prepare() -> Result<Self> {
        let installed = peers::python_folder().with_file_name("broker-suite").join("test");
        let runner = installed.join("broker/test.py");
        let runner = fs::read_to_string(&runner)
            .with_context(|| format!("read {runner:?}; run `cargo xtask install-tools`"))?;
        let folder = tempfile::tempdir()?;
        for part in ["src", "test/broker", "test/ssl", "tmp"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        copy_scripts(&installed, &folder.path().join("test"))?;
        copy_scripts(&installed.join("broker"), &folder.path().join("test/broker"))?;
        certificates::make(&installed.join("ssl"), &folder.path().join("test/ssl"))?;
        let hub = folder.path().join("src/mosquitto");
        fs::write(&hub, HUB)?;
        fs::set_permissions(&hub, fs::Permissions::from_mode(0o755))?;
        let there = |case: &Case| folder.path().join(script(case)).is_file();
        let cases = cases(&runner).into_iter().filter(there).collect();
        Ok(Self { folder, cases })
    }

    /// Returns the path of something in the copy.
    pub(crate) fn path(&self, part: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(part)
    }
}

/// Returns the path of the test's script in the copy.
pub(crate) fn script(case: &Case) -> PathBuf {
    format!("test/broker/{}.py", case.name).into()
}

fn copy_scripts(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let is_copied = path.extension().is_some_and(|kind| COPIED.iter().any(|one| kind == *one));
        let Some(name) = path.file_name().filter(|_| is_copied) else { continue };
        let mut text = fs::read_to_string(&path)?;
        text = adapted(&text);
        if name == "mosq_test.py" {
            text.push_str(CLOSING);
        }
        let copy = to.join(name);
        fs::write(&copy, text)?;
        // Some scripts start others.
        fs::set_permissions(&copy, fs::metadata(&path)?.permissions())?;
    }
    Ok(())
}

fn adapted(script: &str) -> String {
    let kept = script.lines().filter(|line| line.trim() != BEFORE_THE_STANDARDS);
    let lines: String = kept.flat_map(|line| [line, "\n"]).collect();
    WAITS_FOR_THE_END.iter().fold(lines, |text, (wait, adapted)| text.replace(wait, adapted))
}

#[test]
fn only_the_oldest_version_goes_from_a_script_of_the_suite() {
    let script = "def do_test(v):\n    pass\ndo_test(proto_ver=3)\ndo_test(proto_ver=4)\n";
    let left = "def do_test(v):\n    pass\ndo_test(proto_ver=4)\n";
    assert_eq!(adapted(script), left);
}

#[test]
fn a_script_of_the_suite_that_waits_for_the_end_may_be_told_why() {
    let adapted = adapted("        data = sock.recv(1)\n");
    assert_eq!(adapted, "        data = mosq_test.receive_or_end(sock, 1)\n");
}
