//! The packet identifiers that the journal keeps for sessions that outlive their connection: what was
//! on its way comes again under the same ones (MQTT-4.4.0-1).
//!
//! A message of QoS 1 that leaves as soon as it is accepted has its identifier in the record that says
//! so, [`SentAs`]. All others have a record of their own. Either is written before the message leaves,
//! because nothing is sent before the records of the turn are written; only QoS 2 waits until they are
//! safe. So a crash takes no identifier while the disk works, and a power cut may take those of the last
//! messages of QoS 1. In the mode `none` nothing is promised.

use std::collections::BTreeMap;

use tomte_base::{MessageId, QoS};

use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::record::{Record, SentAs};
use crate::session::{Delivery, Keeper};
use crate::{Hub, Slot};

/// Where a message on its way to a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SentPhase {
    /// The client has not said that it has the message.
    Open(QoS),
    /// It has it; PUBREL and PUBCOMP are left.
    Released,
}

/// A message on its way to a client, with the record of its packet identifier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentId {
    pub(crate) message: MessageId,
    pub(crate) order: u64,
    pub(crate) phase: SentPhase,
    pub(crate) kept: Kept,
}

/// A QoS 2 message of the client that is not released yet, with its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedId {
    /// None when it was received before the last restart.
    pub(crate) message: Option<MessageId>,
    pub(crate) kept: Kept,
}

/// The packet identifiers that have records of their own, of one session.
#[derive(Default)]
pub(crate) struct KeptIds {
    pub(crate) sent: BTreeMap<u16, SentId>,
    pub(crate) received: BTreeMap<u16, ReceivedId>,
}

impl KeptIds {
    /// The record of a message on its way.
    pub(crate) fn sent_record(session: u64, packet_id: u16, sent: &SentId) -> Record {
        let SentId { message, order, phase, .. } = *sent;
        match phase {
            SentPhase::Open(qos) => Record::Sending { session, packet_id, qos, message, order },
            SentPhase::Released => Record::Released { session, packet_id, message, order },
        }
    }

    /// The session ended, and its records mean nothing any more.
    pub(crate) fn forget_all(self, ledger: &mut Ledger<Ack>) {
        let sent = self.sent.into_values().map(|sent| sent.kept);
        let received = self.received.into_values().map(|received| received.kept);
        for kept in sent.chain(received) {
            ledger.forget(kept);
        }
    }
}

/// Takes back a delivery that was put in flight and cannot be sent.
pub(crate) fn withdraw(
    machine: &mut tomte_mqtt::session::Session<Delivery>,
    qos: QoS,
    packet_id: u16,
) {
    if qos == QoS::ExactlyOnce {
        let _withdrawn = machine.on_pubrec(packet_id, true);
    } else {
        let _withdrawn = machine.on_puback(packet_id);
    }
}

impl Hub {
    /// A message is in the buffer of its connection, and its record does not say so: the journal is
    /// to know its packet identifier. One of QoS 2 leaves when that is safe, because the client knows it
    /// by nothing else.
    pub(crate) fn keep_sending(
        &mut self,
        index: u32,
        slot: Slot,
        packet_id: u16,
        delivery: &Delivery,
    ) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let qos = delivery.qos;
        if !session.is_persistent() {
            return self.leaves_group(slot, delivery);
        }
        let (order, message) = (self.ledger.appended().next().0, delivery.message.id);
        let phase = SentPhase::Open(qos);
        let mut sent = SentId { message, order, phase, kept: Kept::default() };
        let record = KeptIds::sent_record(session.serial, packet_id, &sent);
        sent.kept = self.ledger.keep(|out| record.encode(out));
        session.ids.sent.insert(packet_id, sent);
        if qos == QoS::ExactlyOnce {
            self.gate(slot);
        }
    }

    /// A message leaves as it is accepted. Returns as what, for the record that will say both.
    pub(crate) fn sent_at_once(
        &mut self,
        index: u32,
        slot: Slot,
        packet_id: u16,
        delivery: &Delivery,
    ) -> Option<SentAs> {
        if delivery.qos == QoS::ExactlyOnce {
            self.keep_sending(index, slot, packet_id, delivery);
            return None;
        }
        let session = self.sessions.get(index as usize)?.as_ref()?;
        let order = self.ledger.appended().next().0;
        session.is_persistent().then_some(SentAs { packet_id, order })
    }

    /// A message leaves for a session that ends with the process: if it is one of QoS 2, no other member
    /// of its group may get it after a restart (MQTT-4.8.2-5).
    fn leaves_group(&mut self, slot: Slot, delivery: &Delivery) {
        let (Keeper::Share(filter), QoS::ExactlyOnce) = (&delivery.keeper, delivery.qos) else {
            return;
        };
        self.share_done(filter, delivery);
        self.gate(slot);
    }

    /// The client has a message of QoS 2.
    pub(crate) fn keep_released(&mut self, index: u32, packet_id: u16) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(sent) = session.ids.sent.get_mut(&packet_id) else { return };
        self.ledger.forget(sent.kept);
        sent.phase = SentPhase::Released;
        sent.order = self.ledger.appended().next().0;
        let record = KeptIds::sent_record(session.serial, packet_id, sent);
        sent.kept = self.ledger.keep(|out| record.encode(out));
    }

    /// The packet identifier of an outbound message is free again.
    pub(crate) fn keep_completed(&mut self, index: u32, packet_id: u16) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(sent) = session.ids.sent.remove(&packet_id) else { return };
        self.ledger.forget(sent.kept);
        let record = Record::Completed { session: session.serial, packet_id };
        self.ledger.note(|out| record.encode(out));
    }

    /// A client has a message of QoS 1. Returns what a record of its own said of its leaving: the one
    /// that says that nobody owes it to it any more is to end that too.
    pub(crate) fn forget_sent(&mut self, index: u32, packet_id: u16) -> Option<SentAs> {
        let session = self.sessions.get_mut(index as usize)?.as_mut()?;
        let sent = session.ids.sent.remove(&packet_id)?;
        self.ledger.forget(sent.kept);
        Some(SentAs { packet_id, order: sent.order })
    }
}
