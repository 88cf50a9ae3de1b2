//! PUBLISH: the one packet that has a head, a template and properties that stay on the wire.

use proptest::prelude::*;
use tomte_base::{Properties, QoS};

use super::strategies::{publish_head, version};
use super::{bytes, encoded};
use crate::codec::*;

fn publish(frame: &[u8], version: Version) -> Publish<'_> {
    match decode(frame, version) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("not a PUBLISH: {other:?}"),
    }
}

#[test]
fn the_properties_of_a_message_are_read_in_any_order() {
    let frame = bytes(
        "35 32 0001't' 0007 28 260001'a'0001'1' 0B05 0900020102 0200000E10 230003 0101 \
         030001'j' 0B8101 2600000000 080001'r' 'payl'",
    );
    let read = publish(&frame, Version::V5);
    assert_eq!((read.qos, read.retain, read.dup), (QoS::ExactlyOnce, true, false));
    assert_eq!((read.topic, read.packet_id, read.payload), ("t", 7, &b"payl"[..]));
    let properties = read.properties;
    assert_eq!(properties.topic_alias(), Some(3));
    assert_eq!(properties.message_expiry_seconds(), Some(3600));
    assert_eq!(properties.is_utf8(), Some(true));
    assert_eq!(properties.content_type(), Some("j"));
    assert_eq!(properties.response_topic(), Some("r"));
    assert_eq!(properties.correlation_data(), Some(&[1, 2][..]));
    assert_eq!(Vec::from_iter(properties.user_properties().iter()), [("a", "1"), ("", "")]);
    assert_eq!(Vec::from_iter(properties.subscription_identifiers()), [5, 129]);
    let owned = properties.to_owned_properties().unwrap();
    assert_eq!(owned.user.len(), 2);
    assert_eq!(owned.correlation_data.as_deref(), Some(&[1, 2][..]));
}

#[test]
fn properties_of_the_connection_alone_are_nothing_to_keep() {
    let read = bytes("30 0C 0001't' 08 230003 0200000001");
    let properties = publish(&read, Version::V5).properties;
    assert!(!properties.is_empty());
    assert_eq!(properties.to_owned_properties(), None);
}

#[test]
fn a_message_of_qos_0_has_neither_identifier_nor_dup() {
    let head = PublishHead { dup: true, topic: "t", packet_id: 9, ..PublishHead::default() };
    for version in [Version::V311, Version::V5] {
        let mut out = Vec::new();
        encode_publish(&mut out, version, &head, b"x");
        let read = publish(&out, version);
        assert_eq!((read.dup, read.packet_id, read.payload), (false, 0, &b"x"[..]));
    }
}

/// MQTT-3.3.2-4: one that says "no text" is another than none.
#[test]
fn each_payload_format_indicator_is_kept_as_it_is() {
    for (payload_is_utf8, written) in [
        (None, "30 04 0001't' 00"),
        (Some(false), "30 06 0001't' 02 0100"),
        (Some(true), "30 06 0001't' 02 0101"),
    ] {
        let read = bytes(written);
        let owned = publish(&read, Version::V5).properties.to_owned_properties();
        let kept = owned.as_deref().and_then(|properties| properties.payload_is_utf8);
        assert_eq!(kept, payload_is_utf8);
        let head = PublishHead { topic: "t", properties: owned.as_deref(), ..Default::default() };
        let mut out = Vec::new();
        encode_publish(&mut out, Version::V5, &head, b"");
        assert_eq!(out, read);
    }
}

#[test]
fn version_311_leaves_properties_out() {
    let properties = Properties { payload_is_utf8: Some(true), ..Properties::default() };
    let head = PublishHead {
        topic: "t",
        topic_alias: Some(1),
        message_expiry_seconds: Some(1),
        properties: Some(&properties),
        subscription_identifiers: &[1],
        ..PublishHead::default()
    };
    let mut out = Vec::new();
    encode_publish(&mut out, Version::V311, &head, b"x");
    assert_eq!(out, bytes("30 04 0001't' 'x'"));
    assert_eq!(publish_len(Version::V311, &head, 1), out.len());
}

#[test]
fn a_decoded_publish_is_small_and_so_is_every_packet() {
    assert!(size_of::<Publish<'_>>() <= 56, "{}", size_of::<Publish<'_>>());
    assert!(size_of::<Packet<'_>>() <= 96, "{}", size_of::<Packet<'_>>());
}

proptest! {
    #[test]
    fn what_a_head_says_is_what_is_read(
        (version, (head, payload)) in version().prop_flat_map(|v| (Just(v), publish_head(v))),
    ) {
        let mut out = Vec::new();
        encode_publish(&mut out, version, &head, payload);
        prop_assert_eq!(publish_len(version, &head, payload.len()), out.len());
        let read = publish(&out, version);
        prop_assert_eq!((read.dup, read.qos, read.retain), (head.dup, head.qos, head.retain));
        prop_assert_eq!((read.topic, read.packet_id), (head.topic, head.packet_id));
        prop_assert_eq!(read.payload, payload);
        prop_assert_eq!(read.properties.topic_alias(), head.topic_alias);
        prop_assert_eq!(read.properties.message_expiry_seconds(), head.message_expiry_seconds);
        let identifiers = Vec::from_iter(read.properties.subscription_identifiers());
        prop_assert_eq!(&identifiers, head.subscription_identifiers);
        let owned = read.properties.to_owned_properties();
        prop_assert_eq!(owned.as_deref(), head.properties);
        prop_assert_eq!(encoded(version, &Packet::Publish(read)), out);
    }

    #[test]
    fn a_template_gives_the_bytes_that_encoding_gives(
        (version, (head, payload)) in version().prop_flat_map(|v| (Just(v), publish_head(v))),
        packet_id in 1u16..,
        dup: bool,
    ) {
        let template = PublishTemplate::new(version, &head, payload);
        let mut expect = vec![0xAA];
        encode_publish(&mut expect, version, &PublishHead { packet_id, dup, ..head }, payload);
        let mut out = vec![0xAA];
        template.append(&mut out, packet_id, dup);
        prop_assert_eq!(template.len(), out.len() - 1);
        prop_assert_eq!(out, expect);
    }
}
