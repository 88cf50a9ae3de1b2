//! What the hub's clock waits for: in time, and no more of it than there is.

use std::time::Duration;

use tomte_base::QoS;
use tomte_mqtt::codec::{Connect, Version, Will};

use super::harness::{Bed, limited};
use crate::{CloseReason, Slot};

/// How long sessions are kept, in seconds.
const LONG: u32 = 100_000;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A hub that keeps sessions for as long as clients ask.
fn bed() -> Bed {
    Bed::new(limited(|config| config.limits.max_session_expiry = Duration::MAX))
}

/// What a client asks for, in seconds.
#[derive(Clone, Copy, Debug)]
struct Asks {
    expiry: u32,
    keep_alive: u16,
    will_delay: Option<u32>,
}

const EACH: [Asks; 4] = [
    Asks { expiry: LONG, keep_alive: 0, will_delay: None },
    Asks { expiry: u32::MAX, keep_alive: 0, will_delay: None },
    Asks { expiry: LONG, keep_alive: u16::MAX, will_delay: None },
    Asks { expiry: LONG, keep_alive: u16::MAX, will_delay: Some(LONG / 2) },
];

/// Connects the client again.
fn connect(bed: &mut Bed, asks: Asks, clean_start: bool) -> Slot {
    let mut connect = Connect::new(Version::V5, "c");
    connect.clean_start = clean_start;
    connect.keep_alive_seconds = asks.keep_alive;
    connect.properties.session_expiry_seconds = Some(asks.expiry);
    connect.will = asks.will_delay.map(|delay_seconds| Will {
        topic: "gone",
        qos: QoS::AtMostOnce,
        delay_seconds,
        ..Will::default()
    });
    bed.connect_with(&connect)
}

fn n_sessions(bed: &Bed) -> usize {
    bed.hub.by_serial.len()
}

/// Proves a part of: MQT-4.
#[test]
fn a_client_that_comes_and_goes_a_thousand_times_needs_few_timers() {
    for asks in EACH {
        for clean_start in [false, true] {
            let mut bed = bed();
            for _ in 0..1_000 {
                let slot = connect(&mut bed, asks, clean_start);
                bed.hub.on_unwritten(bed.now, slot, false);
                bed.advance(seconds(1));
                bed.drop_connection(slot);
            }
            let n_timers = bed.hub.timers.len();
            assert!(n_timers < 10, "{n_timers} timers: {asks:?}, clean start {clean_start}");
        }
    }
}

#[test]
fn a_take_over_leaves_no_timer() {
    for asks in EACH {
        let mut bed = bed();
        for _ in 0..1_000 {
            connect(&mut bed, asks, false);
        }
        let n_timers = bed.hub.timers.len();
        assert!(n_timers < 10, "{n_timers} timers: {asks:?}");
    }
}

#[test]
fn nothing_is_left_to_wait_for_when_all_is_over() {
    for asks in EACH {
        let mut bed = bed();
        let slot = connect(&mut bed, asks, false);
        bed.drop_connection(slot);
        let slot = connect(&mut bed, Asks { expiry: 0, ..asks }, true);
        bed.drop_connection(slot);
        assert_eq!((bed.hub.timers.len(), n_sessions(&bed)), (0, 0), "{asks:?}");
    }
}

#[test]
fn a_session_ends_after_its_last_connection_on_time() {
    for asks in EACH {
        let mut bed = bed();
        for _ in 0..3 {
            let slot = connect(&mut bed, asks, false);
            bed.advance(seconds(1));
            bed.drop_connection(slot);
            bed.advance(seconds(10));
        }
        bed.advance(seconds(u64::from(LONG) - 11));
        assert_eq!(n_sessions(&bed), 1, "{asks:?}");
        bed.advance(seconds(1));
        let stays = usize::from(asks.expiry == u32::MAX);
        assert_eq!(n_sessions(&bed), stays, "{asks:?}");
    }
}

/// The longer time comes first, so that it must not stand in the way of the shorter one.
#[test]
fn a_session_that_is_kept_for_less_than_before_ends_on_time() {
    let mut bed = bed();
    for expiry in [u32::MAX, LONG, 10] {
        let slot = connect(&mut bed, Asks { expiry, ..EACH[0] }, false);
        bed.drop_connection(slot);
    }
    bed.advance(seconds(9));
    assert_eq!(n_sessions(&bed), 1);
    assert_eq!(bed.hub.next_deadline(), Some(bed.now + seconds(1)));
    bed.advance(seconds(1));
    assert_eq!(n_sessions(&bed), 0);
}

#[test]
fn a_will_is_published_after_the_delay_of_the_last_connection() {
    for delays in [[10, 50], [50, 10]] {
        let mut bed = bed();
        let watcher = bed.connect("", "watcher", true);
        bed.subscribe(watcher, "gone", QoS::AtMostOnce);
        bed.received(watcher);
        for will_delay in delays.map(Some) {
            let slot = connect(&mut bed, Asks { will_delay, ..EACH[0] }, false);
            bed.drop_connection(slot);
        }
        bed.advance(seconds(u64::from(delays[1]) - 1));
        assert_eq!(bed.received(watcher).len(), 0, "{delays:?}");
        bed.advance(seconds(1));
        assert_eq!(bed.received(watcher).len(), 1, "{delays:?}");
        bed.advance(seconds(100));
        assert_eq!(bed.received(watcher).len(), 0, "{delays:?}");
    }
}

#[test]
fn a_slot_that_is_used_again_has_the_deadline_of_its_new_connection() {
    let mut bed = bed();
    let slot = connect(&mut bed, Asks { keep_alive: 2, ..EACH[0] }, true);
    bed.hub.on_unwritten(bed.now, slot, false);
    bed.drop_connection(slot);
    let peer = crate::Peer::known(crate::Owner::Anonymous);
    bed.hub.on_opened(bed.now, slot, peer);
    bed.advance(seconds(9));
    assert_eq!(bed.closed, []);
    bed.advance(seconds(1));
    assert_eq!(bed.closed, [(slot, CloseReason::ConnectTimeout)]);
}
