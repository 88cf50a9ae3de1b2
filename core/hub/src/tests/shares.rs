use std::time::Duration;

use tomte_base::QoS;
use tomte_mqtt::codec::{
    Ack, Connect, Packet, PublishHead, ReasonCode, RetainHandling, Subscription, Version,
};
use tomte_route::{Hold, Overflow};

use super::harness::{ALL, Bed, R, Step, Words, config, config_of, spec};
use crate::{CloseReason, Counter, Limits, Slot};

const SHARED: &str = "$share/g/a/+";

/// Connects with a window and, for `expiry_s` above 0, a session that is kept.
fn connect(bed: &mut Bed, owner: &str, client_id: &str, window: u16, expiry_s: u32) -> Slot {
    let mut connect = Connect::new(Version::V5, client_id);
    connect.clean_start = expiry_s == 0;
    connect.properties.session_expiry_seconds = Some(expiry_s);
    connect.properties.receive_maximum = Some(window);
    bed.connect_as(owner, &connect)
}

/// Members `m0`, `m1`, ... of [`SHARED`] whose sessions end with their connections.
fn members(bed: &mut Bed, n: usize, qos: QoS) -> Vec<Slot> {
    let join = |index| {
        let slot = connect(bed, "", &format!("m{index}"), 100, 0);
        bed.subscribe(slot, SHARED, qos);
        bed.received(slot);
        slot
    };
    (0..n).map(join).collect()
}

fn sender(bed: &mut Bed) -> Slot {
    let slot = bed.connect("", "sender", true);
    bed.received(slot);
    slot
}

/// The payloads that each member received.
fn payloads(bed: &mut Bed, slots: &[Slot]) -> Vec<Vec<String>> {
    let payload = |words: Words| -> Vec<String> {
        let publishes = words.iter().filter(|word| word.starts_with("publish "));
        publishes.map(|word| word.split(' ').nth(2).unwrap().to_owned()).collect()
    };
    slots.iter().map(|slot| payload(bed.received(*slot))).collect()
}

#[test]
fn each_message_goes_to_one_member_of_each_group_in_turn() {
    let mut bed = Bed::broker();
    let group = members(&mut bed, 3, QoS::AtMostOnce);
    let (other, alone) = (bed.connect("", "other", true), bed.connect("", "alone", true));
    bed.subscribe(other, "$share/h/a/+", QoS::AtMostOnce);
    bed.subscribe(alone, "a/+", QoS::AtMostOnce);
    let sender = sender(&mut bed);
    for n in 0..4 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtMostOnce, 0);
    }
    assert_eq!(payloads(&mut bed, &group), [vec!["0", "3"], vec!["1"], vec!["2"]]);
    for everything in payloads(&mut bed, &[other, alone]) {
        assert_eq!(everything, ["0", "1", "2", "3"]);
    }
}

#[test]
fn groups_of_one_name_and_different_filters_are_different_groups() {
    let mut bed = Bed::broker();
    let (one, two) = (bed.connect("", "1", true), bed.connect("", "2", true));
    bed.subscribe(one, "$share/g/a/b", QoS::AtMostOnce);
    bed.subscribe(two, "$share/g/a/+", QoS::AtMostOnce);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "x", QoS::AtMostOnce, 0);
    assert_eq!(payloads(&mut bed, &[one, two]), [["x"], ["x"]]);
}

#[test]
fn a_client_of_version_311_may_share_too() {
    let mut bed = Bed::broker();
    let (old, new) = (bed.client(Version::V311, "old"), bed.connect("", "new", true));
    bed.subscribe(old, SHARED, QoS::AtLeastOnce);
    bed.subscribe(new, SHARED, QoS::AtLeastOnce);
    assert_eq!(bed.received(old), ["suback [GrantedQos1]"]);
    let sender = sender(&mut bed);
    for n in 1..=2 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(payloads(&mut bed, &[old, new]), [["1"], ["2"]]);
}

