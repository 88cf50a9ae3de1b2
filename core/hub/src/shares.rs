//! Shared subscriptions: groups whose members take turns (MQTT 5, 4.8.2).
//!
//! A group is a name and a filter, written `$share/<name>/<filter>`. It has one entry in the topic
//! tree, by its filter, however many members it has. Each message goes to one of them: one that is
//! there and has room, else one that keeps what it gets.
//!
//! ```text
//! chosen ──▶ its queue ──▶ on its way ──▶ acknowledged, or refused: done
//!    ▲          │              │
//!    └──────────┴──────────────┘  its session ends: another member, QoS 2 that left excepted
//! ```
//!
//! Only the end of the session passes a message on, never the end of a connection: the client may
//! have it, and comes back for the rest.

use std::collections::HashSet;
use std::sync::Arc;

use tomte_base::{NumberHash, QoS, Time, TopicFilter};
use tomte_broker::{Choice, Readiness};

use crate::Hub;
use crate::counter::Counter;
use crate::deliver::Outcome;
use crate::encode::Encoder;
use crate::fan_out::Lazy;
use crate::flow::{Hop, HopKind};
use crate::match_set::{Key, MatchSet, MatchedSession};
use crate::record::{self, Destination, Record, SentAs};
use crate::session::{Delivery, Keeper, Session, Subscription};
use crate::share_groups::{Member, Share, is_shared, matched_filter};

/// How a message leaves for one member.
struct Passing {
    share: u32,
    /// The members that could not take it.
    tried: HashSet<u32, NumberHash>,
}

impl Hub {
    /// Puts a subscription into the topic tree: the session itself, or its group.
    pub(crate) fn enter_subscription(
        &mut self,
        index: u32,
        filter: &TopicFilter,
        options: Subscription,
    ) {
        if !is_shared(filter) {
            self.tree.insert(filter, Key::Session(index), options);
            return;
        }
        let is_kept = self.session_mut(index).is_some_and(|session| session.is_persistent());
        let (at, is_new) = self.shares.named_or_new(filter);
        if is_new {
            self.tree.insert(&matched_filter(filter), Key::Share(at), Subscription::NONE);
        }
        let share = self.shares.shares[at as usize].as_mut().expect("it is named");
        let ids = options.id.map(|id| Arc::from([id.get()]));
        let matched = MatchedSession { session: index, options, ids };
        let old = share.members.insert(index, Member { matched, is_kept });
        share.n_kept += usize::from(is_kept);
        share.n_kept -= usize::from(old.is_some_and(|old| old.is_kept));
        share.turns.join(index);
    }

    /// Takes a subscription out of the topic tree.
    pub(crate) fn leave_subscription(&mut self, index: u32, filter: &TopicFilter) {
        if !is_shared(filter) {
            self.tree.remove(filter, Key::Session(index));
            return;
        }
        let Some((at, share)) = self.shares.named(filter) else { return };
        share.leave(index);
        if share.turns.is_empty() {
            self.shares.remove(at);
            self.tree.remove(&matched_filter(filter), Key::Share(at));
        }
    }

    /// Sends a message to one member of each group that the topic matches. Returns how many groups
    /// the routes lead to.
    pub(crate) fn send_to_shares(
        &mut self,
        now: Time,
        set: &MatchSet,
        lazy: &mut Lazy<'_>,
        encoder: &mut Encoder<'_>,
        durable: &mut Vec<Destination>,
    ) -> usize {
        let mut n_chosen = 0;
        for &share in &set.shares {
            if self.is_share_chosen(share) {
                n_chosen += 1;
                self.send_to_share(now, share, lazy, encoder, durable);
            }
        }
        n_chosen
    }

    /// Tells whether the routes lead to a member of the group.
    pub(crate) fn is_share_chosen(&self, share: u32) -> bool {
        self.shares.get(share).is_some_and(|share| {
            share.members().any(|member| {
                let session = self.sessions.get(member.session as usize).and_then(Option::as_ref);
                session
                    .is_some_and(|session| self.is_chosen(member.session, session.owner.device()))
            })
        })
    }

    fn send_to_share(
        &mut self,
        now: Time,
        at: u32,
        lazy: &mut Lazy<'_>,
        encoder: &mut Encoder<'_>,
        durable: &mut Vec<Destination>,
    ) {
        let Some(share) = self.shares.get(at) else { return };
        let (filter, is_kept) = (share.filter.clone(), share.n_kept > 0);
        let mut passing = Passing { share: at, tried: HashSet::default() };
        let incoming = lazy.incoming();
        while let Some(member) =
            self.choose_member(&passing, incoming.qos, |hub, index, session| {
                hub.is_chosen(index, session.owner.device())
            })
        {
            let index = member.session;
            let qos = incoming.qos.min(member.options.qos);
            let retain = incoming.retain && member.options.retain_as_published;
            self.trace_member(now, lazy, &filter, index);
            let outcome = if qos == QoS::AtMostOnce {
                self.send_at_most_once(&member, retain, encoder)
            } else {
                let keeper = Keeper::Share(filter.clone());
                let message = Arc::clone(lazy.get());
                let subscription_ids = member.ids.clone();
                let delivery = Delivery { message, qos, retain, keeper, subscription_ids };
                self.flow.opened(lazy.id());
                let outcome = self.send_acknowledged(now, index, delivery, encoder);
                if !outcome.is_taken() {
                    self.flow.closed(lazy.id());
                }
                outcome
            };
            self.trace_outcome(now, lazy.id(), index, outcome);
            if outcome.is_taken() {
                if is_kept && !self.is_over_with(index, qos, outcome) {
                    let way = (qos, retain, outcome.sent_as());
                    durable.extend(self.share_destination(index, &filter, way));
                }
                return;
            }
            passing.tried.insert(index);
        }
        self.nobody_takes(now, lazy.id(), &filter);
    }

