//! QoS 2 in both directions (MQTT 5, 4.3.3), and what the journal keeps of it.
//!
//! ```text
//! from a client   PUBLISH ─ Accepted, Received ─▶ PUBREC     PUBREL ─ ReceiveEnded ─▶ PUBCOMP
//! to a client     Sending ─▶ PUBLISH     PUBREC ─ Released ─▶ PUBREL     PUBCOMP ─ Completed
//! ```
//!
//! Between two packets stands the record that must be safe before the second one leaves, for
//! sessions that outlive their connection. Others need none: they end with the process.

use tomte_base::{MessageId, Time};
use tomte_mqtt::codec::{self, Packet, ReasonCode, Version};
use tomte_mqtt::session::{Pubrec, Qos2Receive};

use crate::counter::Counter;
use crate::fan_out::Receipt;
use crate::hub::{Ack, AckKind};
use crate::packet_ids::ReceivedId;
use crate::record::Record;
use crate::session::Session;
use crate::{CloseReason, Hub, Slot};

impl Hub {
    /// Notes the packet identifier of a QoS 2 message. Tells whether the message is new and must
    /// be passed on; otherwise everything was said.
    pub(crate) fn receive_exactly_once(&mut self, slot: Slot, packet_id: u16) -> bool {
        let Some(connection) = self.connection(slot) else { return false };
        let (serial, Some(index)) = (connection.serial, connection.session) else { return false };
        let limits = &self.config.limits;
        let (most, own) = (limits.max_unreleased as usize, usize::from(limits.receive_maximum));
        let is_full = self.n_unreleased >= most;
        let Some(session) = self.session_mut(index) else { return false };
        if session.machine.receive_qos2(packet_id) == Qos2Receive::Duplicate {
            let reason = ReasonCode::Success;
            self.acknowledge(Ack { slot, serial, kind: AckKind::Pubrec, packet_id, reason });
            return false;
        }
        if is_full && session.machine.unreleased() > own {
            session.machine.on_pubrel(packet_id);
            self.refuse_unreleased(slot, packet_id);
            return false;
        }
        self.n_unreleased += 1;
        true
    }

    /// A client has left open what many connections brought, and more than all sessions together may
    /// have open. Version 5 can say so of the message.
    fn refuse_unreleased(&mut self, slot: Slot, packet_id: u16) {
        self.counters.add(Counter::RefusedUnreleased);
        let Some(connection) = self.connection(slot) else { return };
        let (serial, reason) = (connection.serial, ReasonCode::QuotaExceeded);
        if connection.mqtt.version() == Version::V311 {
            return self.breach(slot, reason, "too many QoS 2 messages are not released");
        }
        self.acknowledge(Ack { slot, serial, kind: AckKind::Pubrec, packet_id, reason });
    }

    /// What the journal ties a QoS 2 message to: the session and the packet identifier.
    pub(crate) fn receipt(&self, index: Option<u32>, packet_id: u16) -> Option<Receipt> {
        let session = self.sessions.get(index? as usize)?.as_ref()?;
        session.is_persistent().then_some(Receipt::Packet(session.serial, packet_id))
    }

