//! A disk that takes nothing for a while: how often it is tried, what is refused meanwhile, and what
//! goes on.

use std::time::Duration;

use tomte_base::{LogPosition, QoS};
use tomte_mqtt::codec::{PublishHead, ReasonCode, Version};
use tomte_route::{Hold, Overflow, RouteSpec, RuleSpec};

use super::harness::{ALL, BOTH, Bed, QOS0, QOS1, QOS2, R, Step, config, config_of, open, spec};
use crate::outage::RETRY;
use crate::{CloseReason, Config, Counter, Record, Slot};

const MOMENT: Duration = Duration::from_millis(10);

/// A hub whose disk is full, which it knows, with a kept session that subscribed to `kept` and is away,
/// and a sender whose session ends with its connection.
fn full(config: Config, version: Version) -> (Bed, Slot) {
    let mut bed = Bed::new(config);
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "kept", QOS2);
    bed.drop_connection(receiver);
    bed.disk_full = true;
    bed.connect("", "unlucky", false);
    assert!(bed.hub.outage.is_closed());
    let sender = bed.client(version, "s");
    (bed, sender)
}

fn failures(bed: &Bed) -> u64 {
    bed.hub.counters().get(Counter::JournalFailures)
}

fn arrived(bed: &mut Bed) -> Vec<String> {
    let receiver = bed.connect("", "r", false);
    let words = bed.received(receiver).into_iter();
    words.filter_map(|word| Some(word.strip_prefix("publish ")?.to_owned())).collect()
}

/// Proves a part of: MQT-2.
#[test]
fn a_publisher_that_goes_on_at_a_full_disk_costs_neither_memory_nor_work() {
    let (mut bed, sender) = full(open(), Version::V5);
    let payload = "x".repeat(4_000);
    let (before, n_stored) = (bed.bytes_refused, bed.hub.stored.len());
    for id in 1..=1_000 {
        bed.publish(sender, "kept", &payload, QOS1, id);
        assert_eq!(bed.received(sender), [format!("puback {id} QuotaExceeded")]);
        bed.advance(MOMENT);
    }
    assert!(failures(&bed) <= 11, "{} tries in ten seconds", failures(&bed));
    let tried = bed.bytes_refused - before;
    assert!(tried < 10 * 1_000, "{tried} bytes of sessions, and no message");
    assert_eq!((bed.hub.stored.len(), bed.hub.queued_bytes), (n_stored, 0));
    assert_eq!(bed.hub.view().queued, 0);
    assert_eq!(bed.hub.counters().get(Counter::RefusedNotStored), 1_000);
    bed.disk_full = false;
    bed.advance(RETRY);
    bed.publish(sender, "kept", "after", QOS1, 1);
    assert_eq!(bed.received(sender), ["puback 1 Success"]);
    bed.crash(open());
    assert_eq!(arrived(&mut bed), ["kept after qos=1 id=1"]);
}

#[test]
fn the_first_batch_that_fails_stays_and_is_written_when_there_is_room() {
    let (mut bed, _) = full(open(), Version::V5);
    bed.disk_full = false;
    bed.advance(RETRY);
    let sender = bed.client(Version::V5, "s2");
    bed.disk_full = true;
    for id in 1..=3 {
        bed.publish(sender, "kept", &id.to_string(), QOS1, id);
        assert_eq!(bed.received(sender), [format!("puback {id} QuotaExceeded")]);
    }
    bed.disk_full = false;
    bed.advance(RETRY);
    bed.crash(open());
    assert_eq!(arrived(&mut bed), ["kept 1 qos=1 id=1"], "the others were refused before");
}

#[test]
fn the_journal_is_tried_again_by_itself_and_not_before_a_second_is_over() {
    let (mut bed, _) = full(open(), Version::V5);
    let closed_at = bed.now;
    assert_eq!(bed.hub.next_deadline(), Some(closed_at + RETRY));
    assert!(!bed.hub.has_work(), "the host may sleep");
    bed.disk_full = false;
    let n_records = bed.log.len();
    bed.advance(RETRY - MOMENT);
    assert_eq!((bed.log.len(), failures(&bed)), (n_records, 1));
    bed.advance(MOMENT);
    let last = Record::decode(&bed.log.last().unwrap().1).unwrap();
    assert!(matches!(last, Record::Superseded { .. }), "{last:?}");
    assert_ne!(bed.hub.next_deadline(), Some(bed.now + RETRY));
}