#[test]
fn a_new_subscription_of_a_group_gets_no_retained_messages() {
    let mut bed = Bed::broker();
    let sender = sender(&mut bed);
    let head = PublishHead { topic: "a/b", retain: true, ..PublishHead::default() };
    bed.publish_with(sender, head, "kept");
    let member = bed.connect("", "m", true);
    bed.subscribe(member, SHARED, QoS::AtMostOnce);
    assert_eq!(bed.received(member)[1..], ["suback [Success]"]);
    bed.publish_with(sender, head, "new");
    assert_eq!(bed.received(member), ["publish a/b new qos=0 id=0"]);
    let again = Subscription {
        retain_as_published: true,
        retain_handling: RetainHandling::Send,
        ..Subscription::new(SHARED, QoS::AtMostOnce)
    };
    bed.subscribe_to(member, &[again], None);
    bed.publish_with(sender, head, "newer");
    let expect = ["suback [Success]", "publish a/b newer qos=0 id=0 retain"];
    assert_eq!(bed.received(member), expect);
}

#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut bed = Bed::broker();
    let slot = bed.connect("", "m", true);
    bed.received(slot);
    let asked = Subscription { no_local: true, ..Subscription::new(SHARED, QoS::AtMostOnce) };
    bed.subscribe_to(slot, &[asked], None);
    assert_eq!(bed.received(slot), ["disconnect ProtocolError"]);
    assert!(matches!(&bed.closed[..], [(s, CloseReason::Protocol(_))] if *s == slot));
}

/// MQTT-4.8.2-1, MQTT-4.8.2-2.
#[test]
fn malformed_shares_are_refused() {
    for bad in ["$share/", "$share/g", "$share//x", "$share/a+b/x", "$share/#/x", "$share/g/"] {
        let mut bed = Bed::broker();
        let slot = bed.connect("", "m", true);
        bed.received(slot);
        bed.subscribe(slot, bad, QoS::AtMostOnce);
        assert_eq!(bed.received(slot), ["suback [TopicFilterInvalid]"], "{bad}");
        assert!(!bed.is_closed(slot), "{bad}");
        assert_eq!(bed.hub.view().filters, 1, "only the route");
    }
}

#[test]
fn a_share_counts_among_the_levels_of_a_filter() {
    let mut bed = Bed::broker();
    let slot = bed.connect("", "m", true);
    bed.received(slot);
    let deepest = vec!["a"; tomte_base::MAX_TOPIC_LEVELS - 2].join("/");
    bed.subscribe(slot, &format!("$share/g/{deepest}"), QoS::AtMostOnce);
    bed.subscribe(slot, &format!("$share/g/{deepest}/a"), QoS::AtMostOnce);
    assert_eq!(bed.received(slot), ["suback [Success]", "suback [TopicFilterInvalid]"]);
    assert_eq!(bed.hub.counters().get(Counter::RefusedSubscribe), 1);
}

#[test]
fn permission_is_asked_for_the_filter_inside_the_share() {
    let mut bed = Bed::new(config(&[R("device:lamp", "a/#", None, "subscribers")], &[]));
    let slot = bed.connect("fan", "f", true);
    bed.subscribe(slot, "$share/g/a/b", QoS::AtMostOnce);
    bed.subscribe(slot, "$share/g/b", QoS::AtMostOnce);
    assert_eq!(bed.received(slot)[1..], ["suback [Success]", "suback [NotAuthorized]"]);
}

#[test]
fn a_route_to_one_device_reaches_only_that_member_of_a_group() {
    let mut route = spec(&R("device:thermometer", "a/b", None, "device:fan"));
    route.on_unavailable =
        Some(Hold { hold: Duration::from_secs(60), max: 10, then: Overflow::DropOldest });
    let everybody = spec(&R("device:lamp", "#", None, "subscribers"));
    let mut bed = Bed::new(config_of(vec![route, everybody], &[]));
    let (fan, lamp) = (bed.connect("fan", "f", true), bed.connect("lamp", "l", true));
    bed.subscribe(lamp, SHARED, QoS::AtLeastOnce);
    bed.subscribe(fan, SHARED, QoS::AtLeastOnce);
    let thermometer = bed.connect("thermometer", "t", true);
    for n in 1..=3 {
        bed.publish(thermometer, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
        bed.puback(fan, n);
    }
    assert_eq!(payloads(&mut bed, &[fan, lamp]), [vec!["1", "2", "3"], vec![]]);
    bed.drop_connection(fan);
    bed.publish(thermometer, "a/b", "held", QoS::AtLeastOnce, 4);
    assert_eq!(payloads(&mut bed, &[lamp]), [Vec::<String>::new()]);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, SHARED, QoS::AtLeastOnce);
    assert_eq!(payloads(&mut bed, &[fan]), [["held"]]);
}

