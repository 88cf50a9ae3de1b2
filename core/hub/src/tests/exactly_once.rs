//! QoS 2, step by step in both directions, with a crash at each step.

use tomte_base::QoS;
use tomte_mqtt::codec::{Ack, Connect, Packet, PublishHead, ReasonCode, Version};

use super::harness::{BOTH, Bed, R, Step, config, encoded, encoded_publish, open};
use crate::{CloseReason, Counter, Record, Slot};

const OK: ReasonCode = ReasonCode::Success;

fn publish(bed: &mut Bed, slot: Slot, payload: &str, packet_id: u16, dup: bool) {
    let qos = QoS::ExactlyOnce;
    let head = PublishHead { topic: "a", qos, packet_id, dup, ..PublishHead::default() };
    bed.publish_with(slot, head, payload);
}

/// A sender and a receiver with kept sessions; both have read their first answers.
fn pair(version: Version) -> (Bed, Slot, Slot) {
    let mut bed = Bed::new(open());
    let receiver = bed.connect_kept("r", version);
    bed.subscribe(receiver, "a", QoS::ExactlyOnce);
    let sender = bed.connect_kept("s", version);
    bed.received(receiver);
    bed.received(sender);
    (bed, sender, receiver)
}

/// The process dies; both come back. Their first answers are read.
fn crash(bed: &mut Bed, version: Version) -> (Slot, Slot, Vec<String>, Vec<String>) {
    bed.crash(open());
    let (receiver, sender) = (bed.connect_kept("r", version), bed.connect_kept("s", version));
    let (to_receiver, to_sender) = (bed.received(receiver), bed.received(sender));
    assert_eq!(to_receiver[0], "connack Success present=true");
    assert_eq!(to_sender, ["connack Success present=true"]);
    (sender, receiver, to_receiver[1..].to_vec(), to_sender)
}

#[test]
fn a_message_goes_through_the_four_steps_on_both_sides() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        assert_eq!(bed.received(sender), ["pubrec 7 Success"]);
        assert_eq!(bed.received(receiver), ["publish a 1 qos=2 id=1"]);
        bed.step(sender, Step::Pubrel, 7, OK);
        assert_eq!(bed.received(sender), ["pubcomp 7 Success"]);
        bed.step(receiver, Step::Pubrec, 1, OK);
        assert_eq!(bed.received(receiver), ["pubrel 1 Success"]);
        bed.step(receiver, Step::Pubcomp, 1, OK);
        assert!(bed.received(receiver).is_empty());
        assert!(bed.hub.stored.is_empty());
        assert!(bed.hub.sessions.iter().flatten().all(|s| s.machine.is_empty()));
        assert!(bed.hub.sessions.iter().flatten().all(|s| s.ids.sent.is_empty()));
    }
}

#[test]
fn the_subscription_is_granted_qos_2_and_no_maximum_is_named() {
    let mut bed = Bed::new(open());
    let slot = bed.connect("", "r", true);
    bed.subscribe(slot, "a", QoS::ExactlyOnce);
    assert_eq!(bed.received(slot)[1], "suback [GrantedQos2]");
}

#[test]
fn a_delivery_has_the_lower_of_both_qualities() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(receiver), ["publish a 1 qos=1 id=1"]);
    bed.subscribe(receiver, "a", QoS::AtLeastOnce);
    bed.received(receiver);
    publish(&mut bed, sender, "2", 2, false);
    assert_eq!(bed.received(receiver), ["publish a 2 qos=1 id=2"]);
}

#[test]
fn a_message_that_is_sent_again_is_answered_and_not_passed_on() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        publish(&mut bed, sender, "1", 7, true);
        assert_eq!(bed.received(sender), ["pubrec 7 Success", "pubrec 7 Success"]);
        assert_eq!(bed.received(receiver), ["publish a 1 qos=2 id=1"]);
        bed.step(sender, Step::Pubrel, 7, OK);
        publish(&mut bed, sender, "2", 7, false);
        assert_eq!(bed.received(receiver), ["publish a 2 qos=2 id=2"]);
    }
}

