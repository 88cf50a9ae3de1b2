//! CONNECT: identifiers, keep alive, how long a session is kept, what a refusal says.

use std::time::Duration;

use super::super::harness::limited;
use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// MQTT-3.1.2-24 of 3.1.1, MQTT-3.1.2-22 of 5: "as if the network had failed", so its will is
/// published.
///
/// Proves: MQT-1.
#[test]
fn a_client_that_is_silent_for_one_and_a_half_keep_alives_is_closed_and_leaves_its_will() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let watcher = bed.client(version, "watcher");
        bed.subscribe(watcher, "gone", QOS0);
        bed.received(watcher);
        let will = Some(Will { topic: "gone", payload: b"w", ..Will::default() });
        let hello = Connect { keep_alive_seconds: 10, will, ..Connect::new(version, "c") };
        let slot = bed.connect_with(&hello);
        bed.received(slot);
        bed.advance(seconds(14));
        bed.send_packet(slot, &Packet::Pingreq);
        bed.advance(seconds(14));
        assert_eq!(bed.received(slot), ["Pingresp"], "{version:?}: any packet counts");
        assert!(bed.received(watcher).is_empty() && !bed.is_closed(slot));
        bed.advance(seconds(1));
        assert_eq!(bed.close_reason(slot), Some(&CloseReason::KeepAlive));
        let told =
            if version == Version::V5 { vec!["disconnect KeepAliveTimeout"] } else { vec![] };
        assert_eq!(bed.received(slot), told);
        assert_eq!(bed.received(watcher), ["publish gone w qos=0 id=0"]);
    }
}

/// MQTT-3.1.2-24 of 3.1.1, MQTT-3.1.2-22 of 5: the deadline is for packets, not for bytes.
#[test]
fn a_client_that_drips_single_bytes_sends_no_packet() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot =
            bed.connect_with(&Connect { keep_alive_seconds: 10, ..Connect::new(version, "c") });
        let head = PublishHead { topic: "a", ..PublishHead::default() };
        let packet = encoded_publish(version, &head, "0123456789");
        for n in 1..=8 {
            assert!(!bed.is_closed(slot), "{version:?}: after {n} bytes");
            assert_eq!(bed.hub.on_bytes(bed.now, slot, &packet[..n]), 0);
            bed.advance(seconds(2));
        }
        assert_eq!(bed.close_reason(slot), Some(&CloseReason::KeepAlive), "{version:?}");
    }
}

/// 3.1.2.10 of both standards; MQTT-4.1.0-1 and -2 of 3.1.1, MQTT-4.1.0-1 of 5.
#[test]
fn a_client_without_keep_alive_may_be_silent_for_ever_and_keeps_its_session() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.client(version, "c");
        bed.subscribe(slot, "a", QOS0);
        bed.received(slot);
        bed.advance(seconds(100_000_000));
        bed.publish(slot, "a", "x", QOS0, 0);
        assert_eq!(bed.received(slot), ["publish a x qos=0 id=0"]);
    }
}

/// MQTT-3.1.3-6 of both standards.
#[test]
fn clients_of_both_versions_without_an_identifier_do_not_disturb_each_other() {
    let mut bed = Bed::broker();
    let slots = [0, 1, 2, 3].map(|n| bed.client(BOTH[n % 2], ""));
    assert!(slots.iter().all(|slot| !bed.is_closed(*slot)));
    for slot in slots {
        bed.subscribe(slot, "a", QOS0);
        bed.received(slot);
    }
    bed.publish(slots[0], "a", "x", QOS0, 0);
    for slot in slots {
        assert_eq!(bed.received(slot), ["publish a x qos=0 id=0"]);
    }
}

/// MQTT-3.1.3-7 of 5: as if the client had sent the identifier that it was given.
#[test]
fn a_client_comes_back_to_its_session_with_the_identifier_that_it_was_given() {
    let mut bed = Bed::broker();
    let mut hello = Connect::new(Version::V5, "");
    hello.properties.session_expiry_seconds = Some(60);
    let slot = bed.connect_with(&hello);
    let mut given = String::new();
    bed.each(slot, |packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        given.push_str(connack.properties.assigned_client_id.unwrap());
    });
    bed.drop_connection(slot);
    let slot = bed.connect_kept(&given, Version::V5);
    assert_eq!(bed.received(slot), ["connack Success present=true"]);
}

