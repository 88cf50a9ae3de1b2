use std::time::Duration;

use super::*;

#[test]
fn a_session_is_resumed_or_begun_anew_as_the_client_asks() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let kept = bed.connect_kept("s", version);
        assert_eq!(bed.received(kept), ["connack Success present=false"], "there was none");
        bed.subscribe(kept, "a", QOS1);
        bed.drop_connection(kept);
        bed.publish(publisher, "a", "1", QOS1, 1);
        let kept = bed.connect_kept("s", version);
        let expect = ["connack Success present=true", "publish a 1 qos=1 id=1"];
        assert_eq!(bed.received(kept), expect, "with its subscriptions and what came");
        bed.drop_connection(kept);
        let clean = bed.client(version, "s");
        bed.publish(publisher, "a", "2", QOS1, 2);
        assert_eq!(bed.received(clean), Vec::<String>::new());
        bed.drop_connection(clean);
        let kept = bed.connect_kept("s", version);
        assert_eq!(bed.received(kept), ["connack Success present=false"], "nothing of it is left");
    }
}

#[test]
fn retained_messages_outlive_the_session_of_their_publisher() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V311, "p");
    bed.retain(publisher, "a", "kept");
    bed.drop_connection(publisher);
    let late = bed.client(Version::V311, "late");
    bed.subscribe(late, "a", QOS0);
    assert_eq!(bed.received(late)[1], "publish a kept qos=0 id=0 retain");
}

#[test]
fn a_second_connect_ends_the_connection() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.client(version, "s");
        bed.send_packet(slot, &Packet::Connect(Box::new(Connect::new(version, "s"))));
        assert!(bed.is_breach(slot));
        let told = if version == Version::V5 { vec!["disconnect ProtocolError"] } else { vec![] };
        assert_eq!(bed.received(slot), told);
    }
}

#[test]
fn a_client_that_connects_twice_loses_its_first_connection() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let (first, second) = (bed.client(version, "s"), bed.client(version, "s"));
        assert!(bed.is_closed(first) && !bed.is_closed(second));
        let mut told = Vec::new();
        bed.each(first, |packet| {
            let Packet::Disconnect(disconnect) = packet else { panic!("{packet:?}") };
            assert_eq!(disconnect.session_expiry_seconds, None, "that is for clients to say");
            told.push(disconnect.reason);
        });
        let expect =
            if version == Version::V5 { vec![ReasonCode::SessionTakenOver] } else { vec![] };
        assert_eq!(told, expect);
    }
}

#[test]
fn nothing_that_follows_a_refused_connect_is_looked_at() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    let mut refused = Connect::new(Version::V5, "s");
    refused.properties.authentication_method = Some("m");
    let connect = encoded(Version::V5, &Packet::Connect(Box::new(refused)));
    let head = PublishHead { topic: "a", retain: true, ..PublishHead::default() };
    let publish = encoded_publish(Version::V5, &head, "x");
    bed.send(slot, &[connect, publish, encoded(Version::V5, &Packet::Pingreq)].concat());
    assert_eq!(bed.received(slot), ["connack BadAuthenticationMethod present=false"]);
    assert!(matches!(bed.close_reason(slot), Some(CloseReason::Refused(_))));
    assert_eq!(bed.hub.view().retained, 0);
}

#[test]
fn packets_that_follow_connect_at_once_are_answered_after_connack() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.open("", version);
        let connect = Packet::Connect(Box::new(Connect::new(version, "s")));
        bed.send(slot, &[encoded(version, &connect), encoded(version, &Packet::Pingreq)].concat());
        assert_eq!(bed.received(slot), ["connack Success present=false", "Pingresp"]);
    }
}

#[test]
fn a_client_that_never_connects_is_sent_nothing() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    bed.advance(Duration::from_secs(60));
    assert!(bed.is_closed(slot));
    assert!(bed.received_bytes(slot).is_empty(), "DISCONNECT only follows CONNACK");
}

#[test]
fn identifiers_of_one_to_23_letters_and_digits_are_accepted() {
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut bed = Bed::broker();
    for version in BOTH {
        for length in 1..=23 {
            for start in 0..all.len() - length {
                let slot = bed.client(version, &all[start..start + length]);
                bed.drop_connection(slot);
            }
        }
    }
}