/// Proves: MQT-2.
#[test]
fn a_crash_after_publish_neither_loses_nor_doubles_the_message() {
    for version in BOTH {
        let (mut bed, sender, _) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        let (sender, receiver, again, _) = crash(&mut bed, version);
        assert_eq!(again, ["publish a 1 qos=2 id=1 dup"]);
        publish(&mut bed, sender, "1", 7, true);
        assert_eq!(bed.received(sender), ["pubrec 7 Success"]);
        assert!(bed.received(receiver).is_empty(), "it is known");
    }
}

#[test]
fn a_crash_after_pubrel_leaves_the_identifier_free() {
    for version in BOTH {
        let (mut bed, sender, _) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        bed.step(sender, Step::Pubrel, 7, OK);
        let (sender, receiver, _, _) = crash(&mut bed, version);
        bed.step(sender, Step::Pubrel, 7, OK);
        // The client may have lost the first PUBCOMP with its connection.
        assert_eq!(bed.received(sender), ["pubcomp 7 Success"]);
        publish(&mut bed, sender, "2", 7, false);
        assert_eq!(bed.received(receiver), ["publish a 2 qos=2 id=2"]);
    }
}

#[test]
fn a_crash_after_pubrec_sends_pubrel_again_and_not_the_message() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        bed.step(receiver, Step::Pubrec, 1, OK);
        let (_, receiver, again, _) = crash(&mut bed, version);
        assert_eq!(again, ["pubrel 1 Success"]);
        assert!(bed.hub.stored.is_empty(), "the message itself is not needed");
        bed.step(receiver, Step::Pubcomp, 1, OK);
        let (_, _, again, _) = crash(&mut bed, version);
        assert!(again.is_empty());
    }
}

/// A journal that ends after any record: what left the hub before is what it was.
#[test]
fn wherever_a_crash_tears_the_journal_the_message_comes_once() {
    for version in BOTH {
        let (mut bed, sender, _) = pair(version);
        let start = bed.log.len();
        publish(&mut bed, sender, "1", 7, false);
        let whole = bed.log.clone();
        for end in start..whole.len() {
            // The batch was torn, so nothing of it was answered: the sender sends again.
            let mut torn = Bed::new(open());
            torn.log = whole[..end].to_vec();
            let (sender, receiver, mut to_receiver, _) = crash(&mut torn, version);
            publish(&mut torn, sender, "1", 7, true);
            assert_eq!(torn.received(sender), ["pubrec 7 Success"], "torn at {end}");
            to_receiver.extend(torn.received(receiver));
            assert_eq!(to_receiver.len(), 1, "torn at {end}: {to_receiver:?}");
        }
        assert!(whole.len() - start >= 3, "there is something to tear");
    }
}

#[test]
fn a_torn_release_sends_pubrel_or_the_message_under_the_same_identifier() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    let start = bed.log.len();
    bed.step(receiver, Step::Pubrec, 1, OK);
    let whole = bed.log.clone();
    assert!(whole.len() >= start + 2);
    for end in start..=whole.len() {
        let mut torn = Bed::new(open());
        torn.log = whole[..end].to_vec();
        let (_, _, again, _) = crash(&mut torn, Version::V5);
        let expected = if end == start { "publish a 1 qos=2 id=1 dup" } else { "pubrel 1 Success" };
        assert_eq!(again, [expected], "torn at {end}");
    }
}

#[test]
fn nothing_of_qos_2_leaves_before_the_journal_has_it() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    let qos = QoS::ExactlyOnce;
    let head = PublishHead { topic: "a", qos, packet_id: 7, ..PublishHead::default() };
    let bytes = encoded_publish(Version::V5, &head, "1");
    bed.hub.on_bytes(bed.now, sender, &bytes);
    assert!(bed.hub.output(receiver).is_none(), "PUBLISH waits");
    assert_eq!(bed.hub.output(sender).map(|out| out.len()), Some(0), "PUBREC waits");
    bed.turn();
    assert_eq!(bed.received(receiver), ["publish a 1 qos=2 id=1"]);
    let bytes = encoded(Version::V5, &Packet::Pubrec(Ack::success(1)));
    bed.hub.on_bytes(bed.now, receiver, &bytes);
    assert_eq!(bed.hub.output(receiver).map(|out| out.len()), Some(0), "PUBREL waits");
    bed.turn();
    assert_eq!(bed.received(receiver), ["pubrel 1 Success"]);
}

