//! How messages reach a client: in which order, how many at once, with which identifiers, for how
//! long.

use std::time::Duration;

use tomte_base::ByteSize;

use super::super::harness::{Step, limited};
use super::*;

/// MQTT-4.6.0-4 and MQTT-4.6.0-6 of 3.1.1: the rules bind a server that delivers as well.
#[test]
fn pubrels_are_sent_in_the_order_of_the_pubrecs() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let slot = bed.connect_kept("s", version);
        bed.subscribe(slot, "a", QOS2);
        for id in 1..=3 {
            bed.publish(publisher, "a", "x", QOS2, id);
        }
        bed.received(slot);
        for id in [2, 3, 1] {
            bed.step(slot, Step::Pubrec, id, ReasonCode::Success);
        }
        let expect = ["pubrel 2 Success", "pubrel 3 Success", "pubrel 1 Success"];
        assert_eq!(bed.received(slot), expect, "{version:?}");
        bed.drop_connection(slot);
        let slot = bed.connect_kept("s", version);
        assert_eq!(bed.received(slot)[1..], expect, "and again in that order");
    }
}

/// MQTT-4.4.0-1, MQTT-4.6.0-1 of 3.1.1, MQTT-2.3.1-4 of 3.1.1.
///
/// Proves: MQT-1.
#[test]
fn a_client_that_comes_back_is_sent_what_is_open_in_the_order_of_the_first_time() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let slot = bed.connect_kept("s", version);
        bed.subscribe(slot, "a", QOS2);
        for (id, qos) in [(1, QOS1), (2, QOS2), (3, QOS1), (4, QOS2), (5, QOS1)] {
            bed.publish(publisher, "a", &id.to_string(), qos, id);
        }
        bed.puback(slot, 3);
        bed.step(slot, Step::Pubrec, 2, ReasonCode::Success);
        bed.drop_connection(slot);
        let slot = bed.connect_kept("s", version);
        let expect = [
            "connack Success present=true",
            "publish a 1 qos=1 id=1 dup",
            "publish a 4 qos=2 id=4 dup",
            "publish a 5 qos=1 id=5 dup",
            "pubrel 2 Success",
        ];
        assert_eq!(bed.received(slot), expect, "{version:?}");
    }
}

/// 4.9 of 5: PUBACK, PUBCOMP and a PUBREC that refuses give room for one more, PUBREC does not.
#[test]
fn the_window_of_a_client_opens_with_the_end_of_a_message() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let mut narrow = Connect::new(Version::V5, "s");
    narrow.properties.receive_maximum = Some(1);
    let slot = bed.connect_with(&narrow);
    bed.subscribe(slot, "a", QOS2);
    bed.publish(publisher, "a", "1", QOS2, 1);
    assert_eq!(bed.received(slot)[2..], ["publish a 1 qos=2 id=1"]);
    bed.step(slot, Step::Pubrec, 1, ReasonCode::Success);
    for (id, qos) in [(2, QOS2), (3, QOS1), (4, QOS2)] {
        bed.publish(publisher, "a", &id.to_string(), qos, id);
    }
    assert_eq!(bed.received(slot), ["pubrel 1 Success"]);
    bed.step(slot, Step::Pubcomp, 1, ReasonCode::Success);
    assert_eq!(bed.received(slot), ["publish a 2 qos=2 id=2"]);
    bed.step(slot, Step::Pubrec, 2, ReasonCode::NotAuthorized);
    assert_eq!(bed.received(slot), ["publish a 3 qos=1 id=3"]);
    bed.puback(slot, 3);
    assert_eq!(bed.received(slot), ["publish a 4 qos=2 id=4"]);
}

/// MQTT-3.3.1-5 of 5 and MQTT-3.3.1-7 of 3.1.1: where the new message does not fit, none is kept
/// rather than the old one.
#[test]
fn a_retained_message_that_does_not_fit_takes_the_place_of_the_old_one_all_the_same() {
    let config = || limited(|config| config.limits.max_retained_bytes = ByteSize(2_000));
    let mut bed = Bed::new(config());
    let publisher = bed.client(Version::V311, "p");
    bed.retain(publisher, "a", "old");
    bed.retain(publisher, "a", &"x".repeat(3_000));
    for _ in 0..2 {
        let late = bed.client(Version::V311, "late");
        bed.subscribe(late, "a", QOS0);
        assert_eq!(bed.received(late), ["suback [Success]"]);
        bed.crash(config());
    }
}

