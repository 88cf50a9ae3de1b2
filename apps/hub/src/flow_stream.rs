//! The live view: events of the machine and log lines, to whoever watches.

use tokio::sync::broadcast;
use tomte_wire::control::FlowEvent;

/// Events that a slow watcher may lag behind before some are left out.
pub(crate) const FLOW_BACKLOG: usize = 4_096;

pub(crate) type FlowSender = broadcast::Sender<FlowEvent>;
