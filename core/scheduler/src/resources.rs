use std::collections::BTreeMap;
use std::fmt;

use tomte_base::{ByteSize, MilliCpu, WorkerId};

/// What one worker takes of the machine, beside its place among the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Memory.
    pub memory: ByteSize,
    /// Processor share.
    pub cpu: MilliCpu,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of memory and {} millicores", self.memory, self.cpu.0)
    }
}

/// An amount of room on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// Memory.
    pub memory: ByteSize,
    /// Processor share.
    pub cpu: MilliCpu,
    /// Workers.
    pub workers: u32,
}

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, cpu, workers } = self;
        write!(f, "{memory} of memory, {} millicores and {workers} workers", cpu.0)
    }
}

impl Free {
    /// Tells whether a worker with this need has room.
    #[must_use]
    pub fn fits(&self, need: &Need) -> bool {
        self.workers >= 1 && self.memory >= need.memory && self.cpu >= need.cpu
    }

    /// Returns what is left beside a worker with this need, nothing where it needs more.
    #[must_use]
    pub fn without(self, need: &Need) -> Self {
        Self {
            memory: ByteSize(self.memory.0.saturating_sub(need.memory.0)),
            cpu: MilliCpu(self.cpu.0.saturating_sub(need.cpu.0)),
            workers: self.workers.saturating_sub(1),
        }
    }

    /// Returns both together.
    #[must_use]
    pub fn and(self, other: &Free) -> Self {
        Self {
            memory: ByteSize(self.memory.0.saturating_add(other.memory.0)),
            cpu: MilliCpu(self.cpu.0.saturating_add(other.cpu.0)),
            workers: self.workers.saturating_add(other.workers),
        }
    }

    /// Returns what there is once a worker with this need has gone.
    #[must_use]
    pub fn with(self, need: &Need) -> Self {
        Self {
            memory: ByteSize(self.memory.0.saturating_add(need.memory.0)),
            cpu: MilliCpu(self.cpu.0.saturating_add(need.cpu.0)),
            workers: self.workers.saturating_add(1),
        }
    }
}

/// The resource manager: knows what the machine has, and who holds what of it.
///
/// The scheduler asks [`free`](Self::free) before each choice, takes for a worker before it is
/// started, and gives back after it exited. What is free may also change by itself, for example
/// when other programs need memory; then call
/// [`on_resources_changed`](crate::Scheduler::on_resources_changed).
pub trait Resources: fmt::Debug + Send {
    /// Returns what is free at the moment.
    fn free(&self) -> Free;

    /// Returns what the machine has in all, for workers.
    fn total(&self) -> Free;

    /// Notes that `worker` holds `need` from now on. It is called only with what fits.
    fn take(&mut self, worker: WorkerId, need: &Need);

    /// Notes that `worker` holds nothing any more.
    fn give_back(&mut self, worker: WorkerId);
}

/// The plain bookkeeping: what is free is the total less what was taken.
#[derive(Clone, Debug)]
pub struct ResourceManager {
    total: Free,
    free: Free,
    held: BTreeMap<WorkerId, Need>,
}

impl ResourceManager {
    /// Makes a manager of a machine that offers `total` to workers, with nothing taken.
    #[must_use]
    pub fn new(total: Free) -> Self {
        Self { total, free: total, held: BTreeMap::new() }
    }
}

impl Resources for ResourceManager {
    fn free(&self) -> Free {
        self.free
    }

    fn total(&self) -> Free {
        self.total
    }

    fn take(&mut self, worker: WorkerId, need: &Need) {
        debug_assert!(self.free.fits(need), "worker {worker} takes {need} of {}", self.free);
        self.free = self.free.without(need);
        self.held.insert(worker, *need);
    }

    fn give_back(&mut self, worker: WorkerId) {
        if let Some(need) = self.held.remove(&worker) {
            self.free = self.free.with(&need);
        }
    }
}
