use std::collections::{BTreeMap, BTreeSet};

use tomte_base::{CallId, FunctionName, Time, WorkerId};

use crate::agenda::{Agenda, Alarm};
use crate::claims::Claims;
use crate::pool::{Pool, PoolKey};
use crate::queue::Ticket;
use crate::worker::{Phase, Worker};
use crate::{Call, CallFailure, Counters, Effect, Free, Resources, SchedulerLimits, StopReason};

/// Decides which call runs when, and on which worker. See the head of the crate.
///
/// Every input takes the present time and appends what is to be done to `out`. Inputs that speak of
/// calls or workers that are gone change nothing, so reports may cross with effects.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) limits: SchedulerLimits,
    pub(crate) resources: Box<dyn Resources>,
    pub(crate) names: BTreeMap<FunctionName, PoolKey>,
    pub(crate) pools: BTreeMap<PoolKey, Pool>,
    pub(crate) calls: BTreeMap<CallId, Record>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) agenda: Agenda,
    pub(crate) claims: Claims,
    /// Pools in which a call and a worker wait for each other.
    pub(crate) bindable: BTreeSet<PoolKey>,
    /// Pools on demand with a worker that waits for a call.
    pub(crate) idle: BTreeSet<PoolKey>,
    /// Claims, or the room for them, changed since they were looked at.
    pub(crate) claims_changed: bool,
    /// When an overdue claim will have its room at the latest: a call that may run longer than that
    /// gets no worker whose room the claim needs.
    pub(crate) reserved_until: Option<Time>,
    /// What the pinned functions leave of the machine.
    pub(crate) left_by_pinned: Free,
    /// What the workers that are stopping will give back.
    pub(crate) releasing: Free,
    pub(crate) queued_calls: u32,
    pub(crate) queued_bytes: u64,
    pub(crate) last_pool: PoolKey,
    pub(crate) last_worker: WorkerId,
    pub(crate) last_ticket: u64,
    pub(crate) shutting_down: bool,
    pub(crate) counters: Counters,
}

/// A call that waits or runs.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) call: Call,
    pub(crate) pool: PoolKey,
    pub(crate) ticket: Ticket,
    pub(crate) alarm: Time,
    pub(crate) run: Option<Run>,
}

/// Where and since when a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) worker: WorkerId,
    pub(crate) started: Time,
    pub(crate) deadline: Time,
    /// The worker had a call before.
    pub(crate) warm: bool,
}

impl Scheduler {
    /// Makes a scheduler without functions that asks `resources` what is free.
    #[must_use]
    pub fn new(limits: SchedulerLimits, resources: Box<dyn Resources>) -> Self {
        let left_by_pinned = resources.total();
        Self {
            limits,
            resources,
            names: BTreeMap::new(),
            pools: BTreeMap::new(),
            calls: BTreeMap::new(),
            workers: BTreeMap::new(),
            agenda: Agenda::default(),
            claims: Claims::default(),
            bindable: BTreeSet::new(),
            idle: BTreeSet::new(),
            claims_changed: false,
            reserved_until: None,
            left_by_pinned,
            releasing: Free::default(),
            queued_calls: 0,
            queued_bytes: 0,
            last_pool: PoolKey(0),
            last_worker: WorkerId(0),
            last_ticket: 0,
            shutting_down: false,
            counters: Counters::default(),
        }
    }

