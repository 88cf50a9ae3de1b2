//! Messages that wait in the journal, and come back to memory when their turn is near.

use tomte_base::{ByteSize, LogPosition, QoS};
use tomte_broker::Overflow;
use tomte_mqtt::codec::{PublishHead, Version};

use super::harness::{Bed, R, Step, config, encoded_publish, limited, open};
use crate::{Config, Counter, Effect, FetchFor, Record, Slot, Wanted};

/// A hub with a kept session that subscribed to `a` and is away, and a sender.
fn bed(config: Config, qos: QoS) -> (Bed, Slot) {
    let mut bed = Bed::new(config);
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", qos);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    (bed, sender)
}

fn send(bed: &mut Bed, sender: Slot, payloads: impl IntoIterator<Item = u32>) {
    for payload in payloads {
        let id = u16::try_from(payload + 1).unwrap();
        bed.publish(sender, "a", &payload.to_string(), QoS::AtLeastOnce, id);
    }
}

/// The same in one turn of the hub.
fn send_at_once(bed: &mut Bed, sender: Slot, payloads: impl IntoIterator<Item = u32>) {
    let publish = |payload: u32| {
        let packet_id = u16::try_from(payload + 1).unwrap();
        let head =
            PublishHead { topic: "a", qos: QoS::AtLeastOnce, packet_id, ..Default::default() };
        encoded_publish(Version::V5, &head, &payload.to_string())
    };
    let bytes: Vec<u8> = payloads.into_iter().flat_map(publish).collect();
    bed.send(sender, &bytes);
}

/// The payloads and packet identifiers that a client received.
fn delivered(bed: &mut Bed, slot: Slot) -> Vec<(u32, u16)> {
    let words = bed.received(slot);
    let publishes = words.iter().filter_map(|word| word.strip_prefix("publish a "));
    publishes
        .map(|word| {
            let mut parts = word.split(' ');
            let payload = parts.next().unwrap().parse().unwrap();
            (payload, parts.nth(1).unwrap().strip_prefix("id=").unwrap().parse().unwrap())
        })
        .collect()
}

/// Acknowledges whatever comes until nothing more does; returns the payloads.
fn drain(bed: &mut Bed, slot: Slot) -> Vec<u32> {
    let mut all = Vec::new();
    loop {
        let new = delivered(bed, slot);
        if new.is_empty() {
            return all;
        }
        for (payload, id) in new {
            all.push(payload);
            bed.puback(slot, id);
        }
    }
}

fn in_memory(bed: &Bed) -> usize {
    bed.hub.stored.values().filter(|stored| stored.body.is_some()).count()
}

fn expect(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

/// Proves a part of: MQT-2.
#[test]
fn what_waits_leaves_memory_when_the_disk_has_it_and_comes_back_in_order() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..500);
    assert_eq!((bed.hub.stored.len(), in_memory(&bed)), (500, 0));
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..500));
    assert!(bed.hub.stored.is_empty());
}

#[test]
fn the_newest_stay_in_memory_as_long_as_there_is_room() {
    let (mut bed, sender) =
        bed(limited(|config| config.limits.queue_memory = ByteSize(2_600)), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..50);
    let mut kept: Vec<_> = bed
        .hub
        .stored
        .iter()
        .filter(|(_, stored)| stored.body.is_some())
        .map(|(id, _)| *id)
        .collect();
    kept.sort_unstable();
    assert_eq!(kept.len(), 10, "ten messages of 258 bytes");
    let newest = bed.hub.stored.keys().max().copied();
    assert_eq!(kept.last().copied(), newest);
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..50));
}

#[test]
fn what_the_disk_does_not_have_stays_in_memory() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    bed.disk_full = true;
    send_at_once(&mut bed, sender, 0..5);
    assert_eq!(in_memory(&bed), 5);
    bed.disk_full = false;
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..5));
}

#[test]
fn messages_that_come_while_older_ones_are_read_wait_behind_them() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..3);
    bed.reads_late = true;
    let receiver = bed.connect("", "r", false);
    send(&mut bed, sender, 3..6);
    assert_eq!(delivered(&mut bed, receiver), []);
    bed.reads_late = false;
    bed.turn();
    assert_eq!(drain(&mut bed, receiver), expect(0..6));
}