#[test]
fn a_session_belongs_to_its_client_identifier() {
    let mut bed = Bed::broker();
    let one = bed.connect_kept("one", Version::V5);
    bed.subscribe(one, "a", QOS0);
    let two = bed.connect_kept("two", Version::V5);
    assert_eq!(bed.received(two), ["connack Success present=false"]);
    bed.publish(two, "a", "x", QOS0, 0);
    assert_eq!(bed.received(two), Vec::<String>::new());
    assert_eq!(bed.received(one).last().unwrap(), "publish a x qos=0 id=0");
}

#[test]
fn a_will_is_retained_when_it_says_so_and_only_then() {
    for version in BOTH {
        for is_retained in [true, false] {
            let mut bed = Bed::broker();
            let mut with_will = Connect::new(version, "w");
            with_will.will =
                Some(Will { topic: "a", payload: b"gone", retain: is_retained, ..Will::default() });
            let slot = bed.connect_with(&with_will);
            bed.drop_connection(slot);
            let late = bed.client(version, "late");
            bed.subscribe(late, "a", QOS0);
            let words = bed.received(late);
            let expect = "publish a gone qos=0 id=0 retain".to_owned();
            assert_eq!(words.contains(&expect), is_retained, "{words:?}");
        }
    }
}

#[test]
fn connack_has_no_response_information_and_no_authentication_method() {
    let mut bed = Bed::broker();
    for asks in [None, Some(false), Some(true)] {
        let mut asking = Connect::new(Version::V5, "s");
        asking.properties.request_response_information = asks;
        let slot = bed.connect_with(&asking);
        bed.each(slot, |packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            assert_eq!(connack.properties.response_information, None);
            assert_eq!(connack.properties.authentication_method, None);
            // All qualities of service are there, so no maximum is named.
            assert_eq!(connack.properties.maximum_qos, None);
        });
    }
}

#[test]
fn an_identifier_that_is_too_long_is_refused() {
    let long = "x".repeat(300);
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.connect_with(&Connect::new(version, &long));
        assert_eq!(bed.received(slot), ["connack ClientIdentifierNotValid present=false"]);
        assert!(bed.is_closed(slot));
    }
}

#[test]
fn a_will_keeps_the_order_of_its_user_properties() {
    let mut bed = Bed::broker();
    let watcher = bed.client(Version::V5, "watcher");
    bed.subscribe(watcher, "a", QOS0);
    bed.received(watcher);
    let pairs = [("k", "2"), ("a", "1"), ("k", "1")];
    let user: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let properties = tomte_base::Properties { user: user.clone(), ..Default::default() };
    let mut with_will = Connect::new(Version::V5, "w");
    let properties = Some(Box::new(properties));
    with_will.will = Some(Will { topic: "a", properties, ..Will::default() });
    let slot = bed.connect_with(&with_will);
    bed.drop_connection(slot);
    let mut found: Vec<Vec<(String, String)>> = Vec::new();
    bed.each(watcher, |packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        let user = publish.properties.user_properties().iter();
        found.push(user.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    });
    assert_eq!(found, [user]);
}

#[test]
fn packets_with_wrong_flags_or_reserved_bits_end_the_connection() {
    let malformed: [&[u8]; 7] = [
        // PUBREL, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT with other flags.
        &[0x60, 2, 0, 1],
        &[0x80, 6, 0, 1, 0, 1, b'a', 0],
        &[0xA0, 5, 0, 1, 0, 1, b'a'],
        &[0xC1, 0],
        &[0xE1, 0],
        // PUBLISH of QoS 3, and a subscription with a reserved bit, in the form of each version.
        &[0x36, 5, 0, 1, b'a', 0, 1],
        &[0x82, 6, 0, 1, 0, 1, b'a', 0x80],
    ];
    for version in BOTH {
        for bytes in malformed {
            let mut bed = Bed::broker();
            let slot = bed.client(version, "s");
            bed.send(slot, bytes);
            assert!(bed.is_breach(slot), "{bytes:02x?}");
            let told = match version {
                Version::V5 => vec!["disconnect MalformedPacket"],
                Version::V311 => vec![],
            };
            assert_eq!(bed.received(slot), told, "{bytes:02x?}");
        }
    }
    let mut bed = Bed::broker();
    for bytes in [&[0xF1, 0][..], &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40]] {
        let slot = bed.client(Version::V5, "s");
        bed.send(slot, bytes);
        assert!(bed.is_breach(slot), "{bytes:02x?}");
    }
}
