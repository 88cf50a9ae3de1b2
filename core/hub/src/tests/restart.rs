//! What a kept session is owed after a restart, and what it finds on its return: retained messages,
//! subscription identifiers, the DUP flag, a queue that is full.

use std::time::Duration;

use tomte_broker::Overflow;
use tomte_mqtt::codec::{Connect, PublishHead, ReasonCode, RetainHandling, Subscription, Version};
use tomte_route::{Hold, Overflow as HoldOverflow};

use super::harness::{BOTH, Bed, QOS1, QOS2, R, Step, config_of, limited, open, spec};
use crate::{Config, Counter, Effect, Record, Slot};

/// Connects with a session that is kept; its client takes two messages at a time.
fn narrow(bed: &mut Bed, client_id: &str) -> Slot {
    let mut connect = Connect::new(Version::V5, client_id);
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(3_600);
    connect.properties.receive_maximum = Some(2);
    bed.connect_with(&connect)
}

fn retain_qos_1(bed: &mut Bed, sender: Slot, topics: &[&str]) {
    for topic in topics {
        let head =
            PublishHead { topic, qos: QOS1, retain: true, packet_id: 9, ..PublishHead::default() };
        bed.publish_with(sender, head, topic);
    }
}

/// A message as it comes the first time: payload, packet identifier, DUP.
fn sent((payload, packet_id): (&str, u16)) -> (String, u16, bool) {
    (payload.to_owned(), packet_id, false)
}

/// The same message on the next connection.
fn sent_again((payload, packet_id): (&str, u16)) -> (String, u16, bool) {
    (payload.to_owned(), packet_id, true)
}

/// The retained configuration of a device: it subscribes once, and never again.
///
/// Proves a part of: MQT-2.
#[test]
fn a_retained_message_of_qos_1_on_its_way_to_a_kept_session_survives_a_crash() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let sender = bed.client(version, "s");
        retain_qos_1(&mut bed, sender, &["r/1", "r/2", "r/3"]);
        let receiver = bed.connect_kept("k", version);
        bed.subscribe(receiver, "r/+", QOS1);
        assert_eq!(bed.received(receiver).len(), 2 + 3, "CONNACK, SUBACK and three messages");
        bed.puback(receiver, 1);
        bed.crash(open());
        let receiver = bed.connect_kept("k", version);
        let words = bed.received(receiver);
        assert!(words[0].contains("present=true"), "{words:?}");
        assert_eq!(words.len(), 1 + 2, "{words:?}");
        assert!(words[1..].iter().all(|word| word.contains("retain")), "{words:?}");
    }
}

/// Else its record could never be copied out of its segment, and no segment behind it would go.
#[test]
fn a_retained_message_that_a_lower_limit_refuses_at_a_restart_is_counted_and_holds_no_segment() {
    let lower = || {
        limited(|config: &mut Config| {
            config.limits.max_retained = 1;
            config.limits.journal_compact_above = tomte_base::ByteSize(1);
        })
    };
    let mut bed = Bed::broker();
    let sender = bed.client(Version::V5, "s");
    retain_qos_1(&mut bed, sender, &["r/1", "r/2"]);
    bed.crash(lower());
    assert_eq!(bed.hub.retained.len(), 1);
    assert_eq!(bed.hub.counters().get(Counter::DropRetainedFull), 1);
    bed.hub.on_rolled();
    let sender = bed.client(Version::V5, "s");
    for round in 0..4 {
        bed.publish(sender, "nobody", &round.to_string(), QOS1, 1);
        retain_qos_1(&mut bed, sender, &["r/1"]);
    }
    let dropped = bed.effects.iter().any(|effect| matches!(effect, Effect::DropJournal(_)));
    assert!(dropped, "{:?}", bed.effects);
    bed.crash(lower());
    assert_eq!(bed.hub.counters().get(Counter::DropRetainedFull), 0, "it is gone for good");
}

