use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The host rolls a segment that has this size.
const SEGMENT_BYTES: usize = 1_000;

const LARGEST_RECORD_BYTES: usize = 300;

fn limits(compact_above: u64, live_ratio_percent: u8) -> LogLimits {
    LogLimits { compact_above: ByteSize(compact_above), live_ratio_percent }
}

/// An index whose segments have the given records, of 10 bytes each, all of them live.
fn index(limits: LogLimits, segments: &[u64]) -> LogIndex {
    let mut index = LogIndex::new(limits);
    for (number, records) in segments.iter().enumerate() {
        if number > 0 {
            index.rolled();
        }
        for _ in 0..*records {
            let position = index.append(10);
            index.live(position, 10);
        }
    }
    index
}

fn kill(index: &mut LogIndex, positions: impl IntoIterator<Item = u64>) {
    positions.into_iter().for_each(|position| index.dead(LogPosition(position), 10));
}

#[test]
fn records_are_numbered_from_one() {
    let mut index = LogIndex::new(LogLimits::default());
    assert_eq!(index.last(), LogPosition(0));
    assert_eq!([index.append(5), index.append(5)], [LogPosition(1), LogPosition(2)]);
    index.rolled();
    assert_eq!(index.append(5), LogPosition(3));
    assert_eq!(index.last(), LogPosition(3));
    assert_eq!((index.segments(), index.total_bytes()), (2, ByteSize(15)));
}

#[test]
fn segments_are_dropped_from_the_oldest_on_only() {
    let mut index = index(LogLimits::default(), &[2, 2, 2, 1]);
    kill(&mut index, 3..=6);
    assert_eq!(index.droppable(), None, "the first segment is live");
    kill(&mut index, [1]);
    assert_eq!(index.droppable(), None, "half of the first segment is live");
    kill(&mut index, [2]);
    assert_eq!(index.droppable(), Some(LogPosition(7)));
    assert_eq!((index.segments(), index.total_bytes()), (1, ByteSize(10)));
    assert_eq!(index.droppable(), None);
}

#[test]
fn the_segment_that_is_being_written_is_never_dropped() {
    let mut index = index(LogLimits::default(), &[3]);
    kill(&mut index, 1..=3);
    assert_eq!(index.droppable(), None);
    index.rolled();
    assert_eq!(index.droppable(), Some(LogPosition(4)));
    index.rolled();
    assert_eq!((index.segments(), index.droppable()), (1, None), "an empty segment is not rolled");
}

#[test]
fn a_segment_that_is_announced_late_lets_nothing_go_too_soon() {
    let mut index = index(LogLimits::default(), &[4]);
    // The host put record 3 and those after it in a new segment, and says so after record 4.
    index.rolled();
    index.append(10);
    kill(&mut index, [1, 2, 3]);
    assert_eq!(index.droppable(), None, "record 4 is counted to the first segment");
    kill(&mut index, [4]);
    assert_eq!(index.droppable(), Some(LogPosition(5)));
}

#[test]
fn an_empty_record_keeps_its_segment_too() {
    let mut index = LogIndex::new(LogLimits::default());
    let position = index.append(0);
    index.live(position, 0);
    index.rolled();
    assert_eq!(index.droppable(), None);
    index.dead(position, 0);
    assert_eq!(index.droppable(), Some(LogPosition(2)));
}

#[test]
fn copying_starts_past_both_limits_and_not_at_them() {
    let mut index = index(limits(100, 50), &[4, 4, 3]);
    kill(&mut index, [2, 3, 4, 6, 7]);
    assert_eq!((index.total_bytes(), index.live_bytes()), (ByteSize(110), ByteSize(60)));
    assert_eq!(index.to_copy(), None, "more than half is live");
    kill(&mut index, [8]);
    assert_eq!(index.to_copy(), Some(LogPosition(1)..LogPosition(5)));
    index.limits.compact_above = ByteSize(110);
    assert_eq!(index.to_copy(), None, "the log is no larger than allowed");
}

#[test]
fn what_can_be_dropped_anyway_is_not_a_reason_to_copy() {
    let mut index = index(limits(50, 90), &[4, 4, 3, 1]);
    kill(&mut index, (1..=4).chain([5]));
    assert_eq!(index.to_copy(), Some(LogPosition(5)..LogPosition(9)));
    kill(&mut index, 6..=8);
    assert_eq!(index.to_copy(), None);
    assert_eq!(index.droppable(), Some(LogPosition(9)));
}

#[test]
fn the_index_of_a_found_log_goes_on_where_it_ended() {
    let mut index = LogIndex::new(limits(100, 50));
    let found = [(11, 100), (21, 100), (31, 10)].map(|(first, bytes)| (LogPosition(first), bytes));
    index.restored(found.to_vec(), LogPosition(32));
    assert_eq!((index.segments(), index.last()), (3, LogPosition(31)));
    index.live(LogPosition(20), 10);
    index.live(LogPosition(21), 10);
    assert_eq!((index.total_bytes(), index.live_bytes()), (ByteSize(210), ByteSize(20)));
    assert_eq!(index.to_copy(), Some(LogPosition(11)..LogPosition(21)));
    assert_eq!(index.append(10), LogPosition(32));
    index.dead(LogPosition(20), 10);
    assert_eq!(index.droppable(), Some(LogPosition(21)));
    index.dead(LogPosition(21), 10);
    assert_eq!(index.droppable(), Some(LogPosition(31)));
}

#[test]
fn the_index_of_an_empty_log_that_was_found_goes_on_where_it_ended() {
    let mut index = LogIndex::new(LogLimits::default());
    index.restored(Vec::new(), LogPosition(8));
    assert_eq!((index.segments(), index.append(1), index.droppable()), (1, LogPosition(8), None));
}

