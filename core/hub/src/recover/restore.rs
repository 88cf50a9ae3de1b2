//! From what the records say back to memory, before any listener opens.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tomte_base::{LogPosition, Message, MessageId, QoS, Time, TopicFilter};
use tomte_broker::SetOutcome;
use tomte_mqtt::session::Phase;

use super::found::{FoundMessage, Left, Place};
use super::{FoundReceived, FoundSession, ReadMessage, Recovery};
use crate::Hub;
use crate::bodies::message_of;
use crate::counter::Counter;
use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::packet_ids::{KeptIds, ReceivedId, SentId, SentPhase};
use crate::record::{Destination, Record, SentAs};
use crate::session::{
    Delivery, Keeper, KeptSubscription, StoredDelivery, SubscriptionIds, Waiting,
};
use crate::stored::Stored;
use crate::timers::Timer;

/// A message on its way to a session: its place among them, its packet identifier, how far it is.
type OnItsWay = (u64, u16, Phase<Delivery>);

/// Leaves out sessions that a newer one of the same client replaced. The record of their end can be
/// missing: it was lost to a failed commit, and what was to make that good was torn by a crash.
fn newest_of_each_client(
    sessions: BTreeMap<u64, FoundSession>,
    messages: &mut BTreeMap<MessageId, FoundMessage>,
    ledger: &mut Ledger<Ack>,
) -> BTreeMap<u64, FoundSession> {
    let mut newest = HashMap::new();
    for (serial, found) in &sessions {
        newest.insert((found.owner.clone(), found.client_id.clone()), *serial);
    }
    let (current, replaced): (BTreeMap<_, _>, BTreeMap<_, _>) =
        sessions.into_iter().partition(|(serial, found)| {
            newest.get(&(found.owner.clone(), found.client_id.clone())) == Some(serial)
        });
    for (session, found) in replaced {
        let left = |sent: &&SentId| sent.phase != SentPhase::Open(QoS::AtLeastOnce);
        for sent in found.sent.values().filter(left) {
            if let Some(message) = messages.get_mut(&sent.message) {
                message.has_left_for(session);
            }
        }
        let closed = Record::SessionClosed { session };
        ledger.note(|out| closed.encode(out));
    }
    current
}

/// What left for each session as it was accepted, by the session's number.
fn sent_at_once(
    messages: &BTreeMap<MessageId, FoundMessage>,
) -> HashMap<u64, Vec<(MessageId, SentAs)>> {
    let mut by_session: HashMap<u64, Vec<_>> = HashMap::new();
    for found in messages.values() {
        for destination in &found.destinations {
            if let Destination::Session { session, sent: Some(sent), .. }
            | Destination::Share { session, sent: Some(sent), .. } = destination
            {
                by_session.entry(*session).or_default().push((found.id, *sent));
            }
        }
    }
    by_session
}

impl Hub {
    /// Takes over what the journal kept: sessions with their subscriptions and queues, retained
    /// messages, holds, calls. `segments` are the journal's as (first position, bytes), `next` is the number
    /// of its next record. `read` reads a record again, none when it cannot, which the host writes
    /// into its log: messages that must be in memory at once are read one by one, so that recovery
    /// needs little memory whatever the journal holds.
    pub fn recover(
        &mut self,
        now: Time,
        mut recovery: Recovery,
        segments: Vec<(LogPosition, u64)>,
        next: LogPosition,
        mut read: impl FnMut(LogPosition) -> Option<Vec<u8>>,
    ) {
        let mut unreadable = 0;
        let mut read = |position, id| {
            let message = read(position).and_then(|record| message_of(&record, id));
            unreadable += u64::from(message.is_none());
            message.map(Arc::new)
        };
        recovery.drop_torn_parts();
        self.ledger.restored(segments, next);
        self.next_message = recovery.next_message.max(self.next_message);
        self.next_session = recovery.next_session.max(self.next_session);
        let mut messages = recovery.messages;
        let mut at_once = sent_at_once(&messages);
        for (serial, found) in
            newest_of_each_client(recovery.sessions, &mut messages, &mut self.ledger)
        {
            let at_once = at_once.remove(&serial).unwrap_or_default();
            self.recover_session(now, serial, found, at_once, &mut messages, &mut read);
        }
        for (message, kept) in recovery.retained.into_values() {
            self.recover_retained(message, kept);
        }
        for found in messages.into_values() {
            self.recover_message(now, found, &mut read);
        }
        for will in recovery.wills.into_values() {
            self.recover_will(now, will);
        }
        self.counters.add_n(Counter::DropUnreadable, unreadable);
        self.arm_sweep();
    }

