//! A fixed number of runs, the seeds that once found something, and one run to look into.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tomte_sim::{Coverage, Failure, Outcome, run};

/// Runs from seed 1 on.
const N_SEEDS: u64 = 400;

/// What must happen in these runs, and how often at least: a simulator in which it does not happen
/// proves nothing about it. Each bound is about a third of what was counted.
const WANTED: &[(&str, u64)] = &[
    ("crash: before the commit", 70),
    ("crash: in the middle of the commit", 30),
    ("crash: after the commit", 25),
    ("crash: before the effects", 70),
    ("crash: between two outputs", 70),
    ("crash: between two turns", 70),
    ("crash: right after the recovery", 15),
    ("crash: the recovery failed and was tried again", 15),
    ("crash: power cut", 170),
    ("crash: a power cut lost bytes", 90),
    ("disk: a torn end was cut off", 30),
    ("disk: full for a while", 450),
    ("disk: a commit was refused for a full disk", 900),
    ("disk: a commit failed", 300),
    ("disk: a sync failed", 25),
    ("journal: went on after a failed sync", 8),
    ("journal: caught up after a failure", 1_000),
    ("journal: a segment was begun", 1_000),
    ("journal: old segments were dropped", 500),
    ("network: a stream was split", 10_000),
    ("network: a connection was cut", 1_000),
    ("network: the hub never learns of a cut", 100),
    ("network: bytes to a client were lost", 1_000),
    ("network: bytes to the hub were lost", 1_000),
    ("network: a stranger came", 300),
    ("session: taken over", 700),
    ("crash: soon after the recovery", 150),
    ("delivery: sent again", 1_500),
    ("delivery: sent again under its identifier after a crash", 300),
    ("delivery: retained", 5_000),
    ("delivery: result of a function", 10_000),
    ("delivery: will", 800),
    ("delivery: by a group", 4_000),
    ("delivery: on a second topic", 4_500),
    ("group: passed on to another member", 120),
    ("delivery: QoS 2 all the way", 3_000),
    ("will: published after a crash", 100),
    ("will: published after its delay", 35),
    ("hold: delivered on return", 1_500),
    ("client: sent a message again", 5_000),
    ("client: knew a QoS 2 message already", 250),
    ("client: stopped reading", 300),
    ("client: never answered a delivery", 450),
    ("deployment: under load", 450),
    ("clock: jumped", 250),
    ("connection: closed because the journal failed", 1_000),
    ("connection: silent for too long", 150),
    ("connection: no CONNECT in time", 25),
    ("connection: identity revoked", 40),
    ("connection: refused", 400),
    ("refusal: not stored", 1_000),
    ("refusal: publish", 1_000),
    ("refusal: subscribe", 1_000),
    ("drop: queue full", 1_000),
    ("drop: expired", 100),
    ("drop: hold full", 1_000),
    ("drop: hold expired", 250),
    ("drop: hop limit", 500),
    ("drop: session ended", 1_000),
    ("drop: slow reader", 300),
    ("drop: too large", 100),
    ("drop: no member", 500),
    ("drop: unreadable", 60),
    ("journal: a record could not be read back", 20),
    ("recovery: a record could not be read back", 20),
    ("drop: call refused", 300),
    ("call: cancelled", 25),
    ("call: ended by the platform", 800),
    ("worker: answered twice", 200),
    ("worker: asked for more without an answer", 200),
    ("worker: could not be started", 150),
    ("worker: did not stop at once", 80),
    ("worker: died in a call", 200),
    ("worker: its answer came too late", 150),
    ("worker: never answered", 200),
    ("worker: never got ready", 80),
    ("worker: raised an error", 200),
    ("retained: looked at in the end", 400),
];

/// Runs seeds on all processors. Stops at the first failure.
fn run_all(seeds: &[u64]) -> (Coverage, Option<Failure>) {
    let next = AtomicU64::new(0);
    let found = Mutex::new((Coverage::default(), None::<Failure>));
    let work = || {
        loop {
            let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("few seeds");
            let Some(seed) = seeds.get(index) else { return };
            let Outcome { coverage, failure, .. } = run(*seed);
            let mut found = found.lock().expect("no run holds the lock when it panics");
            found.0.merge(&coverage);
            if found.1.is_some() {
                return;
            }
            found.1 = failure;
        }
    };
    let n_threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(work);
        }
    });
    found.into_inner().expect("no run holds the lock when it panics")
}

fn check(seeds: &[u64]) -> Coverage {
    let (coverage, failure) = run_all(seeds);
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    coverage
}

/// Proves: ALL-9, EVT-8, EVT-11, EVT-12, EVT-13, MQT-2, MQT-4.
#[test]
fn every_promise_is_kept_in_fixed_runs_and_every_fault_happens_in_them() {
    let seeds: Vec<u64> = (1..=N_SEEDS).collect();
    let coverage = check(&seeds);
    println!("{coverage}");
    let missing = coverage.missing(WANTED);
    assert!(missing.is_empty(), "(event, wanted, happened): {missing:?}");
}

/// Proves: ALL-9, MQT-2.
#[test]
fn seeds_that_once_found_something_find_nothing_any_more() {
    let kept = include_str!("../seeds.txt");
    let lines = kept.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let number = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.parse().unwrap_or_else(|_| panic!("{line:?} in seeds.txt begins with no number"))
    };
    check(&lines.map(number).collect::<Vec<u64>>());
}

#[test]
fn one_seed_gives_one_run() {
    for seed in [2, 7, 22, 64, 128] {
        let (a, b) = (run(seed), run(seed));
        assert_eq!((a.steps, &a.coverage), (b.steps, &b.coverage), "seed {seed}");
    }
}

/// Runs the seed of `TOMTE_SIM_SEED`, if one is given, and tells its last events.
#[test]
fn repeat() {
    let Ok(seed) = std::env::var("TOMTE_SIM_SEED") else { return };
    let outcome = run(seed.parse().expect("TOMTE_SIM_SEED is a number"));
    println!("{}", outcome.coverage);
    if let Some(failure) = outcome.failure {
        panic!("{failure}");
    }
}
