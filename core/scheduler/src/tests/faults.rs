//! Workers that do not start, do not answer, do not go, or die.

use std::time::Duration;

use tomte_base::{ByteSize, WorkerId};

use super::world::{Mishap, Plan, World, call, function, memory, ms, name};
use crate::{
    CallFailure, FunctionLimits, Mode, RESTART_BACKOFF_MAX, SchedulerLimits, StopReason, WorkerExit,
};

fn mishap(mishap: Mishap) -> Plan {
    Plan { mishap, ..Plan::default() }
}

fn cannot_start(why: &str) -> Plan {
    mishap(Mishap::DiesAtStart(WorkerExit::StartFailed { detail: why.to_owned() }))
}

/// Runs one call of a function whose workers behave so, and checks the text of its failure and why
/// its worker was stopped.
fn check_failure(plan: Plan, text: &str, stopped: Option<StopReason>) {
    let brief = FunctionLimits { timeout: ms(3_000), ..function("bad") };
    let mut world = World::new(memory(300), vec![brief, function("good")]);
    world.plan("bad", plan);
    world.submit_all("bad", [1]);
    world.submit_all("good", [2]);
    world.run_until_done(Duration::from_secs(10));
    assert_eq!(world.failure(1).unwrap().to_string(), text);
    assert_eq!(world.failure(2), None, "the other function is not concerned");
    let reasons: Vec<_> = world.scheduler.counters().workers_stopped.keys().copied().collect();
    assert_eq!(reasons, stopped.into_iter().collect::<Vec<_>>());
}

/// Proves: SCH-17 (the platform's part), SCH-20 (the decision), COM-17.
#[test]
fn a_call_that_the_platform_ends_says_why() {
    check_failure(mishap(Mishap::NeverAnswers), "timed out after 3s", Some(StopReason::Timeout));
    check_failure(
        mishap(Mishap::DiesInCall(WorkerExit::Code(1))),
        "the worker died while it ran: exit status 1",
        None,
    );
    check_failure(
        mishap(Mishap::DiesInCall(WorkerExit::Signal(11))),
        "the worker died while it ran: ended by signal 11",
        None,
    );
    check_failure(
        mishap(Mishap::DiesInCall(WorkerExit::OutOfMemory)),
        "out of memory: the function may use 100MiB",
        None,
    );
    check_failure(
        mishap(Mishap::AsksWithoutAnswer),
        "the worker asked for its next call without answering this one",
        Some(StopReason::Failed),
    );
    check_failure(
        cannot_start("no python3 in PATH"),
        "no worker could be started: 5 tries failed, the last: no python3 in PATH",
        None,
    );
    check_failure(
        mishap(Mishap::DiesAtStart(WorkerExit::Code(3))),
        "no worker could be started: 5 tries failed, the last: exit status 3 before it asked for a \
         call",
        None,
    );
}

#[test]
fn the_time_limit_counts_from_the_assignment() {
    let brief = FunctionLimits { timeout: ms(1_000), ..function("hot") };
    let mut world = World::new(memory(100), vec![brief]);
    world.plan("hot", Plan { start: ms(5_000), run: ms(999), ..Plan::default() });
    world.submit_all("hot", [1, 2, 3]);
    world.run_until_done(Duration::from_secs(60));
    assert_eq!(world.book.finished, 3);
}