#[test]
fn a_session_that_is_gone_or_taken_over_while_its_messages_are_read_does_no_harm() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..3);
    bed.reads_late = true;
    let first = bed.connect("", "r", false);
    let second = bed.connect("", "r", false);
    bed.reads_late = false;
    bed.turn();
    assert_eq!(delivered(&mut bed, first), []);
    assert_eq!(drain(&mut bed, second), expect(0..3));

    bed.drop_connection(second);
    send(&mut bed, sender, 0..3);
    bed.reads_late = true;
    bed.connect("", "r", false);
    let clean = bed.connect("", "r", true);
    bed.reads_late = false;
    bed.turn();
    assert_eq!(delivered(&mut bed, clean), []);
    assert!(bed.hub.stored.is_empty());
    assert_eq!(bed.hub.counters().get(Counter::DropUnreadable), 0);
}

#[test]
fn each_acknowledgement_makes_room_for_a_message_from_the_journal() {
    let few = limited(|config| config.limits.receive_maximum = 10);
    let (mut bed, sender) = bed(few, QoS::AtLeastOnce);
    send(&mut bed, sender, 0..20);
    let receiver = bed.connect("", "r", false);
    let window = delivered(&mut bed, receiver);
    assert_eq!((window.len(), in_memory(&bed)), (10, 0));
    bed.puback(receiver, window[0].1);
    let next: Vec<u32> = delivered(&mut bed, receiver).into_iter().map(|(n, _)| n).collect();
    assert_eq!(next, [10]);
}

#[test]
fn a_client_that_comes_back_during_a_read_gets_everything() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..3);
    bed.reads_late = true;
    let first = bed.connect("", "r", false);
    bed.drop_connection(first);
    let again = bed.connect("", "r", false);
    bed.reads_late = false;
    bed.turn();
    assert_eq!(drain(&mut bed, again), expect(0..3));
}

#[test]
fn a_message_that_cannot_be_read_is_counted_and_told_and_later_ones_are_delivered() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..2);
    bed.unreadable = true;
    let receiver = bed.connect("", "r", false);
    assert_eq!(delivered(&mut bed, receiver), []);
    assert_eq!(bed.hub.counters().get(Counter::DropUnreadable), 2);
    assert!(bed.hub.stored.is_empty(), "nobody waits for what cannot be read");
    let traces = bed.hub.last_trace(&tomte_base::Source::Anonymous, "a");
    let told = format!("{traces:?}");
    assert!(told.contains("could not be read back"), "{told}");
    bed.unreadable = false;
    send(&mut bed, sender, 2..4);
    assert_eq!(drain(&mut bed, receiver), expect(2..4));
}

#[test]
fn after_a_failed_commit_what_is_safe_is_not_written_again() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..20);
    bed.disk_full = true;
    send_at_once(&mut bed, sender, 20..25);
    bed.disk_full = false;
    let before = bed.log.len();
    send(&mut bed, sender, 25..26);
    let written = bed.log[before..].iter().map(|(_, record)| Record::decode(record).unwrap());
    let (mut accepted, mut confirmed) = (0, 0);
    for record in written {
        match record {
            Record::Accepted { .. } => accepted += 1,
            Record::Confirmed { .. } => confirmed += 1,
            _ => {}
        }
    }
    assert_eq!((accepted, confirmed), (6, 20), "those that were lost and the new one");
    bed.crash(open());
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..26));
}

/// Without safety a commit only gathers. What was gathered when the disk is full is gone.
#[test]
fn what_was_gathered_and_lost_is_written_again() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..5);
    bed.gathers = true;
    send(&mut bed, sender, 5..10);
    assert_eq!(in_memory(&bed), 5);
    bed.disk_full = true;
    send(&mut bed, sender, 10..11);
    (bed.disk_full, bed.gathers) = (false, false);
    send(&mut bed, sender, 11..12);
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..12));
    assert_eq!(bed.hub.counters().get(Counter::DropUnreadable), 0);
}