#[test]
fn each_try_that_fails_closes_the_journal_for_another_second() {
    let (mut bed, _) = full(open(), Version::V5);
    for n in 1..=5 {
        assert_eq!(failures(&bed), n);
        assert_eq!(bed.hub.next_deadline(), Some(bed.now + RETRY));
        bed.advance(RETRY);
    }
}

#[test]
fn a_hub_that_stops_tries_the_journal_at_once() {
    let (mut bed, _) = full(open(), Version::V5);
    bed.disk_full = false;
    let n_records = bed.log.len();
    bed.hub.shutdown(bed.now);
    bed.turn();
    assert!(bed.log.len() > n_records);
}

#[test]
fn qos_0_and_receivers_without_a_kept_session_go_on() {
    let (mut bed, sender) = full(open(), Version::V5);
    let receiver = bed.client(Version::V5, "clean");
    bed.subscribe(receiver, "a", QOS2);
    bed.subscribe(receiver, "kept", QOS0);
    bed.received(receiver);
    bed.publish(sender, "kept", "0", QOS0, 0);
    bed.publish(sender, "a", "1", QOS1, 1);
    bed.publish(sender, "a", "2", QOS2, 2);
    let words = bed.received(receiver);
    assert_eq!(
        words,
        ["publish kept 0 qos=0 id=0", "publish a 1 qos=1 id=1", "publish a 2 qos=2 id=2"]
    );
    assert!(!bed.is_closed(receiver) && !bed.is_closed(sender));
}

#[test]
fn a_client_of_311_is_closed_and_nothing_of_its_message_stays() {
    for qos in [QOS1, QOS2] {
        let (mut bed, sender) = full(open(), Version::V311);
        bed.publish(sender, "kept", "1", qos, 1);
        assert_eq!(bed.close_reason(sender), Some(&CloseReason::NotStored));
        assert!(bed.received(sender).is_empty());
        assert_eq!((bed.hub.stored.len(), bed.hub.n_unreleased), (0, 0));
    }
}

#[test]
fn a_qos_2_message_that_was_refused_can_be_sent_again_and_comes_once() {
    let (mut bed, sender) = full(open(), Version::V5);
    for _ in 0..2 {
        bed.publish(sender, "kept", "1", QOS2, 7);
        assert_eq!(bed.received(sender), ["pubrec 7 QuotaExceeded"]);
    }
    assert_eq!(bed.hub.n_unreleased, 0);
    bed.disk_full = false;
    bed.publish(sender, "kept", "1", QOS2, 7);
    bed.step(sender, Step::Pubrel, 7, ReasonCode::Success);
    assert_eq!(bed.received(sender), ["pubrec 7 Success", "pubcomp 7 Success"]);
    bed.crash(open());
    assert_eq!(arrived(&mut bed), ["kept 1 qos=2 id=1"]);
}

/// It sends the message again by itself, so its connection is ended, as when a commit fails.
#[test]
fn a_qos_2_message_of_a_kept_session_is_refused_by_the_end_of_the_connection_and_comes_once() {
    for version in BOTH {
        let mut bed = Bed::new(open());
        let receiver = bed.connect_kept("r", version);
        bed.subscribe(receiver, "kept", QOS2);
        bed.drop_connection(receiver);
        let sender = bed.connect_kept("s", version);
        bed.received(sender);
        bed.disk_full = true;
        bed.connect("", "unlucky", false);
        bed.publish(sender, "kept", "1", QOS2, 7);
        assert_eq!(bed.close_reason(sender), Some(&CloseReason::NotStored));
        let told = if version == Version::V5 { &["disconnect QuotaExceeded"][..] } else { &[] };
        assert_eq!(bed.received(sender), told);
        bed.disk_full = false;
        let back = bed.connect_kept("s", version);
        let head =
            PublishHead { topic: "kept", qos: QOS2, packet_id: 7, dup: true, ..Default::default() };
        bed.publish_with(back, head, "1");
        assert_eq!(bed.received(back)[1..], ["pubrec 7 Success"]);
        assert_eq!(arrived(&mut bed), ["kept 1 qos=2 id=1"]);
    }
}

