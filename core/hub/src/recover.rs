//! From the journal back to memory, before any listener opens; and from memory forward into the
//! journal, when old segments must go or a failed commit must be made good.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tomte_base::{DeviceName, LogPosition, Message, MessageId, QoS, Time, TopicFilter, TopicName};
use tomte_mqtt::session::Phase;

use tomte_route::Hold;

use crate::Hub;
use crate::bodies::message_of;
use crate::counter::Counter;
use crate::exactly_once::{ReceivedId, SentId};
use crate::flow::{Hop, HopKind};
use crate::hub::{Ack, Stored, Timer};
use crate::ledger::{Kept, Ledger};
use crate::record::{self, BadRecord, Destination, Record};
use crate::session::{
    Delivery, Keeper, KeptSubscription, Owner, Session, StoredDelivery, Subscription, Waiting,
};
use crate::wills::KeptWill;

/// Why the journal could not be taken over.
#[derive(Debug, thiserror::Error)]
#[error("failed to read record {position} of the journal: {source}")]
pub struct RecoverError {
    /// Number of the record.
    pub position: LogPosition,
    /// What is wrong with it.
    pub source: BadRecord,
}

/// Reads a message again from its record.
type ReadMessage<'a> = dyn FnMut(LogPosition, MessageId) -> Option<Arc<Message>> + 'a;

/// The rule for messages that were held under a route which is no longer there.
const LEFT_OVER: Hold =
    Hold { hold: Duration::from_secs(600), max: 1_000, then: tomte_route::Overflow::DropOldest };

struct FoundSession {
    owner: Owner,
    client_id: String,
    expiry_s: u32,
    kept: Kept,
    left: Option<Time>,
    subscriptions: BTreeMap<TopicFilter, (Subscription, Kept)>,
    sent: BTreeMap<u16, SentId>,
    received: BTreeMap<u16, FoundReceived>,
}

impl FoundSession {
    fn new(owner: Owner, client_id: String, expiry_s: u32, kept: Kept) -> Self {
        let (subscriptions, sent) = (BTreeMap::new(), BTreeMap::new());
        let received = BTreeMap::new();
        let left = None;
        Self { owner, client_id, expiry_s, kept, left, subscriptions, sent, received }
    }

    /// What the journal says of it, from `before` on.
    fn supersede(&mut self, before: LogPosition) {
        self.subscriptions.retain(|_, (_, kept)| kept.position >= before);
        self.sent.retain(|_, sent| sent.kept.position >= before);
        self.received.retain(|_, received| received.position >= before);
    }
}

/// A received packet identifier of QoS 2.
struct FoundReceived {
    position: LogPosition,
    message: Option<MessageId>,
    /// None when only the message names it, because a crash tore its own record off.
    kept: Option<Kept>,
}

/// A message, without what it says: that stays in the journal.
struct FoundMessage {
    id: MessageId,
    /// Bytes of its topic and payload.
    bytes: u32,
    expires: Time,
    destinations: Vec<Destination>,
    kept: Kept,
    /// The last record that says that it is there.
    confirmed: LogPosition,
    /// Of its destinations, those that need not get it from a queue. Seldom there.
    elsewhere: Option<Box<Elsewhere>>,
}

#[derive(Default)]
struct Elsewhere {
    /// Destinations where it is on its way with QoS 2.
    in_flight: Vec<Destination>,
    /// Destinations that have it, although the record of that was torn off.
    over: Vec<Destination>,
}

/// What the records say, gathered until the last one was read.
#[derive(Default)]
pub struct Recovery {
    sessions: BTreeMap<u64, FoundSession>,
    messages: BTreeMap<MessageId, FoundMessage>,
    retained: BTreeMap<TopicName, (Message, Kept)>,
    wills: BTreeMap<u64, Box<KeptWill>>,
    next_message: MessageId,
    next_session: u64,
}

