//! Wills with and without a delay.

use std::time::Duration;

use tomte_base::{Properties, QoS};
use tomte_mqtt::codec::{
    Connect, Disconnect, Packet, PacketType, ReasonCode, Subscription, Version, Will,
};

use super::harness::{Bed, open};
use crate::{Record, Slot};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Connects a client with a will after `delay_s`; its session is kept for `expiry_s`.
fn connect(bed: &mut Bed, clean_start: bool, delay_s: u32, expiry_s: u32) -> Slot {
    connect_with(bed, clean_start, expiry_s, Will { delay_seconds: delay_s, ..will() })
}

fn will() -> Will<'static> {
    Will { topic: "gone", payload: b"w", qos: QoS::ExactlyOnce, ..Will::default() }
}

fn connect_with(bed: &mut Bed, clean_start: bool, expiry_s: u32, will: Will<'_>) -> Slot {
    let mut connect = Connect::new(Version::V5, "c");
    connect.clean_start = clean_start;
    connect.properties.session_expiry_seconds = Some(expiry_s);
    connect.will = Some(will);
    bed.connect_with(&connect)
}

/// A hub with somebody who watches.
fn watched() -> (Bed, Slot) {
    let mut bed = Bed::new(open());
    let watcher = watch(&mut bed);
    (bed, watcher)
}

fn watch(bed: &mut Bed) -> Slot {
    let watcher = bed.connect("", "watcher", true);
    bed.subscribe(watcher, "gone", QoS::AtMostOnce);
    bed.received(watcher);
    watcher
}

fn came(bed: &mut Bed, watcher: Slot) -> usize {
    bed.received(watcher).len()
}

#[test]
fn a_will_without_delay_is_published_when_the_connection_is_lost() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, true, 0, 0);
    bed.drop_connection(client);
    assert_eq!(bed.received(watcher), ["publish gone w qos=0 id=0"]);
}

#[test]
fn a_will_waits_for_its_delay() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, true, 10, 100);
    bed.drop_connection(client);
    bed.advance(seconds(9));
    assert_eq!(came(&mut bed, watcher), 0);
    bed.advance(seconds(1));
    assert_eq!(came(&mut bed, watcher), 1);
    bed.advance(seconds(1_000));
    assert_eq!(came(&mut bed, watcher), 0, "once");
}

#[test]
fn the_end_of_the_session_ends_the_delay() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, true, 100, 10);
    bed.drop_connection(client);
    bed.advance(seconds(9));
    assert_eq!(came(&mut bed, watcher), 0);
    bed.advance(seconds(1));
    assert_eq!(came(&mut bed, watcher), 1);
    let client = connect(&mut bed, true, 100, 0);
    bed.drop_connection(client);
    assert_eq!(came(&mut bed, watcher), 1, "the session ended with the connection");
}

#[test]
fn a_client_that_comes_back_in_time_cancels_its_will() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, false, 10, 100);
    bed.drop_connection(client);
    bed.advance(seconds(9));
    let client = connect(&mut bed, false, 10, 100);
    bed.advance(seconds(50));
    assert_eq!(came(&mut bed, watcher), 0);
    bed.disconnect(client, ReasonCode::Success);
    bed.advance(seconds(1_000));
    assert_eq!(came(&mut bed, watcher), 0);
}

#[test]
fn a_clean_start_ends_the_session_and_publishes_its_will() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, false, 10, 100);
    bed.drop_connection(client);
    connect(&mut bed, true, 10, 100);
    assert_eq!(came(&mut bed, watcher), 1);
}

/// MQTT 5, 3.1.4: what becomes of the will of a connection that is taken over.
#[test]
fn a_take_over_publishes_the_will_unless_it_has_a_delay_and_the_session_goes_on() {
    for (clean, delay_s, expected) in [(false, 10, 0), (true, 10, 1), (false, 0, 1), (true, 0, 1)] {
        let (mut bed, watcher) = watched();
        connect(&mut bed, false, delay_s, 100);
        connect(&mut bed, clean, delay_s, 100);
        bed.advance(seconds(50));
        assert_eq!(came(&mut bed, watcher), expected, "clean {clean}, delay {delay_s}");
    }
}

