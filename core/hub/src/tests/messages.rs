use std::time::Duration;

use bytes::Bytes;
use tomte_base::QoS;
use tomte_mqtt::codec::{PublishHead, Version};
use tomte_route::{Hold, Overflow};

use super::harness::{ALL, Bed, R, config, config_of, spec};
use crate::{CloseReason, Counter, Effect};

#[test]
fn a_message_reaches_who_subscribed_and_nobody_else() {
    let mut bed = Bed::broker();
    let (sender, receiver) = (bed.connect("", "s", true), bed.connect("", "r", true));
    bed.subscribe(receiver, "a/+", QoS::AtMostOnce);
    bed.publish(sender, "a/b", "1", QoS::AtMostOnce, 0);
    bed.publish(sender, "a/b/c", "2", QoS::AtMostOnce, 0);
    assert_eq!(
        bed.received(receiver),
        ["connack Success present=false", "suback [Success]", "publish a/b 1 qos=0 id=0"]
    );
    assert_eq!(bed.received(sender), ["connack Success present=false"]);
    assert_eq!(bed.hub.counters().get(Counter::DropNoSubscriber), 1);
}

/// Proves: EVT-8.
#[test]
fn without_a_route_nothing_is_delivered_and_the_drop_is_counted() {
    let mut bed = Bed::new(config(&[R("device:thermometer", "a", None, "subscribers")], &[]));
    let (lamp, fan) = (bed.connect("lamp", "l", true), bed.connect("fan", "f", true));
    bed.subscribe(fan, "a", QoS::AtMostOnce);
    bed.received(fan);
    bed.received(lamp);
    bed.publish(lamp, "a", "1", QoS::AtLeastOnce, 5);
    assert_eq!(bed.received(lamp), ["puback 5 NotAuthorized"]);
    assert!(bed.received(fan).is_empty());
    assert_eq!(bed.hub.counters().get(Counter::DropNoRoute), 1);
}

#[test]
fn a_subscription_that_no_route_could_feed_is_refused() {
    let mut bed = Bed::new(config(&[R("device:lamp", "a/#", None, "device:fan")], &[]));
    let (lamp, fan) = (bed.connect("lamp", "l", true), bed.connect("fan", "f", true));
    bed.subscribe(lamp, "a/b", QoS::AtMostOnce);
    bed.subscribe(fan, "a/b", QoS::AtMostOnce);
    bed.subscribe(fan, "b", QoS::AtMostOnce);
    assert_eq!(bed.received(lamp)[1], "suback [NotAuthorized]");
    assert_eq!(bed.received(fan)[1..], ["suback [Success]", "suback [NotAuthorized]"]);
}

/// Proves: EVT-1, EVT-5.
#[test]
fn a_condition_decides_on_the_content() {
    let routes = [R("device:thermometer", "t", Some("payload.celsius > 28"), "device:fan")];
    let mut bed = Bed::new(config(&routes, &[]));
    let (thermometer, fan) = (bed.connect("thermometer", "t", true), bed.connect("fan", "f", true));
    bed.subscribe(fan, "t", QoS::AtMostOnce);
    bed.received(fan);
    for celsius in [29, 31, 28] {
        let payload = format!("{{\"celsius\": {celsius}}}");
        bed.publish(thermometer, "t", &payload, QoS::AtMostOnce, 0);
    }
    bed.publish(thermometer, "t", "not json", QoS::AtMostOnce, 0);
    let expect = [29, 31].map(|c| format!("publish t {{\"celsius\": {c}}} qos=0 id=0"));
    assert_eq!(bed.received(fan), expect);
    assert_eq!(bed.hub.counters().get(Counter::ConditionErrors), 1);
    assert_eq!(bed.hub.counters().get(Counter::DropNoMatch), 2);
}

/// Proves: EVT-2.
#[test]
fn one_topic_from_a_device_and_from_a_function_goes_different_ways() {
    let routes = [
        R("device:thermometer", "t", None, "function:f"),
        R("function:f", "t", None, "device:fan"),
    ];
    let mut bed = Bed::new(config(&routes, &[("f", Some("t"))]));
    let (thermometer, fan) = (bed.connect("thermometer", "t", true), bed.connect("fan", "f", true));
    bed.subscribe(fan, "t", QoS::AtMostOnce);
    bed.received(fan);
    bed.publish(thermometer, "t", "from the device", QoS::AtMostOnce, 0);
    bed.start_workers();
    let [call] = &bed.assignments()[..] else { panic!("one call was expected") };
    assert_eq!(call.payload, "from the device");
    assert_eq!(call.subject.as_deref(), Some("t"));
    let answer = Ok(Bytes::from_static(b"from the function"));
    assert!(bed.hub.on_call_answered(bed.now, call.call, call.worker, answer));
    bed.turn();
    assert_eq!(bed.received(fan), ["publish t from the function qos=0 id=0"]);
}

