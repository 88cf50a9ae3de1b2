use std::collections::BTreeSet;

use tomte_base::{Time, WorkerId};

use crate::backoff::Backoff;
use crate::claims::{Class, Rank};
use crate::estimate::Estimates;
use crate::queue::CallQueue;
use crate::worker::{Phase, Worker};
use crate::{FunctionLimits, Mode};

/// The number of a function. A function that is removed and deployed again may get another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolKey(pub(crate) u32);

/// One function: its limits, the calls that wait for it, and a tally of its workers.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) limits: FunctionLimits,
    pub(crate) deployed: Time,
    /// It is not deployed any more; workers of it are still going.
    pub(crate) removed: bool,
    /// The pinned functions leave room for a worker of it.
    pub(crate) admitted: bool,
    pub(crate) queue: CallQueue,
    /// Calls that run.
    pub(crate) running: u32,
    pub(crate) backoff: Backoff,
    pub(crate) estimates: Estimates,
    pub(crate) alarm: Time,
    pub(crate) tally: Tally,
}

/// The workers of one function, counted by what can be expected of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// All, also those that are stopping or of an old version.
    pub(crate) all: u32,
    /// Those that can take calls now or later.
    pub(crate) live: u32,
    /// Those that have not asked for a call yet.
    pub(crate) starting: u32,
    /// Those that answered a call and are about to ask for the next.
    pub(crate) returning: u32,
    /// Those that asked, by the time at which they did.
    pub(crate) ready: BTreeSet<(Time, WorkerId)>,
}

impl Tally {
    /// Returns how many will take a call as soon as they are free.
    fn warm(&self) -> u32 {
        self.live - self.starting
    }

    /// Returns how many are free for a call, or will be without having to end one first.
    fn supply(&self) -> u32 {
        self.starting + self.returning + to_u32(self.ready.len())
    }

    /// Counts `worker` in.
    pub(crate) fn add(&mut self, worker: &Worker) {
        self.all += 1;
        if !worker.current || worker.is_stopping() {
            return;
        }
        self.live += 1;
        self.starting += u32::from(worker.phase == Phase::Starting);
        self.returning += u32::from(worker.is_returning());
        self.ready.extend(worker.ready_since().map(|since| (since, worker.id)));
    }

    /// Counts `worker`, which has not changed since it was added, out.
    pub(crate) fn remove(&mut self, worker: &Worker) {
        self.all -= 1;
        if !worker.current || worker.is_stopping() {
            return;
        }
        self.live -= 1;
        self.starting -= u32::from(worker.phase == Phase::Starting);
        self.returning -= u32::from(worker.is_returning());
        if let Some(since) = worker.ready_since() {
            self.ready.remove(&(since, worker.id));
        }
    }
}

impl Pool {
    /// Makes the pool of a new function.
    pub(crate) fn new(limits: FunctionLimits, deployed: Time) -> Self {
        Self {
            limits,
            deployed,
            removed: false,
            admitted: true,
            queue: CallQueue::default(),
            running: 0,
            backoff: Backoff::default(),
            estimates: Estimates::default(),
            alarm: Time::NEVER,
            tally: Tally::default(),
        }
    }

    /// Tells whether its workers come and go with the calls.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.limits.mode == Mode::OnDemand
    }

    /// Returns how many of the waiting calls may run at once, given enough workers.
    pub(crate) fn runnable(&self) -> u32 {
        let concurrency = self.limits.concurrency().saturating_sub(self.running);
        self.queue.len().min(concurrency)
    }

    /// Tells whether a call and a worker wait for each other.
    pub(crate) fn is_bindable(&self) -> bool {
        !self.tally.ready.is_empty() && self.runnable() > 0
    }

    /// Returns how many more workers it wants, and what for.
    ///
    /// Calls come before the reserve. After a failed start one worker is tried at a time.
    pub(crate) fn demand(&self) -> Option<(Class, u32)> {
        let tally = &self.tally;
        if self.removed || !self.admitted {
            return None;
        }
        let for_calls = self.wanted_for_calls();
        let (class, wanted) = match self.limits.mode {
            Mode::Pinned => (Class::Call, 1),
            Mode::OnDemand if for_calls > 0 => (Class::Call, for_calls),
            Mode::OnDemand => (Class::Reserve, self.limits.reserve.saturating_sub(tally.live)),
        };
        let trial = if self.backoff.failed_starts() > 0 {
            1u32.saturating_sub(tally.starting)
        } else {
            u32::MAX
        };
        let count = wanted.min(self.allowed()).min(trial);
        (count > 0).then_some((class, count))
    }

    /// Returns how many more workers it may have.
    fn allowed(&self) -> u32 {
        self.limits.ceiling().saturating_sub(self.tally.all)
    }

    /// Returns how many of the calls that may run have no worker on the way.
    fn uncovered(&self) -> u32 {
        self.runnable().saturating_sub(self.tally.supply())
    }

    /// Returns how many new workers its calls want: one for each call that no warm worker is
    /// expected to take before a new one could, and at least one for each that is late.
    fn wanted_for_calls(&self) -> u32 {
        let served = self.estimates.served_during_start(self.tally.warm());
        let late = self.queue.late().min(self.runnable()).saturating_sub(self.tally.supply());
        self.uncovered().saturating_sub(served).max(late)
    }

    /// Returns when the next call that waits for a warm worker will be late, [`Time::NEVER`] when
    /// none does or a late one could not get a new worker either.
    pub(crate) fn patient_until(&self) -> Time {
        let waits = self.is_on_demand() && self.uncovered() > self.wanted_for_calls();
        let since = self.queue.fresh_since().filter(|_| waits && self.allowed() > 0);
        since.map_or(Time::NEVER, |since| since + self.estimates.start_cost())
    }

    /// Returns its place among those that want a worker, none when it wants none.
    pub(crate) fn rank(&self) -> Option<Rank> {
        let (class, _) = self.demand()?;
        let standing = (self.limits.priority, self.deployed);
        let (priority, since) = match (class, self.queue.head()) {
            (Class::Call, Some(head)) if self.is_on_demand() => head,
            (Class::Call, Some((priority, since))) => (priority.max(standing.0), since),
            _ => standing,
        };
        Some(Rank::new(class, priority, since))
    }
}

/// Counts what cannot be more than the workers that were numbered so far.
fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
