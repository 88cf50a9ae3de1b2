//! Readers that take nothing of what waits for them.
//!
//! What waits is bounded, so that such a client costs no more than that; but it is no use to anybody
//! either, and its session could go on with a connection that works.

use tomte_base::Time;

use crate::timers::Timer;
use crate::{CloseReason, Hub, Slot};

/// How long a connection has taken nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stalled {
    since: Option<Time>,
    /// A timer will look at it.
    watched: bool,
}

impl Hub {
    /// The host could not write all that waits for a connection. `progress` tells whether it could
    /// write some of it.
    pub fn on_unwritten(&mut self, now: Time, slot: Slot, progress: bool) {
        let limit = self.config.limits.slow_reader_timeout;
        let Some(connection) = self.connection_mut(slot) else { return };
        let stalled = &mut connection.stalled;
        if progress || stalled.since.is_none() {
            stalled.since = Some(now);
        }
        if !std::mem::replace(&mut stalled.watched, true) {
            self.timers.set(Timer::Stalled(slot), now + limit);
        }
    }

    /// The host wrote all that waited, after [`Hub::on_unwritten`].
    pub fn on_written(&mut self, slot: Slot) {
        if let Some(connection) = self.connection_mut(slot) {
            connection.stalled.since = None;
        }
    }

    pub(crate) fn check_stalled(&mut self, now: Time, slot: Slot) {
        let limit = self.config.limits.slow_reader_timeout;
        let Some(connection) = self.connection_mut(slot) else { return };
        match connection.stalled.since {
            None => connection.stalled.watched = false,
            Some(since) if since + limit > now => {
                self.timers.set(Timer::Stalled(slot), since + limit);
            }
            Some(_) => self.close(slot, CloseReason::SlowReader),
        }
    }
}
