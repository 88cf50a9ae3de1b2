//! What the machine's own clock waits for.

use std::cmp::Reverse;

use tomte_base::Time;
use tomte_mqtt::codec::ReasonCode;

use crate::Hub;
use crate::connection::{CloseReason, Slot};
use crate::counter::Counter;

/// What the machine's own clock waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection's keep-alive or connect timeout.
    Connection(Slot, u64),
    /// A connection that takes nothing of what waits for it.
    Stalled(Slot, u64),
    /// The end of a session whose client is away.
    Session(u64),
    /// The end of the delay of a session's will.
    Will(u64),
    /// The end of what is held or retained.
    Sweep,
}

impl Hub {
    /// When [`Hub::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let own = self.timers.peek().map(|Reverse((time, _))| *time);
        let commit = self.ledger.commit_deadline();
        own.into_iter().chain(self.scheduler.next_deadline()).chain(commit).min()
    }

    /// Does what time has come for.
    pub fn on_deadline(&mut self, now: Time) {
        self.ledger.on_deadline(now);
        while let Some(Reverse((time, timer))) = self.timers.peek().copied() {
            if time > now {
                break;
            }
            self.timers.pop();
            self.on_timer(now, timer);
        }
        let mut out = Vec::new();
        self.scheduler.on_deadline(now, &mut out);
        self.perform_scheduling(now, out);
    }

    fn on_timer(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Connection(slot, serial) => self.check_connection(now, slot, serial),
            Timer::Stalled(slot, serial) => self.check_stalled(now, slot, serial),
            Timer::Session(serial) => self.check_session(now, serial),
            Timer::Will(serial) => self.check_will(now, serial),
            Timer::Sweep => self.sweep(now),
        }
    }

    /// Asks again later when the deadline moved meanwhile, closes the connection when it did not.
    fn check_connection(&mut self, now: Time, slot: Slot, serial: u64) {
        let Some(connection) = self.connection(slot).filter(|c| c.serial == serial) else { return };
        let deadline = connection.mqtt.deadline();
        if deadline == Time::NEVER {
            return;
        }
        if deadline > now {
            self.timers.push(Reverse((deadline, Timer::Connection(slot, serial))));
            return;
        }
        let reason = if connection.session.is_some() {
            CloseReason::KeepAlive
        } else {
            CloseReason::ConnectTimeout
        };
        self.send_disconnect(slot, ReasonCode::KeepAliveTimeout);
        self.close(slot, reason);
    }

    /// Watches a connection's deadline, after CONNECT set its keep-alive.
    pub(crate) fn watch_connection(&mut self, slot: Slot) {
        let Some(connection) = self.connection(slot) else { return };
        let (deadline, serial) = (connection.mqtt.deadline(), connection.serial);
        if deadline != Time::NEVER {
            self.timers.push(Reverse((deadline, Timer::Connection(slot, serial))));
        }
    }

    fn sweep(&mut self, now: Time) {
        self.sweep_at = self.sweep_at.filter(|at| *at > now);
        for (device, delivery) in self.holds.expire(now) {
            self.hold_expired(now, &device, &delivery);
        }
        for message in self.retained.expire(now) {
            self.forget_retained(&message.topic);
            self.counters.add(Counter::DropExpired);
        }
        self.arm_sweep();
    }

    /// Sees to it that the next held or retained message is removed in time.
    pub(crate) fn arm_sweep(&mut self) {
        let next = self.holds.next_expiry().into_iter().chain(self.retained.next_expiry()).min();
        if let Some(time) = next.filter(|time| self.sweep_at.is_none_or(|at| *time < at)) {
            self.sweep_at = Some(time);
            self.timers.push(Reverse((time, Timer::Sweep)));
        }
    }
}
