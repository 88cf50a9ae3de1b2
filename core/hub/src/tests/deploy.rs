//! New limits reach what is there already.

use std::time::Duration;

use tomte_base::QoS;
use tomte_broker::Overflow;
use tomte_mqtt::codec::PublishHead;
use tomte_route::{Hold, Overflow as HoldOverflow, RouteSpec};

use super::harness::{Bed, R, config_of, limited, spec};
use crate::{Config, Counter, Slot};

/// A hub with `n` messages in the queue of a kept session whose client is away, and their sender.
fn with_queue(n: u16) -> (Bed, Slot) {
    let mut bed = Bed::new(limited(|_| {}));
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    send(&mut bed, sender, 1..=n);
    (bed, sender)
}

fn send(bed: &mut Bed, sender: Slot, ids: impl IntoIterator<Item = u16>) {
    for id in ids {
        bed.publish(sender, "a", &id.to_string(), QoS::AtLeastOnce, id);
    }
}

fn deploy(bed: &mut Bed, config: Config) {
    bed.hub.deploy(bed.now, config);
    bed.turn();
}

fn arrives(bed: &mut Bed) -> Vec<String> {
    let receiver = bed.connect("", "r", false);
    let payload =
        |word: &String| Some(word.strip_prefix("publish a ")?.split(' ').next()?.to_owned());
    bed.received(receiver).iter().filter_map(payload).collect()
}

#[test]
fn a_smaller_queue_keeps_what_waits_until_the_next_message_needs_the_room() {
    let (mut bed, sender) = with_queue(5);
    deploy(&mut bed, limited(|config| config.limits.session_queue.max_messages = 3));
    assert_eq!(bed.hub.counters().get(Counter::DropQueueFull), 0);
    send(&mut bed, sender, [6]);
    assert_eq!(bed.hub.counters().get(Counter::DropQueueFull), 3);
    assert_eq!(arrives(&mut bed), ["4", "5", "6"]);
}

#[test]
fn another_overflow_rule_counts_for_queues_that_are_there() {
    let newest = |max| {
        limited(move |config| {
            config.limits.session_queue.max_messages = max;
            config.limits.session_queue.overflow = Overflow::DropNewest;
        })
    };
    let (mut bed, sender) = with_queue(3);
    deploy(&mut bed, newest(3));
    send(&mut bed, sender, [4]);
    deploy(&mut bed, newest(4));
    send(&mut bed, sender, [5, 6]);
    assert_eq!(bed.hub.counters().get(Counter::DropQueueFull), 2);
    assert_eq!(arrives(&mut bed), ["1", "2", "3", "5"]);
}

#[test]
fn new_limits_of_retained_messages_count_at_once() {
    let retain = |bed: &mut Bed, sender, topic: &str, payload: &str| {
        let head = PublishHead { topic, retain: true, ..PublishHead::default() };
        bed.publish_with(sender, head, payload);
    };
    let mut bed = Bed::new(limited(|_| {}));
    let sender = bed.connect("", "s", true);
    for topic in ["a", "b"] {
        retain(&mut bed, sender, topic, "1");
    }
    deploy(&mut bed, limited(|config| config.limits.max_retained = 2));
    retain(&mut bed, sender, "c", "1");
    assert_eq!(bed.hub.counters().get(Counter::DropRetainedFull), 1);
    retain(&mut bed, sender, "a", "2");
    assert_eq!(bed.hub.retained.len(), 2);
    assert_eq!(&bed.hub.retained.get("a").unwrap().payload[..], b"2");
    deploy(&mut bed, limited(|config| config.limits.max_retained = 3));
    retain(&mut bed, sender, "c", "1");
    assert_eq!(bed.hub.retained.len(), 3);
}

#[test]
fn a_hold_that_is_in_use_follows_the_new_rule_of_its_route() {
    let held = |max| {
        let hold = Hold { hold: Duration::from_secs(60), max, then: HoldOverflow::DropOldest };
        let route = R("device:*", "a", None, "device:fan");
        config_of(vec![RouteSpec { on_unavailable: Some(hold), ..spec(&route) }], &[])
    };
    let mut bed = Bed::new(held(10));
    let sender = bed.connect("", "s", true);
    send(&mut bed, sender, 1..=4);
    deploy(&mut bed, held(2));
    send(&mut bed, sender, [5]);
    assert_eq!(bed.hub.counters().get(Counter::DropHoldFull), 3);
}

#[test]
fn fewer_traces_forget_the_oldest() {
    let (mut bed, sender) = with_queue(5);
    deploy(&mut bed, limited(|config| config.limits.traces = 2));
    send(&mut bed, sender, [6]);
    let traces = (1..=6).filter(|id| bed.hub.flow.is_traced(tomte_base::MessageId(*id)));
    assert_eq!(traces.collect::<Vec<_>>(), [5, 6]);
}
