//! Who gets the room when there is not enough for all.

use std::time::Duration;

use tomte_base::ByteSize;

use super::world::{Plan, World, call, function, memory, ms};
use crate::{Call, FunctionLimits, Mode, Priority};

fn sized(name: &str, mib: u64) -> FunctionLimits {
    FunctionLimits { memory: ByteSize::mib(mib), ..function(name) }
}

/// Proves: SCH-3.
#[test]
fn a_call_that_does_not_fit_does_not_block_a_smaller_one_behind_it() {
    let mut world = World::new(memory(612), vec![sized("big", 512), sized("small", 100)]);
    world.plan("big", Plan { run: ms(1_000), ..Plan::default() });
    world.submit_all("big", [1, 2]);
    world.submit_all("small", [3]);
    world.run_for(ms(500));
    assert_eq!(world.order(), [1, 3], "512 MiB are needed where 100 are free; 100 fit");
    world.run_until_done(Duration::from_secs(3));
    assert_eq!(world.order(), [1, 3, 2]);
}

/// Proves: SCH-4.
#[test]
fn two_functions_that_cannot_fit_together_run_one_after_the_other() {
    let mut world = World::new(memory(1_000), vec![sized("a", 600), sized("b", 600)]);
    world.submit_all("a", [1]);
    world.submit_all("b", [2]);
    world.run_until_done(ms(1_000));
    world.expect(
        "0 start 1 a v1
         10 run c1 on 1
         110 done c1
         110 stop 1 made_room
         115 exit 1
         115 start 2 b v1
         125 run c2 on 2
         225 done c2",
    );
}

/// Fills a machine with idle workers of these functions, the first idle longest, and checks which
/// of them go for one of `need` MiB.
fn check_victims(idle: Vec<FunctionLimits>, need: u64, victims: &[u64]) {
    let total = idle.iter().map(|limits| limits.memory.0 >> 20).sum();
    let names: Vec<_> = idle.iter().map(|limits| limits.name.clone()).collect();
    let mut functions = idle;
    functions.push(FunctionLimits { priority: Priority::High, ..sized("new", need) });
    let mut world = World::new(memory(total), functions);
    for (id, name) in (1..).zip(&names) {
        if world.worker_count(name.as_str()) == 0 {
            world.submit_all(name.as_str(), [id]);
        }
        world.run_for(ms(200));
    }
    world.take_trace();
    world.submit_all("new", [100]);
    let trace = world.take_trace();
    let stopped = trace.lines().filter_map(|line| line.split_once(" stop "));
    let mut stopped: Vec<u64> =
        stopped.map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap()).collect();
    stopped.sort_unstable();
    assert_eq!(stopped, victims, "{trace}");
    world.run_until_done(ms(1_000));
}

#[test]
fn the_least_valuable_idle_workers_make_room() {
    let low = |limits| FunctionLimits { priority: Priority::Low, ..limits };
    let kept = |limits| FunctionLimits { reserve: 1, ..limits };
    // Idle longest goes first.
    check_victims(vec![sized("a", 100), sized("b", 100), sized("c", 100)], 100, &[1]);
    check_victims(vec![sized("a", 100), sized("b", 100), sized("c", 100)], 150, &[1, 2]);
    // A low priority goes before a longer rest.
    check_victims(vec![sized("a", 100), low(sized("b", 100)), sized("c", 100)], 100, &[2]);
    // A reserve goes last, and only when nothing else suffices. It is started first.
    check_victims(vec![kept(sized("a", 100)), sized("b", 100), sized("c", 100)], 200, &[2, 3]);
    check_victims(vec![kept(sized("a", 100)), sized("b", 100)], 150, &[1, 2]);
    // Who is not needed after all is spared.
    check_victims(vec![sized("a", 50), sized("b", 300), sized("c", 100)], 300, &[2]);
}

#[test]
fn busy_and_pinned_workers_do_not_make_room() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..sized("pinned", 100) };
    let mut world = World::new(memory(300), vec![pinned, sized("a", 100), sized("b", 200)]);
    world.plan("a", Plan { run: ms(5_000), ..Plan::default() });
    world.submit_all("a", [1]);
    world.run_for(ms(100));
    world.submit_all("b", [2]);
    world.run_for(ms(1_000));
    assert_eq!(world.order(), [1]);
    world.run_until_done(ms(10_000));
    assert_eq!(world.worker_count("pinned"), 1);
}

#[test]
fn room_that_is_being_made_is_not_given_to_others() {
    let functions = vec![sized("a", 150), sized("big", 200), sized("small", 50)];
    let mut world = World::new(memory(200), functions);
    world.plan("a", Plan { stop: ms(1_000), ..Plan::default() });
    world.submit_all("a", [1]);
    world.run_until_done(ms(200));
    world.submit_all("big", [2]);
    world.submit_all("small", [3]);
    world.run_until_done(ms(3_000));
    assert_eq!(world.order(), [1, 2, 3], "50 MiB were free, but promised");
}