/// MQTT-3.3.4-3.
#[test]
fn subscription_identifiers_outlive_a_restart() {
    let mut bed = Bed::broker();
    let receiver = narrow(&mut bed, "k");
    bed.subscribe_to(receiver, &[Subscription::new("a/#", QOS2)], Some(1));
    bed.subscribe_to(receiver, &[Subscription::new("a/+", QOS2)], Some(2));
    bed.subscribe_to(receiver, &[Subscription::new("b", QOS2)], Some(3));
    let sender = bed.client(Version::V5, "s");
    for (id, qos) in [(1, QOS1), (2, QOS2), (3, QOS1), (4, QOS2)] {
        bed.publish(sender, "a/x", &id.to_string(), qos, id);
    }
    bed.crash(open());
    let receiver = bed.connect("", "k", false);
    let found = bed.identifiers(receiver);
    assert_eq!(found.len(), 4, "{found:?}");
    for (payload, _, mut ids) in found {
        ids.sort_unstable();
        assert_eq!(ids, [1, 2], "message {payload}");
    }
}

/// MQTT-3.3.4-3.
#[test]
fn what_was_held_for_a_device_carries_the_identifier_of_the_subscription_that_takes_it() {
    let mut route = spec(&R("device:*", "act/#", None, "device:fan"));
    let (hold, then) = (Duration::from_secs(60), HoldOverflow::DropOldest);
    route.on_unavailable = Some(Hold { hold, max: 10, then });
    let mut bed = Bed::new(config_of(vec![route], &[]));
    let sender = bed.connect("thermometer", "t", true);
    bed.publish(sender, "act/fan", "1", QOS1, 1);
    let fan = bed.connect("fan", "fan", false);
    bed.subscribe_to(fan, &[Subscription::new("act/#", QOS1)], Some(9));
    assert_eq!(bed.identifiers(fan), [("1".to_owned(), 1, vec![9])]);
    bed.puback(fan, 1);
}

/// What was on its way comes again as it was sent: some of it left as it was accepted, some had waited
/// for room in the window. A client that acknowledges late must not thereby take another message for
/// acknowledged.
///
/// MQTT-3.3.1-1, MQTT-4.4.0-1, MQTT-4.6.0-1. Proves a part of: MQT-2.
#[test]
fn what_was_on_its_way_before_a_crash_comes_again_under_its_identifiers_in_its_order() {
    let few = || limited(|config| config.limits.receive_maximum = 3);
    for version in BOTH {
        let mut bed = Bed::new(few());
        let receiver = bed.connect_kept("k", version);
        bed.subscribe(receiver, "a", QOS2);
        let sender = bed.client(version, "s");
        for id in 1..=6 {
            let qos = if id % 3 == 0 { QOS2 } else { QOS1 };
            bed.publish(sender, "a", &id.to_string(), qos, id);
        }
        // 1 and 2 left as they were accepted; 4 takes the place of 1, and its identifier is 4.
        bed.puback(receiver, 1);
        let before = bed.publishes(receiver);
        assert_eq!(before, [("1", 1), ("2", 2), ("3", 3), ("4", 4)].map(sent), "{version:?}");
        bed.crash(few());
        bed.crash(few());
        let receiver = bed.connect_kept("k", version);
        let again = [("2", 2), ("3", 3), ("4", 4)].map(sent_again);
        assert_eq!(bed.publishes(receiver), again, "{version:?}");
        for id in [2, 4] {
            bed.puback(receiver, id);
        }
        assert_eq!(bed.publishes(receiver), [("5", 5), ("6", 6)].map(sent), "{version:?}");
        bed.crash(few());
        let receiver = bed.connect_kept("k", version);
        let again = [("3", 3), ("5", 5), ("6", 6)].map(sent_again);
        assert_eq!(bed.publishes(receiver), again, "{version:?}");
    }
}