    /// A limit that was lowered since then may refuse it: then the journal need not keep it either.
    fn recover_retained(&mut self, message: Message, kept: Kept) {
        let topic = message.topic.clone();
        if let SetOutcome::Refused(_) = self.retained.set(Arc::new(message)) {
            self.counters.add(Counter::DropRetainedFull);
            let cleared = Record::RetainedCleared { topic };
            self.ledger.note(|out| cleared.encode(out));
            return;
        }
        self.ledger.still_kept(kept);
        self.retained_kept.insert(topic, kept);
    }

    fn recover_session(
        &mut self,
        now: Time,
        serial: u64,
        found: FoundSession,
        at_once: Vec<(MessageId, SentAs)>,
        messages: &mut BTreeMap<MessageId, FoundMessage>,
        read: &mut ReadMessage<'_>,
    ) {
        self.ledger.still_kept(found.kept);
        let ends = found.left.unwrap_or_else(|| now + crate::connect::expiry(found.expiry_s));
        let index = self.add_session(serial, found.owner, &found.client_id, found.expiry_s);
        for (filter, (options, kept)) in found.subscriptions {
            self.ledger.still_kept(kept);
            self.enter_subscription(index, &filter, options);
            let session = self.session_mut(index).expect("it was just added");
            session.subscriptions.push(KeptSubscription { filter, options, kept: Some(kept) });
        }
        let session = self.session_mut(index).expect("it was just added");
        session.kept = Some(found.kept);
        session.ends = ends;
        self.timers.set(Timer::Session(serial), ends);
        self.recover_received(index, found.received);
        let mut restored = self.recover_sent_at_once(index, at_once, messages, read);
        restored.extend(self.recover_sent(index, found.sent, &restored, messages, read));
        restored.sort_unstable_by_key(|(order, packet_id, _)| (*order, *packet_id));
        let session = self.sessions[index as usize].as_mut().expect("it was just added");
        for (_, packet_id, phase) in restored {
            session.machine.restore_in_flight(packet_id, phase);
        }
        // A crash tore the rest of it off as it was written again: the parts stand before it, and would
        // mean nothing once the first record of the session is gone.
        if session.has_parts_before(found.kept.position) {
            session.rewrite(&mut self.ledger);
            let left = Record::SessionLeft { session: serial, ends };
            self.ledger.note(|out| left.encode(out));
        }
    }

    /// Puts back the packet identifiers of QoS 2 that the client has not released.
    fn recover_received(&mut self, index: u32, found: BTreeMap<u16, FoundReceived>) {
        let session = self.sessions[index as usize].as_mut().expect("it was just added");
        for (packet_id, received) in found {
            let FoundReceived { message, kept, .. } = received;
            let kept = if let Some(kept) = kept {
                self.ledger.still_kept(kept);
                kept
            } else {
                let record = Record::Received { session: session.serial, packet_id };
                self.ledger.keep(|out| record.encode(out))
            };
            session.machine.restore_received(packet_id);
            self.n_unreleased += 1;
            session.ids.received.insert(packet_id, ReceivedId { message, kept });
        }
    }

    /// Finds what left for a session as it was accepted.
    fn recover_sent_at_once(
        &mut self,
        index: u32,
        found: Vec<(MessageId, SentAs)>,
        messages: &mut BTreeMap<MessageId, FoundMessage>,
        read: &mut ReadMessage<'_>,
    ) -> Vec<OnItsWay> {
        let Some(session) = self.sessions[index as usize].as_ref() else { return Vec::new() };
        let mut on_their_way = Vec::new();
        for (id, sent) in found {
            let found = messages.get_mut(&id);
            let as_sent = (QoS::AtLeastOnce, Some(sent));
            if let Some(Left::Message(delivery)) =
                found.and_then(|found| found.left_for(session, as_sent, read))
            {
                self.flow.opened(id);
                on_their_way.push((sent.order, sent.packet_id, Phase::AtLeastOnce(delivery)));
            }
        }
        on_their_way
    }

