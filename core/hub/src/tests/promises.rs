//! What the simulator found, each as the shortest story that shows it.

use std::time::Duration;

use tomte_base::{ByteSize, QoS};
use tomte_mqtt::codec::{Connect, Packet, PublishHead, Subscribe, Subscription, Version};
use tomte_route::{Hold, Overflow};

use super::harness::{ALL, Bed, R, config, config_of, encoded, encoded_publish, limited, spec};
use crate::{CloseReason, Counter, Effect, Slot};

fn publish(topic: &str, packet_id: u16) -> Vec<u8> {
    let head = PublishHead { topic, qos: QoS::AtLeastOnce, packet_id, ..PublishHead::default() };
    encoded_publish(Version::V5, &head, "x")
}

/// Connects a client that takes packets up to `largest` bytes and keeps its session.
fn connect_small(bed: &mut Bed, largest: u32) -> Slot {
    let mut connect = Connect::new(Version::V5, "r");
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(3_600);
    connect.properties.maximum_packet_bytes = Some(largest);
    bed.connect_with(&connect)
}

fn held_for_fan() -> tomte_route::RouteSpec {
    let mut route = spec(&R("device:lamp", "#", None, "device:fan"));
    route.on_unavailable =
        Some(Hold { hold: Duration::from_secs(600), max: 100, then: Overflow::DropOldest });
    route
}

#[test]
fn a_publish_without_a_route_is_refused_also_while_the_journal_is_waited_for() {
    let mut bed = Bed::new(config(&[R("device:lamp", "a", None, "device:fan")], &[]));
    let fan = bed.connect("fan", "f", false);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    let lamp = bed.connect("lamp", "l", true);
    bed.received(lamp);
    bed.send(lamp, &[publish("a", 1), publish("b", 2)].concat());
    assert_eq!(bed.received(lamp), ["puback 1 Success", "puback 2 NotAuthorized"]);
}

#[test]
fn a_client_comes_back_to_its_session_although_no_more_sessions_are_allowed() {
    let mut bed = Bed::new(limited(|config| config.limits.max_sessions = 1));
    let first = bed.connect("", "r", false);
    bed.drop_connection(first);
    let again = bed.connect("", "r", false);
    assert_eq!(bed.received(again), ["connack Success present=true"]);
    let other = bed.connect("", "other", false);
    assert_eq!(bed.received(other), ["connack QuotaExceeded present=false"]);
}

/// Proves: MQT-2.
#[test]
fn a_session_whose_client_came_back_outlives_the_end_that_was_set_before() {
    let mut bed = Bed::broker();
    let first = bed.connect("", "r", false);
    bed.drop_connection(first);
    bed.advance(Duration::from_secs(3_000));
    bed.connect("", "r", false);
    bed.advance(Duration::from_secs(3_000));
    bed.crash(config(&[ALL], &[]));
    bed.advance(Duration::from_secs(1));
    let back = bed.connect("", "r", false);
    assert_eq!(bed.received(back), ["connack Success present=true"]);
}

#[test]
fn a_session_that_the_journal_lost_is_not_confirmed_before_it_is_written_again() {
    let mut bed = Bed::broker();
    bed.disk_full = true;
    let first = bed.connect("", "r", false);
    assert_eq!(bed.closed, [(first, CloseReason::NotStored)]);
    let second = bed.connect("", "r", false);
    assert!(bed.received(second).is_empty());
    assert_eq!(bed.closed[1..], [(second, CloseReason::NotStored)]);
    bed.disk_full = false;
    let third = bed.connect("", "r", false);
    assert_eq!(bed.received(third), ["connack Success present=true"]);
    bed.crash(config(&[ALL], &[]));
    let fourth = bed.connect("", "r", false);
    assert_eq!(bed.received(fourth), ["connack Success present=true"]);
}