#[test]
fn a_reconnect_without_a_crash_goes_on_where_it_was() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    publish(&mut bed, sender, "2", 8, false);
    bed.step(receiver, Step::Pubrec, 1, OK);
    bed.drop_connection(receiver);
    let back = bed.connect_kept("r", Version::V5);
    let expected = ["publish a 2 qos=2 id=2 dup", "pubrel 1 Success"];
    assert_eq!(bed.received(back)[1..], expected);
}

#[test]
fn a_refused_message_is_answered_with_the_reason_and_its_identifier_is_free() {
    let mut bed = Bed::new(config(&[R("device:lamp", "b", None, "subscribers")], &[]));
    let lamp = bed.connect("lamp", "l", false);
    bed.received(lamp);
    publish(&mut bed, lamp, "1", 7, false);
    assert_eq!(bed.received(lamp), ["pubrec 7 NotAuthorized"]);
    bed.step(lamp, Step::Pubrel, 7, OK);
    assert_eq!(bed.received(lamp), ["pubcomp 7 PacketIdentifierNotFound"]);
    assert!(bed.hub.sessions.iter().flatten().all(|s| s.machine.is_empty()));
}

#[test]
fn a_message_that_the_client_refuses_is_done_with() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    bed.step(receiver, Step::Pubrec, 1, ReasonCode::QuotaExceeded);
    assert_eq!(bed.received(receiver), ["publish a 1 qos=2 id=1"]);
    let (_, _, again, _) = crash(&mut bed, Version::V5);
    assert!(again.is_empty());
}

#[test]
fn answers_to_messages_that_nobody_sent_do_no_harm() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    bed.step(receiver, Step::Pubcomp, 9, OK);
    bed.step(receiver, Step::Pubrec, 9, OK);
    assert_eq!(bed.received(receiver), ["pubrel 9 PacketIdentifierNotFound"]);
    bed.step(sender, Step::Pubrel, 9, OK);
    assert_eq!(bed.received(sender), ["pubcomp 9 PacketIdentifierNotFound"]);
    assert!(bed.closed.is_empty());
}

#[test]
fn an_answer_to_another_step_is_a_breach_of_the_protocol() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    bed.received(receiver);
    bed.step(receiver, Step::Pubcomp, 1, OK);
    assert_eq!(bed.received(receiver), ["disconnect ProtocolError"]);
    assert!(matches!(bed.closed[0].1, CloseReason::Protocol(_)));
}

#[test]
fn more_open_messages_than_the_receive_maximum_end_the_connection() {
    let mut config = open();
    config.limits.receive_maximum = 2;
    let mut bed = Bed::new(config);
    let sender = bed.connect_kept("s", Version::V5);
    for packet_id in 1..=3 {
        publish(&mut bed, sender, "1", packet_id, false);
    }
    assert_eq!(bed.received(sender).last().unwrap(), "disconnect ReceiveMaximumExceeded");
}

/// Source: MQTT 5, 4.9: neither send quota nor receive maximum belong to the state of the session.
#[test]
fn what_an_earlier_connection_left_open_does_not_count_against_the_receive_maximum() {
    let mut config = open();
    config.limits.receive_maximum = 2;
    let mut bed = Bed::new(config);
    let sender = bed.connect_kept("s", Version::V5);
    for packet_id in [1, 2] {
        publish(&mut bed, sender, "1", packet_id, false);
    }
    bed.drop_connection(sender);
    let back = bed.connect_kept("s", Version::V5);
    for packet_id in [3, 4, 5] {
        publish(&mut bed, back, "1", packet_id, false);
    }
    let expected = ["pubrec 3 Success", "pubrec 4 Success", "disconnect ReceiveMaximumExceeded"];
    assert_eq!(bed.received(back)[1..], expected);
}