#[test]
#[should_panic(expected = "was not live")]
fn calling_a_record_dead_twice_is_noticed() {
    let mut index = index(LogLimits::default(), &[1]);
    kill(&mut index, [1, 1]);
}

/// A log as a host keeps it, with every record written out.
struct Model {
    index: LogIndex,
    limits: LogLimits,
    /// First record of each segment; the last one is being written.
    segments: BTreeSet<LogPosition>,
    records: BTreeMap<LogPosition, usize>,
    live: BTreeSet<LogPosition>,
    appended: usize,
}

impl Model {
    fn new(limits: LogLimits) -> Self {
        Self {
            index: LogIndex::new(limits),
            limits,
            segments: BTreeSet::from([LogPosition(1)]),
            records: BTreeMap::new(),
            live: BTreeSet::new(),
            appended: 0,
        }
    }

    fn append(&mut self, bytes: usize, live: bool) {
        if self.bytes_from(*self.segments.last().unwrap()) >= SEGMENT_BYTES {
            self.index.rolled();
            self.segments.insert(self.index.last().next());
        }
        let position = self.index.append(bytes);
        self.appended += bytes;
        self.records.insert(position, bytes);
        if live {
            self.index.live(position, bytes);
            self.live.insert(position);
        }
    }

    fn kill(&mut self, position: LogPosition) {
        assert!(self.live.remove(&position));
        self.index.dead(position, self.records[&position]);
    }

    fn kill_nth(&mut self, n: usize) {
        if let Some(position) = self.live.iter().copied().nth(n % self.live.len().max(1)) {
            self.kill(position);
        }
    }

    /// Drops what the index says, and checks that nothing live was in it.
    fn drop_segments(&mut self) {
        let Some(keep) = self.index.droppable() else { return };
        assert!(self.segments.contains(&keep), "{keep} is not the start of a segment");
        self.records.retain(|position, _| *position >= keep);
        self.segments.retain(|first| *first >= keep);
        assert!(self.live.iter().all(|position| *position >= keep), "a live record was dropped");
    }

    /// Copies as told until the index is content. Returns how many segments were copied.
    fn compact(&mut self) -> usize {
        self.drop_segments();
        let (mut copied, at_start) = (0, self.segments.len());
        while let Some(range) = self.index.to_copy() {
            let live: Vec<_> = self.live.range(range).copied().collect();
            assert!(!live.is_empty(), "a segment without live records was to be copied");
            for position in live {
                self.append(self.records[&position], true);
                self.kill(position);
            }
            self.drop_segments();
            copied += 1;
            assert!(copied <= at_start, "a segment was copied twice in one round");
        }
        copied
    }

    fn bytes_from(&self, first: LogPosition) -> usize {
        self.records.range(first..).map(|(_, bytes)| bytes).sum()
    }

    fn live_bytes(&self) -> usize {
        self.live.iter().map(|position| self.records[position]).sum()
    }

    fn check(&self) {
        assert_eq!(self.index.total_bytes(), ByteSize(self.bytes_from(LogPosition(0)) as u64));
        assert_eq!(self.index.live_bytes(), ByteSize(self.live_bytes() as u64));
        assert_eq!(self.index.segments(), self.segments.len());
    }

    /// The bound that the documentation of [`LogIndex::to_copy`] states.
    fn check_size(&self) {
        let by_ratio = self.live_bytes() * 100 / usize::from(self.limits.live_ratio_percent);
        let one_segment = SEGMENT_BYTES + LARGEST_RECORD_BYTES;
        let bound = (by_ratio.max(one_segment) as u64).max(self.limits.compact_above.0);
        let total = self.index.total_bytes().0;
        assert!(total <= bound, "{total} bytes, {} of them live", self.live_bytes());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append { bytes: usize, live: bool },
    Kill(usize),
    KillOldest(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..=LARGEST_RECORD_BYTES, prop::bool::weighted(0.6))
            .prop_map(|(bytes, live)| Step::Append { bytes, live }),
        3 => any::<usize>().prop_map(Step::Kill),
        1 => (0..3usize).prop_map(Step::KillOldest),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn no_live_record_is_dropped_and_the_size_stays_within_the_bound(
        steps in steps(), compact_above in 0..8_000u64, percent in 1..=90u8, greedy in any::<bool>(),
    ) {
        let mut model = Model::new(limits(compact_above, percent));
        for step in steps {
            match step {
                Step::Append { bytes, live } => model.append(bytes, live),
                Step::Kill(n) => model.kill_nth(n),
                Step::KillOldest(count) => (0..count).for_each(|_| model.kill_nth(0)),
            }
            if greedy {
                model.compact();
                model.check_size();
            } else {
                model.drop_segments();
            }
            model.check();
        }
        model.compact();
        model.check();
        model.check_size();
    }
}

#[test]
fn a_log_in_steady_use_copies_no_more_than_is_written() {
    // Half of the records die soon, half after a random long while; 10 kB stay live.
    let mut model = Model::new(limits(5_000, 50));
    let mut random = 1u64;
    let mut written = 0;
    while written < 400_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pick = usize::try_from(random >> 40).unwrap();
        model.append(100, true);
        written += 100;
        if model.live.len() > 100 {
            let newest = model.live.len() - 1;
            model.kill_nth(if pick % 2 == 0 { newest } else { pick / 2 });
        }
        model.compact();
    }
    let copied = model.appended - written;
    println!("{written} bytes written, {copied} copied");
    assert!(copied < written);
    model.check_size();
}