/// Proves: EVT-3, EVT-11.
#[test]
fn another_table_takes_effect_with_the_next_message() {
    let mut bed = Bed::new(config(&[R("device:lamp", "a", None, "device:fan")], &[]));
    let lamp = bed.connect("lamp", "l", true);
    let (fan, thermometer) = (bed.connect("fan", "f", true), bed.connect("thermometer", "t", true));
    bed.subscribe(fan, "a", QoS::AtMostOnce);
    bed.received(fan);
    bed.publish(lamp, "a", "1", QoS::AtMostOnce, 0);
    bed.hub.deploy(bed.now, config(&[R("device:lamp", "a", None, "device:thermometer")], &[]));
    bed.subscribe(thermometer, "a", QoS::AtMostOnce);
    bed.received(thermometer);
    bed.publish(lamp, "a", "2", QoS::AtMostOnce, 0);
    assert_eq!(bed.received(fan), ["publish a 1 qos=0 id=0"]);
    assert_eq!(bed.received(thermometer), ["publish a 2 qos=0 id=0"]);
}

/// Proves: EVT-13.
#[test]
fn a_loop_of_functions_ends_at_the_limit_of_hops() {
    let routes =
        [R("device:lamp", "a", None, "function:f"), R("function:f", "b", None, "function:f")];
    let mut bed = Bed::new(config(&routes, &[("f", Some("b"))]));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "x", QoS::AtMostOnce, 0);
    bed.start_workers();
    let mut calls = 0;
    while let Some(call) = bed.assignments().pop() {
        calls += 1;
        assert!(calls < 100, "the loop does not end");
        bed.hub.on_call_answered(bed.now, call.call, call.worker, Ok(Bytes::from_static(b"x")));
        bed.hub.on_worker_ready(bed.now, call.worker);
        bed.turn();
    }
    assert_eq!(calls, 16);
    assert_eq!(bed.hub.counters().get(Counter::DropHopLimit), 1);
}

#[test]
fn a_qos1_message_for_a_kept_session_is_acknowledged_only_after_the_journal_has_it() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    bed.received(sender);
    bed.disk_full = true;
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(sender), ["puback 1 QuotaExceeded"]);
    bed.disk_full = false;
    bed.publish(sender, "a", "2", QoS::AtLeastOnce, 2);
    assert_eq!(bed.received(sender), ["puback 2 Success"]);
    assert_eq!(bed.hub.counters().get(Counter::JournalFailures), 1);
}

#[test]
fn a_311_client_whose_message_could_not_be_kept_is_disconnected_without_an_acknowledgement() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    let sender = bed.client(Version::V311, "s");
    bed.disk_full = true;
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 1);
    assert!(bed.received(sender).is_empty());
    assert_eq!(bed.closed, [(sender, CloseReason::NotStored)]);
}

/// Proves: ALL-9.
#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a/#", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    for id in 1..=3 {
        bed.publish(sender, "a/b", &id.to_string(), QoS::AtLeastOnce, id);
    }
    let retained = PublishHead { topic: "kept", retain: true, ..PublishHead::default() };
    bed.publish_with(sender, retained, "last");
    bed.crash(config(&[ALL], &[]));
    let receiver = bed.connect("", "r", false);
    assert_eq!(
        bed.received(receiver),
        [
            "connack Success present=true",
            "publish a/b 1 qos=1 id=1",
            "publish a/b 2 qos=1 id=2",
            "publish a/b 3 qos=1 id=3"
        ]
    );
    bed.puback(receiver, 1);
    bed.crash(config(&[ALL], &[]));
    let receiver = bed.connect("", "r", false);
    let seen = bed.received(receiver);
    assert_eq!(seen[1..], ["publish a/b 2 qos=1 id=2 dup", "publish a/b 3 qos=1 id=3 dup"]);
    bed.subscribe(receiver, "kept", QoS::AtMostOnce);
    assert_eq!(bed.received(receiver)[1..], ["publish kept last qos=0 id=0 retain"]);
}

#[test]
fn records_lost_to_a_full_disk_are_written_again_when_there_is_room() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", "before", QoS::AtLeastOnce, 1);
    bed.disk_full = true;
    bed.publish(sender, "a", "refused", QoS::AtLeastOnce, 2);
    let retained = PublishHead { topic: "kept", retain: true, ..PublishHead::default() };
    bed.publish_with(sender, retained, "last");
    bed.disk_full = false;
    bed.publish(sender, "a", "after", QoS::AtLeastOnce, 3);
    bed.crash(config(&[ALL], &[]));
    let receiver = bed.connect("", "r", false);
    let seen = bed.received(receiver).join("\n");
    assert!(seen.contains("before") && seen.contains("after"), "{seen}");
    bed.subscribe(receiver, "kept", QoS::AtMostOnce);
    assert!(bed.received(receiver)[1].contains("last"));
}

