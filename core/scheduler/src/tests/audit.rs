//! What must hold whatever happens, checked after every step from outside and from inside.

use std::collections::BTreeMap;

use tomte_base::{CallId, FunctionName, Time, WorkerId};

use crate::claims::Class;
use crate::pool::Tally;
use crate::{Call, CallFailure, Effect, FunctionLimits, Scheduler};

/// What an onlooker who sees only inputs and effects knows. Each note checks what it may.
#[derive(Debug, Default)]
pub(crate) struct Book {
    limits: BTreeMap<FunctionName, FunctionLimits>,
    pub(crate) open: BTreeMap<CallId, OpenCall>,
    workers: BTreeMap<WorkerId, OpenWorker>,
    names: BTreeMap<WorkerId, FunctionName>,
    failures: BTreeMap<CallId, CallFailure>,
    pub(crate) finished: u64,
}

#[derive(Debug)]
pub(crate) struct OpenCall {
    function: FunctionName,
    since: Time,
    expires: Time,
    worker: Option<WorkerId>,
}

#[derive(Debug)]
struct OpenWorker {
    version: String,
    asks: u32,
    running: u32,
    stopping: bool,
}

impl Book {
    pub(crate) fn deploy(&mut self, functions: &[FunctionLimits]) {
        self.limits =
            functions.iter().map(|limits| (limits.name.clone(), limits.clone())).collect();
    }

    pub(crate) fn submitted(&mut self, call: &Call, now: Time) {
        let (function, expires) = (call.function.clone(), call.expires);
        let open = OpenCall { function, since: now, expires, worker: None };
        assert!(self.open.insert(call.id, open).is_none(), "tests use each id once at a time");
    }

    pub(crate) fn refused(&mut self, call: CallId) {
        let call = self.open.remove(&call).expect("a refused call has not ended");
        assert_eq!(call.worker, None, "a refused call has not run");
    }

    pub(crate) fn asks(&mut self, worker: WorkerId) {
        self.workers.get_mut(&worker).unwrap().asks += 1;
    }

    pub(crate) fn finished(&mut self, call: CallId) {
        let call = self.open.remove(&call).expect("a call ends once");
        self.workers.get_mut(&call.worker.unwrap()).unwrap().running -= 1;
        self.finished += 1;
    }

    pub(crate) fn exited(&mut self, worker: WorkerId) {
        self.workers.remove(&worker).expect("a worker exits once");
    }

    pub(crate) fn lives(&self, worker: WorkerId) -> bool {
        self.workers.contains_key(&worker)
    }

    pub(crate) fn runs(&self, call: CallId, worker: WorkerId) -> bool {
        self.open.get(&call).is_some_and(|call| call.worker == Some(worker))
    }

    pub(crate) fn function_of(&self, worker: WorkerId) -> &FunctionName {
        &self.names[&worker]
    }

