//! Connections that send no CONNECT.

use tomte_mqtt::codec::Version;

use super::harness::{Bed, R, config};
use crate::{CloseReason, Counter, Slot};

fn bed(max_connecting: u32) -> Bed {
    let mut config = config(&[R("anonymous", "#", None, "subscribers")], &[]);
    config.limits.max_connecting = max_connecting;
    Bed::new(config)
}

/// Proves a part of: MQT-4.
#[test]
fn one_silent_connection_too_many_closes_the_oldest_of_them_and_no_client() {
    let mut bed = bed(3);
    let client = bed.connect("", "client", true);
    let silent: Vec<Slot> = (0..5).map(|_| bed.open("", Version::V5)).collect();
    bed.turn();
    let closed: Vec<_> = std::mem::take(&mut bed.closed);
    assert_eq!(closed, [(silent[0], CloseReason::Crowded), (silent[1], CloseReason::Crowded)]);
    assert_eq!(bed.hub.counters().get(Counter::RefusedConnection), 2);
    bed.send(client, b"\xc0\0");
    assert_eq!(bed.received(client).len(), 2, "CONNACK and PINGRESP");
}

#[test]
fn those_that_connect_or_go_make_room() {
    let mut bed = bed(2);
    for n in 0..100 {
        let gone = bed.open("", Version::V5);
        bed.drop_connection(gone);
        bed.connect("", &format!("client {n}"), true);
    }
    bed.open("", Version::V5);
    bed.open("", Version::V5);
    bed.turn();
    assert_eq!(bed.closed, []);
}
