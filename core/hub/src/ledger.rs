//! What the journal must keep, and what waits for it.
//!
//! The machine writes records into a batch; the host commits the batch and says how far it is
//! safe. An acknowledgement that depends on a record is held here until then.

use std::collections::VecDeque;
use std::ops::Range;

use tomte_base::LogPosition;
use tomte_broker::{LogIndex, LogLimits};

/// A record that stands for something that still matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) position: LogPosition,
    pub(crate) bytes: u32,
}

/// Records of this turn, positions, and acknowledgements that wait.
pub(crate) struct Ledger<A> {
    index: LogIndex,
    batch: Vec<u8>,
    /// End of each record in `batch`, with its position.
    records: Vec<(LogPosition, usize)>,
    appended: LogPosition,
    durable: LogPosition,
    /// As `durable`, but only what the host said: records up to here are not lost to a failure.
    safe: LogPosition,
    waiting: VecDeque<(LogPosition, A)>,
}

impl<A> Ledger<A> {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self {
            index: LogIndex::new(limits),
            batch: Vec::new(),
            records: Vec::new(),
            appended: LogPosition::default(),
            durable: LogPosition::default(),
            safe: LogPosition::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes over what recovery found: segments as (first position, bytes), and the next position.
    pub(crate) fn restored(&mut self, segments: Vec<(LogPosition, u64)>, next: LogPosition) {
        self.index.restored(segments, next);
        self.appended = LogPosition(next.0.saturating_sub(1));
        self.durable = self.appended;
        self.safe = self.appended;
    }

    fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Kept {
        let start = self.batch.len();
        encode(&mut self.batch);
        let bytes = self.batch.len() - start;
        let position = self.index.append(bytes);
        self.records.push((position, self.batch.len()));
        self.appended = position;
        Kept { position, bytes: u32::try_from(bytes).expect("packets are far below 4 GiB") }
    }

    /// Writes a record that stands for something that matters until [`Ledger::forget`].
    pub(crate) fn keep(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Kept {
        let kept = self.append(encode);
        self.index.live(kept.position, kept.bytes as usize);
        kept
    }

    /// Writes a record that only says that something matters no more.
    pub(crate) fn note(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.append(encode);
    }

    /// Says that a record found by recovery still matters.
    pub(crate) fn still_kept(&mut self, kept: Kept) {
        self.index.live(kept.position, kept.bytes as usize);
    }

    /// Says that what the record stands for matters no more.
    pub(crate) fn forget(&mut self, kept: Kept) {
        self.index.dead(kept.position, kept.bytes as usize);
    }

    /// The last record written.
    pub(crate) fn appended(&self) -> LogPosition {
        self.appended
    }

    /// How far the journal is safe.
    pub(crate) fn durable(&self) -> LogPosition {
        self.durable
    }

    /// How far the journal is safe, whatever was given up after a failed commit.
    pub(crate) fn safe(&self) -> LogPosition {
        self.safe
    }

    /// Holds `ack` until all records up to now are safe. Returns it when they are already.
    pub(crate) fn after_all(&mut self, ack: A) -> Option<A> {
        if self.durable >= self.appended && self.waiting.is_empty() {
            return Some(ack);
        }
        self.waiting.push_back((self.appended, ack));
        None
    }

    /// Hands out one acknowledgement that `durable` has released.
    pub(crate) fn release(&mut self, durable: LogPosition) -> Option<A> {
        self.durable = self.durable.max(durable);
        self.safe = self.safe.max(durable);
        let (position, _) = self.waiting.front()?;
        if *position > self.durable {
            return None;
        }
        self.waiting.pop_front().map(|(_, ack)| ack)
    }

    /// Hands out one acknowledgement that can never be given, because the journal failed.
    pub(crate) fn fail_one(&mut self) -> Option<A> {
        self.waiting.pop_front().map(|(_, ack)| ack)
    }

    /// After a failed commit: the records up to now are gone, and later ones may be safe again.
    pub(crate) fn lost(&mut self) {
        self.durable = self.appended;
    }

    /// Hands each record of the batch to `write` and empties it. Returns how many there were.
    pub(crate) fn drain(&mut self, mut write: impl FnMut(LogPosition, &[u8])) -> usize {
        let mut start = 0;
        for (position, end) in &self.records {
            write(*position, &self.batch[start..*end]);
            start = *end;
        }
        let n_records = self.records.len();
        self.records.clear();
        self.batch.clear();
        if self.batch.capacity() > 1 << 20 {
            self.batch.shrink_to(1 << 16);
        }
        n_records
    }

    pub(crate) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    pub(crate) fn rolled(&mut self) {
        self.index.rolled();
    }

    pub(crate) fn droppable(&mut self) -> Option<LogPosition> {
        self.index.droppable()
    }

    pub(crate) fn to_copy(&self) -> Option<Range<LogPosition>> {
        self.index.to_copy()
    }
}