#[test]
fn disconnect_with_will_publishes_it_and_disconnect_does_not() {
    for (reason, expected) in [(ReasonCode::DisconnectWithWill, 1), (ReasonCode::Success, 0)] {
        let (mut bed, watcher) = watched();
        let client = connect(&mut bed, true, 5, 100);
        bed.disconnect(client, reason);
        assert_eq!(came(&mut bed, watcher), 0);
        bed.advance(seconds(5));
        assert_eq!(came(&mut bed, watcher), expected);
    }
}

/// MQTT-3.1.2-8, MQTT-3.1.2-10: only 0x00 takes the will away.
#[test]
fn disconnect_with_any_reason_but_0_publishes_the_will() {
    for reason in ReasonCode::all().filter(|code| code.is_allowed_in(PacketType::Disconnect)) {
        let (mut bed, watcher) = watched();
        let client = connect(&mut bed, true, 0, 0);
        bed.disconnect(client, reason);
        let expected = usize::from(reason != ReasonCode::Success);
        assert_eq!(came(&mut bed, watcher), expected, "{reason:?}");
    }
}

#[test]
fn a_disconnect_that_is_not_allowed_leaves_the_will() {
    let (mut bed, watcher) = watched();
    let client = connect(&mut bed, true, 0, 0);
    let prolongs = Disconnect { session_expiry_seconds: Some(60), ..Disconnect::default() };
    bed.send_packet(client, &Packet::Disconnect(prolongs));
    let expect = ["connack Success present=false", "disconnect ProtocolError"];
    assert_eq!(bed.received(client), expect);
    assert_eq!(came(&mut bed, watcher), 1);
}

#[test]
fn a_will_whose_topic_has_too_many_levels_is_refused_with_its_connect() {
    let (mut bed, watcher) = watched();
    let topic = "/".repeat(tomte_base::MAX_TOPIC_LEVELS);
    let client = connect_with(&mut bed, true, 0, Will { topic: &topic, ..will() });
    assert_eq!(bed.received(client), ["connack TopicNameInvalid present=false"]);
    let topic = "/".repeat(tomte_base::MAX_TOPIC_LEVELS - 1);
    let client = connect_with(&mut bed, true, 0, Will { topic: &topic, ..will() });
    assert_eq!(bed.received(client), ["connack Success present=false"]);
    assert_eq!(came(&mut bed, watcher), 0);
}

/// A stop of the hub is no DISCONNECT of the client: its will is published, if only later.
#[test]
fn the_will_of_a_client_that_is_there_when_the_hub_stops_is_published_at_the_next_start() {
    let mut bed = with_absent_watcher();
    connect(&mut bed, true, 0, 0);
    bed.hub.shutdown(bed.now);
    bed.turn();
    // What the ends of the connections led to is committed too.
    bed.turn();
    for _ in 0..2 {
        bed.crash(open());
        assert_eq!(waiting(&mut bed), 1);
    }
}

/// Proves: MQT-2.
#[test]
fn a_will_that_waits_survives_a_crash() {
    let (mut bed, _) = watched();
    let client = connect(&mut bed, true, 10, 100);
    bed.drop_connection(client);
    bed.advance(seconds(5));
    bed.crash(open());
    let watcher = watch(&mut bed);
    bed.advance(seconds(4));
    assert_eq!(came(&mut bed, watcher), 0);
    bed.advance(seconds(1));
    assert_eq!(came(&mut bed, watcher), 1);
    bed.crash(open());
    let watcher = watch(&mut bed);
    bed.advance(seconds(1_000));
    assert_eq!(came(&mut bed, watcher), 0, "it was published before");
}

#[test]
fn a_will_that_was_cancelled_stays_so_after_a_crash() {
    let (mut bed, _) = watched();
    let client = connect(&mut bed, false, 10, 100);
    bed.drop_connection(client);
    bed.connect("", "c", false);
    bed.crash(open());
    let watcher = watch(&mut bed);
    bed.advance(seconds(50));
    assert_eq!(came(&mut bed, watcher), 0);
}

