//! What the hub does from a commit that failed until the journal has everything again.
//!
//! ```text
//!           a commit fails               a second later                 written
//!   whole ───────────────────▶ closed ───────────────────▶ behind ──────────────▶ catching up
//!     ▲                          ▲                                                  │    │
//!     │                          └─────────────── a commit fails ───────────────────┘    │
//!     └──────────────────────────────────── it is safe ──────────────────────────────────┘
//! ```
//!
//! All that memory holds is written when the journal catches up, so it is tried once a second at most.
//! While the journal is closed a commit fails at once, without a look at the disk. Until it is whole a
//! client's message that has to be kept is refused before anybody has it: nothing of it stays in
//! memory, and it may be sent again.

use std::time::Duration;

use tomte_base::{LogPosition, MessageId, QoS, Time};
use tomte_mqtt::codec::{Publish, ReasonCode};
use tomte_route::Destination as RouteTo;

use crate::counter::Counter;
use crate::fan_out::Incoming;
use crate::flow::{Hop, HopKind};
use crate::hub::{Ack, AckKind};
use crate::match_set::{MatchSet, MatchedSession};
use crate::session::Session;
use crate::{CloseReason, Hub, Slot};

/// How long a journal that failed is left alone before it is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// Whether the journal has all that it must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outage {
    /// It has, as far as the commits at hand succeed.
    #[default]
    Whole,
    /// A commit failed, and the next one is not before this time.
    Closed(Time, ReasonCode),
    /// The next commit brings what was lost.
    Behind(ReasonCode),
    /// What was lost is written again, and safe with this position.
    CatchingUp(LogPosition, ReasonCode),
}

impl Outage {
    /// Tells whether records are lost that nobody has written again.
    pub(crate) fn is_behind(self) -> bool {
        matches!(self, Self::Closed(..) | Self::Behind(_))
    }

    #[cfg(test)]
    pub(crate) fn is_closed(self) -> bool {
        matches!(self, Self::Closed(..))
    }

    /// When the journal is tried again.
    pub(crate) fn deadline(self) -> Option<Time> {
        match self {
            Self::Closed(until, _) => Some(until),
            _ => None,
        }
    }

    /// What a client is told whose message is refused; none while there is no reason to.
    fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Whole => None,
            Self::Closed(_, reason) | Self::Behind(reason) | Self::CatchingUp(_, reason) => {
                Some(reason)
            }
        }
    }

    /// The lost records are in the batch at hand, up to `needs`. Tells whether there were any.
    pub(crate) fn written(&mut self, needs: LogPosition) {
        if let Self::Behind(reason) = *self {
            *self = Self::CatchingUp(needs, reason);
        }
    }

    /// The journal is safe up to `position`.
    pub(crate) fn safe_up_to(&mut self, position: LogPosition) {
        if matches!(*self, Self::CatchingUp(needs, _) if needs <= position) {
            *self = Self::Whole;
        }
    }

    /// The disk may be tried.
    pub(crate) fn open(&mut self) {
        if let Self::Closed(_, reason) = *self {
            *self = Self::Behind(reason);
        }
    }
}

impl Hub {
    /// A commit failed: records up to now are not on disk. What waited for them is refused. In a
    /// second [`Hub::on_deadline`] asks for another one, from the state in memory; until then
    /// [`Hub::must_commit`] does not.
    pub fn on_journal_failed(&mut self, now: Time, is_full: bool) {
        self.counters.add(Counter::JournalFailures);
        let reason = if is_full { ReasonCode::QuotaExceeded } else { ReasonCode::UnspecifiedError };
        self.outage = Outage::Closed(now + RETRY, reason);
        self.refuse_what_waits(reason);
    }

    /// While the journal is closed a commit fails at once. Tells whether it is.
    pub(crate) fn fail_if_closed(&mut self) -> bool {
        let Outage::Closed(_, reason) = self.outage else { return false };
        if self.ledger.has_records() || self.ledger.is_awaited() {
            self.refuse_what_waits(reason);
        }
        true
    }

    fn refuse_what_waits(&mut self, reason: ReasonCode) {
        while let Some(ack) = self.ledger.fail_one() {
            self.refuse_ack(ack, reason);
        }
        for slot in self.gated_slots() {
            if let Some(connection) = self.connection_mut(slot) {
                connection.out.clear();
                connection.gate = LogPosition::default();
            }
            self.mark_dirty(slot);
            self.close(slot, CloseReason::NotStored);
        }
        self.ledger.lost();
        self.ended.values_mut().for_each(|safe_at| *safe_at = LogPosition(u64::MAX));
    }

    fn gated_slots(&mut self) -> Vec<Slot> {
        let settled = self.ledger.settled();
        let mut slots = std::mem::take(&mut self.gated);
        slots.extend(self.dirty.iter().copied());
        slots.retain(|slot| self.connection(*slot).is_some_and(|c| c.gate > settled));
        slots
    }

