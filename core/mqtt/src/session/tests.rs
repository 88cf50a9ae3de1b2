use tomte_base::QoS;

use super::*;

const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

fn session() -> Session<&'static str> {
    Session::new()
}

fn unknown<T>(packet_id: u16) -> Result<T, UnknownPacketId> {
    Err(UnknownPacketId { packet_id, in_use: false })
}

fn in_use<T>(packet_id: u16) -> Result<T, UnknownPacketId> {
    Err(UnknownPacketId { packet_id, in_use: true })
}

fn publish<'a>(id: u16, qos: QoS, message: &'a &'static str) -> Redelivery<'a, &'static str> {
    Redelivery::Publish { id, qos, message }
}

#[test]
fn a_message_of_qos_1_ends_with_its_puback() {
    let mut session = session();
    let id = session.send(QOS1, "a").unwrap();
    assert_eq!((id, session.in_flight()), (1, 1));
    assert_eq!(session.on_puback(id), Ok("a"));
    assert_eq!(session.in_flight(), 0);
    assert_eq!(session.on_puback(id), unknown(id));
}

#[test]
fn a_message_of_qos_2_ends_with_its_pubcomp() {
    let mut session = session();
    let id = session.send(QOS2, "a").unwrap();
    assert_eq!(session.on_pubcomp(id), in_use(id));
    assert_eq!(session.on_pubrec(id, false), Ok(Pubrec::SendPubrel("a")));
    assert_eq!(session.on_pubrec(id, false), Ok(Pubrec::AlreadyReceived));
    assert_eq!(session.on_pubcomp(id), Ok(()));
    assert_eq!(session.on_pubcomp(id), unknown(id));
    assert_eq!(session.on_pubrec(id, false), unknown(id));
}

#[test]
fn a_message_of_qos_2_that_is_refused_ends_with_its_pubrec() {
    let mut session = session();
    let id = session.send(QOS2, "a").unwrap();
    assert_eq!(session.on_pubrec(id, true), Ok(Pubrec::Ended("a")));
    assert!(session.is_empty());
}

#[test]
fn the_acknowledgement_of_the_other_qos_changes_nothing() {
    let mut session = session();
    let first = session.send(QOS1, "a").unwrap();
    let second = session.send(QOS2, "b").unwrap();
    assert_eq!(session.on_pubrec(first, false), in_use(first));
    assert_eq!(session.on_pubcomp(first), in_use(first));
    assert_eq!(session.on_puback(second), in_use(second));
    assert_eq!(session.on_puback(first), Ok("a"));
    assert_eq!(session.on_pubrec(second, false), Ok(Pubrec::SendPubrel("b")));
    assert_eq!(session.on_puback(second), in_use(second));
}

#[test]
fn a_message_of_qos_0_is_not_for_a_session() {
    assert_eq!(session().send(QoS::AtMostOnce, "a"), None);
}

#[test]
fn the_window_closes_when_it_is_full_and_opens_with_each_end() {
    let mut session = session();
    session.set_window(2);
    let first = session.send(QOS1, "a").unwrap();
    let second = session.send(QOS2, "b").unwrap();
    assert_eq!((session.window(), session.send(QOS1, "c")), (0, None));
    session.on_pubrec(second, false).unwrap();
    assert_eq!(session.window(), 0, "PUBREC does not end a message");
    session.on_puback(first).unwrap();
    assert_eq!(session.window(), 1);
    session.on_pubcomp(second).unwrap();
    assert_eq!(session.window(), 2);
}

#[test]
fn identifiers_go_round_and_leave_out_those_in_use() {
    let mut session = session();
    let stuck = session.send(QOS1, "stuck").unwrap();
    let mut last = stuck;
    for _ in 0..200_000 {
        let id = session.send(QOS1, "x").unwrap();
        assert!(id != 0 && id != stuck && id != last, "{id} was given");
        session.on_puback(id).unwrap();
        last = id;
    }
    assert_eq!(session.on_puback(stuck), Ok("stuck"));
}

