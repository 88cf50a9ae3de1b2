//! Functions that come, change and go, and the end of the hub.

use std::time::Duration;

use super::world::{Plan, World, call, function, memory, ms};
use crate::{CallFailure, FunctionLimits, Mode, Refusal, StopReason};

fn version(version: &str, limits: FunctionLimits) -> FunctionLimits {
    FunctionLimits { version: version.to_owned(), ..limits }
}

#[test]
fn a_running_call_finishes_on_its_old_worker_and_waiting_ones_run_on_the_new_version() {
    let one = FunctionLimits { max_concurrency: 1, ..function("hot") };
    let mut world = World::new(memory(1_000), vec![one.clone()]);
    world.submit_all("hot", [1, 2]);
    world.run_for(ms(50));
    world.deploy(vec![version("v2", one)]);
    world.run_until_done(ms(1_000));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1
         110 stop 1 outdated
         110 start 2 hot v2
         115 exit 1
         120 run c2 on 2
         220 done c2",
    );
}

#[test]
fn idle_and_starting_workers_of_an_old_version_go_at_once() {
    let kept = FunctionLimits { reserve: 1, ..function("idle") };
    let mut world = World::new(memory(1_000), vec![kept.clone(), function("starting")]);
    world.run_for(ms(50));
    world.submit_all("starting", [1]);
    world.take_trace();
    world.deploy(vec![version("v2", kept), version("v2", function("starting"))]);
    world.run_until_done(ms(1_000));
    world.expect(
        "50 stop 1 outdated
         50 stop 2 outdated
         50 start 3 starting v2
         50 start 4 idle v2
         55 exit 1
         55 exit 2
         60 run c1 on 3
         160 done c1",
    );
}

#[test]
fn a_pinned_worker_is_replaced_after_its_call_and_never_runs_beside_the_new_one() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..function("counter") };
    let mut world = World::new(memory(1_000), vec![pinned.clone()]);
    world.submit_all("counter", [1, 2]);
    world.run_for(ms(50));
    world.deploy(vec![version("v2", pinned)]);
    world.run_until_done(ms(1_000));
    world.expect(
        "0 start 1 counter v1
         10 run c1 on 1
         110 done c1
         110 stop 1 outdated
         115 exit 1
         115 start 2 counter v2
         125 run c2 on 2
         225 done c2",
    );
}

#[test]
fn an_unchanged_function_does_not_notice_a_deployment() {
    let mut world = World::new(memory(1_000), vec![function("a"), function("b")]);
    world.submit_all("a", [1]);
    world.run_for(ms(50));
    world.deploy(vec![version("v2", function("b")), function("a"), function("c")]);
    world.submit_all("a", [2]);
    world.run_until_done(ms(1_000));
    assert_eq!(world.scheduler.counters().workers_stopped.len(), 0);
}

#[test]
fn calls_that_wait_for_a_removed_function_fail_and_the_running_one_finishes() {
    let mut world = World::new(memory(100), vec![function("hot"), function("other")]);
    world.submit_all("hot", [1, 2, 3]);
    world.run_for(ms(50));
    world.deploy(vec![function("other")]);
    assert_eq!(world.failure(2), Some(CallFailure::FunctionRemoved));
    assert_eq!(world.submit(call(4, "hot")), Err(Refusal::UnknownFunction));
    world.run_until_done(ms(100));
    assert_eq!(world.book.finished, 1);
    assert_eq!(world.scheduler.counters().workers_stopped[&StopReason::Removed], 1);
    assert_eq!(world.scheduler.functions().count(), 2, "its worker is still going");
    world.run_for(ms(10));
    assert_eq!(world.scheduler.functions().count(), 1);
}

#[test]
fn a_function_that_comes_back_while_its_worker_runs_keeps_the_worker() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    world.submit_all("hot", [1]);
    world.run_for(ms(50));
    world.deploy(vec![]);
    world.run_for(ms(10));
    world.deploy(vec![function("hot")]);
    world.submit_all("hot", [2]);
    world.run_until_done(ms(300));
    assert_eq!(world.scheduler.counters().workers_started, 1);
}

#[test]
fn a_lower_ceiling_ends_the_workers_beyond_it() {
    let mut world = World::new(memory(1_000), vec![function("hot")]);
    world.submit_all("hot", 1..=4);
    world.run_for(ms(50));
    world.submit_all("hot", [5]);
    world.deploy(vec![FunctionLimits { max_workers: 2, ..function("hot") }]);
    world.run_until_done(ms(1_000));
    world.run_for(ms(100));
    assert_eq!(world.worker_count("hot"), 2);
}

#[test]
fn a_pinned_function_for_which_no_room_is_left_gives_up_its_worker() {
    let pinned = |name| FunctionLimits { mode: Mode::Pinned, ..function(name) };
    let mut world = World::new(memory(100), vec![pinned("zeta")]);
    world.run_for(ms(50));
    world.deploy(vec![pinned("alpha"), pinned("zeta")]);
    world.run_for(ms(50));
    assert_eq!((world.worker_count("alpha"), world.worker_count("zeta")), (1, 0));
}

#[test]
fn a_shutdown_lets_running_calls_end_and_fails_those_that_wait() {
    let mut world = World::new(memory(200), vec![function("a"), function("b")]);
    world.submit_all("a", [1, 2]);
    world.run_until_done(ms(200));
    world.submit_all("a", [3]);
    world.run_for(ms(5));
    world.submit_all("b", [4, 5]);
    world.take_trace();
    world.shutdown();
    assert_eq!(world.submit(call(6, "a")), Err(Refusal::ShuttingDown));
    world.run_for(ms(500));
    world.expect(
        "115 fail c4: the hub is shutting down
         115 fail c5: the hub is shutting down
         115 refuse c6: the hub is shutting down and takes no calls
         120 exit 1
         210 done c3
         210 stop 2 shutdown
         215 exit 2",
    );
    assert_eq!(world.scheduler.workers().count(), 0);
    assert_eq!(world.scheduler.next_deadline(), None);
}

#[test]
fn a_second_shutdown_waits_for_nobody() {
    let mut world = World::new(memory(200), vec![function("a")]);
    world.plan("a", Plan { run: Duration::from_secs(50), ..Plan::default() });
    world.submit_all("a", [1]);
    world.run_for(ms(50));
    world.shutdown();
    world.run_for(ms(50));
    assert_eq!(world.scheduler.running().count(), 1);
    world.shutdown();
    world.run_for(ms(10));
    assert_eq!(world.failure(1), Some(CallFailure::ShuttingDown));
    assert_eq!(world.scheduler.workers().count(), 0);
}

#[test]
fn a_waiting_function_that_became_smaller_starts_at_once() {
    let large = FunctionLimits { memory: tomte_base::ByteSize::mib(200), ..function("hot") };
    let mut world = World::new(memory(200), vec![large]);
    world.take_elsewhere(100);
    world.submit_all("hot", [1]);
    world.deploy(vec![version("v2", function("hot"))]);
    world.expect("0 start 1 hot v2");
}

#[test]
fn calls_that_wait_for_a_function_that_grew_too_large_fail() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    world.submit_all("hot", [1, 2]);
    world.run_for(ms(50));
    let large = FunctionLimits { memory: tomte_base::ByteSize::mib(101), ..function("hot") };
    world.deploy(vec![version("v2", large)]);
    let failure = world.failure(2).unwrap().to_string();
    assert!(failure.contains("a worker needs 101MiB"), "{failure}");
    world.run_until_done(ms(100));
    assert_eq!(world.book.finished, 1);
}