#[test]
fn what_many_connections_leave_open_is_bounded_and_every_session_has_its_receive_maximum() {
    for version in BOTH {
        let mut config = open();
        (config.limits.receive_maximum, config.limits.max_unreleased) = (2, 5);
        let mut bed = Bed::new(config);
        for round in 0..3 {
            let hoarder = bed.connect_kept("hoarder", version);
            for packet_id in [1, 2] {
                publish(&mut bed, hoarder, "1", 2 * round + packet_id, false);
            }
            let answer = bed.received(hoarder).pop().unwrap();
            match (round, version) {
                (2, Version::V5) => assert_eq!(answer, "pubrec 6 QuotaExceeded"),
                (2, Version::V311) => assert_eq!(answer, "pubrec 5 Success"),
                _ => assert!(answer.ends_with("Success"), "{answer}"),
            }
            bed.drop_connection(hoarder);
        }
        assert_eq!(bed.hub.n_unreleased, 5);
        assert_eq!(bed.hub.counters.get(Counter::RefusedUnreleased), 1);
        let other = bed.connect_kept("other", version);
        for packet_id in [1, 2] {
            publish(&mut bed, other, "1", packet_id, false);
        }
        assert_eq!(bed.received(other)[1..], ["pubrec 1 Success", "pubrec 2 Success"]);
        // A message that is known is answered whatever is full, and a released one makes room.
        let hoarder = bed.connect_kept("hoarder", version);
        publish(&mut bed, hoarder, "1", 1, true);
        for packet_id in [1, 2, 3] {
            bed.step(hoarder, Step::Pubrel, packet_id, OK);
        }
        publish(&mut bed, hoarder, "1", 9, false);
        let answers = bed.received(hoarder);
        assert_eq!(answers[1], "pubrec 1 Success");
        assert_eq!(answers.last().unwrap(), "pubrec 9 Success");
    }
}

#[test]
fn what_is_not_released_is_counted_through_crashes_and_ends_of_sessions() {
    let mut bed = Bed::new(open());
    let kept = bed.connect_kept("kept", Version::V5);
    let clean = bed.connect("", "clean", true);
    for slot in [kept, clean] {
        publish(&mut bed, slot, "1", 1, false);
        publish(&mut bed, slot, "1", 2, false);
    }
    assert_eq!(bed.hub.n_unreleased, 4);
    bed.drop_connection(clean);
    assert_eq!(bed.hub.n_unreleased, 2);
    bed.crash(open());
    assert_eq!(bed.hub.n_unreleased, 2);
    let kept = bed.connect_kept("kept", Version::V5);
    bed.step(kept, Step::Pubrel, 1, OK);
    bed.step(kept, Step::Pubrel, 1, OK);
    assert_eq!(bed.hub.n_unreleased, 1);
    bed.connect("", "kept", true);
    assert_eq!(bed.hub.n_unreleased, 0);
}

/// A sender whose session is kept cannot be refused by PUBREC: if that is lost, it sends the message
/// again, and then it is a new one (MQTT-4.3.3-9).
#[test]
fn a_full_disk_ends_the_connection_of_a_kept_session() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        bed.drop_connection(receiver);
        bed.disk_full = true;
        publish(&mut bed, sender, "1", 7, false);
        bed.disk_full = false;
        assert_eq!(bed.closed, [(sender, CloseReason::NotStored)]);
        if version == Version::V5 {
            assert_eq!(bed.received(sender), ["disconnect QuotaExceeded"]);
        }
        let back = bed.connect_kept("s", version);
        publish(&mut bed, back, "1", 7, true);
        assert_eq!(bed.received(back)[1..], ["pubrec 7 Success"]);
        let back = bed.connect_kept("r", version);
        assert_eq!(bed.received(back)[1..], ["publish a 1 qos=2 id=1"]);
    }
}

#[test]
fn a_full_disk_is_told_by_pubrec_where_nothing_can_be_sent_again() {
    let (mut bed, _, receiver) = pair(Version::V5);
    bed.drop_connection(receiver);
    let sender = bed.connect("", "clean", true);
    bed.received(sender);
    bed.disk_full = true;
    publish(&mut bed, sender, "1", 7, false);
    bed.disk_full = false;
    assert_eq!(bed.received(sender), ["pubrec 7 QuotaExceeded"]);
    publish(&mut bed, sender, "2", 7, false);
    assert_eq!(bed.received(sender), ["pubrec 7 Success"], "the identifier was free");
}