/// An identifier belongs to the last message that had it, whichever way that left.
#[test]
fn an_identifier_that_was_used_twice_before_a_crash_belongs_to_the_later_message() {
    let one = || limited(|config| config.limits.receive_maximum = 1);
    let mut bed = Bed::new(one());
    let receiver = bed.connect_kept("k", Version::V5);
    bed.subscribe(receiver, "a", QOS1);
    let sender = bed.client(Version::V5, "s");
    // The second one waits, and has a record of its own.
    bed.publish(sender, "a", "first", QOS1, 1);
    bed.publish(sender, "a", "second", QOS1, 2);
    bed.puback(receiver, 1);
    bed.puback(receiver, 2);
    for id in (3..=u16::MAX).chain([1, 2]) {
        bed.publish(sender, "a", "filler", QOS1, 1);
        if id != 2 {
            bed.puback(receiver, id);
        }
    }
    let last = bed.publishes(receiver).pop();
    assert_eq!(last, Some(sent(("filler", 2))));
    bed.crash(one());
    let receiver = bed.connect_kept("k", Version::V5);
    assert_eq!(bed.publishes(receiver), [sent_again(("filler", 2))]);
    bed.puback(receiver, 2);
    bed.crash(one());
    let receiver = bed.connect_kept("k", Version::V5);
    assert_eq!(bed.publishes(receiver), []);
}

/// The journal moves with what it keeps: identifiers too.
#[test]
fn identifiers_on_their_way_outlive_the_segment_that_had_them() {
    let small = || {
        limited(|config: &mut Config| {
            config.limits.receive_maximum = 2;
            config.limits.journal_compact_above = tomte_base::ByteSize(1);
        })
    };
    let mut bed = Bed::new(small());
    let receiver = bed.connect_kept("k", Version::V311);
    bed.subscribe(receiver, "a", QOS1);
    let sender = bed.client(Version::V311, "s");
    for id in 1..=3 {
        bed.publish(sender, "a", &id.to_string(), QOS1, id);
    }
    bed.puback(receiver, 1);
    for round in 0..20 {
        if round == 10 {
            bed.hub.on_rolled();
        }
        retain_qos_1(&mut bed, sender, &["r/1"]);
    }
    let dropped = bed.effects.iter().any(|effect| matches!(effect, Effect::DropJournal(_)));
    assert!(dropped, "{:?}", bed.effects);
    bed.crash(small());
    let receiver = bed.connect_kept("k", Version::V311);
    assert_eq!(bed.publishes(receiver), [("2", 2), ("3", 3)].map(sent_again));
}

/// The session is written again when its old segment is to go, and a crash tears off what follows.
#[test]
fn a_session_whose_rewriting_was_torn_is_whole_when_its_first_record_is_gone() {
    let mut bed = Bed::broker();
    let keeper = bed.connect_kept("k", Version::V5);
    bed.subscribe(keeper, "a", QOS1);
    let sender = bed.client(Version::V5, "s");
    bed.publish(sender, "a", "1", QOS1, 1);
    bed.publish(keeper, "b", "x", QOS2, 7);
    bed.received(keeper);
    let (first, opened) = bed.log[0].clone();
    assert!(matches!(Record::decode(&opened), Ok(Record::SessionOpened { .. })));
    let next = bed.log.last().unwrap().0.next();
    bed.log.push((next, opened));
    bed.crash(open());
    bed.log.retain(|(position, _)| *position != first);
    bed.crash(open());
    let keeper = bed.connect_kept("k", Version::V5);
    assert_eq!(bed.publishes(keeper), [sent_again(("1", 1))]);
    bed.publish(keeper, "a", "2", QOS1, 1);
    assert_eq!(bed.publishes(keeper), [sent(("2", 2))], "it is subscribed");
    bed.step(keeper, Step::Pubrel, 7, ReasonCode::Success);
    assert_eq!(bed.received(keeper), ["pubcomp 7 Success"], "the hub knows the message");
}