    /// The journal was left alone long enough, if it is time.
    pub(crate) fn try_journal_again(&mut self, now: Time) {
        if self.outage.deadline().is_some_and(|until| until <= now) {
            self.outage.open();
            self.ask_to_catch_up();
        }
    }

    /// While records are missing that a failed commit lost, whatever is confirmed may rest on them:
    /// it waits for a commit that brings them, and there must be one.
    pub(crate) fn ask_to_catch_up(&mut self) {
        if self.outage.is_behind() && !self.ledger.is_urgent() {
            self.note_numbers();
        }
    }

    /// Tells whether the journal has all that it must have, as far as anybody knows.
    #[must_use]
    pub fn journal_is_whole(&self) -> bool {
        self.outage == Outage::Whole
    }

    /// Tells whether a client's message is to be refused, for which the routes have chosen receivers:
    /// the journal would have to keep it, and cannot. Then nobody gets it.
    pub(crate) fn cannot_keep(
        &mut self,
        now: Time,
        incoming: &Incoming<'_>,
        set: &MatchSet,
        id: MessageId,
    ) -> bool {
        let can_be_told = incoming.qos > QoS::AtMostOnce && incoming.from_session.is_some();
        if self.outage == Outage::Whole || !can_be_told || !self.needs_journal(incoming, set) {
            return false;
        }
        self.flow.hop(id, || cannot_be_kept(now));
        true
    }

    /// Tells whether the journal would have to keep a message with QoS 1 or 2. Where rules choose
    /// among the receivers, they count as if these chose all.
    fn needs_journal(&mut self, incoming: &Incoming<'_>, set: &MatchSet) -> bool {
        let chosen = &self.chosen;
        if incoming.retain || !chosen.functions.is_empty() {
            return true;
        }
        let routes = self.config.table.routes();
        let is_held = |index: &u32| {
            let route = &routes[*index as usize];
            let RouteTo::Device(device) = &route.to else { return false };
            route.on_unavailable.is_some() && !self.is_reachable(device, set, incoming.qos)
        };
        let all = !chosen.only.is_empty();
        if chosen.devices.iter().any(is_held) || self.is_kept_for(set, all) {
            return true;
        }
        let mut second_topics = Vec::new();
        for index in &chosen.renamed {
            let route = &routes[*index as usize];
            if route.on_unavailable.is_some() || matches!(route.to, RouteTo::Function(_)) {
                return true;
            }
            let template = route.rule.publish_as.as_ref();
            second_topics.extend(template.and_then(|t| t.render(incoming.topic).ok()));
        }
        second_topics.iter().any(|topic| {
            let set = self.match_set(topic);
            self.is_kept_for(&set, true)
        })
    }

    /// Tells whether a session that outlives its connection subscribed with QoS 1 or 2 and is chosen,
    /// or may be where `all` are, or whether it is member of such a group.
    fn is_kept_for(&self, set: &MatchSet, all: bool) -> bool {
        let keeps = |matched: &MatchedSession| {
            let session = self.sessions.get(matched.session as usize).and_then(Option::as_ref);
            session.filter(|_| matched.options.qos > QoS::AtMostOnce).is_some_and(|session| {
                let is_chosen = all || self.is_chosen(matched.session, session.owner.device());
                is_chosen && Session::is_persistent(session)
            })
        };
        let group_keeps = |at: &u32| {
            let is_kept = self.shares.get(*at).is_some_and(|share| share.n_kept > 0);
            is_kept && (all || self.is_share_chosen(*at))
        };
        set.sessions.iter().any(keeps) || set.shares.iter().any(group_keeps)
    }

    /// Refuses a message that nobody got. Whoever sends it again sends a new one, also under the same
    /// packet identifier. One of a kept session with QoS 2 comes again by itself, in its order, on the
    /// next connection.
    pub(crate) fn refuse_publish(&mut self, slot: Slot, publish: &Publish<'_>) {
        let Some(connection) = self.connection(slot) else { return };
        let (serial, session) = (connection.serial, connection.session);
        let (packet_id, mut kind) = (publish.packet_id, AckKind::Puback);
        if let (QoS::ExactlyOnce, Some(index)) = (publish.qos, session) {
            self.end_received(index, packet_id);
            kind = AckKind::Pubrec;
        }
        let reason = self.outage.reason().unwrap_or(ReasonCode::UnspecifiedError);
        self.counters.add(Counter::RefusedNotStored);
        let mut ack = Ack { slot, serial, kind, packet_id, reason };
        if !self.may_refuse(&ack) {
            ack.kind = AckKind::Goodbye;
        }
        // It rests on nothing, and only keeps the order of the questions.
        self.ledger.wait(ack);
    }
}

fn cannot_be_kept(at: Time) -> Hop {
    Hop {
        at,
        kind: HopKind::Admission,
        subject: String::new(),
        verdict: "refused",
        detail: "the journal takes nothing since a commit failed".to_owned(),
        bad: true,
    }
}
