use std::collections::BTreeMap;

use tomte_base::Time;
use tomte_core_hub::{Counter, Counters};

use crate::mark::Mark;
use crate::table::Decision;

use super::Oracle;
use super::duties::Duty;

/// What the counters of this process must show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    pub(super) received: u64,
    pub(super) no_route: u64,
    pub(super) no_match: u64,
    pub(super) wills: u64,
}

impl Expected {
    pub(super) fn count(&mut self, decision: &Decision) {
        if decision.is_empty() {
            self.no_match += u64::from(decision.allowed);
            self.no_route += u64::from(!decision.allowed);
        }
    }
}

/// What a process of the hub leaves to be counted.
pub(crate) struct Books<'a> {
    pub(crate) counters: &'a Counters,
    /// Calls that wait or run.
    pub(crate) n_calls: u64,
    /// PUBLISH packets that left.
    pub(crate) n_sent: u64,
}

impl Oracle {
    /// The process ends: its counters must agree with what was seen.
    pub(crate) fn on_books(&mut self, books: &Books<'_>) {
        let expected = std::mem::take(&mut self.expected);
        let count = |counter| books.counters.get(counter);
        let must_be_equal = [
            ("messages received", count(Counter::Received), expected.received),
            ("messages without a route", count(Counter::DropNoRoute), expected.no_route),
            ("messages without a match", count(Counter::DropNoMatch), expected.no_match),
            (
                "calls accepted",
                count(Counter::CallsAccepted),
                count(Counter::CallsSucceeded)
                    + count(Counter::CallsHandled)
                    + count(Counter::CallsUnhandled)
                    + books.n_calls,
            ),
        ];
        for (what, counted, seen) in must_be_equal {
            if counted != seen {
                self.blame(|| format!("{what}: {counted} were counted, {seen} were seen"));
            }
        }
        let at_most = [
            ("deliveries that left", books.n_sent, count(Counter::Delivered)),
            ("deliveries acknowledged", count(Counter::Acknowledged), count(Counter::Delivered)),
        ];
        for (what, less, more) in at_most {
            if less > more {
                self.blame(|| format!("{what}: {less}, but only {more} were counted as delivered"));
            }
        }
        for counter in Counter::ALL {
            *self.totals.entry(*counter).or_default() += books.counters.get(*counter);
        }
    }

    /// The hub and the oracle have taken the same number of messages.
    pub(crate) fn check_received(&mut self, counted: u64) {
        let seen = self.expected.received;
        if counted != seen {
            self.blame(|| format!("messages received: {counted} were counted, {seen} were seen"));
        }
    }

    /// PUBACK leaves for a message that the journal does not hold. It may have been dropped by a
    /// full queue at once, and that was counted.
    pub(super) fn note_unkept(&mut self, mark: Mark) {
        self.unkept.push(mark);
    }

    pub(crate) fn totals(&self) -> &BTreeMap<Counter, u64> {
        &self.totals
    }

    /// All is at rest and every counter is in: what was promised must have come true.
    /// `all_came` says that every client could come back to collect what was held.
    pub(crate) fn check_promises(&mut self, now: Time, all_came: bool) {
        let total = |counter: Counter| self.totals.get(&counter).copied().unwrap_or(0);
        let dropped = total(Counter::DropQueueFull)
            + total(Counter::DropTooLarge)
            + total(Counter::DropUnreadable);
        let ended = if self.n_crashes > 1 { total(Counter::DropSessionEnded) } else { 0 };
        let from_holds =
            total(Counter::DropHoldFull) + total(Counter::DropHoldExpired) + dropped + ended;
        let failed = total(Counter::CallsHandled) + total(Counter::CallsUnhandled);
        let failed = if total(Counter::JournalFailures) > 0 { failed } else { 0 };
        let calls = total(Counter::DropCallRefused)
            + total(Counter::DropHopLimit)
            + total(Counter::DropUnreadable)
            + failed;
        let shares = dropped + total(Counter::DropNoMember) + total(Counter::DropSessionEnded);
        let (mut sessions, mut holds, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut shared = Vec::new();
        for duty in self.open_duties(now) {
            match duty {
                Duty::Session(..) => sessions.push(duty.to_string()),
                // QoS 2 may have left for a member whose session ended with its connection.
                Duty::Shared(_, mark) if self.is_once(*mark) && self.may_be_passed_on(*mark) => {}
                Duty::Shared(..) if all_came => shared.push(duty.to_string()),
                Duty::Shared(..) => {}
                Duty::Held(..) if all_came => holds.push(duty.to_string()),
                Duty::Held(..) => {}
                Duty::Call(..) => waiting.push(duty.to_string()),
                Duty::Retained(..) => {}
            }
        }
        let unkept = self.unkept.iter().map(|mark| format!("{mark} was not in the journal"));
        let unkept: Vec<String> = unkept.collect();
        let rows = [
            ("messages for sessions", sessions, dropped),
            ("messages in holds", holds, from_holds),
            ("messages for groups", shared, shares),
            ("calls", waiting, calls),
            (
                "messages acknowledged before the journal had them",
                unkept,
                dropped + from_holds + calls + shares,
            ),
        ];
        for (what, missing, accounted) in rows {
            if missing.len() as u64 > accounted {
                let shown = missing.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
                self.blame(|| {
                    format!(
                        "{} {what} are missing, {accounted} are accounted for: {shown}",
                        missing.len()
                    )
                });
            }
        }
        self.check_failed_calls();
    }

    /// A call that ended without an answer was counted as failed.
    fn check_failed_calls(&mut self) {
        let total = |counter: Counter| self.totals.get(&counter).copied().unwrap_or(0);
        let failed = total(Counter::CallsHandled)
            + total(Counter::CallsUnhandled)
            + total(Counter::DropCallRefused)
            + total(Counter::DropUnreadable);
        let silent: Vec<String> = self
            .ended_calls
            .difference(&self.answered_calls)
            .map(|(function, mark)| format!("{function} with {mark}"))
            .collect();
        if silent.len() as u64 > failed {
            let n = silent.len();
            let shown = silent[..n.min(5)].join("; ");
            self.blame(|| {
                format!("{n} calls ended without an answer, {failed} were counted: {shown}")
            });
        }
    }

    /// The last look at the retained messages: topic to mark.
    pub(crate) fn check_retained(&mut self, found: &BTreeMap<String, Mark>) {
        let full = self.totals.get(&Counter::DropRetainedFull).copied().unwrap_or(0);
        if full > 0 {
            return;
        }
        for (topic, candidates) in std::mem::take(&mut self.retained) {
            let first = candidates.iter().rposition(|candidate| candidate.is_acknowledged);
            let mut allowed: Vec<Option<Mark>> =
                candidates[first.unwrap_or(0)..].iter().map(|candidate| candidate.mark).collect();
            if first.is_none() {
                allowed.push(None);
            }
            let found = found.get(&topic).copied();
            if !allowed.contains(&found) {
                self.blame(|| {
                    format!("{topic} retains {found:?}, it should be one of {allowed:?}")
                });
            }
        }
    }
}