    pub(crate) fn failure(&self, call: CallId) -> Option<&CallFailure> {
        self.failures.get(&call)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn note(&mut self, effect: &Effect, now: Time) {
        match effect {
            Effect::StartWorker { worker, function, version } => {
                self.note_start(*worker, function, version);
            }
            Effect::StopWorker { worker, .. } => {
                let worker = self.workers.get_mut(worker).expect("only living workers are stopped");
                worker.stopping = true;
            }
            Effect::Assign { call, worker, deadline } => {
                self.note_assignment(*call, *worker, *deadline, now);
            }
            Effect::Fail { call, failure, ran_on } => {
                let open = self.open.remove(call).expect("a call ends once");
                assert_eq!(open.worker, *ran_on);
                if let Some(worker) = ran_on.and_then(|worker| self.workers.get_mut(&worker)) {
                    worker.running -= 1;
                }
                self.failures.insert(*call, failure.clone());
            }
        }
    }

    fn note_start(&mut self, worker: WorkerId, function: &FunctionName, version: &str) {
        let limits = &self.limits[function];
        assert_eq!(version, limits.version, "workers are started of the version that is deployed");
        self.names.insert(worker, function.clone());
        let new = OpenWorker { version: version.to_owned(), asks: 0, running: 0, stopping: false };
        assert!(self.workers.insert(worker, new).is_none(), "a worker id is used once");
        let siblings = self.workers.keys().filter(|id| self.names[id] == *function).count();
        assert!(siblings <= limits.ceiling() as usize, "{function} has {siblings} workers");
    }

    fn note_assignment(&mut self, call: CallId, id: WorkerId, deadline: Time, now: Time) {
        let open = self.open.get_mut(&call).expect("a call that has ended is not run");
        assert_eq!(open.worker, None, "a call runs once");
        assert_eq!(self.names[&id], open.function, "a worker runs calls of its own function");
        assert!(open.expires >= now, "an expired call is not started");
        open.worker = Some(id);
        let function = open.function.clone();
        let limits = &self.limits[&function];
        assert_eq!(deadline, now + limits.timeout);
        let worker = self.workers.get_mut(&id).expect("a call goes to a living worker");
        assert_eq!(worker.version, limits.version, "old workers get no new calls");
        assert!(!worker.stopping, "a worker that was told to go gets no calls");
        assert!(worker.asks > 0, "a worker gets a call when it asked");
        worker.asks -= 1;
        worker.running += 1;
        assert!(worker.running <= limits.slots());
        let running = self.open.values().filter(|c| c.function == function && c.worker.is_some());
        assert!(running.count() <= limits.concurrency() as usize);
    }
}

/// Checks that the scheduler agrees with the book, keeps its bounds and leaves nothing undone.
pub(crate) fn audit(scheduler: &Scheduler, book: &Book, now: Time) {
    agrees_with_book(scheduler, book);
    keeps_its_bounds(scheduler);
    tallies_are_right(scheduler);
    nobody_waits_for_nothing(scheduler, now);
    nobody_waits_longer_than_a_start(scheduler, book, now);
}

fn agrees_with_book(scheduler: &Scheduler, book: &Book) {
    assert!(scheduler.calls.keys().eq(book.open.keys()));
    assert!(scheduler.workers.keys().eq(book.workers.keys()));
    for (id, record) in &scheduler.calls {
        assert_eq!(record.run.map(|run| run.worker), book.open[id].worker);
    }
    assert_eq!(scheduler.queued().count() + scheduler.running().count(), book.open.len());
}

fn keeps_its_bounds(scheduler: &Scheduler) {
    let waiting = scheduler.calls.values().filter(|record| record.run.is_none());
    let bytes: u64 = waiting.clone().map(|record| record.call.bytes as u64).sum();
    let count = u32::try_from(waiting.count()).unwrap();
    assert_eq!(scheduler.queue_size(), (count, bytes));
    assert!(count <= scheduler.limits.max_queued_calls);
    assert!(bytes <= scheduler.limits.max_queued_bytes.0);
}

fn tallies_are_right(scheduler: &Scheduler) {
    for (key, pool) in &scheduler.pools {
        let mut tally = Tally::default();
        let workers = scheduler.workers.values().filter(|worker| worker.pool == *key);
        workers.for_each(|worker| tally.add(worker));
        assert_eq!(format!("{tally:?}"), format!("{:?}", pool.tally));
        let running = scheduler.calls.values().filter(|r| r.pool == *key && r.run.is_some());
        assert_eq!(running.count(), pool.running as usize);
        assert_eq!(scheduler.bindable.contains(key), pool.is_bindable());
    }
    let stopping = scheduler.workers.values().filter(|worker| worker.is_stopping());
    let memory: u64 = stopping.clone().map(|worker| worker.need.memory.0).sum();
    assert_eq!(scheduler.releasing.memory.0, memory);
    assert_eq!(scheduler.releasing.workers as usize, stopping.count());
}

/// While nothing starts, runs or stops, nobody waits who could run: the function is held back, or
/// does not fit even into all that idle workers on demand could give up.
fn nobody_waits_for_nothing(scheduler: &Scheduler, now: Time) {
    let at_rest = |worker: &crate::worker::Worker| worker.ready_since().is_some();
    if !scheduler.workers.values().all(at_rest) {
        return;
    }
    let on_demand = |worker: &&crate::worker::Worker| scheduler.pool(worker.pool).is_on_demand();
    let idle = scheduler.workers.values().filter(on_demand);
    let room = idle.fold(scheduler.resources.free(), |room, worker| room.with(&worker.need));
    for pool in scheduler.pools.values().filter(|pool| pool.runnable() > 0) {
        let held_back = pool.backoff.until() > now;
        assert!(
            held_back || !room.fits(&pool.limits.need()),
            "{} waits for nothing",
            pool.limits.name
        );
    }
}

/// A call that has waited for as long as a start is expected to take has a worker on the way, or its
/// function asks for one as if there were no warm ones.
fn nobody_waits_longer_than_a_start(scheduler: &Scheduler, book: &Book, now: Time) {
    for pool in scheduler.pools.values().filter(|pool| pool.is_on_demand()) {
        let tried_one_by_one = pool.backoff.failed_starts() > 0;
        if tried_one_by_one || pool.tally.all >= pool.limits.ceiling() {
            continue;
        }
        let limit = pool.estimates.start_cost();
        let name = &pool.limits.name;
        let waiting = book.open.values().filter(|c| c.function == *name && c.worker.is_none());
        let late = waiting.filter(|call| now.since(call.since) >= limit).count();
        let coming = (pool.tally.starting + pool.tally.returning) as usize;
        let covered = coming + pool.tally.ready.len() >= late.min(pool.runnable() as usize);
        let asks = pool.demand().is_some_and(|(class, _)| class == Class::Call);
        assert!(covered || asks, "{name} lets {late} calls wait longer than {limit:?}");
    }
}
