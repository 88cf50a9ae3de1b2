//! The life of workers: when they come, what they get, when they go.

use std::time::Duration;

use tomte_base::{CallId, WorkerId};

use super::world::{Plan, World, call, function, memory, ms, name};
use crate::{
    Call, FunctionCounts, FunctionLimits, Mode, Priority, StartRefusal, StopReason, WorkerState,
};

fn pinned(name: &str) -> FunctionLimits {
    FunctionLimits { mode: Mode::Pinned, max_concurrency: 1, ..function(name) }
}

/// Proves: SCH-14, ALL-4.
#[test]
fn a_second_call_is_warm_and_an_idle_worker_goes() {
    let brief = FunctionLimits { idle_timeout: ms(500), ..function("hot") };
    let mut world = World::new(memory(1_000), vec![brief]);
    world.expect("");
    world.submit_all("hot", [1]);
    world.run_for(ms(200));
    world.submit_all("hot", [2]);
    assert!(world.scheduler.call(CallId(2)).unwrap().warm);
    world.run_for(Duration::from_secs(2));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1
         200 run c2 on 1
         300 done c2
         800 stop 1 idle
         805 exit 1",
    );
    assert_eq!(world.scheduler.resources().free(), memory(1_000));
    assert_eq!(world.scheduler.counters().warm_assignments, 1);
}

#[test]
fn asking_again_while_it_waits_does_not_prolong_the_life_of_a_worker() {
    let brief = FunctionLimits { idle_timeout: ms(500), ..function("hot") };
    let mut world = World::new(memory(1_000), vec![brief]);
    world.submit_all("hot", [1]);
    world.run_for(ms(400));
    world.book.asks(WorkerId(1));
    world.step(|scheduler, now, out| scheduler.on_worker_ready(now, WorkerId(1), out));
    world.run_for(ms(215));
    assert_eq!(world.worker_count("hot"), 0);
}

#[test]
fn an_idle_time_does_not_end_during_a_call() {
    let brief = FunctionLimits { idle_timeout: ms(500), ..function("hot") };
    let mut world = World::new(memory(1_000), vec![brief]);
    world.submit_all("hot", [1]);
    world.run_for(ms(500));
    world.plan("hot", Plan { run: ms(10_000), ..Plan::default() });
    world.submit_all("hot", [2]);
    world.run_until_done(ms(20_000));
    assert_eq!(world.book.finished, 2);
}

#[test]
fn without_an_idle_time_a_worker_still_gets_the_calls_that_wait() {
    let hasty = FunctionLimits { idle_timeout: ms(0), max_workers: 1, ..function("hot") };
    let mut world = World::new(memory(1_000), vec![hasty]);
    world.submit_all("hot", [1, 2]);
    world.run_until_done(ms(1_000));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1
         110 run c2 on 1
         210 done c2
         210 stop 1 idle",
    );
    world.run_for(ms(10));
    assert_eq!(world.worker_count("hot"), 0);
}

#[test]
fn the_worker_that_was_used_last_is_used_next() {
    let mut world = World::new(memory(1_000), vec![function("hot")]);
    world.submit_all("hot", [1, 2, 3]);
    world.run_until_done(ms(200));
    world.run_for(ms(10));
    world.take_trace();
    for id in 4..=6 {
        world.submit_all("hot", [id]);
        world.run_for(ms(150));
    }
    let trace = world.take_trace();
    assert_eq!(trace.matches("on 3").count(), 3, "{trace}");
}

/// Proves: SCH-15.
#[test]
fn a_pinned_function_starts_with_the_hub_and_runs_its_calls_in_order_on_one_worker() {
    let mut world = World::new(memory(1_000), vec![pinned("counter")]);
    world.expect("0 start 1 counter v1");
    world.vary_plans(|plan, number| Plan { run: ms(number % 17), ..plan.clone() });
    world.submit_all("counter", 1..=100);
    world.run_until_done(Duration::from_secs(10));
    assert_eq!(world.order(), (1..=100).collect::<Vec<u128>>());
    world.run_for(Duration::from_secs(86_400));
    assert_eq!(world.scheduler.worker(WorkerId(1)).unwrap().calls, 100);
    assert_eq!(world.scheduler.counters().workers_started, 1);
}

