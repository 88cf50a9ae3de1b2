//! What clients send, packet by packet.

use tomte_base::QoS;
use tomte_mqtt::codec::{
    self, Ack, Connect, Disconnect, Packet, PublishHead, ReasonCode, Subscribe, Subscription,
    Unsubscribe, Version,
};

use super::{Bed, open};
use crate::Slot;

pub(in crate::tests) const BOTH: [Version; 2] = [Version::V311, Version::V5];

pub(in crate::tests) const QOS0: QoS = QoS::AtMostOnce;
pub(in crate::tests) const QOS1: QoS = QoS::AtLeastOnce;
pub(in crate::tests) const QOS2: QoS = QoS::ExactlyOnce;

/// A packet of QoS 2 after PUBLISH.
#[derive(Clone, Copy, Debug)]
pub(in crate::tests) enum Step {
    Pubrec,
    Pubrel,
    Pubcomp,
}

/// Returns `packet` as it is on the wire.
pub(in crate::tests) fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, version, packet);
    bytes
}

/// Returns a PUBLISH as it is on the wire.
pub(in crate::tests) fn encoded_publish(
    version: Version,
    head: &PublishHead<'_>,
    payload: &str,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_publish(&mut bytes, version, head, payload.as_bytes());
    bytes
}

impl Bed {
    /// A hub that passes on everything from everybody.
    pub(in crate::tests) fn broker() -> Self {
        Self::new(open())
    }

    /// Opens a connection and sends `connect`; `owner` is a device's name, or empty for an anonymous
    /// client.
    pub(in crate::tests) fn connect_as(&mut self, owner: &str, connect: &Connect<'_>) -> Slot {
        let slot = self.open(owner, connect.version);
        self.send_packet(slot, &Packet::Connect(Box::new(connect.clone())));
        slot
    }

    /// Opens a connection of an anonymous client and sends `connect`.
    pub(in crate::tests) fn connect_with(&mut self, connect: &Connect<'_>) -> Slot {
        self.connect_as("", connect)
    }

    /// Connects with a new session that ends with the connection.
    pub(in crate::tests) fn client(&mut self, version: Version, client_id: &str) -> Slot {
        let slot = self.connect_with(&Connect::new(version, client_id));
        assert_eq!(self.received(slot), ["connack Success present=false"]);
        slot
    }

    /// Connects with a session that ends with the connection if `clean`, or is kept for an hour.
    pub(in crate::tests) fn connect(&mut self, owner: &str, client_id: &str, clean: bool) -> Slot {
        let mut connect = Connect::new(Version::V5, client_id);
        connect.clean_start = clean;
        connect.properties.session_expiry_seconds = Some(if clean { 0 } else { 3_600 });
        self.connect_as(owner, &connect)
    }

    /// Connects with a session that is kept, in either version.
    pub(in crate::tests) fn connect_kept(&mut self, client_id: &str, version: Version) -> Slot {
        let mut connect = Connect::new(version, client_id);
        connect.clean_start = false;
        if version == Version::V5 {
            connect.properties.session_expiry_seconds = Some(3_600);
        }
        self.connect_with(&connect)
    }

    /// Sends `packet` in the version of the connection.
    pub(in crate::tests) fn send_packet(&mut self, slot: Slot, packet: &Packet<'_>) {
        let bytes = encoded(self.version(slot), packet);
        self.send(slot, &bytes);
    }

    pub(in crate::tests) fn disconnect(&mut self, slot: Slot, reason: ReasonCode) {
        self.send_packet(slot, &Packet::Disconnect(Disconnect::with_reason(reason)));
    }

    pub(in crate::tests) fn subscribe(&mut self, slot: Slot, filter: &str, qos: QoS) {
        self.subscribe_to(slot, &[Subscription::new(filter, qos)], None);
    }

    /// Sends a SUBSCRIBE with the packet identifier 1.
    pub(in crate::tests) fn subscribe_to(
        &mut self,
        slot: Slot,
        subscriptions: &[Subscription<'_>],
        identifier: Option<u32>,
    ) {
        let subscribe = Subscribe {
            packet_id: 1,
            subscription_identifier: identifier,
            subscriptions: subscriptions.to_vec(),
            ..Subscribe::default()
        };
        self.send_packet(slot, &Packet::Subscribe(subscribe));
    }

    /// Sends an UNSUBSCRIBE with the packet identifier 2.
    pub(in crate::tests) fn unsubscribe(&mut self, slot: Slot, filters: &[&str]) {
        let filters = filters.to_vec();
        let unsubscribe = Unsubscribe { packet_id: 2, filters, ..Unsubscribe::default() };
        self.send_packet(slot, &Packet::Unsubscribe(unsubscribe));
    }

    pub(in crate::tests) fn publish(
        &mut self,
        slot: Slot,
        topic: &str,
        payload: &str,
        qos: QoS,
        packet_id: u16,
    ) {
        let head = PublishHead { topic, qos, packet_id, ..PublishHead::default() };
        self.publish_with(slot, head, payload);
    }

    pub(in crate::tests) fn publish_with(
        &mut self,
        slot: Slot,
        head: PublishHead<'_>,
        payload: &str,
    ) {
        let bytes = encoded_publish(self.version(slot), &head, payload);
        self.send(slot, &bytes);
    }

    /// Publishes with QoS 0 and the retain flag.
    pub(in crate::tests) fn retain(&mut self, slot: Slot, topic: &str, payload: &str) {
        let head = PublishHead { topic, retain: true, ..PublishHead::default() };
        self.publish_with(slot, head, payload);
    }

    pub(in crate::tests) fn puback(&mut self, slot: Slot, packet_id: u16) {
        self.send_packet(slot, &Packet::Puback(Ack::success(packet_id)));
    }

    /// Sends one step of QoS 2 after PUBLISH.
    pub(in crate::tests) fn step(
        &mut self,
        slot: Slot,
        step: Step,
        packet_id: u16,
        reason: ReasonCode,
    ) {
        let ack = Ack::with_reason(packet_id, reason);
        let packet = match step {
            Step::Pubrec => Packet::Pubrec(ack),
            Step::Pubrel => Packet::Pubrel(ack),
            Step::Pubcomp => Packet::Pubcomp(ack),
        };
        self.send_packet(slot, &packet);
    }
}
