//! When a call waits for a warm worker, and when it gets a new one.

use std::time::Duration;

use tomte_base::WorkerId;

use super::world::{Mishap, Plan, World, call, function, memory, ms, name};
use crate::{Call, FunctionLimits, Priority, WorkerExit};

const START: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

fn running(run: Duration) -> Plan {
    Plan { start: START, run, ..Plan::default() }
}

/// A function with one idle worker whose calls took `run` so far.
fn warm(limits: FunctionLimits, run: Duration) -> World {
    let mut world = World::new(memory(10_000), vec![limits]);
    world.plan("hot", running(run));
    world.submit_all("hot", [1]);
    world.run_for(START + run);
    world.take_trace();
    world
}

fn started(world: &World) -> u64 {
    world.scheduler.counters().workers_started
}

#[test]
fn a_burst_on_a_fast_function_starts_no_second_worker() {
    let mut world = warm(function("hot"), ms(1));
    world.submit_all("hot", 2..=101);
    world.run_until_done(ms(100));
    assert_eq!(started(&world), 1);
    assert_eq!(world.order(), (2..=101).collect::<Vec<u128>>());
}

#[test]
fn five_hundred_short_calls_a_second_at_random_moments_share_one_worker() {
    let mut world = warm(function("hot"), Duration::from_micros(400));
    for id in 2..5_000 {
        world.submit_all("hot", [id]);
        let dice = u64::try_from(id).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        world.run_for(Duration::from_micros(dice));
    }
    world.run_until_done(ms(50));
    assert_eq!(started(&world), 1);
}

#[test]
fn a_burst_on_a_slow_function_starts_a_worker_for_each_call() {
    let mut world = warm(function("hot"), 2 * SECOND);
    world.submit_all("hot", 2..=11);
    assert_eq!(started(&world), 10, "one is warm, nine are started");
    world.run_for(START);
    assert_eq!(world.scheduler.running().count(), 10);
}

#[test]
fn the_first_calls_of_a_function_start_a_worker_each() {
    let mut world = World::new(memory(10_000), vec![function("hot")]);
    world.plan("hot", running(ms(1)));
    world.submit_all("hot", 1..=10);
    assert_eq!(started(&world), 10);
}

#[test]
fn only_the_calls_that_would_wait_longer_than_a_start_get_new_workers() {
    // One worker ends two runs of 50 ms during a start of 100 ms, and runs one already.
    for (calls, workers) in [(3, 1), (4, 2), (8, 6)] {
        let mut world = warm(function("hot"), ms(50));
        world.submit_all("hot", 10..10 + calls);
        assert_eq!(started(&world), workers, "{calls} calls");
    }
}

#[test]
fn more_warm_workers_are_waited_for_by_more_calls() {
    let mut world = World::new(memory(10_000), vec![function("hot")]);
    world.plan("hot", running(ms(50)));
    world.submit_all("hot", 1..=4);
    world.run_until_done(SECOND);
    world.submit_all("hot", 10..10 + 4 + 8);
    assert_eq!(started(&world), 4);
    world.submit_all("hot", [100]);
    assert_eq!(started(&world), 5);
}

#[test]
fn a_call_behind_one_that_suddenly_takes_long_gets_its_own_worker_after_one_start_cost() {
    let mut world = warm(function("hot"), ms(1));
    world.plan("hot", running(10 * SECOND));
    world.submit_all("hot", [2]);
    world.run_for(ms(9));
    world.submit_all("hot", [3]);
    assert_eq!(started(&world), 1);
    world.run_for(SECOND);
    world.expect(
        "101 run c2 on 1
         210 start 2 hot v1
         310 run c3 on 2",
    );
}

#[test]
fn each_call_behind_a_long_one_gets_its_own_worker_when_its_time_has_come() {
    let mut world = warm(function("hot"), ms(1));
    world.plan("hot", running(10 * SECOND));
    world.submit_all("hot", [2, 3]);
    world.run_for(ms(40));
    world.submit_all("hot", [4, 5]);
    world.run_for(SECOND);
    world.expect(
        "101 run c2 on 1
         201 start 2 hot v1
         241 start 3 hot v1
         241 start 4 hot v1
         301 run c3 on 2
         341 run c4 on 3
         341 run c5 on 4",
    );
}

