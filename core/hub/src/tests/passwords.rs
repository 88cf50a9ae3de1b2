//! Clients that show a password: what waits, what is let in, what is left when they go.

use std::net::IpAddr;
use std::time::Duration;

use tomte_base::{DeviceName, QoS};
use tomte_mqtt::codec::{Connect, Packet, Subscribe, Subscription, Version};

use super::harness::{Bed, R, config, encoded};
use crate::{CheckId, CloseReason, Counter, Effect, Owner, PasswordCheck, Peer, Secret, Slot};

fn bed() -> Bed {
    Bed::new(config(&[R("device:fan", "#", None, "subscribers")], &[]))
}

/// A connection of a listener that takes passwords, and clients without an identity if `anonymous`.
fn open(bed: &mut Bed, version: Version, anonymous: bool) -> Slot {
    let peer = Peer {
        owner: anonymous.then_some(Owner::Anonymous),
        passwords: true,
        address: Some(IpAddr::from([192, 0, 2, 1])),
    };
    bed.open_as(peer, version)
}

fn connect(version: Version, user: Option<&str>, password: Option<&str>) -> Vec<u8> {
    let mut connect = Connect::new(version, "client");
    connect.username = user;
    connect.password = password.map(str::as_bytes);
    encoded(version, &Packet::Connect(Box::new(connect)))
}

/// Sends `bytes` of which the hub takes none until the password is checked.
fn send_and_wait(bed: &mut Bed, slot: Slot, bytes: &[u8]) -> PasswordCheck {
    assert_eq!(bed.hub.on_bytes(bed.now, slot, bytes), 0);
    bed.turn();
    assert_eq!(bed.received(slot), Vec::<String>::new());
    match bed.effects.pop() {
        Some(Effect::CheckPassword(check)) => check,
        other => panic!("no check was asked for: {other:?}"),
    }
}

fn answer(bed: &mut Bed, id: CheckId, device: Option<&str>) -> bool {
    let device = device.map(|name| DeviceName::new(name).unwrap());
    bed.hub.on_password_checked(bed.now, id, device)
}

#[test]
fn a_client_with_the_right_password_is_the_device_and_what_it_sent_meanwhile_counts() {
    let mut bed = bed();
    let slot = open(&mut bed, Version::V5, false);
    let mut bytes = connect(Version::V5, Some("fan"), Some("sesame"));
    let subscriptions = vec![Subscription::new("a", QoS::AtMostOnce)];
    let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
    bytes.extend(encoded(Version::V5, &Packet::Subscribe(subscribe)));
    let check = send_and_wait(&mut bed, slot, &bytes);
    assert_eq!((check.user.as_str(), &check.password), ("fan", &Secret(b"sesame".to_vec())));
    assert!(!format!("{check:?}").contains("sesame"), "{check:?}");
    assert!(answer(&mut bed, check.id, Some("fan")));
    bed.send(slot, &bytes);
    let got = bed.received(slot);
    assert_eq!(got, ["connack Success present=false", "suback [Success]"]);
    assert!(bed.hub.device(&DeviceName::new("fan").unwrap()).connected);
}

#[test]
fn a_wrong_password_is_refused_in_the_words_of_each_version() {
    let expected =
        [(Version::V5, "connack NotAuthorized"), (Version::V311, "connack NotAuthorized")];
    for (version, expected) in expected {
        let mut bed = bed();
        let slot = open(&mut bed, version, true);
        let bytes = connect(version, Some("fan"), Some("wrong"));
        let check = send_and_wait(&mut bed, slot, &bytes);
        assert!(answer(&mut bed, check.id, None));
        bed.send(slot, &bytes);
        assert_eq!(bed.received(slot), [format!("{expected} present=false")]);
        assert_eq!(bed.hub.counters().get(Counter::RefusedPassword), 1);
        assert_eq!(bed.closed.len(), 1);
    }
}

#[test]
fn without_a_password_only_a_listener_for_anybody_lets_in() {
    for (anonymous, expected) in [(true, "Success"), (false, "NotAuthorized")] {
        let mut bed = bed();
        let slot = open(&mut bed, Version::V5, anonymous);
        bed.send(slot, &connect(Version::V5, None, None));
        assert_eq!(bed.received(slot), [format!("connack {expected} present=false")]);
    }
}

