//! Random inputs, and after each step all that must always hold (see `audit`).

use std::time::Duration;

use proptest::prelude::*;
use tomte_base::{ByteSize, CallId, MilliCpu, Time, WorkerId};

use super::world::{Mishap, Plan, World, call, ms};
use crate::{Call, Free, FunctionLimits, Mode, Priority, SchedulerLimits, WorkerExit};

#[derive(Clone, Debug)]
enum Action {
    Submit { function: u8, priority: u8, bytes: usize, patience_ms: Option<u64> },
    Wait { ms: u64 },
    Deploy { functions: Vec<FunctionLimits> },
    Cancel { back: u8 },
    Kill { nth: u8 },
    TakeElsewhere { mib: u64 },
    StartWorker { function: u8 },
    StopWorker { nth: u8 },
}

fn function_name(number: u8) -> String {
    format!("f{number}")
}

fn limits(number: u8) -> impl Strategy<Value = FunctionLimits> {
    let sizes = (1u64..=8, 1u32..=4, 1u32..=4, 1u32..=4, 0u32..=2);
    let rest = (0u8..=6, 0usize..4, 0u64..=2_000, 1u32..=20, 0u8..3);
    (sizes, rest).prop_map(move |(sizes, rest)| {
        let (memory, cpu, max_concurrency, max_workers, reserve) = sizes;
        let (mode, priority, idle_ms, max_queue, version) = rest;
        FunctionLimits {
            memory: ByteSize::mib(memory * 100),
            cpu: MilliCpu(cpu * 250),
            timeout: ms(400),
            mode: if mode == 0 { Mode::Pinned } else { Mode::OnDemand },
            max_concurrency,
            max_workers,
            reserve,
            priority: Priority::ALL[priority],
            idle_timeout: ms(idle_ms),
            max_queue,
            version: format!("v{version}-{memory}-{cpu}-{mode}"),
            ..super::world::function(&function_name(number))
        }
    })
}

fn functions() -> impl Strategy<Value = Vec<FunctionLimits>> {
    let each: Vec<_> = (0..5).map(|n| prop::option::weighted(0.9, limits(n))).collect();
    each.prop_map(|functions| functions.into_iter().flatten().collect())
}

fn action() -> impl Strategy<Value = Action> {
    let patience = prop::option::weighted(0.3, 0u64..3_000);
    prop_oneof![
        20 => (0u8..5, 0u8..4, 0usize..40, patience).prop_map(
            |(function, priority, bytes, patience_ms)| Action::Submit {
                function, priority, bytes, patience_ms
            }
        ),
        10 => (0u64..400).prop_map(|ms| Action::Wait { ms }),
        1 => functions().prop_map(|functions| Action::Deploy { functions }),
        2 => (0u8..10).prop_map(|back| Action::Cancel { back }),
        1 => (0u8..8).prop_map(|nth| Action::Kill { nth }),
        1 => (0u64..700).prop_map(|mib| Action::TakeElsewhere { mib }),
        1 => (0u8..5).prop_map(|function| Action::StartWorker { function }),
        1 => (0u8..8).prop_map(|nth| Action::StopWorker { nth }),
    ]
}

/// Workers and calls that mostly do what they should, at differing speed.
fn varied(_: &Plan, number: u64) -> Plan {
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let mishap = match dice % 40 {
        0 => Mishap::DiesAtStart(WorkerExit::Code(1)),
        1 => Mishap::NeverStarts,
        2 => Mishap::DiesInCall(WorkerExit::OutOfMemory),
        3 => Mishap::NeverAnswers,
        4 => Mishap::AsksWithoutAnswer,
        5 => Mishap::NeverReturns,
        6 => Mishap::IgnoresStop,
        _ => Mishap::None,
    };
    let part = |shift: u32, range: u64| ms((dice >> shift) % range);
    let (start, run, pause, stop) = (part(3, 60), part(7, 300), part(11, 20), part(13, 40));
    Plan { start, run, pause, stop, mishap }
}

struct Run {
    world: World,
    next_id: u128,
}

impl Run {
    fn new(functions: Vec<FunctionLimits>) -> Self {
        let limits = SchedulerLimits {
            max_queued_calls: 30,
            max_queued_bytes: ByteSize(600),
            start_timeout: ms(200),
            stop_grace: ms(100),
            max_passes: 4,
            max_passed_time: ms(500),
        };
        let machine = Free { memory: ByteSize::mib(1_000), cpu: MilliCpu(2_000), workers: 6 };
        let mut world = World::with_limits(limits, machine, functions);
        world.vary_plans(varied);
        Self { world, next_id: 1 }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Submit { function, priority, bytes, patience_ms } => {
                self.submit(function, priority, bytes, patience_ms);
            }
            Action::Wait { ms: span } => self.world.run_for(ms(span)),
            Action::Deploy { functions } => self.world.deploy(functions),
            Action::Cancel { back } => {
                self.world.cancel(self.next_id.saturating_sub(u128::from(back)));
            }
            Action::Kill { nth } => {
                if let Some(worker) = self.worker(nth) {
                    self.world.kill(worker.0);
                }
            }
            Action::TakeElsewhere { mib } => self.world.take_elsewhere(mib),
            Action::StartWorker { function } => {
                let name = super::world::name(&function_name(function));
                let _ = self.world.step(|s, now, out| s.start_worker_for(now, &name, out));
            }
            Action::StopWorker { nth } => {
                if let Some(worker) = self.worker(nth) {
                    self.world.step(|s, now, out| s.stop_worker_for(now, worker, out));
                }
            }
        }
    }

    fn submit(&mut self, function: u8, priority: u8, bytes: usize, patience_ms: Option<u64>) {
        let expires = patience_ms.map_or(Time::NEVER, |patience| self.world.now + ms(patience));
        let priority = Priority::ALL[usize::from(priority)];
        let call = call(self.next_id, &function_name(function));
        let accepted = self.world.submit(Call { priority, expires, bytes, ..call });
        if accepted.is_ok() {
            self.next_id += 1;
        }
    }

    fn worker(&self, nth: u8) -> Option<WorkerId> {
        self.world.scheduler.workers().nth(usize::from(nth)).map(|worker| worker.id)
    }

    /// Frees the machine and lets everything come to its end.
    fn finish(mut self) {
        self.world.take_elsewhere(0);
        self.world.run_until_done(Duration::from_secs(3_600));
        self.world.shutdown();
        self.world.run_for(Duration::from_secs(10));
        assert_eq!(self.world.scheduler.workers().count(), 0);
        assert_eq!(self.world.scheduler.next_deadline(), None);
        assert_eq!(
            self.world.scheduler.resources().free(),
            self.world.scheduler.resources().total()
        );
        let counters = self.world.scheduler.counters();
        let failed: u64 = counters.failed.values().sum();
        assert_eq!(counters.calls_accepted, counters.calls_finished + failed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold_and_every_call_ends(
        first in functions(),
        actions in prop::collection::vec(action(), 1..150),
    ) {
        let mut run = Run::new(first);
        for action in actions {
            run.act(action);
        }
        run.finish();
    }
}

#[test]
fn a_call_that_is_unknown_cannot_be_cancelled() {
    let mut run = Run::new(vec![]);
    assert!(!run.world.step(|s, now, out| s.cancel(now, CallId(9), out)));
}