#[test]
fn the_quality_of_service_and_the_identifier_are_those_of_the_member() {
    let mut bed = Bed::broker();
    let (one, two) = (bed.connect("", "1", true), bed.connect("", "2", true));
    bed.subscribe_to(one, &[Subscription::new(SHARED, QoS::AtMostOnce)], Some(5));
    bed.subscribe_to(two, &[Subscription::new(SHARED, QoS::ExactlyOnce)], Some(6));
    bed.subscribe_to(two, &[Subscription::new("a/b", QoS::AtMostOnce)], Some(7));
    bed.received(one);
    bed.received(two);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "x", QoS::AtLeastOnce, 1);
    bed.publish(sender, "a/b", "y", QoS::AtLeastOnce, 2);
    assert_eq!(bed.identifiers(one), [("x".to_owned(), 0, vec![5])]);
    let expect = [("x".to_owned(), 0, vec![7]), ("y".to_owned(), 0, vec![7])];
    let seen = bed.identifiers(two);
    assert_eq!(seen[..2], expect);
    assert_eq!(seen[2..], [("y".to_owned(), 1, vec![6])]);
}

#[test]
fn who_unsubscribed_is_chosen_no_more() {
    let mut bed = Bed::broker();
    let group = members(&mut bed, 2, QoS::AtMostOnce);
    let sender = sender(&mut bed);
    bed.unsubscribe(group[0], &["a/+"]);
    bed.unsubscribe(group[0], &[SHARED]);
    bed.unsubscribe(group[0], &[SHARED]);
    let expect = ["NoSubscriptionExisted", "Success", "NoSubscriptionExisted"];
    assert_eq!(bed.received(group[0]), expect.map(|word| format!("unsuback [{word}]")));
    for n in 0..2 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtMostOnce, 0);
    }
    assert_eq!(payloads(&mut bed, &group), [vec![], vec!["0", "1"]]);
    bed.unsubscribe(group[1], &[SHARED]);
    assert_eq!(bed.hub.view().filters, 1, "the group went with its last member");
    bed.publish(sender, "a/b", "nobody", QoS::AtMostOnce, 0);
    assert_eq!(bed.hub.counters().get(Counter::DropNoSubscriber), 1);
}

#[test]
fn members_that_are_away_or_have_no_room_are_passed_over() {
    let mut bed = Bed::broker();
    let away = connect(&mut bed, "", "away", 100, 3_600);
    let narrow = connect(&mut bed, "", "narrow", 1, 0);
    let wide = connect(&mut bed, "", "wide", 100, 0);
    for slot in [away, narrow, wide] {
        bed.subscribe(slot, SHARED, QoS::AtLeastOnce);
    }
    bed.drop_connection(away);
    let sender = sender(&mut bed);
    for n in 1..=5 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(payloads(&mut bed, &[narrow, wide]), [vec!["1"], vec!["2", "3", "4", "5"]]);
    bed.puback(narrow, 1);
    bed.publish(sender, "a/b", "6", QoS::AtLeastOnce, 6);
    bed.publish(sender, "a/b", "7", QoS::AtLeastOnce, 7);
    assert_eq!(payloads(&mut bed, &[narrow, wide]), [["6"], ["7"]]);
    bed.publish(sender, "a/b", "0", QoS::AtMostOnce, 0);
    bed.publish(sender, "a/b", "00", QoS::AtMostOnce, 0);
    assert_eq!(payloads(&mut bed, &[narrow, wide]), [["0"], ["00"]], "QoS 0 needs no window");
}

#[test]
fn what_no_member_can_take_waits_with_one_that_keeps_it() {
    let mut bed = Bed::broker();
    let away = connect(&mut bed, "", "away", 100, 3_600);
    bed.subscribe(away, SHARED, QoS::AtLeastOnce);
    let clean = members(&mut bed, 1, QoS::AtLeastOnce)[0];
    bed.drop_connection(away);
    bed.drop_connection(clean);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "kept", QoS::AtLeastOnce, 1);
    bed.publish(sender, "a/b", "lost", QoS::AtMostOnce, 0);
    assert_eq!(bed.hub.counters().get(Counter::DropNoMember), 1);
    let away = connect(&mut bed, "", "away", 100, 3_600);
    assert_eq!(payloads(&mut bed, &[away]), [["kept"]]);
}