impl Recovery {
    /// Takes in one record of the journal; they come in order.
    ///
    /// # Errors
    /// Fails with [`RecoverError`] when the bytes are no record of this version.
    pub fn on_record(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), RecoverError> {
        let record = Record::decode(bytes).map_err(|source| RecoverError { position, source })?;
        let kept = Kept { position, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        self.take_in(record, kept);
        Ok(())
    }

    fn take_in(&mut self, record: Record, kept: Kept) {
        match record {
            Record::SessionOpened { session, owner, client_id, expiry_s } => {
                self.next_session = self.next_session.max(session + 1);
                let mut found = FoundSession::new(owner, client_id, expiry_s, kept);
                if let Some(old) = self.sessions.remove(&session) {
                    let FoundSession { subscriptions, sent, received, .. } = old;
                    found = FoundSession { subscriptions, sent, received, ..found };
                }
                self.sessions.insert(session, found);
            }
            Record::SessionLeft { session, ends } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.left = Some(ends);
                }
            }
            Record::SessionReturned { session } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.left = None;
                }
            }
            Record::SessionClosed { session } => {
                self.sessions.remove(&session);
            }
            Record::Subscribed { session, filter, options } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.subscriptions.insert(filter, (options, kept));
                }
            }
            Record::Unsubscribed { session, filter } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.subscriptions.remove(&filter);
                }
            }
            Record::Accepted { message, destinations } => {
                self.accepted(message, destinations, kept);
            }
            Record::AcceptedFrom { session, packet_id, message, destinations } => {
                let id = Some(message.id);
                self.accepted(message, destinations, kept);
                let found = FoundReceived { position: kept.position, message: id, kept: None };
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.received.insert(packet_id, found);
                }
            }
            Record::Received { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    let message = session.received.get(&packet_id).and_then(|old| old.message);
                    let found =
                        FoundReceived { position: kept.position, message, kept: Some(kept) };
                    session.received.insert(packet_id, found);
                }
            }
            Record::ReceiveEnded { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.received.remove(&packet_id);
                }
            }
            Record::Sending { session, packet_id, message, order } => {
                let sent = SentId { message, order, released: false, kept };
                self.sent(session, packet_id, sent);
            }
            Record::Released { session, packet_id, message, order } => {
                let sent = SentId { message, order, released: true, kept };
                self.sent(session, packet_id, sent);
            }
            Record::Completed { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.sent.remove(&packet_id);
                }
            }
            Record::WillKept { number, session, owner, due, will } => {
                self.next_session = self.next_session.max(number + 1);
                let will = KeptWill { number, session, owner, due, will, kept };
                self.wills.insert(number, Box::new(will));
            }
            Record::WillOver { number } => {
                self.wills.remove(&number);
            }
            Record::AcceptedWill { number, message, destinations } => {
                self.wills.remove(&number);
                self.accepted(message, destinations, kept);
            }
            Record::Confirmed { message, destinations } => {
                if let Some(found) = self.messages.get_mut(&message) {
                    found.destinations = destinations;
                    found.confirmed = kept.position;
                }
            }
            Record::Done { message, destination } => self.done(message, &destination),
            Record::Moved { message, destination } => self.moved(message, &destination),
            Record::Retained { message } => {
                self.next_message = self.next_message.max(message.id.next());
                self.retained.insert(message.topic.clone(), (message, kept));
            }
            Record::RetainedCleared { topic } => {
                self.retained.remove(&topic);
            }
            Record::Superseded { before } => self.supersede(before),
            Record::Numbers { next_message, next_session } => {
                self.next_message = self.next_message.max(next_message);
                self.next_session = self.next_session.max(next_session);
            }
        }
    }

    fn accepted(&mut self, message: Message, destinations: Vec<Destination>, kept: Kept) {
        self.next_message = self.next_message.max(message.id.next());
        let bytes = u32::try_from(message.topic.len() + message.payload.len());
        let found = FoundMessage {
            id: message.id,
            bytes: bytes.expect("packets are far below 4 GiB"),
            expires: message.expires,
            destinations,
            kept,
            confirmed: kept.position,
            elsewhere: None,
        };
        self.messages.insert(found.id, found);
    }

    fn sent(&mut self, session: u64, packet_id: u16, sent: SentId) {
        // The message may have been torn off, and its number must not come again.
        self.next_message = self.next_message.max(sent.message.next());
        if let Some(session) = self.sessions.get_mut(&session) {
            session.sent.insert(packet_id, sent);
        }
    }

    /// Forgets what was written before `before` and not again after it.
    fn supersede(&mut self, before: LogPosition) {
        self.sessions.retain(|_, found| found.kept.position >= before);
        for found in self.sessions.values_mut() {
            found.supersede(before);
        }
        self.messages.retain(|_, found| found.confirmed >= before);
        self.retained.retain(|_, (_, kept)| kept.position >= before);
        self.wills.retain(|_, will| will.kept.position >= before);
    }

    fn moved(&mut self, message: MessageId, destination: &Destination) {
        let Some(found) = self.messages.get_mut(&message) else { return };
        record::move_destination(&mut found.destinations, destination);
    }

    fn done(&mut self, message: MessageId, destination: &Destination) {
        let Some(found) = self.messages.get_mut(&message) else { return };
        found.destinations.retain(|kept| !kept.same_receiver(destination));
        if found.destinations.is_empty() {
            self.messages.remove(&message);
        }
    }
}

