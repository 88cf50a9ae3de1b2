//! What a client must not send, and the reason that it is told. *Source*: 4.13.1 of MQTT 5, 4.8 of
//! 3.1.1.

use tomte_mqtt::codec::{Auth, Connack, Suback, Unsuback};

use super::*;

/// Sends what `what` makes for each version, and looks at how the connection ends: with `reason` in
/// version 5, and without a word in 3.1.1.
#[track_caller]
fn ends(versions: &[Version], reason: &str, what: impl Fn(Version) -> Vec<u8>) {
    for version in versions {
        let mut bed = Bed::broker();
        let other = bed.client(*version, "other");
        let slot = bed.client(*version, "s");
        let bytes = what(*version);
        bed.send(slot, &bytes);
        assert!(bed.is_breach(slot), "{version:?} {bytes:02x?}");
        let told = match version {
            Version::V5 => vec![format!("disconnect {reason}")],
            Version::V311 => vec![],
        };
        assert_eq!(bed.received(slot), told, "{version:?} {bytes:02x?}");
        assert!(!bed.is_closed(other), "there are no consequences for others");
    }
}

const ONLY_5: [Version; 1] = [Version::V5];

/// Proves: MQT-1.
#[test]
fn what_only_a_server_sends_ends_the_connection() {
    let reasons = vec![ReasonCode::Success];
    let packets = [
        Packet::Connack(Box::new(Connack::default())),
        Packet::Suback(Suback { packet_id: 1, reasons: reasons.clone(), ..Suback::default() }),
        Packet::Unsuback(Unsuback { packet_id: 1, reasons, ..Unsuback::default() }),
        Packet::Pingresp,
    ];
    for packet in packets {
        ends(&BOTH, "ProtocolError", |version| encoded(version, &packet));
    }
}

/// MQTT-3.2.2-15 of 5, 3.2.2.3.6.
#[test]
fn a_packet_over_the_limit_ends_the_connection_before_it_is_there() {
    let limit = Bed::broker().hub.config().limits.max_packet;
    // The fixed header alone says how large it is.
    let remaining = limit;
    let digits = [0, 7, 14, 21].map(|shift| u8::try_from(remaining >> shift & 0x7F).unwrap());
    let header = [0x30, digits[0] | 0x80, digits[1] | 0x80, digits[2] | 0x80, digits[3]];
    ends(&BOTH, "PacketTooLarge", |_| header.to_vec());
}

/// 3.3.4 of 5.
#[test]
fn an_alias_that_is_zero_too_large_or_unknown_ends_the_connection() {
    let maximum = Bed::broker().hub.config().limits.topic_alias_maximum;
    for (topic, alias, reason) in [
        ("a", 0, "TopicAliasInvalid"),
        ("a", maximum + 1, "TopicAliasInvalid"),
        ("", maximum + 1, "TopicAliasInvalid"),
        ("a", u16::MAX, "TopicAliasInvalid"),
        ("", 1, "ProtocolError"),
    ] {
        let head = PublishHead { topic, topic_alias: Some(alias), ..PublishHead::default() };
        ends(&ONLY_5, reason, |version| encoded_publish(version, &head, "x"));
    }
}

/// MQTT-3.3.4-6; 3.3.2.1: a topic or an alias there must be.
#[test]
fn a_publish_that_a_client_may_not_send_ends_the_connection() {
    let head = PublishHead { topic: "a", subscription_identifiers: &[1], ..PublishHead::default() };
    ends(&ONLY_5, "ProtocolError", |version| encoded_publish(version, &head, "x"));
    ends(&BOTH, "ProtocolError", |version| {
        encoded_publish(version, &PublishHead { topic: "", ..PublishHead::default() }, "x")
    });
    for topic in ["a/+", "#", "a#b"] {
        let head = PublishHead { topic, ..PublishHead::default() };
        ends(&BOTH, "ProtocolError", |version| encoded_publish(version, &head, "x"));
    }
}

/// MQTT-3.8.3-2, MQTT-3.8.3-4, MQTT-3.8.3-5, MQTT-3.10.3-2 and 3.8.3.1 of 5; MQTT-3.8.3-3, MQTT-3.8.3-4
/// and MQTT-3.10.3-2 of 3.1.1.
#[test]
fn a_subscribe_or_unsubscribe_that_is_not_allowed_ends_the_connection() {
    let body = |version: Version, first: u8, rest: &[u8]| {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let body = [&[0, 1], properties, rest].concat();
        [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    };
    for first in [0x82, 0xA2] {
        ends(&BOTH, "ProtocolError", |version| body(version, first, &[]));
        ends(&BOTH, "MalformedPacket", |version| body(version, first, &[0, 0, 0]));
    }
    // QoS 3, retain handling 3, and the reserved bits.
    for (options, reason) in [
        (0b0000_0011, "ProtocolError"),
        (0b0011_0000, "ProtocolError"),
        (0b0100_0000, "MalformedPacket"),
        (0b1000_0000, "MalformedPacket"),
    ] {
        ends(&BOTH, reason, |version| body(version, 0x82, &[0, 1, b'a', options]));
    }
}

/// 3.15 of 5: there was no authentication method in CONNECT.
#[test]
fn auth_without_a_method_in_connect_ends_the_connection() {
    for reason in [ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate] {
        let auth = Auth { reason, method: Some("m"), ..Auth::default() };
        ends(&ONLY_5, "ProtocolError", |version| encoded(version, &Packet::Auth(auth)));
    }
}

/// The properties of CONNECT that are errors, with the reason in CONNACK: 3.1.2.11 of 5.
///
/// Proves: MQT-1.
#[test]
fn a_connect_with_a_property_that_is_not_allowed_is_told_why() {
    let connect = |properties: &[u8]| {
        let length = u8::try_from(properties.len()).unwrap();
        let body = [b"\x00\x04MQTT\x05\x02\x00\x00", &[length][..], properties, b"\x00\x01s"];
        let body = body.concat();
        [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    };
    for (properties, reason) in [
        (&[0x21, 0, 0][..], "ProtocolError"),
        (&[0x27, 0, 0, 0, 0], "ProtocolError"),
        (&[0x17, 2], "ProtocolError"),
        (&[0x19, 2], "ProtocolError"),
        (&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], "ProtocolError"),
        (&[0x16, 0, 1, b'd'], "ProtocolError"),
        (&[0x23, 0, 1], "MalformedPacket"),
        (&[0x7E, 0], "MalformedPacket"),
    ] {
        let mut bed = Bed::broker();
        let slot = bed.open("", Version::V5);
        bed.send(slot, &connect(properties));
        let expect = format!("connack {reason} present=false");
        assert_eq!(bed.received(slot), [expect], "{properties:02x?}");
        assert!(bed.is_closed(slot));
    }
}
