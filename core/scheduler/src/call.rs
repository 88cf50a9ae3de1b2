use std::fmt;
use std::time::Duration;

use tomte_base::{ByteSize, CallId, FunctionName, Time, format_duration};

use crate::{Free, Need};

/// How important a call or a function is. Greater comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// What can wait.
    Low,
    /// What is usual.
    #[default]
    Normal,
    /// What comes before the usual.
    High,
    /// What comes before all else.
    Urgent,
}

impl Priority {
    /// All of them, the least first.
    pub const ALL: [Priority; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// Returns the word for it: `low`, `normal`, `high` or `urgent`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// The caller waits.
    Request,
    /// Nobody waits; the result is routed or dropped.
    Event,
}

impl CallKind {
    /// Returns the word for it: `request` or `event`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Event => "event",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One execution of a function that somebody asked for. Its payload stays with the asker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id. A call that ended may be submitted again under the same id, as retries do.
    pub id: CallId,
    /// The function to run.
    pub function: FunctionName,
    /// Its place among the calls that wait.
    pub priority: Priority,
    /// When it was accepted. Among calls of one priority the earlier comes first.
    pub arrived: Time,
    /// It is not started after this, [`Time::NEVER`] when it may wait for ever.
    pub expires: Time,
    /// Who called: `route:hot`, `operator`.
    pub source: String,
    /// Whether somebody waits for the answer.
    pub kind: CallKind,
    /// Size of its payload in bytes, for the bound of the queue.
    pub bytes: usize,
}

/// Why the platform ended a call. What the code itself answers, errors too, is no failure here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It ran longer than its function may.
    #[error("timed out after {}", format_duration(*after))]
    TimedOut {
        /// The time limit of the function.
        after: Duration,
    },
    /// The worker that ran it ended.
    #[error("the worker died while it ran: {detail}")]
    WorkerDied {
        /// How the worker ended.
        detail: String,
    },
    /// The worker that ran it needed more memory than the function may have.
    #[error("out of memory: the function may use {limit}")]
    OutOfMemory {
        /// The memory limit of the function.
        limit: ByteSize,
    },
    /// The worker that ran it asked for another call without answering this one.
    #[error("the worker asked for its next call without answering this one")]
    Abandoned,
    /// No worker of its function could be started.
    #[error("no worker could be started: {detail}")]
    StartFailed {
        /// How often it was tried, and how the last try failed.
        detail: String,
    },
    /// It waited until it was no longer worth starting.
    #[error("expired while it waited for a worker")]
    Expired,
    /// Its function was removed while it waited.
    #[error("its function was removed while it waited")]
    FunctionRemoved,
    /// Somebody took it back.
    #[error("cancelled")]
    Cancelled,
    /// The hub is going down.
    #[error("the hub is shutting down")]
    ShuttingDown,
}

impl CallFailure {
    /// Returns a word for it that is fit for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::WorkerDied { .. } => "worker_died",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Abandoned => "abandoned",
            Self::StartFailed { .. } => "start_failed",
            Self::Expired => "expired",
            Self::FunctionRemoved => "function_removed",
            Self::Cancelled => "cancelled",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// Why a call was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such function is deployed.
    #[error("no such function is deployed")]
    UnknownFunction,
    /// A call with this id waits or runs.
    #[error("a call with this id is already waiting or running")]
    DuplicateCall,
    /// As many calls wait as may wait on this hub.
    #[error("busy: {limit} calls are waiting, the hub holds no more")]
    QueueFull {
        /// Calls that may wait.
        limit: u32,
    },
    /// The payloads of the calls that wait fill their room.
    #[error("busy: the waiting calls would hold more than {limit} of payload")]
    QueueBytesFull {
        /// Bytes that may wait.
        limit: ByteSize,
    },
    /// As many calls of this function wait as may wait.
    #[error("busy: {limit} calls of this function are waiting, it holds no more")]
    FunctionQueueFull {
        /// Calls of it that may wait.
        limit: u32,
    },
    /// A worker of the function needs more than the machine has.
    #[error("a worker needs {need}; the machine has {total} in all")]
    TooLargeForMachine {
        /// What a worker of the function needs.
        need: Need,
        /// What the machine has in all.
        total: Free,
    },
    /// A worker of the function needs more than the pinned functions leave.
    #[error("a worker needs {need}; pinned functions leave {left} of the machine")]
    NoRoomBesidePinned {
        /// What a worker of the function needs.
        need: Need,
        /// What is left of the machine beside the pinned functions.
        left: Free,
    },
    /// The hub is going down.
    #[error("the hub is shutting down and takes no calls")]
    ShuttingDown,
}

impl Refusal {
    /// Returns a word for it that is fit for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownFunction => "unknown_function",
            Self::DuplicateCall => "duplicate_call",
            Self::QueueFull { .. } => "queue_full",
            Self::QueueBytesFull { .. } => "queue_bytes_full",
            Self::FunctionQueueFull { .. } => "function_queue_full",
            Self::TooLargeForMachine { .. } => "too_large_for_machine",
            Self::NoRoomBesidePinned { .. } => "no_room_beside_pinned",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
