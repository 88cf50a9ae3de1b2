//! Runs the tests, a few at once: they mostly wait.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tomte_testkit::{Process, peers, tomte_binary};

use crate::catalogue::Case;
use crate::tree::{Tree, script};

const AT_ONCE: usize = 4;
/// Longest time of one test; the longest takes 8 seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the output of a test that has ended may stay open.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a test ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With exit code 0.
    Passed,
    /// Otherwise, and it said this.
    Failed(String),
}

/// Runs every test of `tree`. One that fails and should pass is run once more, alone: some measure
/// seconds, and a crowded machine is no defect of the hub.
pub(crate) fn run(tree: &Tree, should_pass: impl Fn(&str) -> bool) -> BTreeMap<String, Outcome> {
    let mut results = run_all(tree);
    for case in tree.cases.iter().filter(|case| should_pass(&case.name)) {
        if matches!(results.get(&case.name), Some(Outcome::Failed(_))) {
            results.insert(case.name.clone(), run_case(tree, case));
        }
    }
    results
}

fn run_all(tree: &Tree) -> BTreeMap<String, Outcome> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(case) = tree.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = run_case(tree, case);
            results.lock().unwrap().insert(case.name.clone(), outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap()
}

/// Runs one test. The hubs that it starts end with it, however it ends.
fn run_case(tree: &Tree, case: &Case) -> Outcome {
    let first = free_ports(case.ports);
    let ports = (first..first + case.ports).map(|port| port.to_string());
    let mut python = peers::python();
    python.arg(tree.path(script(case))).args(ports).current_dir(tree.path("test/broker"));
    python.env("TOMTE_BIN", tomte_binary().unwrap()).env("TMPDIR", tree.path("tmp"));
    let mut process = Process::start(&mut python).unwrap();
    let ended = process.wait(LIMIT);
    if ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return Outcome::Passed;
    }
    process.kill9();
    while process.next_line(LAST_WORDS).is_ok() {}
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    Outcome::Failed(format!("{how}\n{}", process.written()))
}

/// Returns the first of `count` neighbouring ports that nobody listens on. They lie below those that
/// the system gives to clients, and each is given once.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 24).unwrap() * 500;
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let first = start + NEXT.fetch_add(count, Ordering::Relaxed);
        if (first..first + count).all(free) {
            return first;
        }
    }
}