/// 3.3.1.3 and MQTT-3.3.2-6 of 5.
#[test]
fn the_time_of_a_retained_message_counts_down_and_ends_it() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let head = PublishHead {
        topic: "a",
        retain: true,
        message_expiry_seconds: Some(10),
        ..PublishHead::default()
    };
    bed.publish_with(publisher, head, "x");
    for (waited, left) in [(0, Some(10)), (4, Some(6)), (5, Some(1)), (1, None)] {
        bed.advance(Duration::from_secs(waited));
        let late = bed.client(Version::V5, "late");
        bed.subscribe(late, "a", QOS0);
        let mut found = None;
        bed.each(late, |packet| {
            if let Packet::Publish(publish) = packet {
                found = publish.properties.message_expiry_seconds();
            }
        });
        assert_eq!(found, left, "after {waited} s more");
        bed.drop_connection(late);
    }
}

/// MQTT-3.3.4-3 and 3.8.4 of 5.
#[test]
fn a_message_carries_the_identifiers_that_its_subscriptions_have_now() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let slot = bed.client(Version::V5, "s");
    let mut carries = |subscriptions: &[(&str, Option<u32>)], expect: &[u32]| {
        for (filter, identifier) in subscriptions {
            bed.subscribe_to(slot, &[Subscription::new(filter, QOS0)], *identifier);
        }
        bed.received(slot);
        bed.publish(publisher, "a", "x", QOS0, 0);
        let mut found = bed.identifiers(slot);
        found[0].2.sort_unstable();
        assert_eq!(found, [("x".to_owned(), 0, expect.to_vec())], "{subscriptions:?}");
    };
    carries(&[("a", Some(7)), ("+", Some(268_435_455))], &[7, 268_435_455]);
    // Made again, with another one and with none.
    carries(&[("a", Some(8))], &[8, 268_435_455]);
    carries(&[("a", None)], &[268_435_455]);
    // The same for both comes twice.
    carries(&[("a", Some(5)), ("+", Some(5))], &[5, 5]);
}

/// MQTT-3.8.4-5 of 5, MQTT-3.8.4-4 of 3.1.1: as if there had been several packets, each filter brings
/// its retained messages.
#[test]
fn each_filter_of_a_subscribe_brings_its_retained_messages() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(version, "p");
        for topic in ["a", "b", "c"] {
            let head = PublishHead {
                topic,
                qos: QOS1,
                packet_id: 1,
                retain: true,
                ..PublishHead::default()
            };
            bed.publish_with(publisher, head, "kept");
        }
        let slot = bed.client(version, "s");
        let asked = [Subscription::new("a", QOS2), Subscription::new("b", QOS0)];
        bed.subscribe_to(slot, &asked, None);
        let expect = [
            "suback [GrantedQos2, Success]",
            "publish a kept qos=1 id=1 retain",
            "publish b kept qos=0 id=0 retain",
        ];
        assert_eq!(bed.received(slot), expect, "{version:?}");
        // One with a wildcard brings those of all topics that match.
        let slot = bed.client(version, "w");
        bed.subscribe(slot, "+", QOS0);
        let mut words = bed.received(slot).split_off(1);
        words.sort_unstable();
        assert_eq!(words, ["a", "b", "c"].map(|t| format!("publish {t} kept qos=0 id=0 retain")));
    }
}

/// MQTT-3.1.2-25: as if it had been sent, so that it takes no room from the next one.
#[test]
fn a_message_that_is_too_large_for_a_client_counts_as_sent() {
    for qos in [QOS0, QOS1, QOS2] {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let mut narrow = Connect { clean_start: false, ..Connect::new(Version::V5, "s") };
        narrow.properties.receive_maximum = Some(1);
        narrow.properties.maximum_packet_bytes = Some(100);
        narrow.properties.session_expiry_seconds = Some(60);
        let slot = bed.connect_with(&narrow);
        bed.subscribe(slot, "a", qos);
        bed.received(slot);
        let large = "x".repeat(100);
        bed.publish(publisher, "a", &large, qos, 1);
        bed.publish(publisher, "a", "small", qos, 2);
        let found = bed.identifiers(slot);
        assert_eq!(found, [("small".to_owned(), qos as u8, vec![])], "{qos:?}");
        if qos == QOS0 {
            continue;
        }
        // The same from the queue.
        bed.publish(publisher, "a", &large, qos, 3);
        bed.publish(publisher, "a", "next", qos, 4);
        let refusal = Ack::with_reason(2, ReasonCode::NotAuthorized);
        let ends = if qos == QOS1 { Packet::Puback(refusal) } else { Packet::Pubrec(refusal) };
        bed.send_packet(slot, &ends);
        assert_eq!(bed.identifiers(slot), [("next".to_owned(), qos as u8, vec![])], "{qos:?}");
        bed.drop_connection(slot);
        let slot = bed.connect_with(&narrow);
        assert_eq!(bed.received(slot).len(), 2, "only what is open comes again");
    }
}