#[test]
fn the_first_commit_after_a_failure_brings_all_that_was_lost() {
    let mut bed = Bed::broker();
    bed.disk_full = true;
    let receiver = bed.connect("", "r", false);
    bed.disk_full = false;
    let receiver_again = bed.connect("", "r", false);
    assert_ne!(receiver, receiver_again);
    // Nothing but the records of one commit: the process dies right after it.
    let n_records = bed.log.len();
    bed.subscribe(receiver_again, "a", QoS::AtLeastOnce);
    bed.log.truncate(n_records + 1);
    bed.crash(config(&[ALL], &[]));
    let back = bed.connect("", "r", false);
    assert_eq!(bed.received(back), ["connack Success present=true"]);
}

#[test]
fn what_waits_for_the_journal_is_not_handed_out() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    let mut connect = Connect::new(Version::V5, "r");
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(3_600);
    bed.hub.on_bytes(bed.now, slot, &encoded(connect.version, &Packet::Connect(Box::new(connect))));
    assert!(bed.hub.output(slot).is_none());
    bed.turn();
    assert_eq!(bed.received(slot), ["connack Success present=false"]);
}

#[test]
fn a_clean_session_is_not_confirmed_before_the_end_of_the_kept_one_is_safe() {
    let mut bed = Bed::broker();
    bed.connect("", "r", false);
    let clean = bed.open("", Version::V311);
    let connect = Connect::new(Version::V311, "r");
    bed.hub.on_bytes(
        bed.now,
        clean,
        &encoded(connect.version, &Packet::Connect(Box::new(connect))),
    );
    assert!(bed.hub.output(clean).is_none());
    bed.turn();
    assert_eq!(bed.received(clean), ["connack Success present=false"]);
}

#[test]
fn the_end_of_a_kept_session_that_a_full_disk_lost_is_not_confirmed_by_a_later_clean_one() {
    let mut bed = Bed::broker();
    let kept = bed.connect("", "r", false);
    bed.subscribe(kept, "a", QoS::AtLeastOnce);
    bed.drop_connection(kept);
    bed.disk_full = true;
    // The first attempt ends the kept session in memory; after it there is none to end any more.
    for _ in 0..3 {
        let clean = bed.connect("", "r", true);
        assert_eq!(bed.received(clean), Vec::<String>::new());
    }
    bed.disk_full = false;
    let clean = bed.connect("", "r", true);
    assert_eq!(bed.received(clean), ["connack Success present=false"]);
    bed.crash(config(&[ALL], &[]));
    let kept = bed.connect("", "r", false);
    assert_eq!(bed.received(kept), ["connack Success present=false"]);
}

#[test]
fn old_segments_stay_until_the_copies_of_what_they_hold_are_safe() {
    let mut bed = Bed::new(limited(|config| config.limits.journal_compact_above = ByteSize(1)));
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    // A dead record, so that the journal is sparse enough to be copied.
    let kept = |text: &str| {
        let head = PublishHead { topic: "kept", retain: true, ..PublishHead::default() };
        encoded_publish(Version::V5, &head, text)
    };
    bed.send(sender, &[kept(&"x".repeat(2_000)), kept("y")].concat());
    bed.hub.on_rolled();
    bed.hub.on_bytes(bed.now, sender, &publish("b", 1));
    bed.hub.on_bytes(bed.now, sender, &kept("z"));
    let mut last = tomte_base::LogPosition(0);
    bed.hub.drain_records(|position, _| last = position);
    bed.hub.on_durable(bed.now, last);
    assert!(bed.hub.has_records(), "the live records are copied");
    bed.hub.drain_records(|_, _| {});
    bed.hub.on_journal_failed(bed.now, true);
    let drops = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::DropJournal(_)));
    assert!(!drops(&bed.hub.take_effects()), "the copies were lost");
    bed.publish(sender, "kept", "z", QoS::AtLeastOnce, 2);
    bed.publish_with(
        sender,
        PublishHead { topic: "kept", retain: true, ..PublishHead::default() },
        "w",
    );
    assert!(drops(&bed.effects), "now they are safe");
}