#[test]
fn a_full_queue_drops_only_when_every_member_is_full() {
    let mut config = config(&[ALL], &[]);
    config.limits.session_queue.max_messages = 2;
    let mut bed = Bed::new(config);
    let away: Vec<Slot> = (0..2)
        .map(|n| {
            let slot = connect(&mut bed, "", &format!("away{n}"), 100, 3_600);
            bed.subscribe(slot, SHARED, QoS::AtLeastOnce);
            bed.drop_connection(slot);
            slot
        })
        .collect();
    let sender = sender(&mut bed);
    for n in 1..=5 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(bed.hub.counters().get(Counter::DropQueueFull), 1);
    let slots = [0, 1].map(|n| connect(&mut bed, "", &format!("away{n}"), 100, 3_600));
    assert_eq!(payloads(&mut bed, &slots), [["3", "5"], ["2", "4"]]);
    assert_eq!(away.len(), 2);
}

#[test]
fn a_member_that_allows_only_small_packets_is_passed_over() {
    let mut bed = Bed::broker();
    let mut connect = Connect::new(Version::V5, "small");
    connect.properties.maximum_packet_bytes = Some(40);
    let small = bed.connect_with(&connect);
    bed.subscribe(small, SHARED, QoS::AtLeastOnce);
    let large = members(&mut bed, 1, QoS::AtLeastOnce)[0];
    let (sender, long) = (sender(&mut bed), "x".repeat(50));
    bed.publish(sender, "a/b", &long, QoS::AtLeastOnce, 1);
    assert_eq!(payloads(&mut bed, &[small, large]), [vec![], vec![long.clone()]]);
    bed.publish(sender, "a/b", &long, QoS::AtMostOnce, 0);
    assert_eq!(payloads(&mut bed, &[small, large]), [vec![], vec![long]]);
}

/// MQTT-4.8.2-6; mosquitto #2662, EMQX #12257.
#[test]
fn what_a_member_did_not_acknowledge_goes_to_another_when_its_session_ends() {
    let mut bed = Bed::broker();
    let group = members(&mut bed, 2, QoS::AtLeastOnce);
    let sender = sender(&mut bed);
    for n in 1..=4 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(payloads(&mut bed, &group), [["1", "3"], ["2", "4"]]);
    bed.puback(group[0], 1);
    bed.drop_connection(group[0]);
    assert_eq!(bed.received(group[1]), ["publish a/b 3 qos=1 id=3"], "a first sending, no DUP");
    assert_eq!(bed.hub.counters().get(Counter::PassedOn), 1);
    bed.drop_connection(group[1]);
    assert_eq!(bed.hub.counters().get(Counter::DropSessionEnded), 3, "nobody is left");
}

/// EMQX pull requests 7807, 9094 and 9104: by the filter of the group, not by the topic, and not
/// to somebody who subscribed to the topic without the group.
#[test]
fn messages_are_passed_on_by_the_filter_of_the_group() {
    let mut bed = Bed::broker();
    let group = members(&mut bed, 2, QoS::AtLeastOnce);
    let (same_topic, alone) = (bed.connect("", "o", true), bed.connect("", "p", true));
    bed.subscribe(same_topic, "$share/g/a/b", QoS::AtLeastOnce);
    bed.subscribe(alone, "a/b", QoS::AtLeastOnce);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "1", QoS::AtLeastOnce, 1);
    let all = [group[0], group[1], same_topic, alone];
    assert_eq!(payloads(&mut bed, &all), [vec!["1"], vec![], vec!["1"], vec!["1"]]);
    bed.drop_connection(group[0]);
    assert_eq!(payloads(&mut bed, &all[1..]), [vec!["1"], vec![], vec![]]);
}