/// MQTT-4.3.3-2 of 3.1.1, MQTT-4.3.3-11 of 5: also where the identifier means nothing any more.
#[test]
fn every_pubrel_is_answered() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.client(version, "s");
        bed.publish(slot, "a", "x", QOS2, 7);
        for id in [7, 7, 9] {
            bed.step(slot, Step::Pubrel, id, ReasonCode::Success);
        }
        let unknown = match version {
            Version::V5 => "PacketIdentifierNotFound",
            Version::V311 => "Success",
        };
        let expect = [
            "pubrec 7 Success".to_owned(),
            "pubcomp 7 Success".to_owned(),
            format!("pubcomp 7 {unknown}"),
            format!("pubcomp 9 {unknown}"),
        ];
        assert_eq!(bed.received(slot), expect, "{version:?}");
    }
}

/// MQTT-4.3.3-9: after a PUBREC that refuses, the identifier stands for a new message.
#[test]
fn an_identifier_of_qos_2_that_was_refused_stands_for_a_new_message() {
    let mut bed = Bed::new(config(&[R("device:*", "a", None, "subscribers")], &[]));
    let (publisher, slot) = (bed.client(Version::V5, "p"), bed.client(Version::V5, "s"));
    bed.subscribe(slot, "a", QOS0);
    bed.received(slot);
    bed.publish(publisher, "b", "1", QOS2, 7);
    bed.publish(publisher, "a", "2", QOS2, 7);
    assert_eq!(bed.received(publisher), ["pubrec 7 NotAuthorized", "pubrec 7 Success"]);
    assert_eq!(bed.received(slot), ["publish a 2 qos=0 id=0"]);
}

/// MQTT-3.1.2-5 and MQTT-4.5.0-1 of 3.1.1, MQTT-4.5.0-1 of 5.
#[test]
fn what_comes_while_a_client_is_away_waits_for_it() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let slot = bed.connect_kept("s", version);
        for (filter, qos) in [("one", QOS1), ("two", QOS2), ("zero", QOS0)] {
            bed.subscribe(slot, filter, qos);
        }
        bed.disconnect(slot, ReasonCode::Success);
        for (id, topic) in [(1, "one"), (2, "two"), (3, "zero"), (4, "other"), (5, "two")] {
            bed.publish(publisher, topic, &id.to_string(), QOS2, id);
        }
        let slot = bed.connect_kept("s", version);
        let expect = [
            "connack Success present=true",
            "publish one 1 qos=1 id=1",
            "publish two 2 qos=2 id=2",
            "publish two 5 qos=2 id=3",
        ];
        assert_eq!(bed.received(slot), expect, "{version:?}");
    }
}

/// MQTT-4.8.2-4.
#[test]
fn a_message_of_qos_2_on_its_way_to_a_member_is_completed_when_it_comes_back() {
    let mut bed = Bed::broker();
    let member = bed.connect_kept("member", Version::V5);
    bed.subscribe(member, "$share/g/a", QOS2);
    let publisher = bed.client(Version::V5, "p");
    bed.publish(publisher, "a", "x", QOS2, 1);
    bed.drop_connection(member);
    let other = bed.client(Version::V5, "other");
    bed.subscribe(other, "$share/g/a", QOS2);
    bed.received(other);
    let member = bed.connect_kept("member", Version::V5);
    assert_eq!(bed.received(member)[1..], ["publish a x qos=2 id=1 dup"]);
    bed.step(member, Step::Pubrec, 1, ReasonCode::Success);
    bed.drop_connection(member);
    let member = bed.connect_kept("member", Version::V5);
    assert_eq!(bed.received(member)[1..], ["pubrel 1 Success"]);
    bed.step(member, Step::Pubcomp, 1, ReasonCode::Success);
    bed.drop_connection(member);
    let member = bed.connect_kept("member", Version::V5);
    assert_eq!(bed.received(member), ["connack Success present=true"]);
    assert!(bed.received(other).is_empty());
}
