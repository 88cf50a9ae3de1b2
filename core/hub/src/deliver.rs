//! How a message reaches one session: sent on its connection, or queued.

use std::sync::Arc;

use tomte_base::{Message, QoS, Time};
use tomte_broker::{Overflow, Push};
use tomte_mqtt::codec::{self, Ack as MqttAck, ReasonCode};
use tomte_mqtt::session::Redelivery;

use crate::calls::millis;
use crate::counter::Counter;
use crate::encode::{Encoder, append_kept};
use crate::flow::{Hop, HopKind};
use crate::match_set::MatchedSession;
use crate::packet_ids::withdraw;
use crate::record::{Destination, SentAs};
use crate::session::{Delivery, Keeper, Session, StoredDelivery, Waiting};
use crate::{Hub, Slot};

/// What became of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the connection's buffer. Of one that the record of the message is to say it: as what.
    Sent(Option<SentAs>),
    /// It waits in the session's queue.
    Queued,
    /// QoS 0, and the client is away.
    Offline,
    /// QoS 0, and the connection's buffer is full.
    SlowReader,
    /// Larger than the client allows.
    TooLarge,
    /// The queue is full and its rule dropped this one.
    QueueFull,
    /// All queues together are full and their rule dropped this one.
    QueuesFull,
}

impl Outcome {
    /// Tells whether the receiver has it, or will.
    pub(crate) fn is_taken(self) -> bool {
        matches!(self, Self::Sent(_) | Self::Queued)
    }

    /// As what it left, if the record of the message is to say so.
    pub(crate) fn sent_as(self) -> Option<SentAs> {
        if let Self::Sent(sent) = self { sent } else { None }
    }
}

impl Hub {
    /// Writes a QoS 0 delivery into the buffer of its connection.
    pub(crate) fn send_at_most_once(
        &mut self,
        matched: &MatchedSession,
        retain: bool,
        encoder: &mut Encoder<'_>,
    ) -> Outcome {
        let session = self.sessions[matched.session as usize].as_ref();
        let Some(slot) = session.and_then(|session| session.connection) else {
            self.counters.add(Counter::DropOffline);
            return Outcome::Offline;
        };
        // Nothing follows a DISCONNECT (MQTT-3.14.4-1).
        let open = self.connections[slot.index()].as_mut().filter(|c| c.closing.is_none());
        let Some(connection) = open else {
            self.counters.add(Counter::DropOffline);
            return Outcome::Offline;
        };
        if connection.out.len() > self.config.limits.output_high_water {
            self.counters.add(Counter::DropSlowReader);
            return Outcome::SlowReader;
        }
        let ids = matched.ids.as_deref().unwrap_or_default();
        if !encoder.append(connection, (QoS::AtMostOnce, retain), 0, ids) {
            self.counters.add(Counter::DropTooLarge);
            return Outcome::TooLarge;
        }
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
        self.counters.add(Counter::Delivered);
        Outcome::Sent(None)
    }

    /// Sends a QoS 1 or 2 delivery now, or queues it.
    pub(crate) fn send_acknowledged(
        &mut self,
        now: Time,
        index: u32,
        delivery: Delivery,
        encoder: &mut Encoder<'_>,
    ) -> Outcome {
        let Some(session) = self.sessions[index as usize].as_mut() else { return Outcome::Offline };
        let open = session.queue.is_empty().then_some(session.connection).flatten();
        let Some((slot, connection)) = open.and_then(|slot| {
            let connection = self.connections[slot.index()].as_mut()?;
            let takes = connection.closing.is_none()
                && connection.out.len() <= self.config.limits.output_high_water;
            takes.then_some((slot, connection))
        }) else {
            return self.push(now, index, delivery);
        };
        let Some(packet_id) = session.machine.send(delivery.qos, delivery.clone()) else {
            return self.push(now, index, delivery);
        };
        let ids = delivery.subscription_ids.as_deref().unwrap_or_default();
        if !encoder.append(connection, (delivery.qos, delivery.retain), packet_id, ids) {
            withdraw(&mut session.machine, delivery.qos, packet_id);
            self.counters.add(Counter::DropTooLarge);
            return Outcome::TooLarge;
        }
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
        self.counters.add(Counter::Delivered);
        Outcome::Sent(self.sent_at_once(index, slot, packet_id, &delivery))
    }