#[test]
fn a_message_that_two_routes_bring_to_one_device_is_held_once() {
    let table = || config_of(vec![held_for_fan(), held_for_fan()], &[]);
    let mut bed = Bed::new(table());
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    assert_eq!(bed.received(fan)[2..], ["publish a 1 qos=1 id=1"]);
}

/// Proves: EVT-12.
#[test]
fn what_is_held_is_delivered_when_the_session_returns_without_subscribing_again() {
    let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
    let fan = bed.connect("fan", "f", false);
    bed.subscribe(fan, "a", QoS::AtMostOnce);
    bed.drop_connection(fan);
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    assert_eq!(bed.hub.device(&tomte_base::DeviceName::new("fan").unwrap()).queued, 1);
    let fan = bed.connect("fan", "f", false);
    assert_eq!(bed.received(fan), ["connack Success present=true", "publish a 1 qos=0 id=0"]);
}

#[test]
fn what_was_held_comes_before_what_was_queued_later() {
    let table = || config_of(vec![held_for_fan()], &[]);
    let mut bed = Bed::new(table());
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    let fan = bed.connect("fan", "f", false);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    bed.drop_connection(fan);
    bed.publish(lamp, "a", "2", QoS::AtLeastOnce, 2);
    bed.crash(table());
    let fan = bed.connect("fan", "f", false);
    assert_eq!(bed.received(fan)[1..], ["publish a 1 qos=1 id=1 dup", "publish a 2 qos=1 id=2"]);
}

/// The plug of the fan is pulled: nobody knows it until the keep alive is over, and its session would
/// end with what is on its way.
///
/// Proves a part of: EVT-12.
#[test]
fn what_a_device_with_a_hold_did_not_acknowledge_is_held_when_its_connection_ends() {
    let table = || config_of(vec![held_for_fan()], &[]);
    let returns = |bed: &mut Bed| {
        let fan = bed.connect("fan", "f", true);
        bed.subscribe(fan, "a", QoS::AtLeastOnce);
        bed.received(fan)[2..].to_vec()
    };
    for dies in [false, true] {
        let mut bed = Bed::new(table());
        let lamp = bed.connect("lamp", "l", true);
        let fan = bed.connect("fan", "f", true);
        bed.subscribe(fan, "a", QoS::AtLeastOnce);
        for id in 1..=3 {
            bed.publish(lamp, "a", &id.to_string(), QoS::AtLeastOnce, id);
        }
        bed.puback(fan, 1);
        if dies {
            bed.crash(table());
        } else {
            bed.drop_connection(fan);
        }
        assert_eq!(bed.hub.counters().get(Counter::DropSessionEnded), 0);
        let again = ["publish a 2 qos=1 id=1", "publish a 3 qos=1 id=2"];
        assert_eq!(returns(&mut bed), again, "the hub dies: {dies}");
        bed.advance(Duration::from_secs(700));
        bed.crash(table());
        assert_eq!(returns(&mut bed), [""; 0], "its time is over");
    }
}

#[test]
fn what_another_session_of_the_device_gets_or_came_with_qos_2_is_not_held_again() {
    let fan = tomte_base::DeviceName::new("fan").unwrap();
    for (others, qos) in [(&["f2"][..], QoS::AtLeastOnce), (&[], QoS::ExactlyOnce)] {
        let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
        let lamp = bed.connect("lamp", "l", true);
        let clients: Vec<_> =
            others.iter().chain(&["f1"]).map(|id| bed.connect("fan", id, true)).collect();
        for slot in &clients {
            bed.subscribe(*slot, "a", QoS::ExactlyOnce);
        }
        bed.publish(lamp, "a", "1", qos, 1);
        for slot in &clients {
            bed.drop_connection(*slot);
        }
        assert_eq!(bed.hub.device(&fan).queued, 0, "{qos:?}");
        let n_dropped = bed.hub.counters().get(Counter::DropSessionEnded);
        assert_eq!(n_dropped, clients.len() as u64, "{qos:?}");
    }
}

