//! Clients that do not read.

use std::time::Duration;

use super::harness::{Bed, R, config};
use crate::{CloseReason, Counter};

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
