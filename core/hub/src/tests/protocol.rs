//! What the two standards ask of a server on one connection, clause by clause.

use tomte_base::QoS;
use tomte_mqtt::codec::{
    self, Ack, Connect, Packet, PublishHead, ReasonCode, Subscribe, Subscription, Version,
};

use super::harness::{BOTH, Bed, R, Step, config};
use crate::{CloseReason, Counter};

/// Proves: MQT-1.
#[test]
fn a_malformed_connect_of_311_is_answered_by_closing_alone() {
    let mut bed = Bed::broker();
    // The reserved flag (MQTT-3.1.2-3), and a client identifier that is no UTF-8 (MQTT-1.5.3-1).
    for connect in [
        &b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x0a\x00\x01c"[..],
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01\xc0",
    ] {
        let slot = bed.open("", Version::V311);
        bed.send(slot, connect);
        assert!(bed.received(slot).is_empty());
        assert!(matches!(bed.close_reason(slot), Some(CloseReason::Refused(_))));
    }
}

#[test]
fn a_malformed_connect_of_5_is_told_why() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    bed.send(slot, b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x0a\x00\x00\x01c");
    assert_eq!(bed.received(slot), ["connack MalformedPacket present=false"]);
    assert!(bed.is_closed(slot));
}

#[test]
fn an_unknown_protocol_level_is_answered_in_the_form_of_the_version_next_to_it() {
    for (level, connack) in [
        (2, &[0x20, 2, 0, 1][..]),
        (3, &[0x20, 2, 0, 1]),
        (6, &[0x20, 3, 0, 0x84, 0]),
        (99, &[0x20, 3, 0, 0x84, 0]),
    ] {
        let mut bed = Bed::broker();
        let slot = bed.open("", Version::V311);
        let connect = [b"\x10\x0d\x00\x04MQTT", &[level][..], b"\x02\x00\x0a\x00\x01c"].concat();
        bed.send(slot, &connect);
        let received = bed.received_bytes(slot);
        // In version 5 a reason string may follow.
        assert_eq!((received[0], &received[2..4]), (connack[0], &connack[2..4]), "{level}");
        assert!(bed.is_closed(slot));
    }
}

#[test]
fn a_first_packet_that_is_no_connect_gets_no_answer() {
    let mut bed = Bed::broker();
    for first in [&b"\xc0\x00"[..], b"\x30\x00", b"\x10\x0a\x00\x04HTTP\x04\x02\x00\x0a"] {
        let slot = bed.open("", Version::V311);
        bed.send(slot, first);
        assert!(bed.received(slot).is_empty(), "{first:?}");
        assert!(bed.close_reason(slot).is_some());
    }
}

#[test]
fn a_client_that_could_not_take_the_connack_gets_none_and_no_session() {
    let mut bed = Bed::broker();
    let mut hello = Connect::new(Version::V5, "c");
    hello.properties.maximum_packet_bytes = Some(10);
    hello.properties.session_expiry_seconds = Some(60);
    let slot = bed.connect_with(&hello);
    assert!(bed.received(slot).is_empty());
    assert!(matches!(bed.close_reason(slot), Some(CloseReason::Refused(_))));
    hello.properties.maximum_packet_bytes = Some(64);
    hello.clean_start = false;
    let slot = bed.connect_with(&hello);
    assert_eq!(bed.received(slot), ["connack Success present=false"]);
}

/// Proves: MQT-1.
#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_the_connection() {
    let wrong = |id| {
        let ack = Ack::success(id);
        [
            (QoS::AtLeastOnce, Packet::Pubrec(ack)),
            (QoS::AtLeastOnce, Packet::Pubcomp(ack)),
            (QoS::ExactlyOnce, Packet::Puback(ack)),
            (QoS::ExactlyOnce, Packet::Pubcomp(ack)),
        ]
    };
    for version in BOTH {
        for (qos, ack) in wrong(1) {
            let mut bed = Bed::broker();
            let slot = bed.client(version, "c");
            bed.subscribe(slot, "a", qos);
            bed.publish(slot, "a", "1", QoS::ExactlyOnce, 9);
            bed.received(slot);
            bed.send_packet(slot, &ack);
            assert!(bed.is_breach(slot), "{version:?} {qos:?} {ack:?}");
            let told = bed.received(slot);
            let expect =
                if version == Version::V5 { vec!["disconnect ProtocolError"] } else { Vec::new() };
            assert_eq!(told, expect);
        }
    }
}

