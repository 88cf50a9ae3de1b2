//! Environments of functions: they start, run, answer, raise, hang, die, and answer twice.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{CallId, FunctionName, WorkerId};
use tomte_core_hub::Assignment;
use tomte_scheduler::WorkerExit;

use crate::mark::Mark;
use crate::world::{Event, Input, World};

/// What a worker does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Ready,
    Exit(WorkerExit),
    /// The answer to its n-th call.
    Answer(usize, Result<Vec<u8>, Vec<u8>>),
}

struct Worker {
    function: String,
    /// Its calls, by their number there.
    calls: Vec<(CallId, Option<Mark>)>,
    gone: bool,
}

/// The workers of one process of the hub.
#[derive(Default)]
pub(crate) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    /// They die with their hub.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl World {
    fn worker_later(&mut self, span: Duration, worker: WorkerId, act: Act) {
        self.after(span, Event::Worker(self.incarnation, worker, act));
    }

    fn misbehaves(&mut self) -> bool {
        let chance = if self.calm { 0 } else { self.settings.bad_worker };
        self.rng.chance(chance)
    }

    pub(crate) fn start_worker(&mut self, id: WorkerId, function: &FunctionName) {
        let worker = Worker { function: function.to_string(), calls: Vec::new(), gone: false };
        self.workers.0.insert(id, worker);
        let span = self.rng.millis(1, 300);
        if self.misbehaves() && self.rng.chance(500) {
            match self.rng.below(3) {
                0 => self.coverage.hit("worker: never got ready"),
                _ => {
                    self.coverage.hit("worker: could not be started");
                    let exit = WorkerExit::StartFailed { detail: "no such file".to_owned() };
                    self.worker_later(span, id, Act::Exit(exit));
                }
            }
            return;
        }
        self.worker_later(span, id, Act::Ready);
    }

    pub(crate) fn stop_worker(&mut self, id: WorkerId) {
        let span = if self.calm || self.rng.chance(900) {
            self.rng.millis(0, 100)
        } else {
            // It ignores the first request; the scheduler asks again.
            self.coverage.hit("worker: did not stop at once");
            Duration::from_secs(6)
        };
        self.worker_later(span, id, Act::Exit(WorkerExit::Signal(15)));
    }

    pub(crate) fn assign(&mut self, assignment: Assignment) {
        let mark = Mark::read(&assignment.payload);
        let id = assignment.worker;
        let Some(worker) = self.workers.0.get_mut(&id).filter(|worker| !worker.gone) else {
            return;
        };
        let nth = worker.calls.len();
        worker.calls.push((assignment.call, mark.map(|(mark, _)| mark)));
        let function = worker.function.clone();
        let label = mark.map_or_else(String::new, |(mark, _)| mark.to_string());
        self.tell(|| format!("worker {id} of {function} gets {label}"));
        self.oracle.on_assigned(&assignment.function, assignment.subject.as_deref(), mark);
        let span = self.rng.millis(0, 200);
        let result = match mark {
            Some((mark, value)) => mark.through(&function).payload(value, 0),
            None => b"null".to_vec(),
        };
        if !self.misbehaves() {
            return self.worker_later(span, id, Act::Answer(nth, Ok(result)));
        }
        match self.rng.below(5) {
            0 => {
                self.coverage.hit("worker: raised an error");
                self.worker_later(span, id, Act::Answer(nth, Err(b"{}".to_vec())));
            }
            1 => {
                self.coverage.hit("worker: died in a call");
                let exit = if self.rng.chance(500) {
                    WorkerExit::OutOfMemory
                } else {
                    WorkerExit::Signal(11)
                };
                self.worker_later(span, id, Act::Exit(exit));
            }
            2 => self.coverage.hit("worker: never answered"),
            3 => {
                self.coverage.hit("worker: asked for more without an answer");
                self.worker_later(span, id, Act::Ready);
            }
            _ => {
                self.coverage.hit("worker: answered twice");
                self.worker_later(span, id, Act::Answer(nth, Ok(result.clone())));
                self.worker_later(span + span, id, Act::Answer(nth, Ok(result)));
            }
        }
    }

    pub(crate) fn worker_act(&mut self, id: WorkerId, act: Act) {
        if self.workers.0.get(&id).is_none_or(|worker| worker.gone) {
            return;
        }
        let input = match act {
            Act::Ready => Input::WorkerReady(id),
            Act::Exit(exit) => {
                if let Some(worker) = self.workers.0.get_mut(&id) {
                    worker.gone = true;
                }
                Input::WorkerExited(id, exit)
            }
            Act::Answer(nth, answer) => Input::WorkerAnswered(id, nth, answer),
        };
        self.at(self.now, Event::HubOf(self.incarnation, input));
    }

    pub(crate) fn worker_ready(&mut self, id: WorkerId) {
        let now = self.hub_now();
        if let Some(host) = &mut self.host {
            host.hub.on_worker_ready(now, id);
        }
    }

    pub(crate) fn worker_exited(&mut self, id: WorkerId, exit: WorkerExit) {
        let now = self.hub_now();
        if let Some(host) = &mut self.host {
            host.hub.on_worker_exited(now, id, exit);
        }
    }

    pub(crate) fn worker_answered(
        &mut self,
        id: WorkerId,
        nth: usize,
        answer: Result<Vec<u8>, Vec<u8>>,
    ) {
        let now = self.hub_now();
        let Some(worker) = self.workers.0.get(&id) else { return };
        let (function, (call, mark)) = (worker.function.clone(), worker.calls[nth]);
        let Some(host) = &mut self.host else { return };
        let bytes = answer.clone().map(Bytes::from).map_err(Bytes::from);
        let by_message =
            host.hub.scheduler().call(call).is_some_and(|call| call.source != "operator");
        if !host.hub.on_call_answered(now, call, id, bytes) {
            self.coverage.hit("worker: its answer came too late");
            return;
        }
        if by_message {
            self.oracle.on_answered(now, &function, mark, answer.ok().as_deref());
        }
        // It asks for the next one.
        self.worker_later(Duration::from_micros(300), id, Act::Ready);
    }
}