#[test]
fn a_removal_that_a_failed_commit_lost_is_made_good_by_what_confirms_the_message() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    let other = bed.connect("", "other", false);
    bed.subscribe(other, "a", QoS::AtLeastOnce);
    bed.received(other);
    send(&mut bed, sender, 0..1);
    let sent = delivered(&mut bed, other);
    bed.disk_full = true;
    bed.puback(other, sent[0].1);
    bed.disk_full = false;
    send(&mut bed, sender, 1..2);
    bed.crash(open());
    let other = bed.connect("", "other", false);
    assert_eq!(drain(&mut bed, other), [1], "0 was acknowledged");
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), [0, 1]);
}

#[test]
fn what_is_in_the_journal_only_is_copied_out_of_a_segment_that_must_go() {
    for crash_before_read in [false, true] {
        let (mut bed, sender) = bed(open(), QoS::ExactlyOnce);
        for payload in 0..40_u16 {
            bed.publish(sender, "a", &payload.to_string(), QoS::ExactlyOnce, payload + 1);
        }
        assert_eq!(in_memory(&bed), 0);
        bed.reads_late = crash_before_read;
        let end = bed.hub.ledger.appended().next();
        bed.hub.copy_forward(&(LogPosition(0)..end));
        bed.turn();
        if !crash_before_read {
            bed.log.retain(|(position, _)| *position >= end);
        }
        bed.reads_late = false;
        bed.crash(open());
        let receiver = bed.connect("", "r", false);
        let mut all = Vec::new();
        loop {
            let new = delivered(&mut bed, receiver);
            if new.is_empty() {
                break;
            }
            for (payload, id) in new {
                all.push(payload);
                bed.step(receiver, Step::Pubrec, id, tomte_mqtt::codec::ReasonCode::Success);
                bed.step(receiver, Step::Pubcomp, id, tomte_mqtt::codec::ReasonCode::Success);
            }
        }
        assert_eq!(all, expect(0..40));
    }
}

#[test]
fn a_message_that_was_copied_while_it_was_read_is_asked_for_again() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..3);
    bed.reads_late = true;
    let receiver = bed.connect("", "r", false);
    let end = bed.hub.ledger.appended().next();
    let fetches = std::mem::take(&mut bed.effects);
    assert!(matches!(fetches[..], [Effect::Fetch(FetchFor::Session(_), _)]));
    bed.hub.copy_forward(&(LogPosition(0)..end));
    bed.turn();
    bed.answer_fetches();
    bed.log.retain(|(position, _)| *position >= end);
    bed.effects.extend(fetches);
    bed.reads_late = false;
    bed.turn();
    assert_eq!(drain(&mut bed, receiver), expect(0..3));
    assert_eq!(bed.hub.counters().get(Counter::DropUnreadable), 0);
}

#[test]
fn what_was_on_its_way_at_a_crash_is_not_lost_to_the_limits_of_the_queue() {
    let small = || limited(|config| config.limits.session_queue.max_messages = 10);
    let (mut bed, sender) = bed(small(), QoS::AtLeastOnce);
    let receiver = bed.connect("", "r", false);
    bed.received(receiver);
    send(&mut bed, sender, 0..70);
    assert_eq!(delivered(&mut bed, receiver).len(), 64, "the window is full");
    bed.crash(small());
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..70));
}

#[test]
fn what_is_on_its_way_to_somebody_is_not_lost_with_its_record() {
    let (mut bed, sender) = bed(open(), QoS::AtLeastOnce);
    let other = bed.connect("", "other", false);
    bed.subscribe(other, "a", QoS::ExactlyOnce);
    bed.received(other);
    bed.publish(sender, "a", "0", QoS::ExactlyOnce, 1);
    assert_eq!(bed.received(other), ["publish a 0 qos=2 id=1"]);
    bed.unreadable = true;
    let receiver = bed.connect("", "r", false);
    assert_eq!(drain(&mut bed, receiver), expect(0..1));
    assert_eq!(bed.hub.counters().get(Counter::DropUnreadable), 0);
    assert_eq!(bed.hub.stored.len(), 1, "one destination is left");
}