#[test]
fn neither_a_lost_connection_nor_a_take_over_passes_messages_on() {
    let mut bed = Bed::broker();
    let kept = connect(&mut bed, "", "kept", 1, 3_600);
    bed.subscribe(kept, SHARED, QoS::AtLeastOnce);
    let sender = sender(&mut bed);
    for n in 1..=2 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    let other = members(&mut bed, 1, QoS::AtLeastOnce)[0];
    let again = connect(&mut bed, "", "kept", 1, 3_600);
    assert_eq!(bed.closed, [(kept, CloseReason::TakenOver)]);
    assert_eq!(bed.received(again)[1..], ["publish a/b 1 qos=1 id=1 dup"]);
    bed.drop_connection(again);
    assert!(bed.received(other).is_empty());
    let again = connect(&mut bed, "", "kept", 100, 3_600);
    assert_eq!(
        bed.received(again)[1..],
        ["publish a/b 1 qos=1 id=1 dup", "publish a/b 2 qos=1 id=2"]
    );
    assert_eq!(bed.hub.counters().get(Counter::PassedOn), 0);
}

#[test]
fn a_session_that_expires_or_starts_anew_passes_its_queue_on() {
    for expires in [true, false] {
        let mut bed = Bed::broker();
        let away = connect(&mut bed, "", "away", 100, 60);
        bed.subscribe(away, SHARED, QoS::AtLeastOnce);
        bed.drop_connection(away);
        let sender = sender(&mut bed);
        for n in 1..=3 {
            bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
        }
        let other = members(&mut bed, 1, QoS::AtLeastOnce)[0];
        if expires {
            bed.advance(Duration::from_secs(61));
        } else {
            bed.connect("", "away", true);
        }
        assert_eq!(payloads(&mut bed, &[other]), [["1", "2", "3"]], "{expires}");
    }
}

/// MQTT-4.8.2-4 and MQTT-4.8.2-5.
#[test]
fn qos2_that_left_for_a_member_goes_to_no_other_and_what_waited_does() {
    let mut bed = Bed::broker();
    let first = connect(&mut bed, "", "first", 1, 60);
    bed.subscribe(first, SHARED, QoS::ExactlyOnce);
    let sender = sender(&mut bed);
    for n in 1..=2 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::ExactlyOnce, n);
        bed.step(sender, Step::Pubrel, n, ReasonCode::Success);
    }
    assert_eq!(payloads(&mut bed, &[first]), [["1"]]);
    let other = members(&mut bed, 1, QoS::ExactlyOnce)[0];
    bed.drop_connection(first);
    bed.advance(Duration::from_secs(61));
    assert_eq!(payloads(&mut bed, &[other]), [["2"]]);
    assert_eq!(bed.hub.counters().get(Counter::DropSessionEnded), 1);
}

/// MQTT-4.8.2-6: a refusal is for good.
#[test]
fn what_a_member_refused_goes_to_no_other() {
    let refusal = Ack::with_reason(1, ReasonCode::NotAuthorized);
    for (qos, refuses) in
        [(QoS::AtLeastOnce, Packet::Puback(refusal)), (QoS::ExactlyOnce, Packet::Pubrec(refusal))]
    {
        let mut bed = Bed::broker();
        let group = members(&mut bed, 2, qos);
        let sender = sender(&mut bed);
        bed.publish(sender, "a/b", "1", qos, 1);
        assert_eq!(payloads(&mut bed, &group), [vec!["1"], vec![]]);
        bed.send_packet(group[0], &refuses);
        bed.drop_connection(group[0]);
        assert!(bed.received(group[1]).is_empty());
    }
}

#[test]
fn a_member_without_a_route_does_not_inherit_messages() {
    let routes = [
        R("device:lamp", "a/secret", None, "device:fan"),
        R("device:lamp", "a/open", None, "subscribers"),
    ];
    let mut bed = Bed::new(config(&routes, &[]));
    let (fan, thermometer) = (bed.connect("fan", "f", true), bed.connect("thermometer", "t", true));
    bed.subscribe(fan, SHARED, QoS::AtLeastOnce);
    bed.subscribe(thermometer, SHARED, QoS::AtLeastOnce);
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a/secret", "s", QoS::AtLeastOnce, 1);
    assert_eq!(payloads(&mut bed, &[fan, thermometer]), [vec!["s"], vec![]]);
    bed.drop_connection(fan);
    assert_eq!(payloads(&mut bed, &[thermometer]), [Vec::<String>::new()]);
    assert_eq!(bed.hub.counters().get(Counter::DropSessionEnded), 1);
}