/// A device whose client takes a new identifier each time leaves its old session behind, half dead.
#[test]
fn what_is_held_again_goes_on_to_the_session_that_the_device_has_by_now() {
    let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
    let lamp = bed.connect("lamp", "l", true);
    let old = bed.connect("fan", "old", true);
    bed.subscribe(old, "a", QoS::AtLeastOnce);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    let new = bed.connect("fan", "new", true);
    bed.subscribe(new, "a", QoS::AtLeastOnce);
    bed.publish(lamp, "a", "2", QoS::AtLeastOnce, 2);
    bed.puback(new, 1);
    bed.received(new);
    bed.drop_connection(old);
    assert_eq!(bed.received(new), ["publish a 1 qos=1 id=2"]);
    bed.puback(new, 2);
    bed.drop_connection(new);
    assert_eq!(bed.hub.device(&tomte_base::DeviceName::new("fan").unwrap()).queued, 0);
}

#[test]
fn what_is_held_again_keeps_to_the_bounds_of_the_hold() {
    for (then, left) in [(Overflow::DropOldest, "3"), (Overflow::DropNewest, "1")] {
        let mut route = held_for_fan();
        route.on_unavailable = route.on_unavailable.map(|hold| Hold { max: 1, then, ..hold });
        let mut bed = Bed::new(config_of(vec![route], &[]));
        let lamp = bed.connect("lamp", "l", true);
        let fan = bed.connect("fan", "f", true);
        bed.subscribe(fan, "a", QoS::AtLeastOnce);
        for id in 1..=3 {
            bed.publish(lamp, "a", &id.to_string(), QoS::AtLeastOnce, id);
        }
        bed.drop_connection(fan);
        assert_eq!(bed.hub.counters().get(Counter::DropHoldFull), 2);
        let fan = bed.connect("fan", "f", true);
        bed.subscribe(fan, "a", QoS::AtLeastOnce);
        assert_eq!(bed.received(fan)[2..], [format!("publish a {left} qos=1 id=1")], "{then:?}");
    }
}

/// Else the kept session would get it by its group and from the hold.
#[test]
fn what_a_group_of_the_device_gets_is_not_held_behind_another_session() {
    for dies in [false, true] {
        let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
        let lamp = bed.connect("lamp", "l", true);
        let clean = bed.connect("fan", "clean", true);
        bed.subscribe(clean, "a", QoS::AtLeastOnce);
        let kept = bed.connect("fan", "kept", false);
        bed.subscribe(kept, "$share/g/a", QoS::ExactlyOnce);
        bed.publish(lamp, "a", "1", QoS::ExactlyOnce, 1);
        assert_eq!(bed.received(kept)[2..], ["publish a 1 qos=2 id=1"]);
        if dies {
            bed.crash(config_of(vec![held_for_fan()], &[]));
        } else {
            bed.drop_connection(clean);
            bed.drop_connection(kept);
        }
        let kept = bed.connect("fan", "kept", false);
        assert_eq!(bed.received(kept)[1..], ["publish a 1 qos=2 id=1 dup"], "dies: {dies}");
    }
}

/// Nobody acknowledges it, so that the hold must be over before it leaves.
#[test]
fn what_leaves_a_hold_with_qos_0_does_not_come_again_after_a_crash() {
    let table = || config_of(vec![held_for_fan()], &[]);
    let mut bed = Bed::new(table());
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtMostOnce);
    assert_eq!(bed.received(fan)[2..], ["publish a 1 qos=0 id=0"]);
    assert!(!bed.hub.has_records(), "they are written before it leaves");
    bed.crash(table());
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtMostOnce);
    assert_eq!(bed.received(fan)[2..], [""; 0]);
}

#[test]
fn a_hold_that_was_given_back_still_ends_in_time() {
    let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    bed.advance(Duration::from_secs(700));
    bed.drop_connection(fan);
    bed.advance(Duration::from_secs(1));
    assert_eq!(bed.hub.counters().get(Counter::DropHoldExpired), 1);
}

