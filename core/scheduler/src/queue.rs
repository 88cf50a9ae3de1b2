use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{CallId, Time};

use crate::Priority;
use crate::limits::Patience;

/// The place of a call among those of its priority: earlier arrivals first, then by acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) arrived: Time,
    pub(crate) number: u64,
}

/// The calls of one function that wait.
///
/// The highest priority that waits comes first, and within it the earliest arrival. A priority that
/// was passed over too often, or too long, comes next once; so each of them moves however many calls
/// of higher priority arrive. Every operation takes logarithmic time.
#[derive(Debug, Default)]
pub(crate) struct CallQueue {
    levels: [Level; Priority::ALL.len()],
    len: u32,
    /// Since when the calls wait that are not late, by the number of their tickets.
    fresh: BTreeMap<u64, Time>,
}

#[derive(Debug, Default)]
struct Level {
    calls: BTreeMap<Ticket, CallId>,
    passes: u32,
    passed_since: Time,
}

impl Level {
    fn pass(&mut self, now: Time) {
        if self.calls.is_empty() {
            return;
        }
        if self.passes == 0 {
            self.passed_since = now;
        }
        self.passes = self.passes.saturating_add(1);
    }

    fn is_overdue(&self, now: Time, patience: Patience) -> bool {
        let waited = now.since(self.passed_since);
        !self.calls.is_empty() && patience.is_over(u64::from(self.passes), waited)
    }
}

impl CallQueue {
    /// Returns how many calls wait.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Returns how many calls are late.
    pub(crate) fn late(&self) -> u32 {
        self.len.saturating_sub(u32::try_from(self.fresh.len()).unwrap_or(u32::MAX))
    }

    /// Returns since when the first call waits that is not late.
    pub(crate) fn fresh_since(&self) -> Option<Time> {
        self.fresh.first_key_value().map(|(_, since)| *since)
    }

    /// Makes the calls late that have waited for `limit`. They remain so until they leave.
    pub(crate) fn mark_late(&mut self, now: Time, limit: Duration) {
        while self.fresh_since().is_some_and(|since| now.since(since) >= limit) {
            self.fresh.pop_first();
        }
    }

    /// Adds a call that waits from now on.
    pub(crate) fn push(&mut self, priority: Priority, ticket: Ticket, call: CallId, now: Time) {
        let added = self.levels[priority as usize].calls.insert(ticket, call);
        debug_assert!(added.is_none(), "the number of a ticket is used once");
        self.fresh.insert(ticket.number, now);
        self.len += 1;
    }

    /// Takes out a call that ends without having run.
    pub(crate) fn remove(&mut self, priority: Priority, ticket: Ticket) {
        let level = &mut self.levels[priority as usize];
        if level.calls.remove(&ticket).is_some() {
            self.len -= 1;
            self.fresh.remove(&ticket.number);
        }
        if level.calls.is_empty() {
            level.passes = 0;
        }
    }

    /// Returns priority and arrival of the most important call.
    pub(crate) fn head(&self) -> Option<(Priority, Time)> {
        let waiting = |priority: &Priority| {
            let (ticket, _) = self.levels[*priority as usize].calls.first_key_value()?;
            Some((*priority, ticket.arrived))
        };
        Priority::ALL.iter().rev().find_map(waiting)
    }

    /// Takes out the call that comes next.
    pub(crate) fn choose(&mut self, now: Time, patience: Patience) -> Option<CallId> {
        let chosen = self.next_level(now, patience)?;
        for passed in &mut self.levels[..chosen] {
            passed.pass(now);
        }
        let level = &mut self.levels[chosen];
        level.passes = 0;
        let (ticket, call) = level.calls.pop_first()?;
        self.len -= 1;
        self.fresh.remove(&ticket.number);
        Some(call)
    }

    fn next_level(&self, now: Time, patience: Patience) -> Option<usize> {
        let highest = |test: &dyn Fn(&Level) -> bool| self.levels.iter().rposition(test);
        highest(&|level| level.is_overdue(now, patience))
            .or_else(|| highest(&|level| !level.calls.is_empty()))
    }