/// The AWS SDKs send their name as the user.
#[test]
fn a_certificate_counts_and_the_user_beside_it_does_not() {
    let mut bed = bed();
    let device = Owner::Device(DeviceName::new("fan").unwrap());
    let slot = bed.open_as(Peer { passwords: true, ..Peer::known(device) }, Version::V5);
    bed.send(slot, &connect(Version::V5, Some("?SDK=Python"), None));
    assert_eq!(bed.received(slot), ["connack Success present=false"]);
}

#[test]
fn a_listener_that_takes_no_passwords_does_not_look_at_them() {
    let mut bed = bed();
    let slot = bed.open("", Version::V5);
    bed.send(slot, &connect(Version::V5, Some("fan"), Some("anything")));
    assert_eq!(bed.received(slot), ["connack Success present=false"]);
    assert!(!bed.hub.device(&DeviceName::new("fan").unwrap()).connected);
}

#[test]
fn a_client_that_left_before_its_password_was_checked_leaves_nothing() {
    let mut bed = bed();
    let slot = open(&mut bed, Version::V5, false);
    let check = send_and_wait(&mut bed, slot, &connect(Version::V5, Some("fan"), Some("sesame")));
    bed.drop_connection(slot);
    assert!(!answer(&mut bed, check.id, Some("fan")));
    assert!(!bed.hub.device(&DeviceName::new("fan").unwrap()).connected);
    assert_eq!(bed.hub.view().sessions, 0);
}

/// The slot is used again by somebody else before the answer comes.
#[test]
fn the_answer_for_one_connection_is_not_taken_for_the_next_in_its_slot() {
    let mut bed = bed();
    let slot = open(&mut bed, Version::V5, false);
    let bytes = connect(Version::V5, Some("fan"), Some("sesame"));
    let first = send_and_wait(&mut bed, slot, &bytes);
    bed.drop_connection(slot);
    let peer = Peer { owner: None, passwords: true, address: None };
    bed.hub.on_opened(bed.now, slot, peer);
    let second = send_and_wait(&mut bed, slot, &bytes);
    assert!(!answer(&mut bed, first.id, Some("fan")));
    assert!(answer(&mut bed, second.id, None));
}

/// Two connections with one client identifier wait for their checks: whichever answer comes last has the
/// session, and the other connection is told so.
#[test]
fn of_two_connections_that_wait_with_one_identifier_the_last_one_answered_has_the_session() {
    for last in [0, 1] {
        let mut bed = bed();
        let bytes = connect(Version::V5, Some("fan"), Some("sesame"));
        let slots = [0, 1].map(|_| open(&mut bed, Version::V5, false));
        let checks = slots.map(|slot| send_and_wait(&mut bed, slot, &bytes));
        for at in [1 - last, last] {
            assert!(answer(&mut bed, checks[at].id, Some("fan")));
            bed.send(slots[at], &bytes);
        }
        let first = bed.received(slots[1 - last]);
        assert_eq!(first[1..], ["disconnect SessionTakenOver"]);
        assert_eq!(bed.received(slots[last]), ["connack Success present=false"]);
        assert_eq!(bed.closed.len(), 1);
        assert_eq!(bed.hub.sessions.iter().flatten().count(), 1);
    }
}

#[test]
fn a_check_that_takes_too_long_does_not_outlive_the_time_for_connect() {
    let mut bed = bed();
    let slot = open(&mut bed, Version::V5, false);
    let check = send_and_wait(&mut bed, slot, &connect(Version::V5, Some("fan"), Some("sesame")));
    bed.advance(Duration::from_secs(60));
    assert_eq!(bed.closed, [(slot, CloseReason::ConnectTimeout)]);
    assert!(!answer(&mut bed, check.id, Some("fan")));
}

#[test]
fn an_address_that_sends_many_wrong_passwords_is_refused_without_a_check() {
    let mut bed = bed();
    let bytes = connect(Version::V5, Some("fan"), Some("wrong"));
    for _ in 0..10 {
        let slot = open(&mut bed, Version::V5, false);
        let check = send_and_wait(&mut bed, slot, &bytes);
        assert!(answer(&mut bed, check.id, None));
        bed.send(slot, &bytes);
    }
    let slot = open(&mut bed, Version::V5, false);
    bed.send(slot, &bytes);
    assert_eq!(bed.received(slot), ["connack ConnectionRateExceeded present=false"]);
    assert_eq!(bed.hub.counters().get(Counter::RefusedPasswordRate), 1);
    assert_eq!(bed.hub.counters().get(Counter::RefusedPassword), 10);
}