impl Elsewhere {
    fn has(&self, destination: &Destination) -> bool {
        self.in_flight.contains(destination) || self.over.contains(destination)
    }
}

impl FoundMessage {
    /// The destination that `session` stands for and that is not accounted for yet: itself, a group
    /// of which it is a member, or the hold of its device.
    fn destination_of(&self, session: &Session) -> Option<&Destination> {
        let elsewhere = self.elsewhere.as_deref();
        let is_open = |d: &&Destination| elsewhere.is_none_or(|elsewhere| !elsewhere.has(d));
        self.destinations.iter().filter(is_open).find(|destination| match destination {
            Destination::Session { session: serial, qos, .. }
            | Destination::Share { session: serial, qos, .. } => {
                *serial == session.serial && *qos == QoS::ExactlyOnce
            }
            Destination::Hold { device, .. } => session.owner.device() == Some(device),
            Destination::Call { .. } => false,
        })
    }

    /// A session is gone for which the message had left with QoS 2: no other member of its group
    /// gets it (MQTT-4.8.2-5).
    fn has_left_for(&mut self, session: u64) {
        let left = self.destinations.iter().filter(|destination| {
            matches!(destination, Destination::Share { session: serial, .. } if *serial == session)
        });
        let left: Vec<_> = left.cloned().collect();
        self.elsewhere.get_or_insert_default().over.extend(left);
    }

    /// Puts the message in flight to `session`, if it is for it.
    fn in_flight(&mut self, session: &Session, read: &mut ReadMessage<'_>) -> Option<Delivery> {
        let destination = self.destination_of(session)?.clone();
        let (retain, keeper) = match &destination {
            Destination::Session { retain, .. } => (*retain, Keeper::Session),
            Destination::Share { filter, retain, .. } => (*retain, Keeper::Share(filter.clone())),
            Destination::Hold { device, until } => (false, Keeper::Hold(device.clone(), *until)),
            Destination::Call { .. } => return None,
        };
        let elsewhere = self.elsewhere.get_or_insert_default();
        let Some(message) = read(self.kept.position, self.id) else {
            // The client may have it: it does not get it under another identifier.
            elsewhere.over.push(destination);
            return None;
        };
        elsewhere.in_flight.push(destination);
        let subscription_ids = match &keeper {
            Keeper::Share(filter) => session.identifier(filter),
            _ => None,
        };
        let qos = QoS::ExactlyOnce;
        Some(Delivery { message, qos, retain, keeper, subscription_ids })
    }
}

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
        for sent in found.sent.values() {
            if let Some(message) = messages.get_mut(&sent.message) {
                message.has_left_for(session);
            }
        }
        let closed = Record::SessionClosed { session };
        ledger.note(|out| closed.encode(out));
    }
    current
}