#[test]
fn a_thousand_held_messages_need_one_timer() {
    let mut route = held_for_fan();
    route.on_unavailable = route.on_unavailable.map(|hold| Hold { max: 10_000, ..hold });
    let mut bed = Bed::new(config_of(vec![route], &[]));
    let lamp = bed.connect("lamp", "l", true);
    for _ in 0..1_000 {
        bed.publish(lamp, "a", "1", QoS::AtMostOnce, 0);
    }
    assert!(bed.hub.timers.len() < 10, "{} timers", bed.hub.timers.len());
}

#[test]
fn a_message_in_flight_that_is_too_large_for_the_new_connection_is_dropped_and_counted() {
    let mut bed = Bed::broker();
    let receiver = connect_small(&mut bed, 10_000);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", &"x".repeat(500), QoS::AtLeastOnce, 1);
    bed.drop_connection(receiver);
    let receiver = connect_small(&mut bed, 100);
    assert_eq!(bed.received(receiver), ["connack Success present=true"]);
    assert_eq!(bed.hub.counters().get(Counter::DropTooLarge), 1);
    assert_eq!(bed.hub.view().queued, 0);
}

#[test]
fn a_condition_also_decides_who_gets_the_retained_message() {
    let routes = [
        R("device:lamp", "a", Some("payload.private == false"), "subscribers"),
        R("device:lamp", "a", None, "device:fan"),
    ];
    let mut bed = Bed::new(config(&routes, &[]));
    let lamp = bed.connect("lamp", "l", true);
    let head = PublishHead { topic: "a", retain: true, ..PublishHead::default() };
    bed.publish_with(lamp, head, "{\"private\": true}");
    for (owner, n_packets) in [("thermometer", 2), ("fan", 3)] {
        let slot = bed.connect(owner, "c", true);
        bed.subscribe(slot, "a", QoS::AtMostOnce);
        assert_eq!(bed.received(slot).len(), n_packets, "{owner}");
    }
}

/// Proves: MQT-4.
#[test]
fn a_client_that_asks_and_never_reads_is_thrown_out() {
    let mut bed = Bed::new(limited(|config| config.limits.output_high_water = 1_000));
    let slot = bed.connect("", "r", true);
    let pings = [0xC0, 0].repeat(2_000);
    bed.hub.on_bytes(bed.now, slot, &pings);
    assert!(bed.hub.output(slot).unwrap().len() <= 1_100);
    bed.turn();
    assert_eq!(bed.closed, [(slot, CloseReason::SlowReader)]);
    assert_eq!(bed.hub.counters().get(Counter::SlowReaders), 1);
}

/// Proves: MQT-4.
#[test]
fn retained_messages_do_not_fill_the_buffer_of_a_slow_reader() {
    let mut bed = Bed::new(limited(|config| config.limits.output_high_water = 1_000));
    let sender = bed.connect("", "s", true);
    for n in 0..20 {
        let topic = format!("a/{n}");
        let head = PublishHead { topic: &topic, retain: true, ..PublishHead::default() };
        bed.publish_with(sender, head, &"x".repeat(200));
    }
    let slot = bed.connect("", "r", true);
    let subscriptions = vec![Subscription::new("#", QoS::AtMostOnce)];
    let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
    let bytes = encoded(Version::V5, &Packet::Subscribe(subscribe));
    bed.hub.on_bytes(bed.now, slot, &bytes.repeat(10));
    assert!(bed.hub.output(slot).unwrap().len() < 1_500);
    assert!(bed.hub.counters().get(Counter::DropSlowReader) > 100);
}

/// One packet with the same filter many times, and with more filters than a session may have.
#[test]
fn a_filter_that_is_there_many_times_brings_what_is_retained_once() {
    let mut bed = Bed::new(limited(|config| config.limits.max_subscriptions = 10));
    let sender = bed.connect("", "s", true);
    for n in 0..5 {
        bed.retain(sender, &format!("a/{n}"), "x");
    }
    let slot = bed.connect("", "r", true);
    bed.received(slot);
    bed.subscribe_to(slot, &[Subscription::new("#", QoS::AtMostOnce); 12], None);
    let words = bed.received(slot);
    let granted = ["Success"; 10].join(", ");
    assert_eq!(words[0], format!("suback [{granted}, QuotaExceeded, QuotaExceeded]"));
    assert_eq!(words.len(), 1 + 5, "{words:?}");
}