#[test]
fn a_release_that_cannot_be_kept_ends_the_connection_and_is_made_good() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        publish(&mut bed, sender, "1", 7, false);
        bed.received(receiver);
        bed.disk_full = true;
        bed.step(receiver, Step::Pubrec, 1, OK);
        assert!(bed.closed.contains(&(receiver, CloseReason::NotStored)));
        bed.disk_full = false;
        let back = bed.connect_kept("r", version);
        assert_eq!(bed.received(back)[1..], ["pubrel 1 Success"]);
        let (_, _, again, _) = crash(&mut bed, version);
        assert_eq!(again, ["pubrel 1 Success"]);
    }
}

#[test]
fn answers_of_all_kinds_keep_the_order_of_the_questions() {
    let (mut bed, sender, _) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    bed.received(sender);
    let publish = |qos, packet_id| {
        let head = PublishHead { topic: "a", qos, packet_id, ..Default::default() };
        encoded_publish(Version::V5, &head, "x")
    };
    let pubrel = |packet_id| encoded(Version::V5, &Packet::Pubrel(Ack::success(packet_id)));
    let questions =
        [publish(QoS::AtLeastOnce, 1), pubrel(7), publish(QoS::ExactlyOnce, 2), pubrel(99)];
    bed.send(sender, &questions.concat());
    let expected = [
        "puback 1 Success",
        "pubcomp 7 Success",
        "pubrec 2 Success",
        "pubcomp 99 PacketIdentifierNotFound",
    ];
    assert_eq!(bed.received(sender), expected);
}

#[test]
fn a_retained_message_is_delivered_with_qos_2_and_survives_a_crash_on_its_way() {
    let mut bed = Bed::new(open());
    let sender = bed.connect_kept("s", Version::V5);
    let qos = QoS::ExactlyOnce;
    let head = PublishHead { topic: "a", qos, packet_id: 1, retain: true, ..Default::default() };
    bed.publish_with(sender, head, "kept");
    let receiver = bed.connect_kept("r", Version::V5);
    bed.subscribe(receiver, "a", QoS::ExactlyOnce);
    assert_eq!(bed.received(receiver)[2..], ["publish a kept qos=2 id=1 retain"]);
    let (_, receiver, again, _) = crash(&mut bed, Version::V5);
    assert_eq!(again, ["publish a kept qos=2 id=1 dup retain"]);
    bed.step(receiver, Step::Pubrec, 1, OK);
    bed.step(receiver, Step::Pubcomp, 1, OK);
    let (_, _, again, _) = crash(&mut bed, Version::V5);
    assert!(again.is_empty());
}

#[test]
fn without_a_kept_session_the_journal_hears_nothing_of_packet_identifiers() {
    let mut bed = Bed::new(open());
    let receiver = bed.connect("", "r", true);
    bed.subscribe(receiver, "a", QoS::ExactlyOnce);
    let sender = bed.connect("", "s", true);
    publish(&mut bed, sender, "1", 7, false);
    bed.step(sender, Step::Pubrel, 7, OK);
    bed.step(receiver, Step::Pubrec, 1, OK);
    bed.step(receiver, Step::Pubcomp, 1, OK);
    assert_eq!(bed.received(receiver)[2..], ["publish a 1 qos=2 id=1", "pubrel 1 Success"]);
    assert!(bed.log.is_empty());
}

#[test]
fn qos_1_writes_no_record_of_packet_identifiers() {
    let (mut bed, sender, _) = pair(Version::V5);
    let start = bed.log.len();
    bed.publish(sender, "a", "1", QoS::AtLeastOnce, 7);
    let records: Vec<_> = bed.log[start..].iter().map(|(_, r)| Record::decode(r)).collect();
    assert!(matches!(records[..], [Ok(Record::Accepted { .. })]), "{records:?}");
}

#[test]
fn packet_identifiers_move_with_their_session_when_its_expiry_changes() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    let start = bed.log.len();
    for (slot, client_id) in [(receiver, "r"), (sender, "s")] {
        bed.drop_connection(slot);
        let mut connect = Connect::new(Version::V5, client_id);
        connect.clean_start = false;
        connect.properties.session_expiry_seconds = Some(1_800);
        bed.connect_with(&connect);
    }
    let moved: Vec<_> = bed.log[start..].iter().map(|(_, r)| Record::decode(r).unwrap()).collect();
    assert!(moved.iter().any(|r| matches!(r, Record::Sending { packet_id: 1, .. })), "{moved:?}");
    assert!(moved.iter().any(|r| matches!(r, Record::Received { packet_id: 7, .. })));
    assert!(moved.iter().any(|r| matches!(r, Record::Subscribed { .. })));
}