    fn push(&mut self, now: Time, index: u32, delivery: Delivery) -> Outcome {
        let bytes = delivery.message.payload.len() + delivery.message.topic.len();
        if !self.make_room_in_queues(now, index, bytes) {
            return Outcome::QueuesFull;
        }
        let Some(session) = self.sessions[index as usize].as_mut() else { return Outcome::Offline };
        let (message, expires) = (delivery.message.id, delivery.message.expires);
        let serial = session.serial;
        match session.queue.push(Waiting::from(delivery), bytes, expires) {
            Push::Queued => {}
            Push::QueuedDropping(old) => {
                for dropped in &old {
                    self.dropped_for_room(now, index, serial, dropped, Outcome::QueueFull);
                }
            }
            Push::Dropped(_) | Push::Refused(_) => {
                self.counters.add(Counter::DropQueueFull);
                return Outcome::QueueFull;
            }
        }
        self.note_queued(message);
        Outcome::Queued
    }

    /// Applies the rule of the queues to all of them together. Tells whether there is room for one
    /// more message of `bytes` in that of the session. Its oldest goes only where that makes room: the
    /// bytes of one that others wait for too stay where they are.
    fn make_room_in_queues(&mut self, now: Time, index: u32, bytes: usize) -> bool {
        let limits = &self.config.limits;
        let (most_bytes, most) = (limits.max_queued.0, limits.max_queued_deliveries as usize);
        let overflow = limits.session_queue.overflow;
        while self.queued_bytes + bytes as u64 > most_bytes || self.queued_deliveries >= most {
            let lacks_bytes = self.queued_bytes + bytes as u64 > most_bytes;
            let stored = &self.stored;
            let makes_room = |oldest: &Waiting| match oldest {
                Waiting::Stored(oldest) => stored
                    .get(&oldest.message)
                    .is_some_and(|stored| !lacks_bytes || stored.destinations.len() == 1),
                Waiting::Whole(_) => false,
            };
            let session = self.sessions[index as usize].as_mut();
            let oldest = session.filter(|_| overflow == Overflow::DropOldest).and_then(|session| {
                session.queue.get(0).filter(|oldest| makes_room(oldest))?;
                let oldest = session.queue.pop(Time(0), &mut Vec::new());
                oldest.map(|oldest| (session.serial, oldest))
            });
            let Some((serial, oldest)) = oldest else {
                self.counters.add(Counter::DropQueuesFull);
                return false;
            };
            self.dropped_for_room(now, index, serial, &oldest, Outcome::QueuesFull);
        }
        true
    }

    /// Queues a delivery that recovery or a hold brings. Tells whether it was taken.
    pub(crate) fn enqueue(&mut self, now: Time, index: u32, delivery: Delivery) -> bool {
        self.flow.opened(delivery.message.id);
        let message = delivery.message.id;
        let taken = self.push(now, index, delivery) == Outcome::Queued;
        if !taken {
            self.flow.closed(message);
        }
        taken
    }

    /// Sends a retained or held message: at once where the client is there, else through the queue.
    pub(crate) fn send_now(&mut self, now: Time, index: u32, delivery: Delivery) {
        if delivery.qos > QoS::AtMostOnce {
            if !self.enqueue(now, index, delivery.clone()) {
                self.not_taken(index, &delivery);
            }
            self.pump(now, index);
            return;
        }
        let Some(slot) = self.session_mut(index).and_then(|session| session.connection) else {
            return;
        };
        let high_water = self.config.limits.output_high_water;
        let open = self.connection_mut(slot).filter(|connection| connection.closing.is_none());
        let Some(connection) = open else { return };
        if connection.out.len() > high_water {
            self.counters.add(Counter::DropSlowReader);
            return;
        }
        if !append_kept(now, connection, &delivery, 0, false) {
            self.counters.add(Counter::DropTooLarge);
            return;
        }
        self.mark_dirty(slot);
        self.counters.add(Counter::Delivered);
    }