#[test]
fn a_function_that_does_not_start_is_tried_less_and_less_often() {
    let mut world = World::new(memory(2_000), vec![function("bad")]);
    world.plan("bad", cannot_start("import error"));
    world.submit_all("bad", 1..=20);
    world.run_until_done(Duration::from_secs(10));
    let trace = world.take_trace();
    let starts = trace.lines().filter(|line| line.contains(" start "));
    let starts: Vec<u64> = starts.map(|l| l.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(starts[..20], [0; 20], "the first time all calls get their worker");
    assert_eq!(starts[20..24], [110, 320, 730, 1_540], "then one is tried at a time");
    assert!((1..=20).all(|id| world.failure(id).is_some()));
    let counts = world.scheduler.function(&name("bad")).unwrap();
    assert_eq!(counts.failed_starts, 5);
    assert!(counts.held_back_until > world.now);
}

#[test]
fn without_calls_a_function_that_does_not_start_is_left_alone() {
    let mut world = World::new(memory(1_000), vec![function("bad")]);
    world.plan("bad", cannot_start("import error"));
    world.submit_all("bad", [1]);
    world.run_until_done(Duration::from_secs(10));
    let started = world.scheduler.counters().workers_started;
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(world.scheduler.counters().workers_started, started);
    world.submit_all("bad", [2]);
    world.run_until_done(Duration::from_secs(1));
    assert_eq!(world.scheduler.counters().workers_started, started + 1, "one more try, one answer");
}

#[test]
fn a_function_that_starts_again_works_as_before() {
    let mut world = World::new(memory(1_000), vec![function("hot")]);
    world.plan("hot", cannot_start("disk full"));
    world.submit_all("hot", [1]);
    world.run_for(ms(500));
    world.plan("hot", Plan::default());
    world.run_until_done(Duration::from_secs(1));
    assert_eq!(world.book.finished, 1);
    assert_eq!(world.scheduler.function(&name("hot")).unwrap().failed_starts, 0);
    world.submit_all("hot", 2..=5);
    world.run_for(ms(20));
    assert_eq!(world.scheduler.running().count(), 4);
}

#[test]
fn a_worker_that_dies_in_its_call_does_not_hold_up_the_next_call() {
    let one = FunctionLimits { max_workers: 1, ..function("bad") };
    let mut world = World::new(memory(1_000), vec![one]);
    world.plan("bad", mishap(Mishap::DiesInCall(WorkerExit::Code(1))));
    world.submit_all("bad", 1..=5);
    world.run_until_done(ms(1_000));
    assert_eq!(world.started_at(5), Some(4 * 110 + 10));
}

#[test]
fn a_call_that_works_shortens_the_pause_again() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..function("hot") };
    let mut world = World::new(memory(1_000), vec![pinned]);
    let mut starts = Vec::new();
    for (worker, call) in [(1, None), (2, None), (3, Some(1)), (4, None)] {
        world.submit_all("hot", call);
        world.run_for(ms(500));
        world.kill(worker);
        let counts = world.scheduler.function(&name("hot")).unwrap();
        starts.push((counts.held_back_until - world.now).as_millis());
    }
    assert_eq!(starts, [100, 200, 100, 200]);
}

#[test]
fn a_worker_that_got_ready_ends_the_row_of_failed_starts() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..function("hot") };
    let mut world = World::new(memory(1_000), vec![]);
    let failed = |world: &World| world.scheduler.function(&name("hot")).unwrap().failed_starts;
    world.plan("hot", cannot_start("disk full"));
    world.deploy(vec![pinned]);
    world.run_for(ms(1_000));
    assert_eq!(failed(&world), 4);
    world.plan("hot", Plan::default());
    world.run_for(ms(1_000));
    assert_eq!(failed(&world), 0);
}

#[test]
fn a_new_version_is_tried_at_once() {
    let mut world = World::new(memory(1_000), vec![function("bad")]);
    world.plan("bad", cannot_start("import error"));
    world.submit_all("bad", [1]);
    world.run_until_done(Duration::from_secs(10));
    world.plan("bad", Plan::default());
    world.deploy(vec![FunctionLimits { version: "v2".to_owned(), ..function("bad") }]);
    world.submit_all("bad", [2]);
    world.run_until_done(ms(200));
    assert_eq!(world.book.finished, 1);
}

#[test]
fn a_start_that_takes_too_long_is_a_failed_start() {
    let limits = SchedulerLimits { start_timeout: ms(2_000), ..SchedulerLimits::default() };
    let mut world = World::with_limits(limits, memory(100), vec![function("bad")]);
    world.plan("bad", mishap(Mishap::NeverStarts));
    world.submit_all("bad", [1]);
    world.run_until_done(Duration::from_secs(60));
    let detail = "5 tries failed, the last: it did not ask for a call within 2s".to_owned();
    assert_eq!(world.failure(1), Some(CallFailure::StartFailed { detail }));
}

#[test]
fn a_worker_that_does_not_ask_again_after_its_answer_is_replaced() {
    let limits = SchedulerLimits { start_timeout: ms(2_000), ..SchedulerLimits::default() };
    let mut world = World::with_limits(limits, memory(100), vec![function("hot")]);
    world.plan("hot", mishap(Mishap::NeverReturns));
    world.submit_all("hot", [1, 2]);
    world.run_until_done(Duration::from_secs(10));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1
         2110 stop 1 failed
         2115 exit 1
         2115 start 2 hot v1
         2125 run c2 on 2
         2225 done c2",
    );
}