#[test]
fn a_higher_priority_takes_the_worker_of_waiting_lower_work() {
    let mut world = World::new(memory(100), vec![function("low"), function("urgent")]);
    for id in 1..=5 {
        world.submit(Call { priority: Priority::Low, ..call(id, "low") }).unwrap();
    }
    world.run_for(ms(50));
    world.submit(Call { priority: Priority::Urgent, ..call(9, "urgent") }).unwrap();
    world.run_until_done(Duration::from_secs(2));
    assert_eq!(world.order(), [1, 9, 2, 3, 4, 5]);
}

#[test]
fn equal_priorities_use_a_warm_worker_for_a_while_before_they_switch() {
    let mut world = World::new(memory(100), vec![function("a"), function("b")]);
    let quick = Plan { run: ms(1), ..Plan::default() };
    world.plan("a", quick.clone());
    world.plan("b", quick);
    for id in 1..=200 {
        world.submit(call(id, if id % 2 == 1 { "a" } else { "b" })).unwrap();
    }
    world.run_until_done(Duration::from_secs(10));
    let order = world.order();
    let switches = order.windows(2).filter(|pair| pair[0] % 2 != pair[1] % 2).count();
    assert!((5..=8).contains(&switches), "{switches} switches in {order:?}");
}

#[test]
fn an_overdue_call_collects_the_room_of_several_workers() {
    let mut world = World::new(memory(400), vec![function("small"), sized("big", 400)]);
    world.vary_plans(|plan, number| Plan { run: ms(20 + number % 30), ..plan.clone() });
    world.submit_all("small", 1..=400);
    world.run_for(ms(15));
    world.submit_all("big", [1_000]);
    world.run_until_done(Duration::from_secs(30));
    let place = world.order().iter().position(|id| *id == 1_000).unwrap();
    assert!((32..=45).contains(&place), "it ran after {place} others");
}

#[test]
fn workers_that_end_at_the_same_moment_are_collected_together() {
    let mut world = World::new(memory(200), vec![function("small"), sized("big", 200)]);
    world.submit_all("small", 1..=200);
    world.submit_all("big", [1_000]);
    world.run_until_done(Duration::from_secs(30));
    let place = world.order().iter().position(|id| *id == 1_000).unwrap();
    assert!(place <= 34, "it ran after {place} others");
}

#[test]
fn short_calls_go_on_while_an_overdue_call_waits_for_a_long_one() {
    let short = FunctionLimits { timeout: ms(200), ..sized("short", 100) };
    let mut world = World::new(memory(300), vec![sized("long", 200), short, sized("big", 300)]);
    world.plan("long", Plan { run: ms(20_000), ..Plan::default() });
    world.submit_all("long", [1]);
    world.run_for(ms(20));
    world.submit_all("big", [2]);
    for id in 100..250 {
        world.submit_all("short", [id]);
        world.run_for(ms(200));
    }
    world.run_until_done(Duration::from_secs(90));
    let order = world.order();
    let before = order.iter().position(|id| *id == 2).unwrap();
    assert!(before > 90, "{before} calls ran beside the long one");
    assert_eq!(world.started_at(2), Some(20_010 + 5 + 10), "and the big one was not held up");
}

#[test]
fn an_overdue_call_that_cannot_get_its_room_holds_up_nobody() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..function("pinned") };
    let mut world = World::new(memory(400), vec![function("small"), sized("big", 300), pinned]);
    world.plan("pinned", Plan { run: ms(19_000), ..Plan::default() });
    world.take_elsewhere(100);
    world.submit_all("pinned", [1_001]);
    world.submit_all("big", [1_000]);
    world.submit_all("small", 1..=200);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.scheduler.queued().count(), 1);
    world.take_elsewhere(0);
    world.run_until_done(Duration::from_secs(1));
}

#[test]
fn a_worker_that_was_started_before_a_call_became_overdue_gets_its_own_call() {
    let patient = |limits| FunctionLimits { timeout: Duration::from_secs(600), ..limits };
    let short = FunctionLimits { max_workers: 1, ..patient(sized("short", 50)) };
    let slow = patient(sized("slow", 50));
    let functions = vec![sized("long", 200), short, slow, sized("big", 300)];
    let mut world = World::new(memory(400), functions);
    world.plan("long", Plan { run: ms(20_000), ..Plan::default() });
    world.plan("short", Plan { run: ms(1), ..Plan::default() });
    world.plan("slow", Plan { start: ms(5_000), ..Plan::default() });
    world.submit_all("long", [1]);
    world.submit_all("slow", [2]);
    world.run_for(ms(20));
    world.submit_all("big", [3]);
    world.submit_all("short", 100..200);
    world.run_until_done(Duration::from_secs(90));
    assert_eq!(world.started_at(2), Some(5_000));
    assert!(world.started_at(199) > world.started_at(3), "the others wait for the big one");
}