/// A message that recovery cannot read may have reached the client, who would take the next message
/// with its identifier for the same one: PUBREL frees it. And however the journal ends then, the
/// message does not come back under another identifier.
#[test]
fn a_message_on_its_way_that_cannot_be_read_is_released_and_never_comes_again() {
    let (mut bed, sender, _) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    bed.unreadable = true;
    let start = bed.log.len();
    bed.crash(open());
    let whole = bed.log.clone();
    assert!(whole.len() > start + 1, "there is something to tear");
    for end in start..=whole.len() {
        let mut torn = Bed::new(open());
        torn.log = whole[..end].to_vec();
        let (_, _, to_receiver, _) = crash(&mut torn, Version::V5);
        let expect = if end == start { "publish a 1 qos=2 id=1 dup" } else { "pubrel 1 Success" };
        assert_eq!(to_receiver, [expect], "torn at {end}");
    }
    let receiver = bed.connect_kept("r", Version::V5);
    assert_eq!(bed.received(receiver)[1..], ["pubrel 1 Success"]);
    bed.step(receiver, Step::Pubcomp, 1, OK);
    assert!(bed.hub.stored.is_empty());
    assert_eq!(bed.hub.counters.get(Counter::DropUnreadable), 1);
}

/// What was released took the destination of what was not: that one was forgotten with its packet
/// identifier, which the next message got, and the client took it for the one that it knew.
#[test]
fn a_message_by_two_ways_to_one_session_is_found_on_the_way_that_is_not_released() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    bed.subscribe(receiver, "$share/g/a", QoS::ExactlyOnce);
    bed.received(receiver);
    publish(&mut bed, sender, "1", 7, false);
    assert_eq!(bed.received(receiver).len(), 2);
    bed.step(receiver, Step::Pubrec, 1, OK);
    let (_, _, again, _) = crash(&mut bed, Version::V5);
    assert_eq!(again, ["publish a 1 qos=2 id=2 dup", "pubrel 1 Success"]);
}

/// Torn between its records, a refusal brought the message again under another identifier.
#[test]
fn a_message_that_the_client_refused_does_not_come_again_wherever_a_crash_tears_the_journal() {
    let (mut bed, sender, receiver) = pair(Version::V5);
    publish(&mut bed, sender, "1", 7, false);
    let start = bed.log.len();
    bed.step(receiver, Step::Pubrec, 1, ReasonCode::QuotaExceeded);
    let whole = bed.log.clone();
    for end in start..=whole.len() {
        let mut torn = Bed::new(open());
        torn.log = whole[..end].to_vec();
        let (_, _, to_receiver, _) = crash(&mut torn, Version::V5);
        let unknown = end == start;
        assert!(to_receiver.is_empty() != unknown, "torn at {end}: {to_receiver:?}");
        assert!(to_receiver.iter().all(|word| word.ends_with("id=1 dup")), "{to_receiver:?}");
    }
}

/// Wherever the crash tears what makes the failure good, sender and receiver see the message once.
#[test]
fn a_message_that_a_failing_journal_did_not_take_comes_once_through_a_crash() {
    for version in BOTH {
        let (mut bed, sender, receiver) = pair(version);
        bed.drop_connection(receiver);
        bed.disk_full = true;
        publish(&mut bed, sender, "1", 7, false);
        bed.disk_full = false;
        let start = bed.log.len();
        bed.connect_kept("s", version);
        let whole = bed.log.clone();
        assert!(whole.len() > start + 3);
        for end in start..=whole.len() {
            let mut torn = Bed::new(open());
            torn.log = whole[..end].to_vec();
            let (sender, receiver, mut to_receiver, _) = crash(&mut torn, version);
            publish(&mut torn, sender, "1", 7, true);
            assert_eq!(torn.received(sender), ["pubrec 7 Success"], "torn at {end}");
            to_receiver.extend(torn.received(receiver));
            assert_eq!(to_receiver.len(), 1, "torn at {end}: {to_receiver:?}");
        }
    }
}