#[test]
fn puback_in_place_of_pubcomp_ends_the_connection() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.client(version, "c");
        bed.subscribe(slot, "a", QoS::ExactlyOnce);
        bed.publish(slot, "a", "1", QoS::ExactlyOnce, 9);
        bed.step(slot, Step::Pubrec, 1, ReasonCode::Success);
        bed.received(slot);
        bed.send_packet(slot, &Packet::Puback(Ack::success(1)));
        assert!(bed.is_breach(slot));
    }
}

#[test]
fn an_acknowledgement_that_comes_twice_does_no_harm() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    bed.subscribe(slot, "a", QoS::AtLeastOnce);
    bed.publish(slot, "a", "1", QoS::AtLeastOnce, 9);
    bed.puback(slot, 1);
    bed.puback(slot, 1);
    assert_eq!(bed.close_reason(slot), None);
}

#[test]
fn pubcomp_tells_of_an_unknown_identifier_only_where_nothing_can_have_been_lost() {
    let mut bed = Bed::broker();
    let slot = bed.connect("", "c", false);
    bed.step(slot, Step::Pubrel, 5, ReasonCode::Success);
    let words = bed.received(slot);
    assert_eq!(words, ["connack Success present=false", "pubcomp 5 PacketIdentifierNotFound"]);
    bed.drop_connection(slot);
    let slot = bed.connect("", "c", false);
    bed.step(slot, Step::Pubrel, 5, ReasonCode::Success);
    assert_eq!(bed.received(slot), ["connack Success present=true", "pubcomp 5 Success"]);
}

/// Proves: MQT-1.
#[test]
fn no_matching_subscribers_is_said_only_when_no_subscription_matches() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    let publish = |bed: &mut Bed, topic, id| {
        bed.publish(slot, topic, &"x".repeat(60), QoS::AtLeastOnce, id);
        bed.received(slot)
    };
    assert_eq!(publish(&mut bed, "nobody", 1), ["puback 1 NoMatchingSubscribers"]);
    let own = Subscription { no_local: true, ..Subscription::new("own", QoS::AtLeastOnce) };
    let subscribe = Subscribe { packet_id: 2, subscriptions: vec![own], ..Subscribe::default() };
    bed.send_packet(slot, &Packet::Subscribe(subscribe));
    bed.received(slot);
    assert_eq!(publish(&mut bed, "own", 3), ["puback 3 Success"]);
    let mut small = Connect::new(Version::V5, "small");
    small.properties.maximum_packet_bytes = Some(60);
    let other = bed.connect_with(&small);
    bed.subscribe(other, "large", QoS::AtMostOnce);
    assert_eq!(publish(&mut bed, "large", 4), ["puback 4 Success"]);
    assert_eq!(bed.hub.counters().get(Counter::DropTooLarge), 1);
    assert_eq!(bed.hub.counters().get(Counter::DropNoSubscriber), 1);
    bed.publish(slot, "nobody", "1", QoS::ExactlyOnce, 5);
    assert_eq!(bed.received(slot), ["pubrec 5 Success"]);
}

/// Proves: MQT-1.
#[test]
fn a_filter_that_is_none_ends_the_connection() {
    for version in BOTH {
        for filter in ["#/a", "a#", "a/b+/c"] {
            let mut bed = Bed::broker();
            let slot = bed.client(version, "c");
            bed.subscribe(slot, filter, QoS::AtMostOnce);
            assert!(bed.is_breach(slot), "{filter}");
            let slot = bed.client(version, "d");
            bed.unsubscribe(slot, &[filter]);
            assert!(bed.is_breach(slot), "{filter}");
        }
    }
}