/// Proves: ALL-9.
#[test]
fn groups_and_what_waits_for_them_are_there_after_a_crash() {
    let mut bed = Bed::broker();
    let away = connect(&mut bed, "", "away", 100, 3_600);
    bed.subscribe(away, SHARED, QoS::AtLeastOnce);
    bed.drop_connection(away);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "1", QoS::AtLeastOnce, 1);
    bed.crash(config(&[ALL], &[]));
    let second = connect(&mut bed, "", "second", 100, 0);
    bed.subscribe(second, SHARED, QoS::AtLeastOnce);
    let away = connect(&mut bed, "", "away", 100, 3_600);
    assert_eq!(bed.received(away)[1..], ["publish a/b 1 qos=1 id=1"]);
    let other = bed.connect("", "s2", true);
    for n in 2..=3 {
        bed.publish(other, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(payloads(&mut bed, &[away, second]), [["2"], ["3"]]);
}

#[test]
fn what_a_member_without_a_kept_session_had_goes_to_one_that_has_after_a_crash() {
    let mut bed = Bed::broker();
    let clean = members(&mut bed, 1, QoS::AtLeastOnce)[0];
    let kept = connect(&mut bed, "", "kept", 100, 3_600);
    bed.subscribe(kept, SHARED, QoS::AtLeastOnce);
    bed.received(kept);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "1", QoS::AtLeastOnce, 1);
    assert_eq!(payloads(&mut bed, &[clean, kept]), [vec!["1"], vec![]]);
    assert_eq!(bed.received(sender), ["puback 1 Success"]);
    bed.crash(config(&[ALL], &[]));
    let kept = connect(&mut bed, "", "kept", 100, 3_600);
    assert_eq!(bed.received(kept)[1..], ["publish a/b 1 qos=1 id=1"]);
    bed.puback(kept, 1);
    bed.crash(config(&[ALL], &[]));
    let kept = connect(&mut bed, "", "kept", 100, 3_600);
    assert_eq!(bed.received(kept).len(), 1);
}

#[test]
fn a_message_that_was_passed_on_survives_a_crash_with_the_member_that_has_it() {
    let mut bed = Bed::broker();
    let clean = members(&mut bed, 1, QoS::ExactlyOnce)[0];
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "1", QoS::AtLeastOnce, 1);
    let both: Vec<Slot> = (0..2)
        .map(|n| {
            let slot = connect(&mut bed, "", &format!("kept{n}"), 100, 3_600);
            bed.subscribe(slot, SHARED, QoS::ExactlyOnce);
            slot
        })
        .collect();
    bed.publish(sender, "a/b", "2", QoS::AtLeastOnce, 2);
    // The first was accepted while nobody could keep it, the second is in the journal.
    bed.drop_connection(clean);
    let seen = payloads(&mut bed, &both);
    let mut all: Vec<String> = seen.iter().flatten().cloned().collect();
    all.sort();
    assert_eq!(all, ["1", "2"]);
    bed.crash(config(&[ALL], &[]));
    for (n, expect) in seen.iter().enumerate() {
        let slot = connect(&mut bed, "", &format!("kept{n}"), 100, 3_600);
        assert_eq!(payloads(&mut bed, &[slot])[0], *expect, "kept{n}");
    }
}

#[test]
fn qos2_on_its_way_to_a_member_ends_with_it_after_a_crash() {
    let mut bed = Bed::broker();
    let other = connect(&mut bed, "", "other", 100, 3_600);
    let first = connect(&mut bed, "", "first", 100, 3_600);
    for slot in [first, other] {
        bed.subscribe(slot, SHARED, QoS::ExactlyOnce);
    }
    // The same message by a subscription of its own, with less.
    bed.subscribe(first, "a/b", QoS::AtLeastOnce);
    bed.received(first);
    let sender = sender(&mut bed);
    bed.publish(sender, "a/b", "1", QoS::ExactlyOnce, 1);
    let expect = ["publish a/b 1 qos=1 id=1", "publish a/b 1 qos=2 id=2"];
    assert_eq!(bed.received(first), expect);
    bed.crash(config(&[ALL], &[]));
    let first = connect(&mut bed, "", "first", 100, 3_600);
    let expect = ["publish a/b 1 qos=1 id=1 dup", "publish a/b 1 qos=2 id=2 dup"];
    assert_eq!(bed.received(first)[1..], expect);
    bed.step(first, Step::Pubrec, 2, ReasonCode::Success);
    bed.puback(first, 1);
    assert_eq!(bed.received(first), ["pubrel 2 Success"]);
    bed.step(first, Step::Pubcomp, 2, ReasonCode::Success);
    bed.crash(config(&[ALL], &[]));
    for id in ["first", "other"] {
        let slot = connect(&mut bed, "", id, 100, 3_600);
        assert_eq!(bed.received(slot).len(), 1, "{id} gets nothing more");
    }
}