#[test]
fn a_worker_that_does_not_go_is_told_again_and_keeps_its_room_until_it_has_gone() {
    let mut world = World::new(memory(100), vec![function("a"), function("b")]);
    world.plan("a", mishap(Mishap::IgnoresStop));
    world.submit_all("a", [1]);
    world.run_until_done(ms(200));
    world.submit_all("b", [2]);
    world.run_until_done(Duration::from_secs(10));
    world.expect(
        "0 start 1 a v1
         10 run c1 on 1
         110 done c1
         110 stop 1 made_room
         5110 stop 1 made_room
         5115 exit 1
         5115 start 2 b v1
         5125 run c2 on 2
         5225 done c2",
    );
    assert_eq!(world.scheduler.counters().stops_repeated, 1);
}

#[test]
fn a_pinned_worker_that_dies_in_every_call_is_restarted_ever_more_slowly() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..function("bad") };
    let mut world = World::new(memory(100), vec![pinned]);
    world.plan("bad", Plan { run: ms(1), ..mishap(Mishap::DiesInCall(WorkerExit::Code(1))) });
    world.submit_all("bad", 1..=100);
    world.run_for(Duration::from_secs(600));
    let started = world.scheduler.counters().workers_started;
    assert!((17..=20).contains(&started), "{started} starts in ten minutes");
    assert!(world.scheduler.queued().count() >= 80, "calls that have not run wait on");
    let counts = world.scheduler.function(&name("bad")).unwrap();
    assert!(counts.held_back_until <= world.now + RESTART_BACKOFF_MAX);
}

/// Proves: SCH-20 (the decision).
#[test]
fn an_execution_that_aborts_leaves_twenty_others_running() {
    let mut world = World::new(memory(10_000), vec![function("good"), function("bad")]);
    world.plan("good", Plan { run: ms(1_000), ..Plan::default() });
    world.plan("bad", mishap(Mishap::DiesInCall(WorkerExit::Signal(6))));
    world.submit_all("good", 1..=20);
    world.submit_all("bad", [21]);
    world.run_until_done(ms(1_500));
    assert_eq!(world.book.finished, 20);
}

#[test]
fn cancelling_a_call_that_runs_ends_its_worker() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    world.submit_all("hot", [1, 2]);
    world.run_for(ms(50));
    assert!(world.cancel(1));
    world.run_until_done(ms(500));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         50 fail c1: cancelled
         50 stop 1 cancelled
         55 exit 1
         55 start 2 hot v1
         65 run c2 on 2
         165 done c2",
    );
}

#[test]
fn a_timeout_on_a_worker_with_several_calls_fails_the_others_with_it() {
    let pinned = FunctionLimits {
        mode: Mode::Pinned,
        max_concurrency: 2,
        timeout: ms(1_000),
        ..function("wide")
    };
    let mut world = World::new(memory(100), vec![pinned]);
    world.plan("wide", mishap(Mishap::NeverAnswers));
    world.submit_all("wide", [1]);
    world.run_for(ms(500));
    world.submit_all("wide", [2]);
    world.book.asks(WorkerId(1));
    world.step(|scheduler, now, out| scheduler.on_worker_ready(now, WorkerId(1), out));
    world.run_until_done(ms(1_000));
    assert_eq!(world.failure(1), Some(CallFailure::TimedOut { after: ms(1_000) }));
    let detail = "it was stopped: a call ran past its time limit".to_owned();
    assert_eq!(world.failure(2), Some(CallFailure::WorkerDied { detail }));
}

#[test]
fn reports_about_workers_that_nobody_knows_change_nothing() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    world.step(|scheduler, now, out| {
        scheduler.on_worker_ready(now, WorkerId(7), out);
        scheduler.on_worker_exited(now, WorkerId(7), WorkerExit::Code(0), out);
        assert!(!scheduler.stop_worker_for(now, WorkerId(7), out));
        assert_eq!(*out, []);
    });
    assert_eq!(world.scheduler.resources().free().memory, ByteSize::mib(100));
    world.submit(call(1, "hot")).unwrap();
    world.run_until_done(ms(200));
}