    /// Finds what has records of its own that it left for a session. An identifier in `taken` was
    /// given to a later message: the one of the record is done with.
    fn recover_sent(
        &mut self,
        index: u32,
        found: BTreeMap<u16, SentId>,
        taken: &[OnItsWay],
        messages: &mut BTreeMap<MessageId, FoundMessage>,
        read: &mut ReadMessage<'_>,
    ) -> Vec<OnItsWay> {
        let taken: HashSet<u16> = taken.iter().map(|(_, packet_id, _)| *packet_id).collect();
        let session = self.sessions[index as usize].as_mut().expect("it was just added");
        let mut in_order: Vec<_> = found.into_iter().collect();
        // One session may get a message twice, by a subscription of its own and by a group. What is
        // released may have no destination left, so that what is not chooses first.
        in_order.sort_unstable_by_key(|(_, sent)| (sent.phase, sent.order));
        let mut on_their_way = Vec::new();
        for (packet_id, mut sent) in in_order {
            let message = messages.get_mut(&sent.message).filter(|_| !taken.contains(&packet_id));
            let SentPhase::Open(qos) = sent.phase else {
                if let Some(message) = message {
                    message.is_over_for(session);
                }
                self.ledger.still_kept(sent.kept);
                on_their_way.push((sent.order, packet_id, Phase::Released));
                session.ids.sent.insert(packet_id, sent);
                continue;
            };
            let left = message.and_then(|found| found.left_for(session, (qos, None), read));
            let phase = match (left, qos) {
                (Some(Left::Message(delivery)), _) => {
                    self.ledger.still_kept(sent.kept);
                    self.flow.opened(delivery.message.id);
                    match qos {
                        QoS::ExactlyOnce => Phase::ExactlyOnce(delivery),
                        _ => Phase::AtLeastOnce(delivery),
                    }
                }
                // The client may have it, and must not take the next message with this identifier for
                // the same one: PUBREL frees it at both ends.
                (Some(Left::Unreadable), QoS::ExactlyOnce) => {
                    sent.phase = SentPhase::Released;
                    let record = KeptIds::sent_record(session.serial, packet_id, &sent);
                    sent.kept = self.ledger.keep(|out| record.encode(out));
                    Phase::Released
                }
                // It never left, and the crash tore its message off; or it is done with.
                (Some(Left::Unreadable) | None, _) => {
                    let gone = Record::Completed { session: session.serial, packet_id };
                    self.ledger.note(|out| gone.encode(out));
                    continue;
                }
            };
            on_their_way.push((sent.order, packet_id, phase));
            session.ids.sent.insert(packet_id, sent);
        }
        on_their_way
    }

    fn recover_message(&mut self, now: Time, found: FoundMessage, read: &mut ReadMessage<'_>) {
        self.ledger.still_kept(found.kept);
        let FoundMessage { id, bytes, expires, ref destinations, kept, .. } = found;
        self.queued_bytes += u64::from(bytes);
        self.queued_deliveries += destinations.len();
        let stored =
            Stored { body: None, waits: false, bytes, kept, destinations: destinations.clone() };
        self.stored.insert(id, stored);
        let mut body = None;
        for (at, destination) in destinations.iter().enumerate() {
            let place = found.place(at);
            if place == Place::InFlight {
                continue;
            }
            let waits = place == Place::Waits
                && match destination {
                    Destination::Session { session, qos, retain, .. } => {
                        let waiting = StoredDelivery {
                            message: id,
                            qos: *qos,
                            retain: *retain,
                            subscription_ids: SubscriptionIds::AsNow,
                        };
                        self.recover_waiting(*session, waiting, bytes as usize, expires)
                    }
                    destination => {
                        body = body.or_else(|| read(kept.position, id));
                        body.as_ref().is_some_and(|message| {
                            self.recover_destination(now, message, destination)
                        })
                    }
                };
            if !waits {
                self.done(id, destination);
            }
        }
    }

    /// Puts a message back into the queue of a session. Tells whether the session is there.
    fn recover_waiting(
        &mut self,
        session: u64,
        waiting: StoredDelivery,
        bytes: usize,
        expires: Time,
    ) -> bool {
        let Some(&index) = self.by_serial.get(&session) else { return false };
        self.flow.opened(waiting.message);
        let session = self.session_mut(index).expect("the index is of a session");
        session.queue.push_back(Waiting::Stored(waiting), bytes, expires);
        true
    }

    /// Puts a message back where it waited in memory. Tells whether somebody still waits for it.
    fn recover_destination(
        &mut self,
        now: Time,
        message: &Arc<Message>,
        destination: &Destination,
    ) -> bool {
        match destination {
            Destination::Session { .. } => false,
            Destination::Share { filter, session, qos, retain, .. } => {
                self.recover_share(now, message, filter, (*session, *qos, *retain));
                true
            }
            Destination::Call { function, call, route } => {
                self.enter_call_for_message(now, *call, function.clone(), route, message)
            }
            Destination::Hold { device, until } => {
                self.recover_hold(device, message, *until);
                true
            }
        }
    }

    /// Puts a message back to the member of a group that had it, or to another one when the session
    /// of that one is gone.
    fn recover_share(
        &mut self,
        now: Time,
        message: &Arc<Message>,
        filter: &TopicFilter,
        (session, qos, retain): (u64, QoS, bool),
    ) {
        let index = self.by_serial.get(&session).copied();
        let member = index.and_then(|index| self.sessions[index as usize].as_ref());
        let delivery = Delivery {
            message: Arc::clone(message),
            qos,
            retain,
            keeper: Keeper::Share(filter.clone()),
            subscription_ids: member.and_then(|member| member.identifier(filter)),
        };
        match index {
            Some(index) if self.enqueue(now, index, delivery.clone()) => {}
            Some(_) => self.share_done(filter, &delivery),
            None => self.pass_on(now, filter, &delivery),
        }
    }
}