#[test]
fn a_pinned_worker_takes_as_many_calls_at_once_as_it_asks_for_and_may_have() {
    let wide = FunctionLimits { max_concurrency: 2, ..pinned("wide") };
    let mut world = World::new(memory(1_000), vec![wide]);
    world.submit_all("wide", 1..=5);
    world.run_for(ms(10));
    assert_eq!(world.order(), [1], "it asked once");
    for at_once in [2, 2] {
        world.book.asks(WorkerId(1));
        world.step(|scheduler, now, out| scheduler.on_worker_ready(now, WorkerId(1), out));
        assert_eq!(world.scheduler.running().count(), at_once);
    }
    world.run_until_done(ms(1_000));
}

/// Proves: WRK-2, WRK-6.
#[test]
fn a_call_takes_a_worker_of_its_own_function_only() {
    let mut world = World::new(memory(1_000), vec![function("a"), function("b")]);
    world.submit_all("a", [1]);
    world.submit_all("b", [2]);
    world.run_until_done(ms(200));
    world.take_trace();
    world.submit_all("b", [3]);
    world.submit_all("a", [4]);
    world.submit_all("b", [5]);
    world.expect(
        "110 run c3 on 2
         110 run c4 on 1
         110 start 3 b v1",
    );
}

/// Proves: WRK-7, WRK-14.
#[test]
fn items_pass_their_states_in_order_and_the_worker_returns_to_the_pool() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    let state = |world: &World| world.scheduler.worker(WorkerId(1)).map(|worker| worker.state);
    world.plan("hot", Plan { pause: ms(5), ..Plan::default() });
    world.submit_all("hot", [1, 2]);
    assert_eq!(state(&world), Some(WorkerState::Starting));
    world.run_for(ms(50));
    assert_eq!(state(&world), Some(WorkerState::Busy));
    world.run_for(ms(62));
    assert_eq!(state(&world), Some(WorkerState::Busy), "it has not asked for more yet");
    world.run_until_done(ms(1_000));
    world.run_for(ms(5));
    assert_eq!(state(&world), Some(WorkerState::Idle));
    world.run_for(Duration::from_secs(600));
    assert_eq!(state(&world), Some(WorkerState::Stopping));
    world.run_for(ms(5));
    assert_eq!(state(&world), None);
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1
         115 run c2 on 1
         215 done c2
         600220 stop 1 idle
         600225 exit 1",
    );
}

#[test]
fn a_worker_that_is_about_to_ask_is_waited_for() {
    let mut world = World::new(memory(1_000), vec![function("hot")]);
    world.plan("hot", Plan { pause: ms(1), ..Plan::default() });
    world.submit_all("hot", [1]);
    world.run_for(ms(110));
    world.submit_all("hot", [2]);
    world.run_until_done(ms(1_000));
    assert_eq!(world.started_at(2), Some(111));
    assert_eq!(world.scheduler.counters().workers_started, 1);
}

/// Proves: WRK-12.
#[test]
fn a_call_takes_whichever_worker_asks_first() {
    let mut world = World::new(memory(200), vec![function("hot")]);
    world.plan("hot", Plan { start: ms(500), run: ms(100), ..Plan::default() });
    world.submit_all("hot", [1]);
    world.run_for(ms(590));
    world.submit_all("hot", [2]);
    world.run_until_done(ms(1_000));
    assert_eq!(world.started_at(2), Some(600), "the second worker would have come at 1090");
    world.run_for(ms(500));
    assert_eq!(world.scheduler.function(&name("hot")).unwrap().idle_workers, 2);
}

/// Proves: WRK-15.
#[test]
fn a_reserved_worker_that_dies_is_replaced() {
    let kept = FunctionLimits { reserve: 2, idle_timeout: ms(50), ..function("hot") };
    let mut world = World::new(memory(1_000), vec![kept]);
    world.run_for(ms(20));
    world.kill(1);
    world.run_for(Duration::from_secs(10));
    world.expect(
        "0 start 1 hot v1
         0 start 2 hot v1
         20 exit 1
         120 start 3 hot v1",
    );
}

/// Proves: ALL-4.
#[test]
fn after_a_burst_only_the_reserve_stays() {
    let kept = FunctionLimits { reserve: 2, idle_timeout: ms(500), ..function("hot") };
    let mut world = World::new(memory(1_000), vec![kept]);
    world.submit_all("hot", 1..=8);
    world.run_for(ms(200));
    assert_eq!(world.worker_count("hot"), 8);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.worker_count("hot"), 2);
    world.deploy(vec![FunctionLimits { idle_timeout: ms(500), ..function("hot") }]);
    world.run_for(ms(600));
    assert_eq!(world.worker_count("hot"), 0);
}

