//! Which call comes next, and which comes not at all.

use std::time::Duration;

use tomte_base::{ByteSize, CallId, MilliCpu, Time};

use super::world::{Plan, World, call, function, memory, ms, name};
use crate::{
    Call, CallFailure, CallKind, CallState, CallView, Effect, Free, FunctionLimits, Need, Priority,
    Refusal, SchedulerLimits,
};

/// A machine with room for one worker of each of these functions at a time.
fn one_at_a_time(functions: Vec<FunctionLimits>) -> World {
    World::new(memory(100), functions)
}

/// Proves: SCH-2, SCH-10.
#[test]
fn the_listing_shows_each_call_with_all_that_is_known_of_it() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.run_for(ms(7));
    let first = Call { source: "route:hot".to_owned(), kind: CallKind::Event, ..call(1, "hot") };
    world.submit(first).unwrap();
    let expires = Time::from_millis(900);
    world.submit(Call { priority: Priority::Low, expires, ..call(2, "hot") }).unwrap();
    world.run_for(ms(10));
    let function = name("hot");
    let runs = CallView {
        id: CallId(1),
        function: &function,
        source: "route:hot",
        state: CallState::Running,
        priority: Priority::Normal,
        arrived: Time::from_millis(7),
        deadline: Time::from_millis(60_017),
        kind: CallKind::Event,
        worker: Some(tomte_base::WorkerId(1)),
        started: Some(Time::from_millis(17)),
        warm: false,
    };
    let waits = CallView {
        id: CallId(2),
        source: "operator",
        state: CallState::Queued,
        priority: Priority::Low,
        deadline: expires,
        kind: CallKind::Request,
        worker: None,
        started: None,
        ..runs
    };
    assert_eq!(world.scheduler.running().collect::<Vec<_>>(), [runs]);
    assert_eq!(world.scheduler.queued().collect::<Vec<_>>(), [waits]);
    assert_eq!(world.scheduler.call(CallId(2)), Some(waits));
    assert_eq!(world.scheduler.call(CallId(3)), None);
}

/// Proves: SCH-5, WRK-8.
#[test]
fn an_environment_is_made_after_the_choice_and_gets_its_call_after_it_asked() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.submit_all("hot", [1]);
    world.run_for(ms(200));
    world.expect(
        "0 start 1 hot v1
         10 run c1 on 1
         110 done c1",
    );
}

/// Proves: SCH-16.
#[test]
fn of_four_calls_with_room_for_three_one_waits() {
    let mut world = World::new(memory(300), vec![function("hot")]);
    world.submit_all("hot", 1..=4);
    world.run_for(ms(10));
    assert_eq!(world.scheduler.running().count(), 3);
    assert_eq!(world.scheduler.queued().count(), 1);
    world.run_until_done(ms(300));
    assert_eq!(world.started_at(4), Some(110));
}

/// Proves: SCH-16.
#[test]
fn no_more_calls_run_than_the_function_may_run_at_once() {
    let narrow = FunctionLimits { max_concurrency: 2, ..function("hot") };
    let mut world = World::new(memory(10_000), vec![narrow]);
    world.submit_all("hot", 1..=5);
    world.run_until_done(ms(1_000));
    let starts: Vec<_> = (1..=5).map(|id| world.started_at(id).unwrap()).collect();
    assert_eq!(starts, [10, 10, 110, 110, 210]);
    assert_eq!(world.worker_count("hot"), 2);
}

/// Proves: WRK-12.
#[test]
fn a_call_beyond_the_workers_that_a_function_may_have_waits_for_one_of_them() {
    let narrow = FunctionLimits { max_workers: 2, ..function("hot") };
    let mut world = World::new(memory(10_000), vec![narrow]);
    world.submit_all("hot", 1..=3);
    world.run_until_done(ms(1_000));
    assert_eq!(world.started_at(3), Some(110));
    assert_eq!(world.worker_count("hot"), 2);
}

/// Proves: WRK-13.
#[test]
fn an_urgent_call_that_came_last_is_served_first() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.submit_all("hot", [1, 2, 3]);
    world.run_for(ms(50));
    world.submit(Call { priority: Priority::Urgent, ..call(4, "hot") }).unwrap();
    world.run_until_done(ms(1_000));
    assert_eq!(world.order(), [1, 4, 2, 3]);
}

/// Proves: SCH-1.
#[test]
fn the_resource_manager_alone_decides_whether_a_call_starts() {
    let mut world = World::new(memory(1_000), vec![function("hot")]);
    world.take_elsewhere(950);
    world.submit_all("hot", [1, 2]);
    world.run_for(ms(500));
    world.expect("");
    world.take_elsewhere(850);
    world.run_for(ms(50));
    world.expect(
        "500 start 1 hot v1
         510 run c1 on 1",
    );
    world.take_elsewhere(0);
    world.expect("550 start 2 hot v1");
}