    /// Tells whether a message that was taken is nobody else's matter whatever happens: QoS 0, and
    /// QoS 2 that left for a session which ends with its connection (MQTT-4.8.2-5).
    fn is_over_with(&self, index: u32, qos: QoS, outcome: Outcome) -> bool {
        let session = self.sessions.get(index as usize).and_then(Option::as_ref);
        let is_persistent = session.is_some_and(Session::is_persistent);
        let has_left =
            matches!(outcome, Outcome::Sent(_)) && qos == QoS::ExactlyOnce && !is_persistent;
        qos == QoS::AtMostOnce || has_left
    }

    fn share_destination(
        &self,
        index: u32,
        filter: &TopicFilter,
        (qos, retain, sent): (QoS, bool, Option<SentAs>),
    ) -> Option<Destination> {
        let session = self.sessions.get(index as usize)?.as_ref()?.serial;
        Some(Destination::Share { filter: filter.clone(), session, qos, retain, sent })
    }

    /// Chooses who of a group gets the next message: a member that can take it now, else one that
    /// keeps it, else one whose queue must drop another one for it.
    fn choose_member(
        &mut self,
        passing: &Passing,
        qos: QoS,
        may_have: impl Fn(&Hub, u32, &Session) -> bool,
    ) -> Option<MatchedSession> {
        // Taken out for the moment: whose turn it is changes while the sessions are asked.
        let mut share = self.shares.shares.get_mut(passing.share as usize)?.take()?;
        let members = &share.members;
        let mut turn = |fullest: Room| {
            let readiness = |index: u32| {
                let qos = qos.min(members[&index].matched.options.qos);
                let session = self.sessions.get(index as usize).and_then(Option::as_ref);
                let able =
                    |s: &&Session| !passing.tried.contains(&index) && may_have(self, index, s);
                session
                    .filter(able)
                    .map_or(Readiness::Unable, |session| self.readiness(session, qos, fullest))
            };
            match share.turns.choose(readiness) {
                Choice::Deliver(index) | Choice::Queue(index) => Some(index),
                Choice::Nobody => None,
            }
        };
        let index = turn(Room::Left).or_else(|| turn(Room::AtCostOfOthers));
        let chosen = index.map(|index| members[&index].matched.clone());
        self.shares.shares[passing.share as usize] = Some(share);
        chosen
    }

    /// Tells whether a session could take a message of this quality of service.
    fn readiness(&self, session: &Session, qos: QoS, fullest: Room) -> Readiness {
        let high_water = self.config.limits.output_high_water;
        let writes = session
            .connection
            .and_then(|slot| self.connection(slot))
            .is_some_and(|c| c.closing.is_none() && c.out.len() <= high_water);
        if qos == QoS::AtMostOnce {
            return if writes { Readiness::Ready } else { Readiness::Unable };
        }
        if writes && session.queue.is_empty() && session.machine.window() > 0 {
            return Readiness::Ready;
        }
        let is_there = session.connection.is_some() || session.is_persistent();
        let limits = session.queue.limits();
        let has_room = session.queue.len() < limits.max_messages as usize
            && session.queue.bytes() < limits.max_bytes;
        if is_there && (has_room || fullest == Room::AtCostOfOthers) {
            Readiness::Keeps
        } else {
            Readiness::Unable
        }
    }

    /// The session of a member ended: what it had not acknowledged goes to another one, by the
    /// filter of the group (MQTT-4.8.2-6). QoS 2 that had left for the client does not
    /// (MQTT-4.8.2-5).
    pub(crate) fn pass_on(&mut self, now: Time, filter: &TopicFilter, delivery: &Delivery) {
        let message = Arc::clone(&delivery.message);
        let share = self.shares.by_filter.get(filter).copied();
        let mut passing = Passing { share: share.unwrap_or(u32::MAX), tried: HashSet::default() };
        let may_have = |hub: &Hub, _, session: &Session| hub.may_have(session, &message);
        while let Some(member) = self.choose_member(&passing, message.qos, may_have) {
            let qos = message.qos.min(member.options.qos);
            let retain = message.retain && member.options.retain_as_published;
            let destination = self.share_destination(member.session, filter, (qos, retain, None));
            if self.hand_over(now, &member, delivery, (qos, retain), destination) {
                self.counters.add(Counter::PassedOn);
                self.pump(now, member.session);
                return;
            }
            passing.tried.insert(member.session);
        }
        self.counters.add(Counter::DropSessionEnded);
        self.nobody_takes(now, message.id, filter);
        self.share_done(filter, delivery);
    }

