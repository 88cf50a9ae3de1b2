//! What the machine asks the host to do.

use bytes::Bytes;
use tomte_base::{CallId, FunctionName, LogPosition, MessageId, Time, WorkerId};
use tomte_scheduler::StopReason;

use crate::calls::CallOutcome;
use crate::password::PasswordCheck;
use crate::{CloseReason, Slot};

/// Something that only the host can do. Effects are carried out in order, after the journal's
/// commit of the same turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write what waits, then close.
    Close(Slot, CloseReason),
    /// Make an environment for a function. The host answers with
    /// [`Hub::on_worker_ready`](crate::Hub::on_worker_ready) or
    /// [`Hub::on_worker_exited`](crate::Hub::on_worker_exited).
    StartWorker {
        /// The new worker's number.
        worker: WorkerId,
        /// The function.
        function: FunctionName,
        /// Which version of its code and settings.
        version: String,
    },
    /// End an environment.
    StopWorker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: StopReason,
    },
    /// Give a call to a worker that asked for one.
    Assign(Assignment),
    /// Answer somebody who waits for a call.
    Reply(CallReply),
    /// Read records of messages back from the journal. The host answers with
    /// [`Hub::on_fetched`](crate::Hub::on_fetched), in one go, whatever could be read.
    Fetch(FetchFor, Vec<Wanted>),
    /// Find out whether a password is right, beside the event loop. The host answers with
    /// [`Hub::on_password_checked`](crate::Hub::on_password_checked), and reads nothing more from
    /// the connection until then.
    CheckPassword(PasswordCheck),
    /// Remove the journal's segments that hold only records before this one.
    DropJournal(LogPosition),
}

/// What records are read back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFor {
    /// To be delivered to the client of this session.
    Session(u64),
    /// To be written again, so that an old segment can go.
    Copy,
}

/// A message whose record is to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The message.
    pub message: MessageId,
    /// Its record.
    pub position: LogPosition,
}

/// A call for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The worker.
    pub worker: WorkerId,
    /// The call.
    pub call: CallId,
    /// The function.
    pub function: FunctionName,
    /// The event, byte for byte.
    pub payload: Bytes,
    /// The topic of the message that led to the call.
    pub subject: Option<String>,
    /// The client context that a caller gave, JSON.
    pub client_context: Option<Bytes>,
    /// When the call is ended.
    pub deadline: Time,
}

/// The end of a call that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReply {
    /// The caller's own number for it.
    pub request: u64,
    /// The call.
    pub call: CallId,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Time in the queue.
    pub queued: std::time::Duration,
    /// Time from hand-out to the end.
    pub ran: std::time::Duration,
    /// The worker, where it ran.
    pub worker: Option<WorkerId>,
}