#[test]
fn a_function_that_is_fast_again_needs_one_worker_again() {
    let brief = FunctionLimits { idle_timeout: SECOND, ..function("hot") };
    let mut world = warm(brief, 2 * SECOND);
    world.plan("hot", running(ms(1)));
    for id in 2..50 {
        world.submit_all("hot", [id]);
        world.run_for(ms(10));
    }
    world.submit_all("hot", 100..=110);
    world.run_until_done(SECOND);
    assert_eq!(started(&world), 1);
}

#[test]
fn the_rest_of_an_idle_worker_that_asks_again_is_no_run() {
    let mut world = warm(function("hot"), ms(1));
    world.run_for(10 * SECOND);
    world.book.asks(WorkerId(1));
    world.step(|scheduler, now, out| scheduler.on_worker_ready(now, WorkerId(1), out));
    world.submit_all("hot", [2, 3]);
    assert_eq!(started(&world), 1);
}

#[test]
fn a_start_that_takes_long_is_waited_out_longer() {
    let mut world = World::new(memory(10_000), vec![function("hot")]);
    world.plan("hot", Plan { start: 3 * SECOND, run: SECOND, ..Plan::default() });
    world.submit_all("hot", [1]);
    world.run_until_done(5 * SECOND);
    world.submit_all("hot", [2, 3, 4, 5]);
    assert_eq!(started(&world), 1);
    world.run_until_done(5 * SECOND);
    assert_eq!(started(&world), 2, "the last one had waited for 3 s, just before it was free");
}

#[test]
fn with_no_live_worker_one_is_started_at_once() {
    let mut world = warm(function("hot"), ms(1));
    world.plan("hot", Plan { mishap: Mishap::DiesInCall(WorkerExit::Code(1)), ..running(ms(1)) });
    world.submit_all("hot", [2, 3, 4]);
    world.run_for(ms(1));
    world.expect(
        "101 run c2 on 1
         102 exit 1
         102 fail c2: the worker died while it ran: exit status 1
         102 start 2 hot v1
         102 start 3 hot v1",
    );
}

#[test]
fn what_was_learnt_of_a_version_does_not_count_for_the_next() {
    let mut world = warm(function("hot"), ms(1));
    world.plan("hot", running(SECOND));
    world.submit_all("hot", [2]);
    world.deploy(vec![FunctionLimits { version: "v2".to_owned(), ..function("hot") }]);
    world.run_for(SECOND);
    world.submit_all("hot", [3, 4]);
    world.run_for(START + ms(1));
    world.submit_all("hot", [5]);
    world.expect(
        "101 run c2 on 1
         1101 done c2
         1101 stop 1 outdated
         1101 start 2 hot v2
         1101 start 3 hot v2
         1106 exit 1
         1201 run c3 on 2
         1201 run c4 on 3
         1202 start 4 hot v2",
    );
}

#[test]
fn calls_that_wait_for_a_warm_worker_leave_the_room_to_others() {
    let mut world = World::new(memory(200), vec![function("hot"), function("other")]);
    for name in ["hot", "other"] {
        world.plan(name, running(ms(1)));
        world.submit_all(name, [name.len() as u128]);
    }
    world.run_until_done(SECOND);
    for id in 100..200 {
        world.submit(Call { priority: Priority::High, ..call(id, "hot") }).unwrap();
    }
    world.submit_all("other", [300]);
    world.run_until_done(SECOND);
    assert_eq!(world.worker_count("other"), 1);
    assert_eq!(started(&world), 2);
}

#[test]
fn a_reserve_is_filled_while_calls_wait_for_a_warm_worker() {
    let kept = FunctionLimits { reserve: 2, ..function("hot") };
    let mut world = warm(function("hot"), ms(1));
    world.submit_all("hot", 2..=10);
    world.deploy(vec![kept]);
    assert_eq!(world.worker_count("hot"), 2);
}

#[test]
fn nothing_is_due_for_a_call_that_no_new_worker_could_take() {
    let one = FunctionLimits { max_workers: 1, timeout: 30 * SECOND, ..function("hot") };
    let mut world = warm(one, ms(1));
    world.plan("hot", running(10 * SECOND));
    world.submit_all("hot", [2, 3]);
    let due = world.scheduler.next_deadline().unwrap();
    assert_eq!(due, world.now + 30 * SECOND, "the time limit of the first is next");
    world.deploy(vec![FunctionLimits { max_workers: 2, ..function("hot") }]);
    world.run_for(START);
    assert_eq!(world.scheduler.function(&name("hot")).unwrap().workers, 2);
}