    /// Lists the calls, the highest priority first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = CallId> {
        self.levels.iter().rev().flat_map(|level| level.calls.values().copied())
    }
}

#[cfg(test)]
mod tests {
    use Priority::{High, Low, Normal, Urgent};

    use super::*;

    const PATIENCE: Patience = Patience { passes: 3, time: Duration::from_secs(5) };

    /// Queues calls with ids 1, 2, ... at these priorities and times, and checks the order in which
    /// they are chosen, one every `step` milliseconds from 0.
    fn check(calls: &[(Priority, u64)], step: u64, expect: &[u128]) {
        let mut queue = CallQueue::default();
        for (number, (priority, arrived)) in (1..).zip(calls) {
            let ticket = Ticket { arrived: Time::from_millis(*arrived), number };
            queue.push(*priority, ticket, CallId(number.into()), Time::default());
        }
        let mut now = 0;
        let chosen: Vec<u128> = std::iter::from_fn(|| {
            let call = queue.choose(Time::from_millis(now), PATIENCE);
            now += step;
            call.map(|call| call.0)
        })
        .collect();
        assert_eq!(chosen, expect);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_higher_priority_comes_first_and_then_the_earlier_arrival() {
        check(&[(Normal, 2), (Normal, 1), (Urgent, 3), (High, 3)], 1, &[3, 4, 2, 1]);
    }

    #[test]
    fn a_priority_passed_over_three_times_comes_next_once() {
        let calls = [(Low, 0), (Low, 0), (High, 0), (High, 0), (High, 0), (High, 0), (High, 0)];
        check(&calls, 1, &[3, 4, 5, 1, 6, 7, 2]);
    }

    #[test]
    fn a_priority_passed_over_for_five_seconds_comes_next_once() {
        let calls = [(Low, 0), (Low, 0), (High, 0), (High, 0), (High, 0), (High, 0)];
        check(&calls, 4_000, &[3, 4, 1, 5, 6, 2]);
    }

    #[test]
    fn a_long_wait_without_being_passed_over_changes_nothing() {
        check(&[(Low, 0), (Urgent, 60_000)], 1, &[2, 1]);
    }

    #[test]
    fn every_priority_moves_under_a_flood_of_the_highest() {
        let mut calls = vec![(Low, 0), (Normal, 0), (High, 0)];
        calls.extend([(Urgent, 0); 9]);
        check(&calls, 1, &[4, 5, 6, 3, 2, 1, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn a_call_taken_out_of_the_middle_is_not_chosen() {
        let mut queue = CallQueue::default();
        let ticket = |number| Ticket { arrived: Time(0), number };
        for number in 1..=3 {
            queue.push(Normal, ticket(number), CallId(number.into()), Time::default());
        }
        queue.remove(Normal, ticket(2));
        queue.remove(Normal, ticket(2));
        assert_eq!(queue.iter().map(|call| call.0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_call_that_has_waited_for_the_limit_is_late_until_it_leaves() {
        let mut queue = CallQueue::default();
        for number in 1..=4 {
            // An arrival long ago does not count: a retry has not waited here yet.
            let ticket = Ticket { arrived: Time(0), number };
            let now = Time::from_millis(number * 10);
            queue.push(Normal, ticket, CallId(number.into()), now);
        }
        let limit = Duration::from_millis(10);
        queue.mark_late(Time::from_millis(19), limit);
        assert_eq!((queue.late(), queue.fresh_since()), (0, Some(Time::from_millis(10))));
        queue.mark_late(Time::from_millis(30), limit);
        assert_eq!((queue.late(), queue.fresh_since()), (2, Some(Time::from_millis(30))));
        queue.mark_late(Time::from_millis(31), 10 * limit);
        assert_eq!(queue.late(), 2, "a longer limit makes none fresh again");
        queue.choose(Time::from_millis(31), PATIENCE);
        queue.remove(Normal, Ticket { arrived: Time(0), number: 3 });
        assert_eq!((queue.late(), queue.fresh_since()), (1, Some(Time::from_millis(40))));
    }
}