/// MQTT-3.2.2-4 and -5 of 3.1.1, MQTT-3.2.2-6 and -7 of 5; MQTT-3.1.4-5 of 3.1.1, MQTT-3.1.4-6 of 5.
#[test]
fn a_refused_connect_says_of_no_session_and_ends_with_what_follows_it() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let kept = bed.connect_kept("s", version);
        bed.drop_connection(kept);
        let deep = "/".repeat(tomte_base::MAX_TOPIC_LEVELS);
        let will = Some(Will { topic: &deep, ..Will::default() });
        let refused = Connect { clean_start: false, will, ..Connect::new(version, "s") };
        let slot = bed.open("", version);
        let connect = encoded(version, &Packet::Connect(Box::new(refused)));
        let head = PublishHead { topic: "a", retain: true, ..PublishHead::default() };
        bed.send(slot, &[connect, encoded_publish(version, &head, "x")].concat());
        let told = match version {
            Version::V5 => "connack TopicNameInvalid present=false",
            Version::V311 => "connack NotAuthorized present=false",
        };
        assert_eq!(bed.received(slot), [told]);
        let why = bed.close_reason(slot);
        assert!(matches!(why, Some(CloseReason::Refused(_))), "not for what followed: {why:?}");
        assert_eq!(bed.hub.view().retained, 0);
        let kept = bed.connect_kept("s", version);
        assert_eq!(bed.received(kept), ["connack Success present=true"], "it was left alone");
    }
}

/// MQTT-3.1.2-4 to -6 and MQTT-3.1.2-23 of 5: whether a session begins anew and how long it is kept
/// are two questions.
#[test]
fn clean_start_and_session_expiry_are_independent_of_each_other() {
    let connect = |bed: &mut Bed, clean_start, expiry| {
        let mut hello = Connect { clean_start, ..Connect::new(Version::V5, "s") };
        hello.properties.session_expiry_seconds = expiry;
        let slot = bed.connect_with(&hello);
        (slot, bed.received(slot)[0].clone())
    };
    let (anew, resumed) = ("connack Success present=false", "connack Success present=true");
    for (clean_start, expiry, is_kept) in [
        (true, Some(60), true),
        (false, Some(60), true),
        (false, Some(u32::MAX), true),
        (true, Some(0), false),
        (false, Some(0), false),
        (false, None, false),
    ] {
        let mut bed = Bed::broker();
        let (slot, first) = connect(&mut bed, clean_start, expiry);
        assert_eq!(first, anew);
        bed.drop_connection(slot);
        bed.advance(seconds(59));
        let (slot, second) = connect(&mut bed, false, expiry);
        assert_eq!(second == resumed, is_kept, "{clean_start} {expiry:?}");
        // The session is over when its time is.
        bed.drop_connection(slot);
        bed.advance(seconds(61));
        let (_, third) = connect(&mut bed, false, expiry);
        assert_eq!(third == resumed, expiry == Some(u32::MAX), "{clean_start} {expiry:?}");
    }
}

/// 3.1.2.11.2 and 3.2.2.3.2 of 5.
#[test]
fn connack_tells_the_session_expiry_that_the_hub_uses_instead() {
    let day = 86_400;
    for (longest, asked, told) in [
        (seconds(day), None, None),
        (seconds(day), Some(60), None),
        (seconds(day), Some(86_400), None),
        (seconds(day), Some(86_401), Some(86_400)),
        (seconds(day), Some(u32::MAX), Some(86_400)),
        (Duration::MAX, Some(u32::MAX), None),
    ] {
        let mut bed = Bed::new(limited(|config| config.limits.max_session_expiry = longest));
        let mut hello = Connect::new(Version::V5, "s");
        hello.properties.session_expiry_seconds = asked;
        let slot = bed.connect_with(&hello);
        let mut found = Vec::new();
        bed.each(slot, |packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            found.push(connack.properties.session_expiry_seconds);
        });
        assert_eq!(found, [told], "{longest:?} {asked:?}");
        // The largest number means for ever, where there is no limit.
        bed.drop_connection(slot);
        bed.advance(seconds(200 * 365 * day));
        let slot = bed.connect_kept("s", Version::V5);
        let is_kept = longest == Duration::MAX;
        assert_eq!(bed.received(slot), [format!("connack Success present={is_kept}")]);
    }
}

/// 3.14.2.2.2 of 5: DISCONNECT may change how long the session is kept.
#[test]
fn disconnect_changes_how_long_the_session_is_kept() {
    for (at_the_end, is_kept) in [(None, true), (Some(0), false), (Some(1_000), true)] {
        let mut bed = Bed::broker();
        let slot = bed.connect_kept("s", Version::V5);
        let disconnect = Disconnect { session_expiry_seconds: at_the_end, ..Disconnect::default() };
        bed.send_packet(slot, &Packet::Disconnect(disconnect));
        bed.advance(seconds(10));
        let slot = bed.connect_kept("s", Version::V5);
        let expect = format!("connack Success present={is_kept}");
        assert_eq!(bed.received(slot), [expect], "{at_the_end:?}");
    }
}