    /// Gives a message of a group to another member, and the journal the word of it. Tells whether
    /// it was taken.
    fn hand_over(
        &mut self,
        now: Time,
        member: &MatchedSession,
        old: &Delivery,
        (qos, retain): (QoS, bool),
        destination: Option<Destination>,
    ) -> bool {
        let Some(destination) = destination else { return false };
        let Keeper::Share(filter) = &old.keeper else { return false };
        let name = self.name_of(member.session);
        self.flow.hop(old.message.id, || passed_on(now, filter, &name));
        let delivery = Delivery {
            message: Arc::clone(&old.message),
            qos,
            retain,
            keeper: old.keeper.clone(),
            subscription_ids: member.ids.clone(),
        };
        if qos == QoS::AtMostOnce {
            self.share_done(filter, old);
            self.send_now(now, member.session, delivery);
            return true;
        }
        // Before it can leave: a message of QoS 2 must be found again with this session.
        self.keep_handed_over(filter, old, destination);
        self.enqueue(now, member.session, delivery)
    }

    /// The journal learns which member has the message now.
    fn keep_handed_over(&mut self, filter: &TopicFilter, old: &Delivery, new: Destination) {
        let message = old.message.id;
        if let Some(stored) = self.stored.get_mut(&message)
            && record::move_destination(&mut stored.destinations, &new)
        {
            let moved = Record::Moved { message, destination: new };
            return self.ledger.note(|out| moved.encode(out));
        }
        let is_kept = self.shares.named(filter).is_some_and(|(_, share)| share.n_kept > 0);
        if !is_kept {
            return;
        }
        let mut destinations = Vec::new();
        if let Some(stored) = self.take_stored(message) {
            destinations = Vec::from(stored.destinations);
        }
        destinations.push(new);
        self.store(&old.message, destinations, None);
    }

    /// A group needs a message no more.
    pub(crate) fn share_done(&mut self, filter: &TopicFilter, delivery: &Delivery) {
        let Delivery { qos, retain, .. } = *delivery;
        let (filter, session, sent) = (filter.clone(), 0, None);
        let destination = Destination::Share { filter, session, qos, retain, sent };
        self.done(delivery.message.id, &destination);
    }

    /// No member of a group can take a message.
    fn nobody_takes(&mut self, now: Time, message: tomte_base::MessageId, filter: &TopicFilter) {
        self.counters.add(Counter::DropNoMember);
        self.flow.hop(message, || Hop {
            at: now,
            kind: HopKind::Delivery,
            subject: filter.to_string(),
            verdict: "dropped",
            detail: "no member of the group may have it, is there, or keeps messages".to_owned(),
            bad: true,
        });
    }

    fn trace_member(&mut self, now: Time, lazy: &Lazy<'_>, filter: &TopicFilter, index: u32) {
        if !self.flow.is_traced(lazy.id()) {
            return;
        }
        let name = self.name_of(index);
        self.flow.hop(lazy.id(), || Hop {
            at: now,
            kind: HopKind::Delivery,
            subject: filter.to_string(),
            verdict: "chosen",
            detail: format!("{name}, whose turn it was"),
            bad: false,
        });
    }

    /// Tells what a group would do with a message for `device`, or for everybody. None when no
    /// member could have it.
    pub(crate) fn would_choose(
        &self,
        now: Time,
        share: &Share,
        device: Option<&tomte_base::DeviceName>,
    ) -> Option<Hop> {
        let sessions = share.turns.members().iter();
        let sessions = sessions.filter_map(|index| self.sessions.get(*index as usize)?.as_ref());
        let able: Vec<&Session> = sessions
            .filter(|session| device.is_none_or(|device| session.owner.device() == Some(device)))
            .collect();
        let n_there = able.iter().filter(|session| session.connection.is_some()).count();
        if able.is_empty() {
            return None;
        }
        let detail = format!("to one of {} members; {n_there} are connected", able.len());
        Some(Hop {
            at: now,
            kind: HopKind::Delivery,
            subject: share.filter.to_string(),
            verdict: "would be delivered",
            detail,
            bad: false,
        })
    }
}

/// Which queues may be chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Those with room.
    Left,
    /// Full ones too, whose rule says what goes.
    AtCostOfOthers,
}

fn passed_on(at: Time, filter: &TopicFilter, name: &str) -> Hop {
    Hop {
        at,
        kind: HopKind::Delivery,
        subject: filter.to_string(),
        verdict: "passed on",
        detail: format!("to {name}; the session of the member that had it ended"),
        bad: false,
    }
}