/// A message that a member of a group had on its way stays with it while its session is kept.
#[test]
fn a_message_of_a_group_on_its_way_comes_again_to_its_member() {
    let mut bed = Bed::broker();
    let receiver = bed.connect_kept("k", Version::V5);
    bed.subscribe(receiver, "$share/g/a", QOS1);
    bed.subscribe(receiver, "a", QOS1);
    let sender = bed.client(Version::V5, "s");
    bed.publish(sender, "a", "x", QOS1, 1);
    assert_eq!(bed.publishes(receiver), [("x", 1), ("x", 2)].map(sent));
    bed.puback(receiver, 1);
    bed.crash(open());
    let receiver = bed.connect_kept("k", Version::V5);
    assert_eq!(bed.publishes(receiver), [sent_again(("x", 2))]);
    bed.puback(receiver, 2);
    bed.crash(open());
    let receiver = bed.connect_kept("k", Version::V5);
    assert_eq!(bed.publishes(receiver), []);
}

/// Sessions are in the routing table before anybody can connect (rmqtt #475).
#[test]
fn a_message_that_comes_first_after_a_restart_reaches_a_kept_session_that_is_away() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "k", false);
    bed.subscribe(receiver, "a", QOS1);
    bed.crash(open());
    let sender = bed.client(Version::V311, "s");
    bed.publish(sender, "a", "first", QOS1, 1);
    let receiver = bed.connect("", "k", false);
    let words = bed.received(receiver);
    assert!(words.iter().any(|word| word.starts_with("publish a first")), "{words:?}");
}

/// A queue that reached its bound goes on when its client is back, however few messages that takes at a
/// time (mosquitto #2256, #2349).
#[test]
fn a_full_queue_drains_through_a_small_window() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let mut bed = Bed::new(limited(|config| {
            config.limits.session_queue.max_messages = 5;
            config.limits.session_queue.overflow = overflow;
        }));
        let receiver = narrow(&mut bed, "k");
        bed.subscribe(receiver, "a", QOS1);
        bed.drop_connection(receiver);
        let sender = bed.client(Version::V311, "s");
        for id in 1..=9 {
            bed.publish(sender, "a", &id.to_string(), QOS1, id);
        }
        let receiver = narrow(&mut bed, "k");
        let mut all = Vec::new();
        loop {
            let new = bed.deliveries(receiver);
            if new.is_empty() {
                break;
            }
            assert!(new.len() <= 2, "{new:?}");
            for (payload, _, _, id) in new {
                all.push(payload);
                bed.puback(receiver, id);
            }
        }
        let expected = match overflow {
            Overflow::DropOldest => ["5", "6", "7", "8", "9"],
            _ => ["1", "2", "3", "4", "5"],
        };
        assert_eq!(all, expected);
        bed.publish(sender, "a", "next", QOS1, 10);
        assert_eq!(bed.deliveries(receiver).len(), 1);
    }
}

/// Retain handling counts for a session that was there before (rumqttd #1069).
#[test]
fn retain_handling_counts_when_a_kept_session_subscribes_again() {
    let brings = |handling| {
        let mut bed = Bed::broker();
        let sender = bed.client(Version::V5, "s");
        retain_qos_1(&mut bed, sender, &["r"]);
        let mut subscription = Subscription::new("r", QOS1);
        subscription.retain_handling = RetainHandling::DoNotSend;
        let receiver = bed.connect("", "k", false);
        bed.subscribe_to(receiver, &[subscription], None);
        bed.drop_connection(receiver);
        let receiver = bed.connect("", "k", false);
        subscription.retain_handling = handling;
        bed.subscribe_to(receiver, &[subscription], None);
        bed.deliveries(receiver).len()
    };
    assert_eq!(brings(RetainHandling::Send), 1);
    assert_eq!(brings(RetainHandling::SendIfNew), 0);
    assert_eq!(brings(RetainHandling::DoNotSend), 0);
}