/// Proves: SCH-9 (memory, processor and places; named devices are not known here).
#[test]
fn any_of_the_measures_alone_limits_what_runs() {
    let ample = Free { memory: ByteSize::mib(1_000), cpu: MilliCpu(1_000), workers: 10 };
    for (machine, at_once) in [
        (ample, 10),
        (Free { memory: ByteSize::mib(399), ..ample }, 3),
        (Free { cpu: MilliCpu(299), ..ample }, 2),
        (Free { workers: 4, ..ample }, 4),
    ] {
        let mut world = World::new(machine, vec![function("hot")]);
        world.submit_all("hot", 1..=20);
        world.run_for(ms(20));
        assert_eq!(world.scheduler.running().count(), at_once, "{machine}");
    }
}

/// Proves: SCH-18.
#[test]
fn a_call_that_could_never_fit_is_refused_at_once() {
    let big = FunctionLimits { memory: ByteSize::mib(101), ..function("big") };
    let mut world = one_at_a_time(vec![function("hot"), big]);
    let refusal = world.submit(call(1, "big")).unwrap_err();
    let need = Need { memory: ByteSize::mib(101), cpu: MilliCpu(100) };
    assert_eq!(refusal, Refusal::TooLargeForMachine { need, total: memory(100) });
    assert_eq!(
        refusal.to_string(),
        "a worker needs 101MiB of memory and 100 millicores; \
         the machine has 100MiB of memory, 1000000 millicores and 1000 workers in all"
    );
    assert_eq!(world.scheduler.counters().refused["too_large_for_machine"], 1);
}

/// Proves: SCH-18.
#[test]
fn a_call_for_which_pinned_functions_leave_no_room_is_refused_at_once() {
    let pinned = FunctionLimits { mode: crate::Mode::Pinned, ..function("pinned") };
    let late = FunctionLimits { mode: crate::Mode::Pinned, ..function("zeta") };
    let mut world = World::new(memory(150), vec![function("hot"), pinned, late]);
    for name in ["hot", "zeta"] {
        let refusal = world.submit(call(1, name)).unwrap_err();
        let left = Free { memory: ByteSize::mib(50), cpu: MilliCpu(999_900), workers: 999 };
        let need = Need { memory: ByteSize::mib(100), cpu: MilliCpu(100) };
        assert_eq!(refusal, Refusal::NoRoomBesidePinned { need, left }, "{name}");
    }
    world.submit(call(1, "pinned")).unwrap();
}

#[test]
fn a_call_for_no_function_or_under_a_taken_id_is_refused() {
    let mut world = one_at_a_time(vec![function("hot")]);
    assert_eq!(world.submit(call(1, "cold")), Err(Refusal::UnknownFunction));
    world.submit_all("hot", [2]);
    let again = world.scheduler.submit(world.now, call(2, "hot"), &mut Vec::new());
    assert_eq!(again, Err(Refusal::DuplicateCall));
}

/// Submits `ids` to a machine on which nothing can start, and checks the refusal of the last.
fn check_overflow(limits: SchedulerLimits, queue: u32, ids: u128, refusal: &Refusal) {
    let hot = FunctionLimits { max_queue: queue, ..function("hot") };
    let mut world = World::with_limits(limits, memory(100), vec![hot, function("other")]);
    world.take_elsewhere(100);
    world.submit_all("hot", 1..ids);
    assert_eq!(world.submit(call(ids, "hot")).as_ref(), Err(refusal));
    assert!(refusal.to_string().starts_with("busy: "), "{refusal}");
    assert!(world.cancel(1));
    world.submit(call(ids, "hot")).unwrap();
}

/// Proves: SCH-19.
#[test]
fn what_the_queue_does_not_hold_is_answered_busy() {
    let wide = SchedulerLimits::default();
    let calls = SchedulerLimits { max_queued_calls: 3, ..wide.clone() };
    check_overflow(calls, 10, 4, &Refusal::QueueFull { limit: 3 });
    let bytes = SchedulerLimits { max_queued_bytes: ByteSize(29), ..wide.clone() };
    check_overflow(bytes, 10, 3, &Refusal::QueueBytesFull { limit: ByteSize(29) });
    check_overflow(wide, 5, 6, &Refusal::FunctionQueueFull { limit: 5 });
}

#[test]
fn a_full_queue_does_not_turn_away_a_call_that_starts_at_once() {
    let limits = SchedulerLimits { max_queued_calls: 1, ..SchedulerLimits::default() };
    let one = FunctionLimits { max_workers: 1, ..function("one") };
    let mut world = World::with_limits(limits, memory(1_000), vec![one, function("warm")]);
    world.submit_all("warm", [1]);
    world.run_until_done(ms(200));
    world.submit_all("one", [2]);
    world.run_for(ms(20));
    world.submit_all("one", [3]);
    world.submit(call(4, "one")).unwrap_err();
    world.submit(call(5, "warm")).unwrap();
    assert_eq!(world.scheduler.call(CallId(5)).unwrap().state, CallState::Running);
    world.submit(call(6, "warm")).unwrap_err();
}

