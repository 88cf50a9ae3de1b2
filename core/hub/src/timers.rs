//! What the machine's own clock waits for.

use std::collections::{BTreeMap, BTreeSet};

use tomte_base::Time;
use tomte_mqtt::codec::ReasonCode;

use crate::Hub;
use crate::connection::{CloseReason, Slot};
use crate::counter::Counter;

/// What the machine's own clock waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection's keep-alive or connect timeout.
    Connection(Slot),
    /// A connection that takes nothing of what waits for it.
    Stalled(Slot),
    /// The end of a session whose client is away.
    Session(u64),
    /// The end of the delay of a session's will.
    Will(u64),
    /// The end of what is held or retained.
    Sweep,
}

/// When each timer is due: once at most, so that there are no more of them than connections, sessions
/// and wills.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    times: BTreeMap<Timer, Time>,
    /// The same, the first one first.
    in_order: BTreeSet<(Time, Timer)>,
}

impl Timers {
    /// Makes `timer` due at `time`, and at no other time. One that is never due is not kept.
    pub(crate) fn set(&mut self, timer: Timer, time: Time) {
        if time == Time::NEVER {
            return self.clear(timer);
        }
        let old = self.times.insert(timer, time);
        if old != Some(time) {
            old.map(|old| self.in_order.remove(&(old, timer)));
            self.in_order.insert((time, timer));
        }
    }

    /// What `timer` stood for is gone.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(time) = self.times.remove(&timer) {
            self.in_order.remove(&(time, timer));
        }
    }

    /// Returns when the next one is due.
    fn next(&self) -> Option<Time> {
        self.in_order.first().map(|(time, _)| *time)
    }

    /// Takes out the first one that is due at `now`.
    fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (_, timer) = *self.in_order.first().filter(|(time, _)| *time <= now)?;
        self.clear(timer);
        Some(timer)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.times.len(), self.in_order.len());
        self.times.len()
    }
}

impl Hub {
    /// When [`Hub::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let own = self.timers.next();
        let commit = self.ledger.commit_deadline();
        let journal = self.outage.deadline();
        own.into_iter().chain(self.scheduler.next_deadline()).chain(commit).chain(journal).min()
    }

    /// Does what time has come for.
    pub fn on_deadline(&mut self, now: Time) {
        self.ledger.on_deadline(now);
        self.try_journal_again(now);
        while let Some(timer) = self.timers.take_due(now) {
            self.on_timer(now, timer);
        }
        let mut out = Vec::new();
        self.scheduler.on_deadline(now, &mut out);
        self.perform_scheduling(now, out);
    }

    fn on_timer(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Connection(slot) => self.check_connection(now, slot),
            Timer::Stalled(slot) => self.check_stalled(now, slot),
            Timer::Session(serial) => self.check_session(now, serial),
            Timer::Will(serial) => self.check_will(now, serial),
            Timer::Sweep => self.sweep(now),
        }
    }

    /// Asks again later when the deadline moved meanwhile, closes the connection when it did not.
    fn check_connection(&mut self, now: Time, slot: Slot) {
        let Some(connection) = self.connection(slot) else { return };
        if connection.mqtt.deadline() > now {
            return self.watch_connection(slot);
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
        self.timers.set(Timer::Connection(slot), connection.mqtt.deadline());
    }

    fn sweep(&mut self, now: Time) {
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
        self.timers.set(Timer::Sweep, next.unwrap_or(Time::NEVER));
    }
}
