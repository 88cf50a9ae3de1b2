use std::collections::BTreeMap;
use std::fmt;

use tomte_base::{CallId, FunctionName, Time, WorkerId};

use crate::machine::Record;
use crate::pool::Pool;
use crate::worker::Worker;
use crate::{CallFailure, CallKind, Priority, Refusal, Scheduler, StopReason};

/// Whether a call waits or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    /// It waits.
    Queued,
    /// A worker has it.
    Running,
}

impl CallState {
    /// Returns the word for it: `queued` or `running`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
        }
    }
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// It is being made.
    Starting,
    /// It waits for a call.
    Idle,
    /// It runs a call, or is about to ask for the next.
    Busy,
    /// It was told to go.
    Stopping,
}

impl WorkerState {
    /// Returns the word for it: `starting`, `idle`, `busy` or `stopping`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A call that waits or runs, for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallView<'a> {
    /// Its id.
    pub id: CallId,
    /// Its function.
    pub function: &'a FunctionName,
    /// Who called.
    pub source: &'a str,
    /// Whether it waits or runs.
    pub state: CallState,
    /// Its priority.
    pub priority: Priority,
    /// When it was accepted.
    pub arrived: Time,
    /// When it ends at the latest: while it waits its expiry, then its time limit.
    pub deadline: Time,
    /// Whether somebody waits for the answer.
    pub kind: CallKind,
    /// The worker that runs it.
    pub worker: Option<WorkerId>,
    /// When it was given to the worker.
    pub started: Option<Time>,
    /// The worker that runs it had a call before.
    pub warm: bool,
}

impl<'a> CallView<'a> {
    fn new(record: &'a Record) -> Self {
        let (call, run) = (&record.call, record.run);
        Self {
            id: call.id,
            function: &call.function,
            source: &call.source,
            state: if run.is_some() { CallState::Running } else { CallState::Queued },
            priority: call.priority,
            arrived: call.arrived,
            deadline: run.map_or(call.expires, |run| run.deadline),
            kind: call.kind,
            worker: run.map(|run| run.worker),
            started: run.map(|run| run.started),
            warm: run.is_some_and(|run| run.warm),
        }
    }
}

/// A worker, for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView<'a> {
    /// Its id.
    pub id: WorkerId,
    /// The function that it is made for.
    pub function: &'a FunctionName,
    /// The version of the function that it runs.
    pub version: &'a str,
    /// What it is doing.
    pub state: WorkerState,
    /// When it was decided to start it.
    pub started: Time,
    /// Calls that it was given.
    pub assigned: u64,
    /// Calls that it finished.
    pub calls: u64,
    /// The calls that it runs.
    pub running: &'a [CallId],
}

/// What one function is doing, for listings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Calls that wait.
    pub queued: u32,
    /// Calls that run.
    pub running: u32,
    /// Workers that exist, whatever they do.
    pub workers: u32,
    /// Workers that wait for a call.
    pub idle_workers: u32,
    /// Starts in a row that failed.
    pub failed_starts: u32,
    /// No worker is started before this, because workers died early. In the past when none did.
    pub held_back_until: Time,
}

impl FunctionCounts {
    fn new(pool: &Pool) -> Self {
        Self {
            queued: pool.queue.len(),
            running: pool.running,
            workers: pool.tally.all,
            idle_workers: u32::try_from(pool.tally.ready.len()).unwrap_or(u32::MAX),
            failed_starts: pool.backoff.failed_starts(),
            held_back_until: pool.backoff.until(),
        }
    }
}

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that were accepted.
    pub calls_accepted: u64,
    /// Calls that were given to a worker.
    pub calls_assigned: u64,
    /// Of these, to one that had a call before.
    pub warm_assignments: u64,
    /// Calls that the code answered.
    pub calls_finished: u64,
    /// Calls that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Calls that the platform ended, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Workers that were started.
    pub workers_started: u64,
    /// Workers that were told to go, by reason.
    pub workers_stopped: BTreeMap<StopReason, u64>,
    /// Workers that were told to go again because they had not.
    pub stops_repeated: u64,
    /// Starts that failed.
    pub starts_failed: u64,
    /// Workers that ended unasked after they were ready.
    pub workers_died: u64,
}

impl Counters {
    pub(crate) fn count_refusal(&mut self, refusal: &Refusal) {
        *self.refused.entry(refusal.reason()).or_default() += 1;
    }

    pub(crate) fn count_failure(&mut self, failure: &CallFailure) {
        *self.failed.entry(failure.reason()).or_default() += 1;
    }
}

impl Scheduler {
    /// Lists the calls that wait: function by function, the highest priority first.
    pub fn queued(&self) -> impl Iterator<Item = CallView<'_>> {
        let ids = self.pools.values().flat_map(|pool| pool.queue.iter());
        ids.map(|id| CallView::new(&self.calls[&id]))
    }

    /// Lists the calls that run: worker by worker.
    pub fn running(&self) -> impl Iterator<Item = CallView<'_>> {
        let ids = self.workers.values().flat_map(Worker::running);
        ids.map(|id| CallView::new(&self.calls[id]))
    }

    /// Returns a call that waits or runs.
    #[must_use]
    pub fn call(&self, id: CallId) -> Option<CallView<'_>> {
        self.calls.get(&id).map(CallView::new)
    }

    /// Lists the workers, the oldest first.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.workers.values().map(|worker| self.worker_view(worker))
    }

    /// Returns a worker.
    #[must_use]
    pub fn worker(&self, id: WorkerId) -> Option<WorkerView<'_>> {
        self.workers.get(&id).map(|worker| self.worker_view(worker))
    }

    /// Lists the functions that are deployed, or whose workers are still going, by name.
    pub fn functions(&self) -> impl Iterator<Item = (&FunctionName, FunctionCounts)> {
        self.names.iter().map(|(name, key)| (name, FunctionCounts::new(self.pool(*key))))
    }

    /// Returns what one function is doing.
    #[must_use]
    pub fn function(&self, name: &FunctionName) -> Option<FunctionCounts> {
        self.names.get(name).map(|key| FunctionCounts::new(self.pool(*key)))
    }

    /// Returns how many calls wait, and the bytes of their payloads.
    #[must_use]
    pub fn queue_size(&self) -> (u32, u64) {
        (self.queued_calls, self.queued_bytes)
    }

    /// Returns what happened since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn worker_view<'a>(&'a self, worker: &'a Worker) -> WorkerView<'a> {
        WorkerView {
            id: worker.id,
            function: &self.pool(worker.pool).limits.name,
            version: &worker.version,
            state: worker.state(),
            started: worker.started,
            assigned: worker.assigned,
            calls: worker.finished,
            running: worker.running(),
        }
    }
}