#[test]
fn a_crash_while_messages_are_passed_on_loses_none() {
    let routes = || config(&[ALL], &[]);
    let mut bed = Bed::broker();
    for n in 0..3 {
        let slot = connect(&mut bed, "", &format!("k{n}"), 100, 60 + n);
        bed.subscribe(slot, SHARED, QoS::AtLeastOnce);
        bed.drop_connection(slot);
    }
    let sender = sender(&mut bed);
    for n in 1..=6 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    let before = bed.log.len();
    bed.advance(Duration::from_millis(60_500));
    let whole = bed.log.clone();
    assert!(whole.len() > before + 2, "the first session ended and passed two on");
    for cut in before..=whole.len() {
        let mut bed = Bed::new(routes());
        bed.log = whole[..cut].to_vec();
        bed.crash(routes());
        let slots = ["k0", "k1", "k2"].map(|id| connect(&mut bed, "", id, 100, 3_600));
        let mut all: Vec<String> = payloads(&mut bed, &slots).into_iter().flatten().collect();
        all.sort();
        assert_eq!(all, ["1", "2", "3", "4", "5", "6"], "cut after {cut} records");
    }
}

#[test]
fn the_journal_forgets_what_every_member_has_done_with() {
    let mut bed = Bed::broker();
    let kept = connect(&mut bed, "", "kept", 100, 3_600);
    bed.subscribe(kept, SHARED, QoS::AtLeastOnce);
    let clean = members(&mut bed, 1, QoS::AtLeastOnce)[0];
    let sender = sender(&mut bed);
    for n in 1..=4 {
        bed.publish(sender, "a/b", &n.to_string(), QoS::AtLeastOnce, n);
    }
    assert_eq!(bed.hub.stored.len(), 4);
    bed.puback(kept, 1);
    bed.puback(clean, 1);
    bed.drop_connection(clean);
    for id in 2..=3 {
        bed.puback(kept, id);
    }
    assert_eq!(bed.hub.stored.len(), 0);
}

#[test]
fn why_tells_who_of_the_group_was_chosen() {
    let mut bed = Bed::new(config(&[R("device:lamp", "#", None, "subscribers")], &[]));
    let (lamp, fan) = (bed.connect("lamp", "l", true), bed.connect("fan", "f", true));
    bed.subscribe(fan, SHARED, QoS::AtLeastOnce);
    bed.publish(lamp, "a/b", "x", QoS::AtLeastOnce, 1);
    let source = tomte_base::Source::Device(tomte_base::DeviceName::new("lamp").unwrap());
    let told: Vec<String> = bed.hub.last_trace(&source, "a/b")[0]
        .hops
        .iter()
        .map(|hop| format!("{} {} {}", hop.subject, hop.verdict, hop.detail))
        .collect();
    let chosen = format!("{SHARED} chosen fan, whose turn it was");
    assert_eq!(told[1..], [chosen, "fan sent ".to_owned()]);
    let topic = tomte_base::TopicName::new("a/b").unwrap();
    let hops = bed.hub.explain(bed.now, &source, &topic, b"x", None);
    assert_eq!(hops[1].subject, SHARED);
    assert_eq!(hops[1].detail, "to one of 1 members; 1 are connected");
}

/// Groups count among the subscriptions that a session may have.
#[test]
fn a_session_has_a_bound_for_its_shares() {
    let mut config = config(&[ALL], &[]);
    config.limits = Limits { max_subscriptions: 2, ..config.limits };
    let mut bed = Bed::new(config);
    let slot = bed.connect("", "m", true);
    for filter in ["$share/1/a", "$share/2/a", "$share/3/a", "$share/2/a"] {
        bed.subscribe(slot, filter, QoS::AtMostOnce);
    }
    let words = bed.received(slot);
    assert_eq!(words[3..], ["suback [QuotaExceeded]", "suback [Success]"]);
}