#[test]
fn an_overdue_function_gets_one_worker_at_a_turn() {
    let mut world = World::new(memory(400), vec![function("flood"), function("low")]);
    for id in 1..=400 {
        world.submit(Call { priority: Priority::High, ..call(id, "flood") }).unwrap();
    }
    for id in 1_001..=1_020 {
        world.submit(Call { priority: Priority::Low, ..call(id, "low") }).unwrap();
    }
    world.run_for(ms(5_000));
    let low = world.order().iter().filter(|id| **id > 1_000).count();
    assert!((2..=7).contains(&low), "{low} of {} calls", world.order().len());
}

#[test]
fn room_beyond_the_turn_of_an_overdue_function_is_given_by_rank_again() {
    let flood = FunctionLimits { max_workers: 1, ..function("flood") };
    let functions = vec![flood, sized("low", 150), sized("high", 150)];
    for (high_calls, expected) in [(0, (2, 0)), (2, (1, 1))] {
        let mut world = World::new(memory(400), functions.clone());
        world.take_elsewhere(300);
        for id in [1, 2] {
            world.submit(Call { priority: Priority::Low, ..call(id, "low") }).unwrap();
        }
        world.submit_all("flood", 100..140);
        world.run_for(ms(3_550));
        for id in 10..10 + high_calls {
            world.submit(Call { priority: Priority::High, ..call(id, "high") }).unwrap();
        }
        world.take_elsewhere(0);
        assert_eq!((world.worker_count("low"), world.worker_count("high")), expected);
    }
}

#[test]
fn calls_of_pinned_functions_pass_over_nobody() {
    let pinned = FunctionLimits { mode: Mode::Pinned, ..sized("pinned", 100) };
    let functions = vec![pinned, function("long"), function("low"), function("high")];
    let mut world = World::new(memory(200), functions);
    world.plan("pinned", Plan { run: ms(1), ..Plan::default() });
    world.plan("long", Plan { run: ms(1_000), ..Plan::default() });
    world.submit_all("long", [1]);
    world.run_for(ms(20));
    world.submit(Call { priority: Priority::Low, ..call(2, "low") }).unwrap();
    world.submit_all("pinned", 100..200);
    world.submit(Call { priority: Priority::High, ..call(3, "high") }).unwrap();
    world.run_until_done(ms(3_000));
    assert!(world.started_at(3) < world.started_at(2));
}

/// Proves: WRK-18.
#[test]
fn reserves_beyond_the_machine_are_arbitrated_by_priority() {
    let reserve = |name, reserve, priority| FunctionLimits { reserve, priority, ..function(name) };
    let functions = vec![
        reserve("a", 4, Priority::Low),
        reserve("b", 4, Priority::High),
        reserve("c", 4, Priority::Normal),
    ];
    let mut world = World::new(memory(600), functions.clone());
    world.run_for(ms(100));
    let counts = |world: &World| ["a", "b", "c"].map(|name| world.worker_count(name));
    assert_eq!(counts(&world), [0, 4, 2]);
    // A later, more important one takes from the least important.
    let mut functions = functions;
    functions.push(reserve("d", 1, Priority::Urgent));
    world.deploy(functions);
    world.run_for(ms(100));
    assert_eq!(counts(&world), [0, 4, 1]);
    assert_eq!(world.worker_count("d"), 1);
}

#[test]
fn a_reserve_does_not_take_the_warm_workers_of_its_equals() {
    let mut world = World::new(memory(200), vec![function("a"), function("b")]);
    world.submit_all("a", [1, 2]);
    world.run_until_done(ms(200));
    world.deploy(vec![function("a"), FunctionLimits { reserve: 2, ..function("b") }]);
    world.run_for(Duration::from_secs(60));
    assert_eq!((world.worker_count("a"), world.worker_count("b")), (2, 0));
    world.run_for(Duration::from_secs(600));
    assert_eq!((world.worker_count("a"), world.worker_count("b")), (0, 2));
}

/// Proves: COM-21.
#[test]
fn nested_calls_with_room_for_one_end_by_the_time_limit_of_the_first() {
    let limited = |name| FunctionLimits { timeout: ms(3_000), ..function(name) };
    let mut world = World::new(memory(100), vec![limited("a"), limited("b")]);
    // `a` waits for `b`, which waits for the room of `a`.
    world.plan("a", Plan { run: Duration::MAX / 4, ..Plan::default() });
    world.submit_all("a", [1]);
    world.run_for(ms(50));
    world.submit_all("b", [2]);
    world.run_until_done(ms(3_200));
    assert_eq!(world.failure(1).unwrap().to_string(), "timed out after 3s");
    assert_eq!(world.failure(2), None);
}
