use tomte_base::{CallId, Time, WorkerId};

use crate::pool::PoolKey;
use crate::{Need, StopReason, WorkerState};

/// One worker, from the decision to start it until it has exited.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pool: PoolKey,
    pub(crate) version: String,
    pub(crate) need: Need,
    pub(crate) started: Time,
    /// Calls that it was given.
    pub(crate) assigned: u64,
    /// When it was given the last of them.
    pub(crate) last_assigned: Time,
    /// Calls that it finished.
    pub(crate) finished: u64,
    /// It has the version that its function has now, and may take calls.
    pub(crate) current: bool,
    pub(crate) alarm: Time,
    pub(crate) phase: Phase,
}

/// Where a worker is in its life.
///
/// ```text
/// Starting ──> Serving ──> Stopping
///    └─────────────────────────^
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is being made and has not asked for a call yet.
    Starting,
    /// It asks for calls and runs them.
    Serving {
        /// Requests for a call that are not answered yet.
        open: u32,
        /// The calls that it runs.
        running: Vec<CallId>,
        /// When it asked, of the questions that are open the first.
        asked: Time,
    },
    /// It was told to go.
    Stopping {
        /// Why.
        reason: StopReason,
    },
}

impl Worker {
    /// Returns the calls that it runs.
    pub(crate) fn running(&self) -> &[CallId] {
        match &self.phase {
            Phase::Serving { running, .. } => running,
            Phase::Starting | Phase::Stopping { .. } => &[],
        }
    }

    /// Takes note that it asks for a call. It may have as many questions open as it has `slots`.
    pub(crate) fn ask(&mut self, slots: u32, now: Time) {
        match &mut self.phase {
            Phase::Starting => {
                self.phase = Phase::Serving { open: 1, running: Vec::new(), asked: now };
            }
            Phase::Serving { open, asked, .. } => {
                if *open == 0 {
                    *asked = now;
                }
                *open = slots.min(*open + 1);
            }
            Phase::Stopping { .. } => {}
        }
    }

    /// Takes a call from those that it runs.
    pub(crate) fn drop_call(&mut self, call: CallId) {
        if let Phase::Serving { running, .. } = &mut self.phase {
            running.retain(|running| *running != call);
        }
    }

    /// Tells whether it was told to go.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// Returns when it asked for a call that it could be given now.
    pub(crate) fn ready_since(&self) -> Option<Time> {
        match self.phase {
            Phase::Serving { open, asked, .. } if open > 0 && self.current => Some(asked),
            _ => None,
        }
    }

    /// Tells whether it answered its last call and has not asked for another one yet.
    pub(crate) fn is_returning(&self) -> bool {
        matches!(&self.phase, Phase::Serving { open: 0, running, .. } if running.is_empty())
    }

    /// Returns the state as people see it.
    pub(crate) fn state(&self) -> WorkerState {
        match &self.phase {
            Phase::Starting => WorkerState::Starting,
            Phase::Serving { open, running, .. } if *open > 0 && running.is_empty() => {
                WorkerState::Idle
            }
            Phase::Serving { .. } => WorkerState::Busy,
            Phase::Stopping { .. } => WorkerState::Stopping,
        }
    }
}