    /// Puts deliveries that waited elsewhere, in the order of their numbers, among those that wait
    /// here: each before the first one that was accepted later. The limits of the queue do not count.
    pub(crate) fn merge_into_queue(&mut self, index: u32, held: Vec<Delivery>) {
        for delivery in &held {
            self.flow.opened(delivery.message.id);
        }
        let Some(session) = self.session_mut(index).filter(|_| !held.is_empty()) else { return };
        let held = held.into_iter().map(|delivery| {
            let bytes = delivery.message.payload.len() + delivery.message.topic.len();
            let expires = delivery.message.expires;
            (Waiting::from(delivery), bytes, expires)
        });
        let (mut held, mut merged) = (held.peekable(), Vec::new());
        for waiting in session.queue.drain_entries() {
            while let Some(older) = held.next_if(|held| held.0.id() < waiting.0.id()) {
                merged.push(older);
            }
            merged.push(waiting);
        }
        merged.extend(held);
        for (waiting, bytes, expires) in merged {
            session.queue.push_back(waiting, bytes, expires);
        }
    }

    fn dropped_for_room(
        &mut self,
        now: Time,
        index: u32,
        serial: u64,
        dropped: &Waiting,
        outcome: Outcome,
    ) {
        self.counters.add(match outcome {
            Outcome::QueuesFull => Counter::DropQueuesFull,
            _ => Counter::DropQueueFull,
        });
        self.trace_outcome(now, dropped.id(), index, outcome);
        self.release_waiting(serial, dropped);
    }

    /// A session needs a delivery of its queue no more.
    fn release_waiting(&mut self, serial: u64, waiting: &Waiting) {
        match waiting {
            Waiting::Whole(delivery) => self.release(serial, delivery, None),
            Waiting::Stored(StoredDelivery { message, qos, retain, .. }) => {
                self.flow.closed(*message);
                let kept = Destination::session(serial, *qos, *retain);
                self.done(*message, &kept);
            }
        }
    }

    /// The queue of a session is full and did not take a delivery.
    fn not_taken(&mut self, index: u32, delivery: &Delivery) {
        let serial = self.session_mut(index).map(|session| session.serial);
        match (&delivery.keeper, serial) {
            (Keeper::Session, Some(session)) => {
                let (qos, retain) = (delivery.qos, delivery.retain);
                let kept = Destination::session(session, qos, retain);
                self.done(delivery.message.id, &kept);
            }
            (Keeper::Share(filter), _) => self.share_done(filter, delivery),
            _ => self.hold_done(delivery),
        }
    }

    /// A session needs a delivery no more.
    fn release(&mut self, session: u64, delivery: &Delivery, sent: Option<SentAs>) {
        self.flow.closed(delivery.message.id);
        let (qos, retain) = (delivery.qos, delivery.retain);
        let kept = match &delivery.keeper {
            Keeper::Nobody => return,
            Keeper::Hold(..) => return self.hold_done(delivery),
            Keeper::Session => Destination::Session { session, qos, retain, sent },
            Keeper::Share(filter) => {
                let filter = filter.clone();
                Destination::Share { filter, session, qos, retain, sent }
            }
        };
        self.done(delivery.message.id, &kept);
    }