#[test]
fn a_will_that_waits_is_written_again_after_a_failed_commit() {
    let (mut bed, _) = watched();
    let client = connect(&mut bed, true, 10, 100);
    bed.disk_full = true;
    bed.drop_connection(client);
    bed.disk_full = false;
    bed.connect("", "other", false);
    bed.crash(open());
    let watcher = watch(&mut bed);
    bed.advance(seconds(10));
    assert_eq!(came(&mut bed, watcher), 1);
}

/// A hub with a kept session that waits for wills, and its client away.
fn with_absent_watcher() -> Bed {
    let mut bed = Bed::new(open());
    let receiver = bed.connect("", "receiver", false);
    bed.subscribe(receiver, "gone", QoS::ExactlyOnce);
    bed.drop_connection(receiver);
    bed
}

/// How many wills wait for the client of [`with_absent_watcher`].
fn waiting(bed: &mut Bed) -> usize {
    let receiver = bed.connect("", "receiver", false);
    let n = bed.received(receiver).iter().filter(|word| word.starts_with("publish gone")).count();
    bed.drop_connection(receiver);
    n
}

/// Proves a part of: MQT-2.
#[test]
fn the_will_of_a_connected_client_is_published_once_when_the_process_died() {
    for (clean, expiry_s) in [(true, 0), (true, 100), (false, 100)] {
        let mut bed = with_absent_watcher();
        connect(&mut bed, clean, 0, expiry_s);
        for _ in 0..3 {
            bed.crash(open());
            assert_eq!(waiting(&mut bed), 1, "clean {clean}, kept for {expiry_s} s");
        }
    }
}

#[test]
fn a_will_with_a_delay_waits_for_a_client_that_the_crash_cut_off() {
    let mut bed = with_absent_watcher();
    connect(&mut bed, false, 10, 100);
    bed.crash(open());
    assert_eq!(waiting(&mut bed), 0);
    bed.advance(seconds(10));
    assert_eq!(waiting(&mut bed), 1);

    let mut bed = with_absent_watcher();
    connect(&mut bed, false, 10, 100);
    bed.crash(open());
    bed.advance(seconds(5));
    bed.connect("", "c", false);
    bed.advance(seconds(50));
    bed.crash(open());
    assert_eq!(waiting(&mut bed), 0, "the client came back in time");
}

#[test]
fn a_client_that_said_goodbye_leaves_no_will_to_a_crash() {
    let mut bed = with_absent_watcher();
    let client = connect(&mut bed, true, 0, 0);
    bed.disconnect(client, ReasonCode::Success);
    let client = connect(&mut bed, false, 10, 100);
    bed.disconnect(client, ReasonCode::Success);
    bed.crash(open());
    bed.advance(seconds(10));
    assert_eq!(waiting(&mut bed), 0);
}

#[test]
fn a_take_over_leaves_the_will_of_the_new_connection_only() {
    for delay_s in [0, 10] {
        let mut bed = with_absent_watcher();
        connect(&mut bed, false, delay_s, 100);
        connect(&mut bed, false, delay_s, 100);
        let published = usize::from(delay_s == 0);
        assert_eq!(waiting(&mut bed), published, "that of the connection that was taken over");
        bed.crash(open());
        bed.advance(seconds(10));
        assert_eq!(waiting(&mut bed), published + 1, "delay {delay_s}");
    }
}

#[test]
fn only_a_client_with_a_will_writes_and_it_is_confirmed_when_that_is_safe() {
    let mut bed = Bed::new(open());
    bed.connect("", "plain", true);
    assert_eq!(bed.log.len(), 0);
    bed.disk_full = true;
    let client = connect(&mut bed, true, 0, 0);
    assert!(bed.received(client).is_empty(), "no CONNACK");
    bed.disk_full = false;
    let client = connect(&mut bed, true, 0, 0);
    assert_eq!(bed.received(client), ["connack Success present=false"]);
    assert!(!bed.log.is_empty());
}