#[test]
fn an_accepted_call_runs_after_a_crash_and_only_until_it_was_answered() {
    let routes = [R("device:lamp", "a", None, "function:f")];
    let functions = [("f", None)];
    let mut bed = Bed::new(config(&routes, &functions));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "x", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(lamp)[1..], ["puback 1 Success"]);
    bed.crash(config(&routes, &functions));
    bed.start_workers();
    let call = bed.assignments().pop().expect("the call was accepted before the crash");
    assert_eq!(call.payload, "x");
    bed.hub.on_call_answered(bed.now, call.call, call.worker, Ok(Bytes::from_static(b"null")));
    bed.turn();
    bed.crash(config(&routes, &functions));
    bed.start_workers();
    assert!(bed.assignments().is_empty());
}

#[test]
fn an_accepted_call_that_a_clean_stop_interrupts_runs_after_the_next_start() {
    let routes = [R("device:lamp", "a", None, "function:f")];
    let functions = [("f", None)];
    let mut bed = Bed::new(config(&routes, &functions));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "x", QoS::AtLeastOnce, 1);
    bed.hub.shutdown(bed.now);
    bed.turn();
    bed.crash(config(&routes, &functions));
    bed.start_workers();
    let call = bed.assignments().pop().expect("it was accepted and never ran");
    assert_eq!(call.payload, "x");
}

/// Proves: EVT-12.
#[test]
fn a_message_for_a_device_that_is_away_is_held_and_delivered_on_its_return() {
    let mut route = spec(&R("device:lamp", "a", None, "device:fan"));
    route.on_unavailable =
        Some(Hold { hold: Duration::from_secs(600), max: 2, then: Overflow::DropOldest });
    let table = || config_of(vec![route.clone()], &[]);
    let mut bed = Bed::new(table());
    let lamp = bed.connect("lamp", "l", true);
    for id in 1..=3 {
        bed.publish(lamp, "a", &id.to_string(), QoS::AtLeastOnce, id);
    }
    assert_eq!(bed.hub.counters().get(Counter::DropHoldFull), 1);
    bed.crash(table());
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    assert_eq!(bed.received(fan)[2..], ["publish a 2 qos=1 id=1", "publish a 3 qos=1 id=2"]);
    bed.puback(fan, 1);
    // The connection ends before the second acknowledgement: it is held again.
    bed.drop_connection(fan);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    assert_eq!(bed.received(fan)[2..], ["publish a 3 qos=1 id=1"]);
}

#[test]
fn a_hold_that_is_over_drops_the_message_with_a_reason() {
    let mut route = spec(&R("device:lamp", "a", None, "device:fan"));
    route.on_unavailable =
        Some(Hold { hold: Duration::from_secs(60), max: 10, then: Overflow::DropOldest });
    let mut bed = Bed::new(config_of(vec![route], &[]));
    let lamp = bed.connect("lamp", "l", true);
    bed.publish(lamp, "a", "x", QoS::AtLeastOnce, 1);
    bed.advance(Duration::from_secs(61));
    assert_eq!(bed.hub.counters().get(Counter::DropHoldExpired), 1);
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "a", QoS::AtLeastOnce);
    assert_eq!(bed.received(fan).len(), 2);
}

#[test]
fn a_session_is_never_taken_over_by_another_identity() {
    let mut bed = Bed::broker();
    let fan = bed.connect("fan", "same", true);
    bed.connect("lamp", "same", true);
    assert!(bed.closed.is_empty());
    bed.connect("fan", "same", true);
    assert_eq!(bed.closed, [(fan, CloseReason::TakenOver)]);
    assert_eq!(bed.received(fan)[1..], ["disconnect SessionTakenOver"]);
}

#[test]
fn a_silent_connection_is_closed_in_time() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    bed.advance(Duration::from_secs(9));
    assert!(bed.closed.is_empty());
    bed.advance(Duration::from_secs(2));
    assert_eq!(bed.closed, [(slot, CloseReason::ConnectTimeout)]);
}

#[test]
fn a_session_that_is_kept_too_long_ends_with_what_it_held() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 1);
    bed.advance(Duration::from_secs(3_601));
    assert_eq!(bed.hub.counters().get(Counter::DropSessionEnded), 1);
    assert_eq!(bed.hub.view().sessions, 1);
    let receiver = bed.connect("", "r", false);
    assert_eq!(bed.received(receiver), ["connack Success present=false"]);
}