/// MQTT-3.1.2-24, MQTT-3.2.2-19 and MQTT-3.9.2-1: whatever the limit, nothing larger is sent, and
/// what is left out is the text for people.
#[test]
fn no_answer_is_larger_than_the_client_allows() {
    let mut bed = Bed::new(config(&[R("device:*", "a/#", None, "subscribers")], &[]));
    let (mut with_text, mut without) = (0, 0);
    for limit in 1..300 {
        let mut refused = Connect::new(Version::V5, "s");
        refused.properties.maximum_packet_bytes = Some(limit);
        let mut welcome = refused.clone();
        refused.properties.authentication_method = Some("m");
        welcome.properties.topic_alias_maximum = Some(1);
        let refused = bed.connect_with(&refused);
        let slot = bed.connect_with(&welcome);
        bed.subscribe(slot, "b", QOS0);
        bed.publish(slot, "b", "x", QOS1, 1);
        bed.unsubscribe(slot, &["b", "c"]);
        bed.send(slot, &[0, 0]);
        for slot in [refused, slot] {
            bed.each(slot, |packet| {
                let length = encoded(Version::V5, packet).len();
                assert!(length <= limit as usize, "{limit}: {packet:?}");
                match packet {
                    Packet::Suback(s) if s.reason_string.is_some() => with_text += 1,
                    Packet::Suback(_) => without += 1,
                    Packet::Connack(c) if c.properties.reason_string.is_some() => with_text += 1,
                    Packet::Connack(c) if c.reason.is_failure() => without += 1,
                    _ => {}
                }
            });
        }
    }
    assert!(with_text > 100 && without > 40, "{with_text} with a text, {without} without");
}

/// MQTT-3.1.2-24 forbids to send it, MQTT-3.8.4-1 to say nothing.
#[test]
fn a_client_that_could_not_take_the_answer_is_disconnected() {
    let mut bed = Bed::broker();
    let mut connect = Connect::new(Version::V5, "s");
    connect.properties.maximum_packet_bytes = Some(20);
    let slot = bed.connect_with(&connect);
    bed.received(slot);
    let many = [Subscription::new("a", QOS0); 30];
    bed.subscribe_to(slot, &many, None);
    assert_eq!(bed.received(slot), ["disconnect PacketTooLarge"]);
    assert!(bed.is_breach(slot));
}

/// MQTT-3.1.2-8, -10, -12 and MQTT-3.14.4-3 of both standards.
///
/// Proves: MQT-1.
#[test]
fn a_will_is_published_when_the_client_does_not_say_goodbye_and_only_then() {
    for version in BOTH {
        let with = Some(Will { topic: "gone", payload: b"w", qos: QOS1, ..Will::default() });
        let published = vec!["publish gone w qos=1 id=1"];
        for (will, goodbye, expect) in [
            (with.clone(), false, published),
            (with, true, vec![]),
            (None, false, vec![]),
            (None, true, vec![]),
        ] {
            let mut bed = Bed::broker();
            let watcher = bed.client(version, "watcher");
            bed.subscribe(watcher, "#", QOS2);
            bed.received(watcher);
            let slot = bed.connect_with(&Connect { will, ..Connect::new(version, "c") });
            assert!(bed.received(watcher).is_empty());
            if goodbye {
                bed.disconnect(slot, ReasonCode::Success);
            } else {
                bed.drop_connection(slot);
            }
            assert_eq!(bed.received(watcher), expect, "{version:?}");
            // It is over, whatever becomes of the next connection.
            let slot = bed.client(version, "c");
            bed.drop_connection(slot);
            bed.advance(seconds(1_000));
            assert!(bed.received(watcher).is_empty());
        }
    }
}

/// 3.1.2.5 of both standards: the server closes the connection, and the client said no goodbye.
#[test]
fn the_will_of_a_client_that_breaks_the_protocol_is_published() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let watcher = bed.client(version, "watcher");
        bed.subscribe(watcher, "gone", QOS0);
        bed.received(watcher);
        let will = Some(Will { topic: "gone", payload: b"w", ..Will::default() });
        let slot = bed.connect_with(&Connect { will, ..Connect::new(version, "c") });
        bed.send(slot, &[0, 0]);
        assert!(bed.is_breach(slot));
        assert_eq!(bed.received(watcher), ["publish gone w qos=0 id=0"]);
    }
}
