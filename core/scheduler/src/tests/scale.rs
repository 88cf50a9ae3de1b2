//! Many calls, few steps.

use std::time::Duration;

use tomte_base::{CallId, Time};

use super::world::{call, function, memory};
use crate::{Call, Effect, Priority, ResourceManager, Scheduler, SchedulerLimits};

/// Works off `calls` calls of eight functions with room for four workers, and returns their number
/// and the order of their ids.
fn work_off(calls: u128) -> Vec<CallId> {
    let names: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    let resources = Box::new(ResourceManager::new(memory(400)));
    let mut scheduler = Scheduler::new(SchedulerLimits::default(), resources);
    let (mut now, mut out, mut order) = (Time::default(), Vec::new(), Vec::new());
    scheduler.set_functions(now, names.iter().map(|name| function(name)).collect(), &mut out);
    for id in 0..calls {
        let place = usize::try_from(id * 7919 % 8).unwrap();
        let priority = Priority::ALL[usize::try_from(id % 4).unwrap()];
        let expires = Time::from_millis(86_400_000 + u64::try_from(id).unwrap());
        let call = Call { priority, expires, ..call(id, &names[place]) };
        scheduler.submit(now, call, &mut out).unwrap();
    }
    while !out.is_empty() {
        now += Duration::from_millis(1);
        for effect in std::mem::take(&mut out) {
            perform(&mut scheduler, effect, now, &mut out, &mut order);
        }
    }
    assert_eq!(scheduler.queue_size(), (0, 0));
    order
}

fn perform(
    scheduler: &mut Scheduler,
    effect: Effect,
    now: Time,
    out: &mut Vec<Effect>,
    order: &mut Vec<CallId>,
) {
    match effect {
        Effect::StartWorker { worker, .. } => scheduler.on_worker_ready(now, worker, out),
        Effect::StopWorker { worker, .. } => {
            scheduler.on_worker_exited(now, worker, crate::WorkerExit::Code(0), out);
        }
        Effect::Assign { call, worker, .. } => {
            order.push(call);
            scheduler.on_call_finished(now, call, worker, out);
            scheduler.on_worker_ready(now, worker, out);
        }
        Effect::Fail { call, failure, .. } => panic!("{call}: {failure}"),
    }
}

/// A scan of the queue at each step would make ten thousand million steps of this.
#[test]
fn a_hundred_thousand_calls_are_worked_off_each_once() {
    let mut order = work_off(100_000);
    assert_eq!(order.len(), 100_000);
    order.sort_unstable();
    order.dedup();
    assert_eq!(order.len(), 100_000);
}

#[test]
fn the_same_inputs_give_the_same_order() {
    assert_eq!(work_off(2_000), work_off(2_000));
}
