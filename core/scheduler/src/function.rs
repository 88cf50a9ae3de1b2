use std::time::Duration;

use tomte_base::{ByteSize, FunctionName, MilliCpu};

use crate::{Need, Priority};

/// Whether workers come with the calls or stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Workers are started for calls, take one call at a time, and go when they have been idle.
    #[default]
    OnDemand,
    /// One worker is started at deployment and kept. It takes as many calls at once as the function
    /// may have, in their order.
    Pinned,
}

/// What the scheduler must know of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionLimits {
    /// Its name.
    pub name: FunctionName,
    /// Memory that each worker is given.
    pub memory: ByteSize,
    /// Processor share that each worker is given.
    pub cpu: MilliCpu,
    /// A call may run this long, counted from its assignment.
    pub timeout: Duration,
    /// Whether workers come with the calls or stay.
    pub mode: Mode,
    /// Calls that may run at once; 0 counts as 1.
    pub max_concurrency: u32,
    /// Workers that may exist at once; 0 counts as 1. A pinned function has one, whatever this says.
    pub max_workers: u32,
    /// Workers kept even without calls, busy ones included, as far as there is room.
    pub reserve: u32,
    /// Who keeps workers when room is short.
    pub priority: Priority,
    /// A worker on demand beyond the reserve is stopped after this long without a call.
    pub idle_timeout: Duration,
    /// Calls that may wait.
    pub max_queue: u32,
    /// Digest of code and settings. A worker of another version takes no new calls and is stopped
    /// when it has none.
    pub version: String,
}

impl FunctionLimits {
    /// Returns what one worker takes of the machine.
    pub(crate) fn need(&self) -> Need {
        Need { memory: self.memory, cpu: self.cpu }
    }

    /// Returns how many workers may exist at once.
    pub(crate) fn ceiling(&self) -> u32 {
        match self.mode {
            Mode::Pinned => 1,
            Mode::OnDemand => self.max_workers.max(1),
        }
    }

    /// Returns how many calls may run at once.
    pub(crate) fn concurrency(&self) -> u32 {
        self.max_concurrency.max(1)
    }

    /// Returns how many calls one worker may run at once.
    pub(crate) fn slots(&self) -> u32 {
        match self.mode {
            Mode::Pinned => self.concurrency(),
            Mode::OnDemand => 1,
        }
    }
}