#[test]
fn a_crash_in_the_middle_of_publishing_a_will_neither_loses_nor_doubles_it() {
    let mut bed = with_absent_watcher();
    let client = connect(&mut bed, true, 0, 0);
    let before = bed.log.len();
    bed.drop_connection(client);
    let whole = bed.log.clone();
    for cut in before..=whole.len() {
        bed.log = whole[..cut].to_vec();
        for _ in 0..2 {
            bed.crash(open());
        }
        assert_eq!(waiting(&mut bed), 1, "{cut} of {} records", whole.len());
    }
}

#[test]
fn a_will_that_was_published_while_the_disk_was_full_is_published_once() {
    for a_sync_is_told_late in [false, true] {
        let mut bed = with_absent_watcher();
        let client = connect(&mut bed, true, 0, 0);
        bed.disk_full = true;
        bed.drop_connection(client);
        if a_sync_is_told_late {
            bed.tell_sync_late();
        }
        bed.disk_full = false;
        let before = bed.log.len();
        bed.connect("", "other", false);
        let whole = bed.log.clone();
        for cut in before..=whole.len() {
            bed.log = whole[..cut].to_vec();
            bed.crash(open());
            assert_eq!(waiting(&mut bed), 1, "{cut} of {} records", whole.len());
        }
    }
}

#[test]
fn the_will_of_a_connected_client_is_written_again_after_a_failed_commit_and_in_a_compaction() {
    let mut bed = with_absent_watcher();
    connect(&mut bed, true, 0, 0);
    bed.disk_full = true;
    bed.connect("", "other", false);
    bed.disk_full = false;
    bed.connect("", "other", false);
    let end = bed.hub.ledger.appended().next();
    bed.hub.copy_forward(&(tomte_base::LogPosition(0)..end));
    bed.turn();
    bed.log.retain(|(position, _)| *position >= end);
    bed.crash(open());
    assert_eq!(waiting(&mut bed), 1);
}

#[test]
fn its_expiry_counts_from_its_publication_and_its_properties_stay() {
    let (mut bed, _) = watched();
    let receiver = bed.connect("", "receiver", false);
    bed.subscribe(receiver, "gone", QoS::ExactlyOnce);
    bed.drop_connection(receiver);
    let properties = Properties { content_type: Some("text/plain".into()), ..Default::default() };
    let with = Will {
        delay_seconds: 10,
        message_expiry_seconds: Some(20),
        properties: Some(Box::new(properties.clone())),
        ..will()
    };
    let client = connect_with(&mut bed, true, 100, with);
    bed.drop_connection(client);
    bed.crash(open());
    bed.advance(seconds(10));
    let stored = bed.log.iter().rev().find_map(|(_, record)| match Record::decode(record) {
        Ok(Record::AcceptedWill { message, .. }) => Some(message),
        _ => None,
    });
    let message = stored.expect("it waits for the receiver");
    assert_eq!(message.expires, bed.now + seconds(20));
    assert_eq!(message.properties.as_deref(), Some(&properties));
    bed.advance(seconds(19));
    let receiver = bed.connect("", "receiver", false);
    assert_eq!(bed.received(receiver)[1..], ["publish gone w qos=2 id=1"]);
}

/// MQTT-3.8.3-3: the client published it.
#[test]
fn no_local_holds_a_clients_own_will_back() {
    let mut bed = Bed::broker();
    let mut connect = Connect::new(Version::V5, "k");
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(60);
    let silent = connect.clone();
    connect.will =
        Some(Will { topic: "gone", payload: b"w", qos: QoS::AtLeastOnce, ..Will::default() });
    let slot = bed.connect_with(&connect);
    let mut own = Subscription::new("gone", QoS::AtLeastOnce);
    own.no_local = true;
    bed.subscribe_to(slot, &[own], None);
    let other = bed.client(Version::V5, "o");
    bed.subscribe(other, "gone", QoS::AtLeastOnce);
    bed.received(other);
    bed.drop_connection(slot);
    assert_eq!(bed.received(other), ["publish gone w qos=1 id=1"]);
    let slot = bed.connect_with(&silent);
    assert_eq!(bed.received(slot), ["connack Success present=true"]);
}
