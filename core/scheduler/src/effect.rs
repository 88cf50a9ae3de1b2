use std::fmt;

use tomte_base::{ByteSize, CallId, FunctionName, Time, WorkerId};

use crate::CallFailure;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make a worker. Answered by `on_worker_ready` or `on_worker_exited`.
    StartWorker {
        /// The id that the worker shall have.
        worker: WorkerId,
        /// The function that it is made for.
        function: FunctionName,
        /// The version of the function.
        version: String,
    },
    /// End a worker. Answered by `on_worker_exited`. When it comes a second time for one worker, the
    /// worker did not go in time and is to be killed.
    StopWorker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: StopReason,
    },
    /// Hand this call to that worker, which has asked for one.
    Assign {
        /// The call.
        call: CallId,
        /// The worker.
        worker: WorkerId,
        /// When the call must have ended, [`Time::NEVER`] when it may run for ever.
        deadline: Time,
    },
    /// The platform ended this call; the scheduler has forgotten it.
    Fail {
        /// The call.
        call: CallId,
        /// Why.
        failure: CallFailure,
        /// The worker that ran it, none when it never ran.
        ran_on: Option<WorkerId>,
    },
}

/// Why a worker is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// It had no call for the idle time of its function, or is one too many.
    Idle,
    /// Its call ran past the time limit.
    Timeout,
    /// Its function has another version now.
    Outdated,
    /// Another function needs the room.
    MadeRoom,
    /// Its function was removed.
    Removed,
    /// It did not ask for a call in time, or gave up on one.
    Failed,
    /// Its call was cancelled.
    Cancelled,
    /// An operator asked for it.
    Operator,
    /// The hub is going down.
    Shutdown,
}

impl StopReason {
    /// Returns a word for it that is fit for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Timeout => "timeout",
            Self::Outdated => "outdated",
            Self::MadeRoom => "made_room",
            Self::Removed => "removed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Operator => "operator",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "it was idle",
            Self::Timeout => "a call ran past its time limit",
            Self::Outdated => "the function has a newer version",
            Self::MadeRoom => "another function needed the room",
            Self::Removed => "the function was removed",
            Self::Failed => "it did not ask for a call in time",
            Self::Cancelled => "a call was cancelled",
            Self::Operator => "an operator stopped it",
            Self::Shutdown => "the hub is shutting down",
        })
    }
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// It exited by itself with this code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
    /// It was ended because it needed more memory than it may have.
    OutOfMemory,
    /// It never came to be.
    StartFailed {
        /// What was tried and why it failed.
        detail: String,
    },
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::OutOfMemory => write!(f, "out of memory"),
            Self::StartFailed { detail } => write!(f, "{detail}"),
        }
    }
}

impl WorkerExit {
    /// Returns what this end means for a call that the worker was running.
    pub(crate) fn failure(&self, memory: ByteSize) -> CallFailure {
        match self {
            Self::OutOfMemory => CallFailure::OutOfMemory { limit: memory },
            other => CallFailure::WorkerDied { detail: other.to_string() },
        }
    }
}
