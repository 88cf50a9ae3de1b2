//! What reaches the event loop from other threads. One closed list.

use bytes::Bytes;
use tokio::sync::oneshot;
use tomte_base::{CallId, DeviceName, FunctionName, MessageId, Time, WorkerId};
use tomte_core_hub::{
    CallError, CallReply, CheckId, Config, FetchFor, Hub, Publication, Refused, Wanted,
};
use tomte_scheduler::WorkerExit;

use crate::flow_stream::FlowSender;
use crate::listener::Binding;

/// A look at the machine, carried to the thread that owns it.
pub(crate) type Look = Box<dyn FnOnce(&mut Hub, Time) + Send>;

/// Something for the thread that owns the hub machine.
pub(crate) enum Event {
    /// A worker asked for its next call.
    WorkerReady(WorkerId),
    /// A worker is gone, or could not be made.
    WorkerExited(WorkerId, WorkerExit),
    /// A worker answered a call. The reply tells whether it was the worker's call.
    CallAnswered {
        call: CallId,
        worker: WorkerId,
        answer: Result<Bytes, Bytes>,
        reply: oneshot::Sender<bool>,
    },
    /// Somebody calls a function and waits for its result.
    Call {
        function: FunctionName,
        payload: Bytes,
        subject: Option<String>,
        client_context: Option<Bytes>,
        reply: oneshot::Sender<Result<CallReply, CallError>>,
    },
    /// Somebody publishes at the control interface.
    Publish { publication: Publication, reply: oneshot::Sender<(MessageId, Result<(), Refused>)> },
    /// Records of messages were read back from the journal.
    Fetched(FetchFor, Vec<(Wanted, Option<Vec<u8>>)>),
    /// Another configuration, and its listeners where they changed.
    Deploy { config: Box<Config>, listeners: Option<Vec<Binding>>, reply: oneshot::Sender<()> },
    /// A look at the machine.
    Ask(Look),
    /// Somebody watches the messages flow.
    WatchFlow(FlowSender),
    /// A password was checked: whose it is, if it is right.
    PasswordChecked(CheckId, Option<DeviceName>),
    /// A device lost its identity: its connections end.
    Revoke(DeviceName),
    /// The process is to stop.
    Shutdown,
}
