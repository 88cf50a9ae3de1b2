//! Connections that have not sent a valid CONNECT yet: how many there may be, and who goes first.
//!
//! An honest client sends CONNECT at once, so that the oldest of too many is most likely none. To turn
//! away the newest instead would let a few thousand silent sockets keep everybody out.

use std::collections::VecDeque;

use crate::connection::{CloseReason, Connection};
use crate::counter::Counter;
use crate::{Hub, Slot};

/// The connections without CONNECT, in the order in which they were opened.
#[derive(Debug, Default)]
pub(crate) struct Connecting {
    n: usize,
    /// With those that have left this state since: they are passed over.
    order: VecDeque<(Slot, u64)>,
}

impl Connecting {
    /// One has sent CONNECT, or is gone.
    pub(crate) fn left(&mut self) {
        self.n -= 1;
        if self.n == 0 {
            self.order.clear();
        }
    }
}

impl Hub {
    /// A connection was opened: if there are too many without CONNECT now, the oldest goes.
    pub(crate) fn note_connecting(&mut self, slot: Slot, serial: u64) {
        self.connecting.n += 1;
        self.connecting.order.push_back((slot, serial));
        if self.connecting.order.len() > 2 * self.connecting.n + 64 {
            let connections = &self.connections;
            let still = |(slot, serial): &(Slot, u64)| is_connecting(connections, *slot, *serial);
            self.connecting.order.retain(still);
        }
        let limit = self.config.limits.max_connecting as usize;
        let mut excess = self.connecting.n.saturating_sub(limit);
        while excess > 0 {
            let Some((slot, serial)) = self.connecting.order.pop_front() else { return };
            if is_connecting(&self.connections, slot, serial) {
                self.counters.add(Counter::RefusedConnection);
                self.close(slot, CloseReason::Crowded);
                excess -= 1;
            }
        }
    }

    /// The connection has sent CONNECT, or is to be closed.
    pub(crate) fn leave_connecting(&mut self, slot: Slot) {
        let connection = self.connection_mut(slot);
        if connection.is_some_and(|it| std::mem::take(&mut it.connecting)) {
            self.connecting.left();
        }
    }
}

fn is_connecting(connections: &[Option<Connection>], slot: Slot, serial: u64) -> bool {
    let connection = connections.get(slot.index()).and_then(Option::as_ref);
    connection.is_some_and(|it| it.serial == serial && it.connecting)
}