/// A call that waits has its message in memory: it is copied from there when its record is lost.
#[test]
fn the_message_of_a_call_is_not_lost_with_its_record() {
    let config = || config(&[R("device:*", "#", None, "function:f")], &[("f", None)]);
    let mut bed = Bed::new(config());
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", "0", QoS::AtLeastOnce, 1);
    bed.crash(config());
    let (message, position) =
        bed.hub.stored.iter().map(|(id, stored)| (*id, stored.kept.position)).next().unwrap();
    bed.hub.on_fetched(bed.now, FetchFor::Copy, vec![(Wanted { message, position }, None)]);
    bed.turn();
    assert_eq!(bed.hub.stored.len(), 1);
    assert!(bed.log.last().is_some_and(|(_, r)| crate::record::accepted_message(r).is_some()));
}

/// Recovery searched all destinations of a message for each session that it was on its way to, and
/// read the message once for each: 60 messages to 1,000 sessions took 19 seconds.
#[test]
fn a_message_on_its_way_to_many_sessions_is_read_once_by_recovery() {
    let mut bed = Bed::new(open());
    let receivers: Vec<Slot> = (0..200)
        .map(|n| {
            let receiver = bed.connect("", &format!("r{n}"), false);
            bed.subscribe(receiver, "a", QoS::ExactlyOnce);
            receiver
        })
        .collect();
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", "1", QoS::ExactlyOnce, 1);
    bed.step(receivers[7], Step::Pubrec, 1, tomte_mqtt::codec::ReasonCode::Success);
    bed.crash(open());
    assert_eq!(bed.n_read_again, 1);
    for n in [0, 7, 199] {
        let back = bed.connect("", &format!("r{n}"), false);
        let expect = if n == 7 { "pubrel 1 Success" } else { "publish a 1 qos=2 id=1 dup" };
        assert_eq!(bed.received(back)[1..], [expect]);
    }
}

#[test]
fn all_queues_together_have_a_bound_and_its_rule_is_that_of_the_queues() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let few = |config: &mut Config| config.limits.max_queued = ByteSize(20);
        let bed = ten_wait_and_two_are_too_many(few, overflow);
        assert_eq!(bed.hub.queued_bytes, 0);
    }
}

#[test]
fn what_waits_is_bounded_in_number_too_for_it_takes_memory_each() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let few = |config: &mut Config| config.limits.max_queued_deliveries = 10;
        let bed = ten_wait_and_two_are_too_many(few, overflow);
        assert_eq!(bed.hub.queued_deliveries, 0);
    }
}

/// What others wait for too makes no room when one of them gives it up.
#[test]
fn a_session_does_not_give_up_in_vain_what_another_one_waits_for_too() {
    let full = limited(|config| config.limits.max_queued = ByteSize(20));
    let mut bed = Bed::new(full);
    for client in ["r", "q"] {
        let receiver = bed.connect("", client, false);
        bed.subscribe(receiver, "a", QoS::AtLeastOnce);
        bed.drop_connection(receiver);
    }
    let sender = bed.connect("", "s", true);
    send(&mut bed, sender, 0..11);
    assert_eq!(bed.hub.counters().get(Counter::DropQueuesFull), 2);
    for client in ["r", "q"] {
        let receiver = bed.connect("", client, false);
        assert_eq!(drain(&mut bed, receiver), expect(0..10));
    }
}

/// Returns the bed after a crash and after everything was taken.
fn ten_wait_and_two_are_too_many(few: impl Fn(&mut Config), overflow: Overflow) -> Bed {
    let config = || {
        limited(|config| {
            few(config);
            config.limits.session_queue.overflow = overflow;
        })
    };
    let (mut bed, sender) = bed(config(), QoS::AtLeastOnce);
    send(&mut bed, sender, 0..10);
    assert_eq!((bed.hub.queued_bytes, bed.hub.queued_deliveries), (20, 10));
    send(&mut bed, sender, 10..12);
    let dropped = bed.hub.counters().get(Counter::DropQueuesFull);
    assert!(dropped >= 2, "{dropped} were dropped");
    bed.crash(config());
    assert!(bed.hub.queued_deliveries <= 10, "{}", bed.hub.queued_deliveries);
    let receiver = bed.connect("", "r", false);
    let kept = drain(&mut bed, receiver);
    match overflow {
        Overflow::DropOldest => assert_eq!(kept.last(), Some(&11)),
        _ => assert_eq!(kept, expect(0..10)),
    }
    bed
}