    /// Returns the first moment at which [`on_deadline`](Self::on_deadline) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.agenda.next()
    }

    /// Returns the resource manager.
    #[must_use]
    pub fn resources(&self) -> &dyn Resources {
        &*self.resources
    }

    pub(crate) fn pool(&self, key: PoolKey) -> &Pool {
        self.pools.get(&key).expect("a pool outlives its calls and workers")
    }

    pub(crate) fn pool_mut(&mut self, key: PoolKey) -> &mut Pool {
        self.pools.get_mut(&key).expect("a pool outlives its calls and workers")
    }

    /// Brings claim, index and alarm of a pool in line with its state. To be called after each
    /// change of it.
    pub(crate) fn refresh(&mut self, key: PoolKey, now: Time) {
        let Some(pool) = self.pools.get_mut(&key) else { return };
        pool.queue.mark_late(now, pool.estimates.start_cost());
        let rank = pool.rank().filter(|_| !self.shutting_down);
        let held_back = rank.is_some() && pool.backoff.until() > now;
        let due = if held_back { pool.backoff.until() } else { pool.patient_until() };
        self.agenda.set(Alarm::Pool(key), &mut pool.alarm, due);
        self.claims_changed |= self.claims.set(key, rank.filter(|_| !held_back));
        set_member(&mut self.bindable, key, pool.is_bindable());
        set_member(&mut self.idle, key, pool.is_on_demand() && !pool.tally.ready.is_empty());
    }

    /// Changes a worker and keeps the tally of its pool right.
    pub(crate) fn change_worker(&mut self, id: WorkerId, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let tally = &mut self.pools.get_mut(&worker.pool).expect("a worker has a pool").tally;
        tally.remove(worker);
        change(worker);
        tally.add(worker);
    }

    /// Sets the moment at which something is due for a worker.
    pub(crate) fn set_worker_alarm(&mut self, id: WorkerId, at: Time) {
        if let Some(worker) = self.workers.get_mut(&id) {
            self.agenda.set(Alarm::Worker(id), &mut worker.alarm, at);
        }
    }

    /// Decides that a pool gets a new worker.
    pub(crate) fn start_worker(
        &mut self,
        key: PoolKey,
        now: Time,
        out: &mut Vec<Effect>,
    ) -> WorkerId {
        self.last_worker = self.last_worker.next();
        let (id, pool) = (self.last_worker, self.pool(key));
        let (need, function) = (pool.limits.need(), pool.limits.name.clone());
        let version = pool.limits.version.clone();
        self.resources.take(id, &need);
        let worker = Worker {
            id,
            pool: key,
            version: version.clone(),
            need,
            started: now,
            assigned: 0,
            last_assigned: now,
            finished: 0,
            current: true,
            alarm: Time::NEVER,
            phase: Phase::Starting,
        };
        self.pool_mut(key).tally.add(&worker);
        self.workers.insert(id, worker);
        self.set_worker_alarm(id, now + self.limits.start_timeout);
        self.claims_changed |= self.claims.served(key);
        self.refresh(key, now);
        self.counters.workers_started += 1;
        out.push(Effect::StartWorker { worker: id, function, version });
        id
    }

    /// Decides that a worker goes. The calls that it runs fail.
    pub(crate) fn stop_worker(
        &mut self,
        id: WorkerId,
        reason: StopReason,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.is_stopping() {
            return;
        }
        let (key, need, running) = (worker.pool, worker.need, worker.running().to_vec());
        let failure = match reason {
            StopReason::Shutdown => CallFailure::ShuttingDown,
            _ => CallFailure::WorkerDied { detail: format!("it was stopped: {reason}") },
        };
        for call in running {
            self.fail(call, failure.clone(), out);
        }
        self.change_worker(id, |worker| worker.phase = Phase::Stopping { reason });
        self.set_worker_alarm(id, now + self.limits.stop_grace);
        self.releasing = self.releasing.with(&need);
        self.claims_changed = true;
        self.refresh(key, now);
        *self.counters.workers_stopped.entry(reason).or_default() += 1;
        out.push(Effect::StopWorker { worker: id, reason });
    }

    /// Ends a call by the platform.
    pub(crate) fn fail(&mut self, call: CallId, failure: CallFailure, out: &mut Vec<Effect>) {
        let Some(record) = self.end(call) else { return };
        self.counters.count_failure(&failure);
        let ran_on = record.run.map(|run| run.worker);
        out.push(Effect::Fail { call, failure, ran_on });
    }

    /// Forgets a call, wherever it is. The caller refreshes its pool.
    pub(crate) fn end(&mut self, call: CallId) -> Option<Record> {
        let record = self.calls.remove(&call)?;
        self.agenda.forget(Alarm::Call(call), record.alarm);
        match record.run {
            None => {
                let (priority, ticket) = (record.call.priority, record.ticket);
                self.pool_mut(record.pool).queue.remove(priority, ticket);
                self.count_out_of_queue(record.call.bytes);
            }
            Some(run) => {
                self.pool_mut(record.pool).running -= 1;
                self.change_worker(run.worker, |worker| worker.drop_call(call));
            }
        }
        Some(record)
    }

    /// Fails all calls of a pool that wait.
    pub(crate) fn fail_waiting(
        &mut self,
        key: PoolKey,
        failure: &CallFailure,
        out: &mut Vec<Effect>,
    ) {
        let waiting: Vec<CallId> = self.pool(key).queue.iter().collect();
        for call in waiting {
            self.fail(call, failure.clone(), out);
        }
    }

    pub(crate) fn count_out_of_queue(&mut self, bytes: usize) {
        self.queued_calls -= 1;
        self.queued_bytes -= bytes as u64;
    }
}

fn set_member(set: &mut BTreeSet<PoolKey>, key: PoolKey, member: bool) {
    if member {
        set.insert(key);
    } else {
        set.remove(&key);
    }
}
