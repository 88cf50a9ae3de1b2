use tomte_base::{CallId, Time, WorkerId, format_duration};

use crate::agenda::Alarm;
use crate::machine::Record;
use crate::pool::PoolKey;
use crate::worker::{Phase, Worker};
use crate::{CallFailure, Effect, MAX_START_FAILURES, Scheduler, StopReason, WorkerExit};

impl Scheduler {
    /// Takes note that a worker asks for a call: its first, or its next one after an answer.
    ///
    /// A worker with a single place that asks while it runs a call has given up on that call.
    pub fn on_worker_ready(&mut self, now: Time, worker: WorkerId, out: &mut Vec<Effect>) {
        if let Some(state) = self.workers.get(&worker) {
            let (key, starting) = (state.pool, state.phase == Phase::Starting);
            let slots = self.pool(key).limits.slots();
            let abandoned = state.running().first().copied().filter(|_| slots == 1);
            if let Some(call) = abandoned {
                self.fail(call, CallFailure::Abandoned, out);
                self.stop_worker(worker, StopReason::Failed, now, out);
            }
            if starting {
                self.pool_mut(key).backoff.started();
            }
            self.observe(worker, now);
            self.change_worker(worker, |worker| worker.ask(slots, now));
            if !self.retire(worker, now, out) {
                self.await_idle_timeout(worker);
            }
            self.claims_changed = true;
            self.refresh(key, now);
        }
        self.settle(now, out);
    }

    /// Learns from a worker that asks how long its start took, or its last call.
    fn observe(&mut self, id: WorkerId, now: Time) {
        let worker = &self.workers[&id];
        let estimates =
            &mut self.pools.get_mut(&worker.pool).expect("a worker has a pool").estimates;
        if worker.phase == Phase::Starting {
            estimates.note_start(now.since(worker.started));
        } else if worker.is_returning() {
            estimates.note_run(now.since(worker.last_assigned));
        }
    }

    /// Takes note that the code answered a call, with a result or an error of its own.
    ///
    /// The worker gets its next call only after its next `on_worker_ready`.
    pub fn on_call_finished(
        &mut self,
        now: Time,
        call: CallId,
        worker: WorkerId,
        out: &mut Vec<Effect>,
    ) {
        let runs_there = |record: &Record| record.run.is_some_and(|run| run.worker == worker);
        if let Some(key) = self.calls.get(&call).filter(|r| runs_there(r)).map(|r| r.pool) {
            self.end(call);
            self.counters.calls_finished += 1;
            self.pool_mut(key).backoff.worked();
            self.change_worker(worker, |worker| worker.finished += 1);
            if !self.retire(worker, now, out) && self.workers[&worker].is_returning() {
                self.set_worker_alarm(worker, now + self.limits.start_timeout);
            }
            self.refresh(key, now);
        }
        self.settle(now, out);
    }

    /// Takes note that a worker is gone. The calls that it ran fail.
    pub fn on_worker_exited(
        &mut self,
        now: Time,
        worker: WorkerId,
        why: WorkerExit,
        out: &mut Vec<Effect>,
    ) {
        if self.workers.contains_key(&worker) {
            self.bury(worker, &why, now, out);
        }
        self.settle(now, out);
    }

    fn bury(&mut self, id: WorkerId, why: &WorkerExit, now: Time, out: &mut Vec<Effect>) {
        let running = self.workers[&id].running().to_vec();
        for call in &running {
            let limit = self.workers[&id].need.memory;
            self.fail(*call, why.failure(limit), out);
        }
        let worker = self.forget_worker(id);
        let key = worker.pool;
        match worker.phase {
            Phase::Starting => {
                let detail = match why {
                    WorkerExit::StartFailed { detail } => detail.clone(),
                    other => format!("{other} before it asked for a call"),
                };
                self.count_failed_start(key, worker.started, &detail, now, out);
            }
            Phase::Serving { .. } => {
                self.counters.workers_died += 1;
                let pool = self.pool_mut(key);
                if running.is_empty() || !pool.is_on_demand() {
                    pool.backoff.died(worker.started, now);
                }
            }
            Phase::Stopping { .. } => {}
        }
        self.refresh(key, now);
        self.forget_if_gone(key);
    }

    fn forget_worker(&mut self, id: WorkerId) -> Worker {
        let worker = self.workers.remove(&id).expect("the caller has looked");
        self.agenda.forget(Alarm::Worker(id), worker.alarm);
        self.pool_mut(worker.pool).tally.remove(&worker);
        self.resources.give_back(id);
        if worker.is_stopping() {
            self.releasing = self.releasing.without(&worker.need);
        }
        self.claims_changed = true;
        worker
    }

    /// Ends a start that took too long.
    pub(crate) fn give_up_start(&mut self, id: WorkerId, now: Time, out: &mut Vec<Effect>) {
        let (key, started) = (self.workers[&id].pool, self.workers[&id].started);
        self.stop_worker(id, StopReason::Failed, now, out);
        let limit = format_duration(self.limits.start_timeout);
        let detail = format!("it did not ask for a call within {limit}");
        self.count_failed_start(key, started, &detail, now, out);
        self.refresh(key, now);
    }

    fn count_failed_start(
        &mut self,
        key: PoolKey,
        started: Time,
        detail: &str,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        self.counters.starts_failed += 1;
        let tries = self.pool_mut(key).backoff.start_failed(started, now);
        if tries >= MAX_START_FAILURES {
            let detail = format!("{tries} tries failed, the last: {detail}");
            self.fail_waiting(key, &CallFailure::StartFailed { detail }, out);
        }
    }

    /// Does what is due. To be called when [`next_deadline`](Self::next_deadline) has come.
    pub fn on_deadline(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.settle(now, out);
    }

    /// Decides anew after the resource manager's view changed by itself.
    pub fn on_resources_changed(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.fail_impossible(out);
        let pools: Vec<PoolKey> = self.pools.keys().copied().collect();
        pools.into_iter().for_each(|key| self.refresh(key, now));
        self.claims_changed = true;
        self.settle(now, out);
    }
}