/// In the mode `power` what makes a failure good is written some time before it is safe.
#[test]
fn messages_are_taken_again_when_what_was_lost_is_safe_and_not_before() {
    let (mut bed, sender) = full(open(), Version::V5);
    bed.now += RETRY;
    bed.hub.on_deadline(bed.now);
    assert!(bed.hub.must_commit(bed.now));
    let mut last = LogPosition(0);
    bed.hub.drain_records(|position, _| last = position);
    let publish = |id| {
        let head = PublishHead { topic: "kept", qos: QOS1, packet_id: id, ..Default::default() };
        super::harness::encoded_publish(Version::V5, &head, "x")
    };
    bed.hub.on_bytes(bed.now, sender, &publish(1));
    bed.hub.on_durable(bed.now, LogPosition(1));
    bed.hub.on_bytes(bed.now, sender, &publish(2));
    bed.hub.on_durable(bed.now, last);
    bed.disk_full = false;
    bed.send(sender, &publish(3));
    let words = bed.received(sender);
    assert_eq!(words, ["puback 1 QuotaExceeded", "puback 2 QuotaExceeded", "puback 3 Success"]);
    assert_eq!(bed.hub.view().queued, 1);
}

fn held() -> RouteSpec {
    let hold = Hold { hold: Duration::from_secs(600), max: 100, then: Overflow::DropOldest };
    RouteSpec { on_unavailable: Some(hold), ..spec(&R("device:*", "a", None, "device:fan")) }
}

fn renamed() -> RouteSpec {
    let rule = RuleSpec { publish_as: Some("kept".to_owned()), ..RuleSpec::default() };
    RouteSpec { rule, ..spec(&R("device:*", "a", None, "subscribers")) }
}

fn chosen() -> RouteSpec {
    let rule = RuleSpec { only: Some("true".to_owned()), ..RuleSpec::default() };
    RouteSpec { rule, ..spec(&R("device:*", "kept", None, "subscribers")) }
}

#[test]
fn whatever_the_journal_would_have_to_keep_is_refused_before_anybody_has_it() {
    let to_function = config(&[ALL, R("device:*", "a", None, "function:f")], &[("f", None)]);
    for (what, config, topic, retain) in [
        ("a call", to_function, "a", false),
        ("a hold", config_of(vec![held()], &[]), "a", false),
        ("a second topic", config_of(vec![spec(&ALL), renamed()], &[]), "a", false),
        ("a choice", config_of(vec![chosen()], &[]), "kept", false),
        ("retained", open(), "a", true),
        ("a group", open(), "shared", false),
    ] {
        let mut bed = Bed::new(config);
        let kept = bed.connect("", "r", false);
        bed.subscribe(kept, "kept", QOS1);
        bed.subscribe(kept, "$share/g/shared", QOS1);
        bed.drop_connection(kept);
        let sender = bed.client(Version::V5, "s");
        bed.disk_full = true;
        bed.connect("", "unlucky", false);
        let (n_records, now) = (bed.hub.ledger.appended(), bed.now);
        let head = PublishHead { topic, qos: QOS1, packet_id: 1, retain, ..Default::default() };
        bed.publish_with(sender, head, "{}");
        assert_eq!(bed.received(sender), ["puback 1 QuotaExceeded"], "{what}");
        assert_eq!(bed.hub.stored.len(), 0, "{what}");
        assert_eq!(bed.hub.ledger.appended(), n_records, "{what}");
        assert_eq!((bed.hub.view().queued, bed.hub.view().retained), (0, 0), "{what}");
        assert_eq!(bed.hub.next_deadline(), Some(now + RETRY), "{what}");
        let traces = format!("{:?}", bed.hub.last_trace(&tomte_base::Source::Anonymous, topic));
        assert!(traces.contains("the journal takes nothing"), "{traces}");
    }
}

/// A refusal says nothing of the journal, but it does not overtake what was asked before.
#[test]
fn refusals_keep_the_order_of_the_messages() {
    let (mut bed, sender) = full(open(), Version::V5);
    let publish = |topic, packet_id| {
        let head = PublishHead { topic, qos: QoS::AtLeastOnce, packet_id, ..Default::default() };
        super::harness::encoded_publish(Version::V5, &head, "x")
    };
    bed.send(sender, &[publish("nobody", 1), publish("kept", 2), publish("nobody", 3)].concat());
    let words = bed.received(sender);
    let ids: Vec<_> = words.iter().map(|word| word.split(' ').nth(1).unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"], "{words:?}");
}