#[test]
fn all_identifiers_can_be_in_flight() {
    let mut session = session();
    for expect in 1..=u16::MAX {
        assert_eq!(session.send(QOS1, "x"), Some(expect));
    }
    assert_eq!((session.window(), session.send(QOS1, "x")), (0, None));
    assert_eq!(session.on_puback(40_000), Ok("x"));
    assert_eq!(session.send(QOS1, "y"), Some(40_000));
    assert_eq!(session.drain().len(), 65_535);
}

#[test]
fn a_new_connection_is_sent_what_is_in_flight_in_its_order() {
    let mut session = session();
    for message in ["a", "b", "c", "d", "e"] {
        let qos = if message == "b" { QOS1 } else { QOS2 };
        session.send(qos, message).unwrap();
    }
    // The order of PUBRELs is that of the PUBRECs.
    session.on_pubrec(4, false).unwrap();
    session.on_pubrec(1, false).unwrap();
    session.set_window(20);
    assert_eq!(
        Vec::from_iter(session.resume()),
        [
            publish(2, QOS1, &"b"),
            publish(3, QOS2, &"c"),
            publish(5, QOS2, &"e"),
            Redelivery::Pubrel { id: 4 },
            Redelivery::Pubrel { id: 1 },
        ]
    );
}

#[test]
fn a_smaller_window_defers_messages_until_there_is_room() {
    let mut session = session();
    for message in ["a", "b", "c", "d"] {
        session.send(QOS1, message).unwrap();
    }
    session.set_window(2);
    assert_eq!(Vec::from_iter(session.resume()), [publish(1, QOS1, &"a"), publish(2, QOS1, &"b")]);
    assert_eq!(session.next_deferred(), None);
    assert_eq!(session.send(QOS1, "e"), None, "new messages wait behind deferred ones");

    session.on_puback(1).unwrap();
    assert_eq!(session.next_deferred(), Some(publish(3, QOS1, &"c")));
    assert_eq!(session.next_deferred(), None);
    // The client had it from the connection before.
    session.on_puback(4).unwrap();
    session.on_puback(2).unwrap();
    assert_eq!(session.next_deferred(), None);
    assert_eq!(session.send(QOS1, "e"), Some(5));
}

#[test]
fn new_messages_wait_even_when_the_window_has_room_for_deferred_ones() {
    let mut session = session();
    for message in ["a", "b", "c"] {
        session.send(QOS1, message).unwrap();
    }
    session.set_window(2);
    session.on_puback(1).unwrap();
    session.on_puback(2).unwrap();
    assert_eq!((session.window(), session.send(QOS1, "d")), (0, None));
    assert_eq!(session.next_deferred(), Some(publish(3, QOS1, &"c")));
    assert_eq!(session.send(QOS1, "d"), Some(4));
}

#[test]
fn a_deferred_message_that_is_acknowledged_late_is_not_sent_again() {
    let mut session = session();
    for message in ["a", "b", "c", "d"] {
        session.send(QOS2, message).unwrap();
    }
    session.set_window(1);
    // The client had 2 and 3 from the connection before.
    session.on_pubrec(2, true).unwrap();
    session.on_pubrec(3, false).unwrap();
    session.on_pubrec(1, true).unwrap();
    assert_eq!(session.next_deferred(), None, "3 takes the window until its PUBCOMP");
    session.on_pubcomp(3).unwrap();
    assert_eq!(session.next_deferred(), Some(publish(4, QOS2, &"d")));
}

#[test]
fn pubrels_are_never_deferred() {
    let mut session = session();
    for message in ["a", "b", "c"] {
        session.send(QOS2, message).unwrap();
    }
    session.on_pubrec(1, false).unwrap();
    session.on_pubrec(3, false).unwrap();
    session.set_window(1);
    assert_eq!(
        Vec::from_iter(session.resume()),
        [Redelivery::Pubrel { id: 1 }, Redelivery::Pubrel { id: 3 }]
    );
    session.on_pubcomp(1).unwrap();
    assert_eq!(session.next_deferred(), None);
    session.on_pubcomp(3).unwrap();
    assert_eq!(session.next_deferred(), Some(publish(2, QOS2, &"b")));
}

