use std::collections::BTreeSet;

use tomte_base::{CallId, Time, WorkerId};

use crate::pool::PoolKey;

/// Whose moment has come. What it means depends on the state that the owner is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A call expires while it waits, or runs past its time limit.
    Call(CallId),
    /// A worker did not start, idled long enough, or did not stop.
    Worker(WorkerId),
    /// A function may be tried again, or a call of it has waited long enough for a warm worker.
    Pool(PoolKey),
}

/// The moments at which something is due, at most one for each owner.
///
/// The owner keeps the moment that is set for it, so that it can be moved without a search.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeSet<(Time, Alarm)>,
}

impl Agenda {
    /// Moves the alarm of an owner from the moment in `set` to `at`; [`Time::NEVER`] is no alarm.
    pub(crate) fn set(&mut self, alarm: Alarm, set: &mut Time, at: Time) {
        if *set == at {
            return;
        }
        if *set != Time::NEVER {
            self.due.remove(&(*set, alarm));
        }
        if at != Time::NEVER {
            self.due.insert((at, alarm));
        }
        *set = at;
    }

    /// Takes out the alarm of an owner that goes.
    pub(crate) fn forget(&mut self, alarm: Alarm, set: Time) {
        self.due.remove(&(set, alarm));
    }

    /// Returns the first moment at which something is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the first alarm that is due at `now`. Its owner then has none.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Alarm> {
        let (at, alarm) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_alarm_rings_once_at_its_last_moment() {
        let mut agenda = Agenda::default();
        let (alarm, mut set) = (Alarm::Worker(WorkerId(1)), Time::NEVER);
        for at in [Time(9), Time(3), Time(5)] {
            agenda.set(alarm, &mut set, at);
        }
        assert_eq!(agenda.next(), Some(Time(5)));
        assert_eq!(agenda.pop_due(Time(4)), None);
        assert_eq!(agenda.pop_due(Time(5)), Some(alarm));
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn an_alarm_that_never_comes_is_not_kept() {
        let mut agenda = Agenda::default();
        let (alarm, mut set) = (Alarm::Call(CallId(1)), Time::NEVER);
        agenda.set(alarm, &mut set, Time(7));
        agenda.set(alarm, &mut set, Time::NEVER);
        assert_eq!(agenda.next(), None);
    }
}