#[test]
fn a_filter_that_is_too_deep_is_refused_and_the_connection_goes_on() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    bed.subscribe(slot, &"/".repeat(tomte_base::MAX_TOPIC_LEVELS), QoS::AtMostOnce);
    assert_eq!(bed.received(slot), ["suback [TopicFilterInvalid]"]);
    assert_eq!(bed.close_reason(slot), None);
}

/// Proves: MQT-1.
#[test]
fn a_client_that_takes_topic_aliases_gets_a_topic_once() {
    let mut bed = Bed::broker();
    let mut hello = Connect::new(Version::V5, "c");
    hello.properties.topic_alias_maximum = Some(1);
    let slot = bed.connect_with(&hello);
    let plain = bed.client(Version::V5, "plain");
    for slot in [slot, plain] {
        bed.subscribe(slot, "TopicA", QoS::ExactlyOnce);
        bed.received(slot);
    }
    let sender = bed.client(Version::V5, "sender");
    for (id, qos) in [(1, QoS::AtMostOnce), (2, QoS::AtLeastOnce), (3, QoS::ExactlyOnce)] {
        bed.publish(sender, "TopicA", "x", qos, id);
    }
    let words = bed.received(slot);
    assert_eq!(
        words,
        [
            "publish TopicA x qos=0 id=0 alias=1",
            "publish  x qos=1 id=1 alias=1",
            "publish  x qos=2 id=2 alias=1"
        ]
    );
    let words = bed.received(plain);
    assert_eq!(words[1], "publish TopicA x qos=1 id=1");
}

#[test]
fn a_packet_that_is_too_large_teaches_a_client_no_alias() {
    let mut bed = Bed::broker();
    let mut hello = Connect::new(Version::V5, "c");
    hello.properties.topic_alias_maximum = Some(5);
    hello.properties.maximum_packet_bytes = Some(40);
    let slot = bed.connect_with(&hello);
    bed.subscribe(slot, "TopicA", QoS::AtMostOnce);
    bed.received(slot);
    let sender = bed.client(Version::V5, "sender");
    bed.publish(sender, "TopicA", &"x".repeat(40), QoS::AtMostOnce, 0);
    bed.publish(sender, "TopicA", &"x".repeat(29), QoS::AtMostOnce, 0);
    bed.publish(sender, "TopicA", "x", QoS::AtMostOnce, 0);
    let words = bed.received(slot);
    assert_eq!(words.len(), 2);
    assert_eq!(words[0], format!("publish TopicA {} qos=0 id=0", "x".repeat(29)));
    assert_eq!(words[1], "publish TopicA x qos=0 id=0 alias=1");
}

#[test]
fn a_client_that_wants_no_problem_information_gets_no_reason_strings() {
    for (wanted, told) in [(Some(false), false), (None, true)] {
        let mut bed = Bed::new(config(&[R("device:*", "a", None, "subscribers")], &[]));
        let mut hello = Connect::new(Version::V5, "c");
        hello.properties.request_problem_information = wanted;
        let slot = bed.connect_with(&hello);
        bed.received(slot);
        bed.subscribe(slot, "b", QoS::AtMostOnce);
        let bytes = bed.received_bytes(slot);
        let Ok(Packet::Suback(suback)) = codec::decode(&bytes, Version::V5) else {
            panic!("no SUBACK: {bytes:?}");
        };
        assert_eq!(suback.reasons, [ReasonCode::NotAuthorized]);
        assert_eq!(suback.reason_string.is_some(), told);
    }
}

/// Proves: MQT-1.
#[test]
fn a_client_of_5_that_sends_past_the_receive_maximum_is_told_0x93() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    for id in 1..=65 {
        bed.publish(slot, "a", "x", QoS::ExactlyOnce, id);
    }
    let words = bed.received(slot);
    assert_eq!(words.len(), 65);
    assert_eq!(words[63], "pubrec 64 Success");
    assert_eq!(words[64], "disconnect ReceiveMaximumExceeded");
}