#[test]
fn a_message_that_nobody_takes_in_time_is_dropped_with_a_reason() {
    let mut bed = Bed::broker();
    let receiver = bed.connect("", "r", false);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "s", true);
    let head = PublishHead {
        topic: "a",
        qos: QoS::AtLeastOnce,
        packet_id: 1,
        message_expiry_seconds: Some(10),
        ..PublishHead::default()
    };
    bed.publish_with(sender, head, "1");
    bed.advance(Duration::from_secs(11));
    let receiver = bed.connect("", "r", false);
    assert_eq!(bed.received(receiver), ["connack Success present=true"]);
    assert_eq!(bed.hub.counters().get(Counter::DropExpired), 1);
}

/// Proves: WHY-1.
#[test]
fn why_tells_each_hop_of_a_message_and_of_what_followed() {
    let routes = [
        R("device:thermometer", "t", Some("payload.celsius > 28"), "function:f"),
        R("function:f", "fan", None, "device:fan"),
    ];
    let mut bed = Bed::new(config(&routes, &[("f", Some("fan"))]));
    let (thermometer, fan) = (bed.connect("thermometer", "t", true), bed.connect("fan", "f", true));
    bed.subscribe(fan, "fan", QoS::AtLeastOnce);
    bed.publish(thermometer, "t", "{\"celsius\": 31}", QoS::AtLeastOnce, 1);
    bed.start_workers();
    let call = bed.assignments().pop().unwrap();
    bed.hub.on_call_answered(bed.now, call.call, call.worker, Ok(Bytes::from_static(b"\"on\"")));
    bed.turn();
    bed.puback(fan, 1);
    let source = tomte_base::Source::Device(tomte_base::DeviceName::new("thermometer").unwrap());
    let chain = bed.hub.last_trace(&source, "t");
    let words: Vec<String> = chain
        .iter()
        .flat_map(|trace| &trace.hops)
        .map(|hop| format!("{} {} {}", hop.kind.as_str(), hop.subject, hop.verdict))
        .collect();
    assert_eq!(
        words,
        [
            "route routes[0] matched",
            "function f ok",
            "route routes[1] matched",
            "delivery fan sent",
            "delivery fan acknowledged"
        ]
    );
    assert!(chain.iter().all(|trace| trace.open == 0));
}

#[test]
fn a_call_of_an_operator_is_answered_with_what_the_function_returned() {
    let mut bed = Bed::new(config(&[], &[("f", None)]));
    let function = tomte_base::FunctionName::new("f").unwrap();
    bed.hub.call(bed.now, 9, function, Bytes::from_static(b"1"), None, None).unwrap();
    bed.turn();
    bed.start_workers();
    let call = bed.assignments().pop().unwrap();
    bed.hub.on_call_answered(bed.now, call.call, call.worker, Ok(Bytes::from_static(b"2")));
    bed.turn();
    let reply = bed.effects.iter().find_map(|effect| match effect {
        Effect::Reply(reply) => Some(reply.clone()),
        _ => None,
    });
    let reply = reply.expect("somebody waits for it");
    assert_eq!(reply.request, 9);
    assert_eq!(reply.outcome, crate::CallOutcome::Returned(Bytes::from_static(b"2")));
}

#[test]
fn nothing_follows_a_disconnect() {
    let mut bed = Bed::new(config(&[R("device:*", "#", None, "subscribers")], &[]));
    let publisher = bed.connect("thermometer", "t", true);
    let subscriber = bed.connect("fan", "f", false);
    bed.subscribe(subscriber, "a", QoS::AtLeastOnce);
    bed.received(subscriber);
    // A packet that does not exist; messages for the client come in the same turn of the host.
    bed.hub.on_bytes(bed.now, subscriber, &[0, 0]);
    bed.publish(publisher, "a", "zero", QoS::AtMostOnce, 0);
    bed.hub.on_bytes(bed.now, subscriber, &[0, 0]);
    assert_eq!(bed.received(subscriber), ["disconnect MalformedPacket"]);

    let subscriber = bed.connect("fan", "f", false);
    bed.received(subscriber);
    bed.hub.on_bytes(bed.now, subscriber, &[0, 0]);
    bed.publish(publisher, "a", "one", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(subscriber), ["disconnect MalformedPacket"]);
    let subscriber = bed.connect("fan", "f", false);
    let expect = ["connack Success present=true", "publish a one qos=1 id=1"];
    assert_eq!(bed.received(subscriber), expect);
}
