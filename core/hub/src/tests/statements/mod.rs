//! Normative statements of the two standards that no other test shows. The list of all of them, each
//! with its tests, is in `docs/reference/mqtt-statements`.

mod publish;
mod session;
mod subscribe;

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Connect, Packet, PublishHead, Subscribe, Subscription, Version};

use super::harness::{Bed, R, config};
use crate::{CloseReason, Slot};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

fn broker() -> Bed {
    Bed::new(config(&[R("device:*", "#", None, "subscribers")], &[]))
}

fn connect(bed: &mut Bed, connect: &Connect<'_>) -> Slot {
    let slot = bed.open("", connect.version);
    let mut bytes = Vec::new();
    codec::encode_connect(&mut bytes, connect);
    bed.send(slot, &bytes);
    slot
}

/// Connects with a session that ends with the connection.
fn client(bed: &mut Bed, version: Version, client_id: &str) -> Slot {
    let slot = connect(bed, &Connect::new(version, client_id));
    assert_eq!(bed.received(slot), ["connack Success present=false"]);
    slot
}

fn send(bed: &mut Bed, slot: Slot, version: Version, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, version, packet);
    bed.send(slot, &bytes);
}

fn subscribe(bed: &mut Bed, slot: Slot, version: Version, subscriptions: &[Subscription<'_>]) {
    let subscriptions = subscriptions.to_vec();
    let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
    send(bed, slot, version, &Packet::Subscribe(subscribe));
}

/// Publishes with QoS 0 and the retain flag.
fn retain(bed: &mut Bed, slot: Slot, topic: &str, payload: &str) {
    bed.publish_with(slot, PublishHead { topic, retain: true, ..PublishHead::default() }, payload);
}

/// Shows each packet that the client received since the last look.
fn each(bed: &mut Bed, slot: Slot, version: Version, mut show: impl FnMut(&Packet<'_>)) {
    let bytes = bed.bytes(slot);
    let mut rest = &bytes[..];
    while let Some(length) = codec::frame_len(rest, u32::MAX).unwrap() {
        show(&codec::decode(&rest[..length], version).unwrap());
        rest = &rest[length..];
    }
}

fn is_closed(bed: &Bed, slot: Slot) -> bool {
    bed.closed.iter().any(|(closed, _)| *closed == slot)
}

fn is_breach(bed: &Bed, slot: Slot) -> bool {
    bed.closed.iter().any(|(s, reason)| *s == slot && matches!(reason, CloseReason::Protocol(_)))
}