#[test]
fn enhanced_authentication_is_refused_and_auth_without_it_is_a_breach() {
    let mut bed = Bed::broker();
    let mut hello = Connect::new(Version::V5, "c");
    hello.properties.authentication_method = Some("SCRAM-SHA-1");
    let slot = bed.connect_with(&hello);
    assert_eq!(bed.received(slot), ["connack BadAuthenticationMethod present=false"]);
    assert!(bed.is_closed(slot));
    let slot = bed.client(Version::V5, "d");
    let auth = codec::Auth {
        reason: ReasonCode::ReAuthenticate,
        method: Some("SCRAM-SHA-1"),
        ..codec::Auth::default()
    };
    bed.send_packet(slot, &Packet::Auth(auth));
    assert_eq!(bed.received(slot), ["disconnect ProtocolError"]);
    assert!(bed.is_breach(slot));
}

#[test]
fn a_client_without_an_identifier_is_told_one_that_nobody_else_gets() {
    let mut bed = Bed::broker();
    let mut given = Vec::new();
    for _ in 0..2 {
        let slot = bed.connect_with(&Connect::new(Version::V5, ""));
        let bytes = bed.received_bytes(slot);
        let Ok(Packet::Connack(connack)) = codec::decode(&bytes, Version::V5) else {
            panic!("no CONNACK: {bytes:?}");
        };
        given.push(connack.properties.assigned_client_id.unwrap().to_owned());
    }
    assert_ne!(given[0], given[1]);
    assert_eq!(given[0].len(), "auto-".len() + 36);
}

#[test]
fn an_empty_identifier_of_311_without_a_clean_session_is_refused_with_2() {
    let mut bed = Bed::broker();
    let hello = Connect { clean_start: false, ..Connect::new(Version::V311, "") };
    let slot = bed.connect_with(&hello);
    assert_eq!(bed.received_bytes(slot), [0x20, 2, 0, 2]);
    assert!(bed.is_closed(slot));
}

/// Proves: MQT-1.
#[test]
fn topics_of_the_server_are_fed_by_no_wildcard_route() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    bed.subscribe(slot, "#", QoS::AtMostOnce);
    bed.received(slot);
    bed.publish(slot, "$SYS/broker/version", "mine", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(slot), ["puback 1 NotAuthorized"]);
    let old = bed.client(Version::V311, "old");
    bed.publish(old, "$SYS/broker/version", "mine", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(old), ["puback 1 Success"]);
    assert!(bed.received(slot).is_empty());
}

#[test]
fn a_wildcard_in_a_published_topic_is_a_protocol_error() {
    let mut bed = Bed::broker();
    let slot = bed.client(Version::V5, "c");
    bed.publish_with(slot, PublishHead { topic: "a/+", ..PublishHead::default() }, "x");
    assert_eq!(bed.received(slot), ["disconnect ProtocolError"]);
}

/// Proves: MQT-1.
#[test]
fn a_topic_that_goes_to_nobody_can_be_neither_subscribed_to_nor_received() {
    let routes = [
        R("device:*", "#", None, "subscribers"),
        R("device:*", "test/nosubscribe", None, "nobody"),
    ];
    let mut bed = Bed::new(config(&routes, &[]));
    for version in BOTH {
        let slot = bed.client(version, "c");
        bed.subscribe(slot, "test/nosubscribe", QoS::ExactlyOnce);
        assert_eq!(bed.received(slot), ["suback [UnspecifiedError]"]);
        bed.subscribe(slot, "#", QoS::ExactlyOnce);
        bed.received(slot);
        let head =
            PublishHead { topic: "test/nosubscribe", retain: true, ..PublishHead::default() };
        bed.publish_with(slot, head, "x");
        assert!(bed.received(slot).is_empty());
    }
    assert_eq!(bed.hub.counters().get(Counter::DropToNobody), 2);
}
