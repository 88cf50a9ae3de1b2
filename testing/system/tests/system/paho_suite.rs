//! The tests for MQTT 5 that come with paho-mqtt's source package, unchanged, against the broker of
//! `examples/broker`.
//!
//! They would start a broker of their own; `suite/paho/mqtt/brokers.py` names the hub instead.

use std::path::Path;
use std::time::Duration;

use tomte_testkit::{Hub, Process, peers};

const EXAMPLE: &str = include_str!("../../../../examples/broker/tomte.toml");
const STANDS_FOR_THE_BROKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/paho");
/// As many as the file has: one that is skipped or not found is a failure.
const TESTS: u32 = 21;
const LIMIT: Duration = Duration::from_secs(4 * 60);
/// How long the output of the script may stay open after its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Returns the manifest of the example with the hub's own ports.
fn manifest() -> String {
    let ports = [("0.0.0.0:8883", "127.0.0.1:{mqtts}"), ("127.0.0.1:1883", "127.0.0.1:{mqtt}")];
    ports.into_iter().fold(EXAMPLE.to_owned(), |manifest, (of_the_example, free)| {
        assert!(manifest.contains(of_the_example), "the example listens on {of_the_example}");
        manifest.replace(of_the_example, free)
    })
}

fn start(script_folder: &Path, hub: &Hub) -> Process {
    let mut python = peers::python();
    // -B: no compiled files in the repository; --buffer: what a test prints is shown if it fails.
    python.args(["-B", "-m", "unittest", "--verbose", "--buffer", "test_mqttv5"]);
    python.current_dir(script_folder).env("PYTHONPATH", STANDS_FOR_THE_BROKER);
    Process::start(python.env("HUB_PORT", hub.mqtt.to_string())).unwrap()
}

/// Tells whether unittest says at its end that `count` tests ran and each of them passed.
fn all_passed(output: &str, count: u32) -> bool {
    let ran = format!("Ran {count} tests in ");
    output.lines().any(|line| line.starts_with(&ran)) && output.lines().any(|line| line == "OK")
}

/// Proves a part of: MQT-1.
#[test]
fn the_tests_of_paho_mqtt_for_version_5_pass_unchanged() {
    let folder = peers::python_folder().with_file_name("paho-suite");
    let script = folder.join("test_mqttv5.py");
    assert!(script.is_file(), "{} is not there; run `cargo xtask install-tools`", script.display());
    let hub = Hub::start(&manifest()).unwrap();
    let mut tests = start(&folder, &hub);
    let ended = tests.wait(LIMIT);
    tests.kill9();
    while tests.next_line(LAST_WORDS).is_ok() {}
    let output = tests.written();
    let passed = ended.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(passed && all_passed(&output, TESTS), "not {TESTS} passed, {ended:?}:\n{output}");
}

#[test]
fn a_run_of_unittest_with_a_test_too_few_skipped_or_failed_has_not_passed() {
    let end = |ran: &str, how: &str| format!("{ran}\n\n{how}\n");
    assert!(all_passed(&end("Ran 21 tests in 63.1s", "OK"), 21));
    for (ran, how) in [
        ("Ran 20 tests in 63.1s", "OK"),
        ("Ran 0 tests in 0.0s", "OK (skipped=1)"),
        ("Ran 21 tests in 63.1s", "OK (skipped=1)"),
        ("Ran 21 tests in 63.1s", "FAILED (failures=1)"),
        ("", ""),
    ] {
        assert!(!all_passed(&end(ran, how), 21), "{ran}, {how}");
    }
}