#[test]
fn a_received_message_of_qos_2_is_new_once_until_it_is_released() {
    let mut session = session();
    assert_eq!(session.receive_qos2(7), Qos2Receive::First);
    assert_eq!(session.receive_qos2(7), Qos2Receive::Duplicate);
    assert!(session.on_pubrel(7));
    assert!(!session.on_pubrel(7));
    assert_eq!(session.receive_qos2(7), Qos2Receive::First);
}

#[test]
fn received_messages_of_qos_2_are_counted_until_they_are_released() {
    let mut session = session();
    for id in [1, 2, 2, u16::MAX] {
        session.receive_qos2(id);
    }
    assert_eq!(session.unreleased(), 3);
    session.on_pubrel(2);
    session.set_window(1);
    assert_eq!(session.unreleased(), 2, "a new connection changes nothing");
    session.drain();
    assert_eq!(session.unreleased(), 0);
}

#[test]
fn a_restored_session_goes_on_where_it_was_saved() {
    let mut session = session();
    for message in ["a", "b", "c"] {
        session.send(QOS2, message).unwrap();
    }
    session.on_pubrec(1, false).unwrap();
    session.on_pubrec(2, true).unwrap();
    session.receive_qos2(900);
    session.receive_qos2(30);
    let state = session.save();
    assert_eq!(state.in_flight, [(3, Phase::ExactlyOnce("c")), (1, Phase::Released)]);
    assert_eq!(state.received_qos2, [30, 900]);

    let mut restored = Session::restore(state.clone());
    assert_eq!(restored.save(), state);
    assert!(restored.resume().eq(session.resume()));
    assert_eq!(restored.receive_qos2(30), Qos2Receive::Duplicate);
    assert_eq!(restored.send(QOS1, "d"), Some(4));
}

#[test]
fn identifiers_start_behind_those_that_a_log_puts_back() {
    let mut session = session();
    session.restore_in_flight(0, Phase::Released);
    session.restore_received(0);
    assert!(session.is_empty());
    session.restore_in_flight(65_534, Phase::AtLeastOnce("a"));
    session.restore_in_flight(65_535, Phase::ExactlyOnce("b"));
    session.restore_in_flight(65_535, Phase::Released);
    session.restore_in_flight(1, Phase::ExactlyOnce("c"));
    assert_eq!((session.in_flight(), session.send(QOS1, "d")), (4 - 1, Some(2)));
}

#[test]
fn an_ended_session_gives_back_what_was_not_acknowledged() {
    let mut session = session();
    for message in ["a", "b", "c"] {
        session.send(QOS2, message).unwrap();
    }
    session.on_pubrec(2, false).unwrap();
    session.receive_qos2(1);
    session.set_window(1);
    assert_eq!(session.drain(), ["a", "c"]);
    assert!(session.is_empty());
    assert_eq!(session.send(QOS1, "d"), Some(4));
    assert_eq!(session.next_deferred(), None);
}

#[test]
fn an_empty_session_is_small_and_a_burst_is_forgotten() {
    assert!(size_of::<Session<u64>>() <= 112, "{} bytes", size_of::<Session<u64>>());
    let mut session = session();
    let ids: Vec<u16> = (0..5_000).filter_map(|_| session.send(QOS1, "x")).collect();
    for id in ids {
        session.on_puback(id).unwrap();
        session.receive_qos2(id);
    }
    for id in 0..=u16::MAX {
        session.on_pubrel(id);
    }
    assert_eq!(session.in_flight.capacity(), 0);
    assert_eq!(session.received.capacity(), 0);
}
