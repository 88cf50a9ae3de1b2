//! The benchmark works: each scenario runs, and what is sent arrives. Not how fast.

use tomte_testkit::{Output, tomte_binary};

fn run(arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tomte-bench"));
    let binary = tomte_binary().expect("the hub builds");
    Output::of(command.args(arguments).env("TOMTE_BIN", binary)).expect("the benchmark starts")
}

#[test]
fn every_scenario_adds_up_against_mosquitto() {
    let output = run(&["--quick", "--mosquitto-only"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(output.stdout.matches(" per second |").count(), 14, "{}", output.stdout);
}

/// Proves a part of: FPT-1.
#[test]
fn every_scenario_adds_up_against_the_hub() {
    let output = run(&["--quick"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("Python function"), "{}", output.stdout);
}