/// Each SUBSCRIBE makes the hub look at all that is retained: a client that sends thousands of them at
/// once has to let others have their turn.
///
/// Proves a part of: MQT-4.
#[test]
fn subscriptions_to_all_that_is_retained_are_taken_a_few_in_each_turn() {
    let mut bed = Bed::broker();
    let sender = bed.connect("", "s", true);
    for n in 0..3_000 {
        bed.retain(sender, &format!("a/{n}"), "x");
    }
    let slot = bed.connect("", "r", true);
    let subscriptions = vec![Subscription::new("#", QoS::AtMostOnce)];
    let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
    let packet = encoded(Version::V5, &Packet::Subscribe(subscribe));
    let mut rest = &packet.repeat(10)[..];
    let mut turns = 0;
    while !rest.is_empty() {
        let used = bed.hub.on_bytes(bed.now, slot, rest);
        assert!(used > 0 && used <= 4 * packet.len());
        rest = &rest[used..];
        assert_eq!(bed.hub.has_more(slot), !rest.is_empty());
        turns += 1;
    }
    assert_eq!(turns, 3);
}

/// A client that goes between its PUBLISH and the PUBACK is nothing unusual (mosquitto #3253): the message
/// counts, and nothing is said to be wrong.
#[test]
fn a_publisher_that_leaves_before_its_acknowledgement_is_no_error() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.received(receiver);
    let sender = bed.connect("", "s", true);
    let head =
        PublishHead { topic: "a", qos: QoS::AtLeastOnce, packet_id: 1, ..PublishHead::default() };
    let before = bed.hub.counters().get(Counter::ProtocolErrors);
    bed.hub.on_bytes(bed.now, sender, &encoded_publish(Version::V5, &head, "x"));
    // No turn has made it safe yet.
    bed.drop_connection(sender);
    assert_eq!(bed.received(receiver), ["publish a x qos=1 id=1"]);
    assert_eq!(bed.hub.counters().get(Counter::ProtocolErrors), before);
    assert!(bed.closed.is_empty(), "{:?}", bed.closed);
}

#[test]
fn a_cancelled_call_is_counted() {
    let mut bed = Bed::new(config(&[], &[("f", None)]));
    let function = tomte_base::FunctionName::new("f").unwrap();
    let payload = bytes::Bytes::from_static(b"1");
    let call = bed.hub.call(bed.now, 9, function, payload, None, None).unwrap();
    assert!(bed.hub.cancel_call(bed.now, call));
    assert_eq!(bed.hub.counters().get(Counter::CallsUnhandled), 1);
}

/// Proves: ALL-9.
#[test]
fn a_second_clearing_of_a_retained_message_is_not_confirmed_on_the_strength_of_a_lost_record() {
    let mut bed = Bed::broker();
    let sender = bed.connect("", "s", true);
    let clear = |packet_id| PublishHead {
        topic: "a",
        qos: QoS::AtLeastOnce,
        retain: true,
        packet_id,
        ..PublishHead::default()
    };
    bed.publish_with(sender, clear(1), "kept");
    bed.received(sender);
    bed.disk_full = true;
    bed.publish_with(sender, clear(2), "");
    bed.publish_with(sender, clear(3), "");
    assert_eq!(bed.received(sender), ["puback 2 QuotaExceeded", "puback 3 QuotaExceeded"]);
    bed.disk_full = false;
    bed.publish_with(sender, clear(4), "");
    assert_eq!(bed.received(sender), ["puback 4 NoMatchingSubscribers"]);
    bed.crash(config(&[ALL], &[]));
    assert_eq!(bed.hub.view().retained, 0);
}

