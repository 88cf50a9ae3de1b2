//! Clients that do not read, and those that do not finish what they send.

use std::time::Duration;

use tomte_mqtt::codec::Version;

use super::harness::{Bed, R, config};
use crate::{CloseReason, Counter, Owner, Peer};

const LIMIT: Duration = Duration::from_secs(60);

fn bed() -> Bed {
    Bed::new(config(&[R("anonymous", "#", None, "subscribers")], &[]))
}

/// Proves a part of: MQT-4.
#[test]
fn a_reader_that_takes_nothing_is_closed_when_its_time_is_over() {
    let mut bed = bed();
    let slot = bed.connect("", "slow", true);
    bed.hub.on_unwritten(bed.now, slot, false);
    bed.advance(LIMIT / 2);
    bed.hub.on_unwritten(bed.now, slot, false);
    assert_eq!(bed.closed, []);
    bed.advance(LIMIT / 2);
    assert_eq!(bed.closed, [(slot, CloseReason::SlowReader)]);
    assert_eq!(bed.hub.counters().get(Counter::SlowReaders), 1);
}

#[test]
fn a_packet_that_finds_no_room_ends_its_connection_with_a_reason_and_is_counted() {
    let mut bed = Bed::broker();
    let client = bed.client(Version::V5, "client");
    let silent = bed.open("", Version::V5);
    bed.received_bytes(client);
    bed.hub.end_unfinished(client);
    bed.hub.end_unfinished(silent);
    bed.send(client, b"what still comes is ignored");
    assert_eq!(bed.received_bytes(client), [0xe0, 1, 0x97], "quota exceeded");
    assert_eq!(bed.closed, [client, silent].map(|slot| (slot, CloseReason::Unfinished)));
    assert_eq!(bed.hub.counters().get(Counter::Unfinished), 2);
}

#[test]
fn a_socket_that_ends_before_it_is_closed_leaves_its_slot_to_the_next_one() {
    let mut bed = Bed::broker();
    let slot = bed.open("", Version::V5);
    bed.hub.end_unfinished(slot);
    bed.hub.on_closed(bed.now, slot, &CloseReason::Lost);
    bed.hub.on_opened(bed.now, slot, Peer::known(Owner::Anonymous));
    bed.turn();
    assert_eq!(bed.closed, []);
}

#[test]
fn a_slow_reader_that_takes_some_of_it_stays() {
    let mut bed = bed();
    let slot = bed.connect("", "slow", true);
    bed.hub.on_unwritten(bed.now, slot, false);
    for _ in 0..10 {
        bed.advance(LIMIT / 2);
        bed.hub.on_unwritten(bed.now, slot, true);
    }
    assert_eq!(bed.closed, []);
    bed.advance(LIMIT);
    assert_eq!(bed.closed, [(slot, CloseReason::SlowReader)]);
}

#[test]
fn a_reader_that_took_all_is_watched_anew_the_next_time() {
    let mut bed = bed();
    let slot = bed.connect("", "slow", true);
    for _ in 0..3 {
        bed.hub.on_unwritten(bed.now, slot, false);
        bed.advance(LIMIT / 2);
        bed.hub.on_written(slot);
        bed.advance(LIMIT);
        assert_eq!(bed.closed, []);
    }
    bed.hub.on_unwritten(bed.now, slot, false);
    bed.advance(LIMIT);
    assert_eq!(bed.closed, [(slot, CloseReason::SlowReader)]);
}
