//! Decides which call runs when, and on which worker.
//!
//! The crate promises three things: every accepted call ends exactly once, nothing is started that
//! the [resource manager](Resources) has no room for, and no call waits for ever while the machine
//! could run it. It starts no process itself: what is to be done leaves as [`Effect`]s, and whoever
//! does it reports back (`on_worker_ready`, `on_call_finished`, `on_worker_exited`).
//!
//! ```text
//! call:    submit ──> queued ──Assign──> running ──on_call_finished──> gone
//!            │          └──Fail──> gone     └──Fail──> gone
//!            └──> Refusal
//!
//! worker:  StartWorker ──> starting ──on_worker_ready──> idle <──────────────┐
//!                             │                           │ Assign           │ on_worker_ready
//!                             │                           v                  │
//!                             │                          busy ──on_call_finished
//!                             └──StopWorker──> stopping <─┘
//!                                                 └──on_worker_exited──> gone
//! ```
//!
//! A call is bound to a worker only when that worker has asked for one, so a worker that starts
//! slowly holds up nobody in particular. The method is told in the README beside the manifest.

mod agenda;
mod backoff;
mod call;
mod claims;
mod decide;
mod deploy;
mod effect;
mod estimate;
mod function;
mod limits;
mod machine;
mod operate;
mod pool;
mod queue;
mod report;
mod resources;
mod retire;
mod room;
mod submit;
mod view;
mod worker;

#[cfg(test)]
mod tests;

pub use call::{Call, CallFailure, CallKind, Priority, Refusal};
pub use effect::{Effect, StopReason, WorkerExit};
pub use function::{FunctionLimits, Mode};
pub use limits::{
    MAX_START_FAILURES, RESTART_BACKOFF_FIRST, RESTART_BACKOFF_MAX, STEADY_AFTER, SchedulerLimits,
};
pub use machine::Scheduler;
pub use operate::StartRefusal;
pub use resources::{Free, Need, ResourceManager, Resources};
pub use view::{CallState, CallView, Counters, FunctionCounts, WorkerState, WorkerView};