/// Proves: SCH-19.
#[test]
fn a_low_call_runs_within_the_bound_under_a_flood_of_high_ones() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.submit(Call { priority: Priority::Low, ..call(1_000, "hot") }).unwrap();
    for id in 0..100 {
        world.submit(Call { priority: Priority::High, ..call(id, "hot") }).unwrap();
    }
    world.plan("hot", Plan { run: ms(1), ..Plan::default() });
    world.run_until_done(Duration::from_secs(1));
    let passes = world.limits.max_passes as usize;
    assert_eq!(world.order().iter().position(|id| *id == 1_000), Some(passes));
}

/// Proves: SCH-19.
#[test]
fn a_low_call_of_another_function_gets_its_room_within_the_bound() {
    for (run, most_before, latest) in [(ms(1), 33, ms(200)), (ms(2_000), 4, ms(8_100))] {
        let mut world = one_at_a_time(vec![function("flood"), function("low")]);
        world.plan("flood", Plan { run, ..Plan::default() });
        for id in 1..=100 {
            world.submit(Call { priority: Priority::High, ..call(id, "flood") }).unwrap();
        }
        world.run_for(ms(1));
        world.submit(Call { priority: Priority::Low, ..call(1_000, "low") }).unwrap();
        world.run_for(Duration::from_secs(60));
        let place = world.order().iter().position(|id| *id == 1_000).unwrap();
        assert!(place <= most_before, "it ran after {place} others");
        let started = ms(world.started_at(1_000).unwrap());
        assert!(started <= latest, "it started after {started:?}");
    }
}

/// Proves: SCH-19.
#[test]
fn the_flood_goes_on_after_the_low_call_had_its_turn() {
    let mut world = one_at_a_time(vec![function("flood"), function("low")]);
    world.plan("flood", Plan { run: ms(1), ..Plan::default() });
    world.submit(Call { priority: Priority::Low, ..call(1_000, "low") }).unwrap();
    world.submit(Call { priority: Priority::Low, ..call(1_001, "low") }).unwrap();
    for id in 1..=50 {
        world.submit(Call { priority: Priority::High, ..call(id, "flood") }).unwrap();
    }
    world.run_until_done(Duration::from_secs(60));
    let order = world.order();
    let low: Vec<_> = (0..52).filter(|place| order[*place] >= 1_000).collect();
    assert_eq!(low, [0, 32], "the worker of `low` goes back to the flood after each turn");
}

/// Proves: COM-3.
#[test]
fn a_call_made_by_a_function_waits_in_the_same_queue_as_others() {
    let mut world = one_at_a_time(vec![function("a"), function("b")]);
    world.submit_all("a", [1]);
    world.run_for(ms(20));
    let nested = Call { source: "function:a".to_owned(), ..call(2, "b") };
    world.submit(nested).unwrap();
    world.submit_all("b", [3]);
    let waiting: Vec<_> = world.scheduler.queued().map(|call| call.source).collect();
    assert_eq!(waiting, ["function:a", "operator"]);
    world.run_until_done(ms(1_000));
    assert_eq!(world.order(), [1, 2, 3]);
}

#[test]
fn a_call_that_waited_past_its_expiry_fails_and_is_not_started() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.submit_all("hot", [1]);
    world.submit(Call { expires: Time::from_millis(109), ..call(2, "hot") }).unwrap();
    world.submit(Call { expires: Time::from_millis(110), ..call(3, "hot") }).unwrap();
    world.run_until_done(ms(1_000));
    assert_eq!(world.failure(2), Some(CallFailure::Expired));
    assert_eq!(world.order(), [1, 3], "the moment of expiry is still in time");
    let stale = Call { expires: Time::from_millis(5), ..call(4, "hot") };
    world.submit(stale).unwrap();
    assert_eq!(world.failure(4), Some(CallFailure::Expired));
}

#[test]
fn a_call_that_waits_can_be_taken_back() {
    let mut world = one_at_a_time(vec![function("hot")]);
    world.submit_all("hot", [1, 2, 3]);
    assert!(world.cancel(2));
    assert!(!world.cancel(2));
    world.run_until_done(ms(1_000));
    assert_eq!(world.order(), [1, 3]);
    assert_eq!(world.failure(2), Some(CallFailure::Cancelled));
}

/// Proves: COM-7 (the pairing of calls and workers).
#[test]
fn a_hundred_calls_that_end_in_any_order_end_once_each() {
    let mut world = World::new(memory(10_000), vec![function("hot")]);
    world.vary_plans(|plan, number| Plan { run: ms(number * 7919 % 97), ..plan.clone() });
    world.submit_all("hot", 1..=100);
    world.run_until_done(ms(1_000));
    assert_eq!(world.book.finished, 100);
}

#[test]
fn an_answer_to_a_call_that_ended_or_runs_elsewhere_changes_nothing() {
    let mut world = World::new(memory(200), vec![function("hot")]);
    world.submit_all("hot", [1, 2]);
    world.run_for(ms(10));
    for (call, worker) in [(1, 2), (2, 1), (3, 1), (1, 9)] {
        let mut out: Vec<Effect> = Vec::new();
        let worker = tomte_base::WorkerId(worker);
        world.scheduler.on_call_finished(world.now, CallId(call), worker, &mut out);
        assert_eq!(out, []);
    }
    assert_eq!(world.scheduler.running().count(), 2);
}