/// Proves: WRK-15.
#[test]
fn a_pinned_worker_that_dies_is_restarted() {
    let mut world = World::new(memory(1_000), vec![pinned("counter")]);
    world.submit_all("counter", [1, 2]);
    world.run_for(ms(50));
    world.kill(1);
    world.run_until_done(ms(1_000));
    world.expect(
        "0 start 1 counter v1
         10 run c1 on 1
         50 exit 1
         50 fail c1: the worker died while it ran: ended by signal 9
         150 start 2 counter v1
         160 run c2 on 2
         260 done c2",
    );
}

/// Proves: WRK-15.
#[test]
fn a_call_whose_worker_died_can_be_submitted_again_under_its_id() {
    let mut world = World::new(memory(100), vec![function("hot")]);
    world.submit_all("hot", [1]);
    world.run_for(ms(50));
    world.kill(1);
    assert!(world.failure(1).is_some());
    world.submit_all("hot", [1]);
    world.run_until_done(ms(500));
    assert_eq!(world.order(), [1, 1]);
    assert_eq!(world.book.finished, 1);
}

/// Proves: WRK-16 (the decision).
#[test]
fn an_operator_creates_and_ends_workers() {
    let two = FunctionLimits { max_workers: 2, ..function("hot") };
    let mut world = World::new(memory(150), vec![two, function("other")]);
    let start = |world: &mut World, function: &str| {
        let function = name(function);
        world.step(|scheduler, now, out| scheduler.start_worker_for(now, &function, out))
    };
    assert_eq!(start(&mut world, "hot"), Ok(WorkerId(1)));
    assert!(matches!(start(&mut world, "other"), Err(StartRefusal::NoRoom { .. })));
    assert_eq!(start(&mut world, "cold"), Err(StartRefusal::UnknownFunction));
    world.run_for(ms(50));
    assert_eq!(world.scheduler.worker(WorkerId(1)).unwrap().state, WorkerState::Idle);
    let stop = |world: &mut World| {
        world.step(|scheduler, now, out| scheduler.stop_worker_for(now, WorkerId(1), out))
    };
    assert!(stop(&mut world));
    assert!(!stop(&mut world), "it is going already");
    world.run_for(ms(50));
    assert_eq!(world.scheduler.workers().count(), 0);
    assert_eq!(world.scheduler.counters().workers_stopped[&StopReason::Operator], 1);
}

#[test]
fn an_operator_gets_no_more_workers_than_the_function_may_have() {
    let one = FunctionLimits { max_workers: 1, ..function("hot") };
    let mut world = World::new(memory(1_000), vec![one]);
    let hot = name("hot");
    let mut start = || world.step(|s, now, out| s.start_worker_for(now, &hot, out));
    assert_eq!(start(), Ok(WorkerId(1)));
    assert_eq!(start(), Err(StartRefusal::TooManyWorkers { limit: 1 }));
}

#[test]
fn the_counts_of_a_function_tell_what_it_is_doing() {
    let mut world = World::new(memory(300), vec![function("hot")]);
    world.submit_all("hot", 1..=2);
    world.run_until_done(ms(200));
    world.submit_all("hot", 3..=6);
    let counts = world.scheduler.function(&name("hot")).unwrap();
    let expected = FunctionCounts {
        queued: 2,
        running: 2,
        workers: 3,
        idle_workers: 0,
        ..FunctionCounts::default()
    };
    assert_eq!(counts, expected);
    let all: Vec<_> = world.scheduler.functions().map(|(name, _)| name.as_str()).collect();
    assert_eq!(all, ["hot"]);
}

#[test]
fn a_pinned_function_waits_for_room_like_a_call_of_its_priority() {
    let mut world = World::new(memory(100), vec![function("low")]);
    for id in 1..=5 {
        world.submit(Call { priority: Priority::Low, ..call(id, "low") }).unwrap();
    }
    world.run_for(ms(20));
    let other = FunctionLimits { max_queue: 0, ..function("low") };
    world.deploy(vec![other, pinned("counter")]);
    world.run_for(ms(200));
    assert_eq!((world.worker_count("low"), world.worker_count("counter")), (0, 1));
}