impl Hub {
    /// Takes over what the journal kept: sessions with their subscriptions and queues, retained
    /// messages, holds, calls. `segments` are the journal's as (first
    /// position, bytes), `next` is the number of its next record. `read` reads a record again, none
    /// when it cannot, which the host writes into its log: messages that must be in memory at once
    /// are read one by one, so that recovery needs little memory whatever the journal holds.
    pub fn recover(
        &mut self,
        now: Time,
        recovery: Recovery,
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
        self.ledger.restored(segments, next);
        self.next_message = recovery.next_message.max(self.next_message);
        self.next_session = recovery.next_session.max(self.next_session);
        let mut messages = recovery.messages;
        for (serial, found) in
            newest_of_each_client(recovery.sessions, &mut messages, &mut self.ledger)
        {
            self.recover_session(now, serial, found, &mut messages, &mut read);
        }
        for (message, kept) in recovery.retained.into_values() {
            self.ledger.still_kept(kept);
            self.retained_kept.insert(message.topic.clone(), kept);
            // A limit that was lowered since then refuses it; the next message replaces it anyway.
            let _outcome = self.retained.set(Arc::new(message));
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

    fn recover_session(
        &mut self,
        now: Time,
        serial: u64,
        found: FoundSession,
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
        self.timers.push(Reverse((ends, Timer::Session(serial))));
        self.recover_received(index, found.received);
        self.recover_sent(index, found.sent, messages, read);
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
            session.ids.received.insert(packet_id, ReceivedId { message, kept });
        }
    }

    /// Puts back what was on its way with QoS 2, in the order of the first sending.
    fn recover_sent(
        &mut self,
        index: u32,
        found: BTreeMap<u16, SentId>,
        messages: &mut BTreeMap<MessageId, FoundMessage>,
        read: &mut ReadMessage<'_>,
    ) {
        let session = self.sessions[index as usize].as_mut().expect("it was just added");
        let mut in_order: Vec<_> = found.into_iter().collect();
        in_order.sort_unstable_by_key(|(_, sent)| sent.order);
        for (packet_id, sent) in in_order {
            let message = messages.get_mut(&sent.message);
            let phase = if sent.released {
                if let Some(message) = message {
                    let over = message.destination_of(session).cloned();
                    message.elsewhere.get_or_insert_default().over.extend(over);
                }
                Phase::Released
            } else if let Some(delivery) = message.and_then(|found| found.in_flight(session, read))
            {
                self.flow.opened(delivery.message.id);
                Phase::ExactlyOnce(delivery)
            } else {
                // It never left: the crash tore its message off.
                let gone = Record::Completed { session: session.serial, packet_id };
                self.ledger.note(|out| gone.encode(out));
                continue;
            };
            self.ledger.still_kept(sent.kept);
            session.machine.restore_in_flight(packet_id, phase);
            session.ids.sent.insert(packet_id, sent);
        }
    }

    fn recover_message(&mut self, now: Time, found: FoundMessage, read: &mut ReadMessage<'_>) {
        self.ledger.still_kept(found.kept);
        let FoundMessage { id, bytes, expires, destinations, kept, elsewhere, .. } = found;
        self.queued_bytes += u64::from(bytes);
        let all = destinations.clone();
        self.stored.insert(id, Stored { body: None, waits: false, bytes, kept, destinations });
        for destination in all {
            let is_among = |listed: &Vec<Destination>| listed.contains(&destination);
            let (in_flight, over) = elsewhere
                .as_ref()
                .map_or((false, false), |e| (is_among(&e.in_flight), is_among(&e.over)));
            if in_flight {
                continue;
            }
            let waits = !over
                && match &destination {
                    Destination::Session { session, qos, retain } => {
                        let waiting = StoredDelivery {
                            message: id,
                            qos: *qos,
                            retain: *retain,
                            subscription_ids: None,
                        };
                        self.recover_waiting(*session, waiting, bytes as usize, expires)
                    }
                    destination => read(kept.position, id).is_some_and(|message| {
                        self.recover_destination(now, &message, destination)
                    }),
                };
            if !waits {
                self.done(id, &destination);
            }
        }
    }

    /// Puts a message back into the queue of a session. What was on its way with QoS 1 is among
    /// them, so that the queue may pass its limits by that much. Tells whether the session is there.
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
            Destination::Share { filter, session, qos, retain } => {
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

    /// Puts a message into the hold of a device after a restart.
    fn recover_hold(&mut self, device: &DeviceName, message: &Arc<Message>, until: Time) {
        let rule = self.hold_rule(device);
        for dropped in self.holds.put(device, held(device, message, until), until, &rule) {
            self.counters.add(Counter::DropHoldFull);
            self.hold_done(&dropped);
        }
        self.arm_sweep();
    }

    /// Puts back into their holds what a session that ended had not delivered, in its order.
    pub(crate) fn give_back_held(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries.into_iter().rev() {
            let Keeper::Hold(device, until) = &delivery.keeper else { continue };
            let rule = self.hold_rule(device);
            let message = held(device, &delivery.message, *until);
            self.holds.give_back(device, message, *until, &rule);
        }
        self.arm_sweep();
    }

    fn hold_rule(&self, device: &DeviceName) -> Hold {
        let routes = self.config.table.routes().iter();
        routes
            .filter(|route| matches!(&route.to, tomte_route::Destination::Device(d) if d == device))
            .find_map(|route| route.on_unavailable)
            .unwrap_or(LEFT_OVER)
    }

    /// A hold needs the message no more.
    pub(crate) fn hold_done(&mut self, delivery: &Delivery) {
        if let Keeper::Hold(device, until) = &delivery.keeper {
            let destination = Destination::Hold { device: device.clone(), until: *until };
            self.done(delivery.message.id, &destination);
        }
    }

    pub(crate) fn hold_expired(&mut self, now: Time, device: &DeviceName, delivery: &Delivery) {
        self.counters.add(Counter::DropHoldExpired);
        self.flow.hop(delivery.message.id, || Hop {
            at: now,
            kind: HopKind::Hold,
            subject: device.to_string(),
            verdict: "dropped",
            detail: "the device did not come back in time".to_owned(),
            bad: true,
        });
        self.hold_done(delivery);
    }

    /// Writes everything that is alive and lies in `range` of the journal again, so that the
    /// segment can go.
    pub(crate) fn copy_forward(&mut self, range: &Range<LogPosition>) {
        self.rewrite(|kept| range.contains(&kept.position), false);
    }

    /// After a failed commit: writes all that memory holds, so that the journal is whole again.
    pub(crate) fn catch_up(&mut self) {
        if std::mem::take(&mut self.journal_behind) {
            let before = self.ledger.appended().next();
            self.rewrite(|_| true, true);
            self.note_numbers();
            // Last, so that a torn batch leaves the earlier records in force.
            let superseded = Record::Superseded { before };
            self.ledger.note(|out| superseded.encode(out));
            let appended = self.ledger.appended();
            self.ended.values_mut().for_each(|safe_at| *safe_at = appended);
            if let Some(drop) = &mut self.drop_journal {
                drop.needs = self.ledger.appended();
            }
        }
    }

    /// Writes what `choose` takes again, or, of messages that are safe where they are, only that they
    /// are there.
    fn rewrite(&mut self, choose: impl Fn(&Kept) -> bool, confirm: bool) {
        let receipts = self.receipts();
        let ledger = &mut self.ledger;
        let mut moved = HashSet::new();
        for session in self.sessions.iter_mut().flatten() {
            let Some(kept) = session.kept else { continue };
            // Its parts are read back only after the session, so they move together.
            let moves = choose(&kept);
            if moves {
                moved.insert(session.serial);
                session.write_opened(ledger);
                if session.connection.is_none() {
                    let left = Record::SessionLeft { session: session.serial, ends: session.ends };
                    ledger.note(|out| left.encode(out));
                }
            }
            session.write_parts(ledger, |kept| moves || choose(kept));
        }
        let wills = self.connections.iter_mut().flatten().filter_map(|c| c.will.as_mut());
        for will in wills.filter(|will| choose(&will.kept)) {
            will.write(ledger);
        }
        // In the order in which they lie in the journal: what the hub writes follows from what came
        // in, not from the order of a hash map.
        let mut stored: Vec<_> =
            self.stored.iter_mut().filter(|(_, stored)| choose(&stored.kept)).collect();
        stored.sort_unstable_by_key(|(_, stored)| stored.kept.position);
        let mut in_journal = Vec::new();
        for (id, stored) in stored {
            match &stored.body {
                // What is safe need not be written again: that would take as much room once more.
                _ if confirm && stored.kept.position <= ledger.safe() => {
                    ledger.note(|out| record::encode_confirmed(out, *id, &stored.destinations));
                }
                Some(_) => stored.write(ledger, receipts.get(id).copied()),
                None => in_journal.push((stored.kept.position, *id)),
            }
        }
        let appended = ledger.appended();
        self.published_wills.iter_mut().for_each(|(position, ..)| *position = appended);
        for session in self.sessions.iter_mut().flatten() {
            let moves = moved.contains(&session.serial);
            session.write_received(ledger, |kept| moves || choose(kept));
        }
        let retained = self.retained_kept.iter_mut().filter(|(_, kept)| choose(kept));
        let mut retained: Vec<_> = retained.collect();
        retained.sort_unstable_by_key(|(_, kept)| kept.position);
        for (topic, kept) in retained {
            let Some(message) = self.retained.get(topic) else { continue };
            ledger.forget(*kept);
            *kept = ledger.keep(|out| record::encode_retained(out, message));
        }
        if !in_journal.is_empty() {
            self.copy_from_journal(in_journal);
        }
    }
}

/// A message as the hold of a device keeps it.
fn held(device: &DeviceName, message: &Arc<Message>, until: Time) -> Delivery {
    Delivery {
        message: Arc::clone(message),
        qos: message.qos,
        retain: false,
        keeper: Keeper::Hold(device.clone(), until),
        subscription_ids: None,
    }
}