    /// A QoS 2 message was passed on: its packet identifier is kept until PUBREL.
    pub(crate) fn keep_received(&mut self, index: u32, packet_id: u16, message: Option<MessageId>) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        if !session.is_persistent() {
            return;
        }
        let record = Record::Received { session: session.serial, packet_id };
        let kept = self.ledger.keep(|out| record.encode(out));
        session.ids.received.insert(packet_id, ReceivedId { message, kept });
    }

    /// A received packet identifier is free again. Tells whether it was known.
    pub(crate) fn end_received(&mut self, index: u32, packet_id: u16) -> bool {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return false;
        };
        let known = session.machine.on_pubrel(packet_id);
        self.n_unreleased -= usize::from(known);
        if let Some(received) = session.ids.received.remove(&packet_id) {
            self.ledger.forget(received.kept);
            let record = Record::ReceiveEnded { session: session.serial, packet_id };
            self.ledger.note(|out| record.encode(out));
        }
        known
    }

    pub(crate) fn on_pubrel(&mut self, slot: Slot, ack: &codec::Ack<'_>) {
        let Some(connection) = self.connection(slot) else { return };
        let (serial, Some(index)) = (connection.serial, connection.session) else { return };
        // MQTT 5, 3.7.2.1: an unknown identifier is no error during recovery. On the connection
        // that took the session up, the client may have lost the PUBCOMP of an earlier one.
        let recovers = connection.resumed;
        let known = self.end_received(index, ack.packet_id);
        let reason = match known || recovers {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        let packet_id = ack.packet_id;
        self.acknowledge(Ack { slot, serial, kind: AckKind::Pubcomp, packet_id, reason });
    }

    /// A client has a QoS 2 message, or refused it.
    pub(crate) fn on_pubrec(&mut self, now: Time, slot: Slot, ack: &codec::Ack<'_>) {
        let Some(connection) = self.connection(slot) else { return };
        let (serial, Some(index)) = (connection.serial, connection.session) else { return };
        let Some(session) = self.session_mut(index) else { return };
        let failed = ack.reason.is_failure();
        let packet_id = ack.packet_id;
        let reason = match session.machine.on_pubrec(packet_id, failed) {
            Ok(Pubrec::SendPubrel(delivery)) => {
                self.keep_released(index, packet_id);
                self.client_has(now, index, &delivery, None, None);
                ReasonCode::Success
            }
            Ok(Pubrec::AlreadyReceived) if !failed => ReasonCode::Success,
            Ok(Pubrec::AlreadyReceived) => return,
            Ok(Pubrec::Ended(delivery)) => {
                // In this order: torn between, the message would wait again, under another identifier.
                self.client_has(now, index, &delivery, Some(ack.reason), None);
                self.keep_completed(index, packet_id);
                return self.pump(now, index);
            }
            Err(unknown) if unknown.in_use => {
                return self.breach(slot, ReasonCode::ProtocolError, &unknown.to_string());
            }
            Err(_) if failed => return,
            Err(_) => ReasonCode::PacketIdentifierNotFound,
        };
        self.acknowledge(Ack { slot, serial, kind: AckKind::Pubrel, packet_id, reason });
    }

    /// A QoS 2 message is done with.
    pub(crate) fn on_pubcomp(&mut self, now: Time, slot: Slot, ack: &codec::Ack<'_>) {
        let Some(index) = self.connection(slot).and_then(|c| c.session) else { return };
        let Some(session) = self.session_mut(index) else { return };
        match session.machine.on_pubcomp(ack.packet_id) {
            Ok(()) => {
                self.keep_completed(index, ack.packet_id);
                self.pump(now, index);
            }
            Err(unknown) if unknown.in_use => {
                self.breach(slot, ReasonCode::ProtocolError, &unknown.to_string());
            }
            // The answer to a PUBREL that was sent twice.
            Err(_) => {}
        }
    }

    /// Answers as soon as the journal has what it led to, in the order of the questions.
    pub(crate) fn acknowledge(&mut self, ack: Ack) {
        self.ask_to_catch_up();
        if let Some(ack) = self.ledger.after_all(ack) {
            self.send_ack(ack);
        }
    }

    /// Gives an acknowledgement that the journal has released.
    pub(crate) fn send_ack(&mut self, ack: Ack) {
        let Some(connection) = self.connection_mut(ack.slot) else { return };
        if connection.serial != ack.serial || connection.closing.is_some() {
            return;
        }
        if ack.ends_publish() {
            connection.mqtt.on_publish_done();
        }
        let fields = codec::Ack::with_reason(ack.packet_id, ack.reason);
        let packet = match ack.kind {
            AckKind::Puback => Packet::Puback(fields),
            AckKind::Pubrec => Packet::Pubrec(fields),
            AckKind::Pubrel => Packet::Pubrel(fields),
            AckKind::Pubcomp => Packet::Pubcomp(fields),
            AckKind::Goodbye => return self.close_not_stored(ack.slot, ack.reason),
        };
        self.answer(ack.slot, packet);
    }

    /// The journal failed, and an acknowledgement cannot be given. Version 5 can say so of a
    /// message; everything else has only the end of the connection.
    pub(crate) fn refuse_ack(&mut self, ack: Ack, reason: ReasonCode) {
        // A refusal promises nothing.
        if ack.reason.is_failure() {
            return self.send_ack(ack);
        }
        self.counters.add(Counter::RefusedNotStored);
        let Some(connection) = self.connection(ack.slot).filter(|c| c.serial == ack.serial) else {
            return;
        };
        let session = connection.session;
        if !self.may_refuse(&ack) {
            return self.close_not_stored(ack.slot, reason);
        }
        if let (AckKind::Pubrec, Some(index)) = (ack.kind, session) {
            self.end_received(index, ack.packet_id);
        }
        self.send_ack(Ack { reason, ..ack });
    }

    /// What a client was to be told cannot be told, and nothing else can either.
    pub(crate) fn close_not_stored(&mut self, slot: Slot, reason: ReasonCode) {
        self.send_disconnect(slot, reason);
        self.close(slot, CloseReason::NotStored);
    }

    /// Tells whether a message may be refused by its acknowledgement. Version 3.1.1 has no reasons.
    /// After a PUBREC with a failure the same packet identifier is another message (MQTT-4.3.3-9), so
    /// that one which has been passed on in memory, and which the client sends again because it lost
    /// the PUBREC, would come twice. Only where the session ends with the connection nothing is sent
    /// again.
    pub(crate) fn may_refuse(&self, ack: &Ack) -> bool {
        let Some(connection) = self.connection(ack.slot) else { return false };
        let session = connection.session.and_then(|index| self.sessions.get(index as usize));
        let session = session.and_then(Option::as_ref);
        let may = match ack.kind {
            AckKind::Puback => true,
            AckKind::Pubrec => session.is_some_and(|session| !session.is_persistent()),
            AckKind::Pubrel | AckKind::Pubcomp | AckKind::Goodbye => false,
        };
        may && connection.mqtt.version() != Version::V311
    }
}

impl Session {
    /// The packet identifiers of QoS 2 messages that the journal ties to a message it keeps.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = (MessageId, Receipt)> {
        let received = self.ids.received.iter();
        received.filter_map(|(id, received)| {
            Some((received.message?, Receipt::Packet(self.serial, *id)))
        })
    }
}