/// Proves: ALL-9.
#[test]
fn of_two_sessions_of_one_client_that_a_torn_batch_left_the_newer_one_counts() {
    let mut bed = Bed::broker();
    let first = bed.connect("", "r", false);
    bed.subscribe(first, "old", QoS::AtLeastOnce);
    bed.disk_full = true;
    bed.connect("", "r", true);
    bed.connect("", "r", false);
    bed.disk_full = false;
    let before = bed.log.len();
    let last = bed.connect("", "r", false);
    bed.subscribe(last, "new", QoS::AtLeastOnce);
    // The batch that makes the failure good is torn after the session, before its last record.
    let opened = bed.log[before..].iter().position(|(_, record)| record[0] == 1).unwrap();
    bed.log.truncate(before + opened + 1);
    bed.crash(config(&[ALL], &[]));
    assert_eq!(bed.hub.view().sessions, 1);
    bed.advance(Duration::from_secs(3_000));
    let back = bed.connect("", "r", false);
    assert_eq!(bed.received(back), ["connack Success present=true"]);
    bed.crash(config(&[ALL], &[]));
    assert_eq!(bed.hub.view().sessions, 1);
    assert_eq!(bed.hub.view().filters, 1, "the old subscription is gone");
}

#[test]
fn what_a_session_gives_back_comes_before_what_was_held_since() {
    let mut bed = Bed::new(config_of(vec![held_for_fan()], &[]));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    bed.publish(lamp, "a", "2", QoS::AtLeastOnce, 2);
    let fan = bed.connect("fan", "f", false);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    bed.unsubscribe(fan, &["a"]);
    bed.publish(lamp, "a", "3", QoS::AtLeastOnce, 3);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    let expect = [1, 2, 3].map(|n| format!("publish a {n} qos=1 id={n}"));
    assert_eq!(bed.received(fan)[2..], expect);
}

/// Proves: ALL-9.
#[test]
fn subscriptions_survive_the_first_record_of_their_session() {
    let mut bed = Bed::broker();
    let first = bed.connect("", "r", false);
    bed.subscribe(first, "a", QoS::AtLeastOnce);
    bed.drop_connection(first);
    // Another expiry: the record of the session is written again, behind its subscription.
    let mut connect = Connect::new(Version::V5, "r");
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(7_200);
    let second = bed.connect_with(&connect);
    bed.drop_connection(second);
    // The segment with the first one is dropped: nothing in it is alive.
    bed.log.remove(0);
    bed.crash(config(&[ALL], &[]));
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 1);
    let back = bed.connect("", "r", false);
    assert_eq!(bed.received(back)[1..], ["publish a 1 qos=1 id=1"]);
}

#[test]
fn numbers_are_not_given_out_again_after_old_segments_went() {
    let mut bed = Bed::broker();
    let first = bed.connect("", "r", false);
    bed.drop_connection(first);
    bed.connect("", "r", true);
    bed.hub.on_rolled();
    let n_records = bed.log.len();
    let other = bed.connect("", "other", false);
    bed.drop_connection(other);
    bed.connect("", "other", true);
    assert!(bed.effects.iter().any(|effect| matches!(effect, Effect::DropJournal(_))));
    bed.log.drain(..n_records);
    bed.log.retain(|(_, record)| record[0] != 1);
    let next = bed.hub.next_session;
    bed.crash(config(&[ALL], &[]));
    assert!(bed.hub.next_session >= next - 1, "{} was {next}", bed.hub.next_session);
}

#[test]
fn what_was_held_comes_after_what_was_queued_before() {
    let table = || config_of(vec![held_for_fan()], &[]);
    let mut bed = Bed::new(table());
    let lamp = bed.connect("lamp", "l", true);
    let fan = bed.connect("fan", "f", false);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 1);
    bed.unsubscribe(fan, &["a"]);
    bed.publish(lamp, "a", "2", QoS::AtLeastOnce, 2);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    bed.crash(table());
    let fan = bed.connect("fan", "f", false);
    let expect = ["publish a 1 qos=1 id=1 dup", "publish a 2 qos=1 id=2 dup"];
    assert_eq!(bed.received(fan)[1..], expect);
}