    /// Sends from the queue what the window and the buffer have room for.
    pub(crate) fn pump(&mut self, now: Time, index: u32) {
        let high_water = self.config.limits.output_high_water;
        let mut expired = Vec::new();
        self.send_deferred(now, index);
        loop {
            let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut)
            else {
                return;
            };
            if session.queue.is_empty() || session.machine.window() == 0 {
                break;
            }
            let Some(slot) = session.connection else { break };
            let Some(connection) = self.connections[slot.index()].as_mut() else { break };
            if connection.closing.is_some() || connection.out.len() > high_water {
                break;
            }
            let Some(waiting) = session.queue.peek(now, &mut expired) else { break };
            let body = match waiting {
                Waiting::Whole(delivery) => Some(&delivery.message),
                Waiting::Stored(waiting) => {
                    self.stored.get(&waiting.message).and_then(|stored| stored.body.as_ref())
                }
            };
            let Some(body) = body.cloned() else { break };
            let delivery = match session.queue.pop(now, &mut expired) {
                Some(Waiting::Whole(delivery)) => delivery,
                Some(Waiting::Stored(waiting)) => waiting.with(body, &session.subscriptions),
                None => break,
            };
            let Some(packet_id) = session.machine.send(delivery.qos, delivery.clone()) else {
                break;
            };
            if !append_kept(now, connection, &delivery, packet_id, false) {
                withdraw(&mut session.machine, delivery.qos, packet_id);
                let serial = session.serial;
                self.counters.add(Counter::DropTooLarge);
                self.trace_outcome(now, delivery.message.id, index, Outcome::TooLarge);
                self.release(serial, &delivery, None);
                continue;
            }
            self.counters.add(Counter::Delivered);
            self.mark_dirty(slot);
            self.keep_sending(index, slot, packet_id, &delivery);
            self.trace_outcome(now, delivery.message.id, index, Outcome::Sent(None));
        }
        self.drop_expired(now, index, &expired);
        self.fetch_for_window(index);
    }

    /// Sends what was in flight on the last connection and did not fit the window of this one.
    fn send_deferred(&mut self, now: Time, index: u32) {
        let slot = self.session_mut(index).and_then(|session| session.connection);
        let open = slot.and_then(|slot| self.connection(slot)).filter(|c| c.closing.is_none());
        if open.is_none() {
            return;
        }
        while let Some(again) =
            self.session_mut(index).and_then(|session| session.machine.next_deferred().map(again))
        {
            self.send_again(now, index, again);
        }
    }

    /// Sends what was in flight when the last connection ended, if it fits the client's limit now.
    fn send_again(&mut self, now: Time, index: u32, (id, delivery): (u16, Option<Delivery>)) {
        let Some(session) = self.sessions[index as usize].as_mut() else { return };
        let Some(slot) = session.connection else { return };
        let Some(connection) = self.connections[slot.index()].as_mut() else { return };
        let Some(delivery) = delivery else {
            let version = connection.mqtt.version();
            codec::encode_pubrel(&mut connection.out, version, &MqttAck::success(id));
            return self.mark_dirty(slot);
        };
        if !append_kept(now, connection, &delivery, id, true) {
            withdraw(&mut session.machine, delivery.qos, id);
            let serial = session.serial;
            self.counters.add(Counter::DropTooLarge);
            self.trace_outcome(now, delivery.message.id, index, Outcome::TooLarge);
            // In this order: torn between, the message would wait again, under another identifier.
            self.release(serial, &delivery, None);
            return self.keep_completed(index, id);
        }
        self.counters.add(Counter::Delivered);
        self.mark_dirty(slot);
    }

    fn drop_expired(&mut self, now: Time, index: u32, expired: &[Waiting]) {
        let Some(serial) = self.session_mut(index).map(|session| session.serial) else { return };
        for waiting in expired {
            self.counters.add(Counter::DropExpired);
            self.flow.hop(waiting.id(), || Hop {
                at: now,
                kind: HopKind::Delivery,
                subject: String::new(),
                verdict: "dropped",
                detail: "its time was over before it could be delivered".to_owned(),
                bad: true,
            });
            self.release_waiting(serial, waiting);
        }
    }

    /// Sends again what was in flight when the last connection ended, in order, then the queue.
    pub(crate) fn resume(&mut self, now: Time, index: u32) {
        let Some(session) = self.session_mut(index) else { return };
        let in_flight: Vec<_> = session.machine.resume().map(again).collect();
        for again in in_flight {
            self.send_again(now, index, again);
        }
        self.pump(now, index);
    }

    /// A client acknowledged a QoS 1 delivery.
    pub(crate) fn on_puback(&mut self, now: Time, slot: Slot, ack: &MqttAck<'_>) {
        let Some(index) = self.connection(slot).and_then(|c| c.session) else { return };
        let Some(session) = self.session_mut(index) else { return };
        let delivery = match session.machine.on_puback(ack.packet_id) {
            Ok(delivery) => delivery,
            Err(unknown) if unknown.in_use => {
                return self.breach(slot, ReasonCode::ProtocolError, &unknown.to_string());
            }
            // The client may answer a duplicate.
            Err(_) => return,
        };
        let refused = ack.reason.is_failure().then_some(ack.reason);
        let sent = self.forget_sent(index, ack.packet_id);
        self.client_has(now, index, &delivery, refused, sent);
        self.pump(now, index);
    }

    /// A client took a delivery or refused it for good: the session needs it no more. `sent` is what a
    /// record said of its leaving, where the end of that need not be told apart.
    pub(crate) fn client_has(
        &mut self,
        now: Time,
        index: u32,
        delivery: &Delivery,
        refused: Option<ReasonCode>,
        sent: Option<SentAs>,
    ) {
        let Some(serial) = self.session_mut(index).map(|session| session.serial) else { return };
        self.counters.add(Counter::Acknowledged);
        self.trace_acknowledged(now, index, &delivery.message, refused);
        self.release(serial, delivery, sent);
    }

    fn trace_acknowledged(
        &mut self,
        now: Time,
        index: u32,
        message: &Arc<Message>,
        refused: Option<ReasonCode>,
    ) {
        if !self.flow.is_traced(message.id) {
            return;
        }
        let subject = self.name_of(index);
        let after = millis(now - message.received);
        self.flow.hop(message.id, || Hop {
            at: now,
            kind: HopKind::Delivery,
            subject,
            verdict: if refused.is_some() { "refused" } else { "acknowledged" },
            detail: match refused {
                Some(reason) => format!("the client answered {reason:?} after {after}"),
                None => format!("after {after}"),
            },
            bad: refused.is_some(),
        });
    }

    pub(crate) fn name_of(&self, index: u32) -> String {
        let session = self.sessions.get(index as usize).and_then(Option::as_ref);
        session.map_or_else(String::new, |session| match session.owner.device() {
            Some(device) => device.to_string(),
            None => format!("anonymous {}", session.client_id),
        })
    }

    pub(crate) fn trace_outcome(
        &mut self,
        now: Time,
        message: tomte_base::MessageId,
        index: u32,
        outcome: Outcome,
    ) {
        if !self.flow.is_traced(message) {
            return;
        }
        let queued = self.sessions[index as usize].as_ref().map_or(0, |s: &Session| s.queue.len());
        let (verdict, detail, bad) = match outcome {
            Outcome::Sent(_) => ("sent", String::new(), false),
            Outcome::Queued => ("queued", format!("{queued} in the queue of its session"), false),
            Outcome::Offline => ("dropped", "QoS 0, and the client is away".to_owned(), true),
            Outcome::SlowReader => {
                ("dropped", "QoS 0, and the client reads too slowly".to_owned(), true)
            }
            Outcome::TooLarge => {
                ("dropped", "larger than the client's maximum packet size".to_owned(), true)
            }
            Outcome::QueueFull => {
                ("dropped", format!("the queue of its session is full ({queued})"), true)
            }
            Outcome::QueuesFull => ("dropped", "all queues together are full".to_owned(), true),
        };
        let subject = self.name_of(index);
        self.flow.hop(message, || Hop {
            at: now,
            kind: HopKind::Delivery,
            subject,
            verdict,
            detail,
            bad,
        });
    }
}

/// What is to be sent again: PUBLISH with a delivery, PUBREL without.
fn again(redelivery: Redelivery<'_, Delivery>) -> (u16, Option<Delivery>) {
    match redelivery {
        Redelivery::Publish { id, message, .. } => (id, Some(message.clone())),
        Redelivery::Pubrel { id } => (id, None),
    }
}
