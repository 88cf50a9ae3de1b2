use std::collections::VecDeque;
use std::ops::Range;

use tomte_base::{ByteSize, LogPosition};

#[cfg(test)]
mod tests;

/// When live records are copied so that old segments can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// A log up to this size is left as it is.
    pub compact_above: ByteSize,
    /// A larger one is compacted when its live bytes are a smaller share of it than this, in
    /// percent. Greater values save disk and cost copying: at 50, a log in steady use copies about
    /// as much as is written to it.
    pub live_ratio_percent: u8,
}

impl Default for LogLimits {
    /// 64 MiB, 50 percent.
    fn default() -> Self {
        Self { compact_above: ByteSize::mib(64), live_ratio_percent: 50 }
    }
}

/// Knows which segments of an append-only log are still needed.
///
/// A record is *live* while it says something that must survive, a queued message for example, and
/// *dead* afterwards. The owner tells when each live record becomes dead. Records that it never calls
/// live, such as those that say that another one is done, are dead from the start.
///
/// Segments are dropped from the oldest on. So a record that says "message 7 is done" never goes
/// before the record of message 7, which would then live again after a restart. The price is that a
/// few live records in old segments hold up everything after them, and for that
/// [`Self::to_copy`] names the records to copy.
///
/// The owner's duties:
///
/// * A drop that [`Self::droppable`] orders is carried out after everything that was appended before
///   is as safe as the mode of the log asks: the copies of live records are among that.
/// * After a restart a record and its copy may both be there: reading a record twice changes nothing.
/// * A copy comes later in the log than newer records do: order after a restart follows what the
///   records say, such as the message id, not their places.
///
/// Record numbers start at 1; [`LogPosition`] 0 stands before all records.
#[derive(Clone, Debug)]
pub struct LogIndex {
    limits: LogLimits,
    /// Never empty; the last one is being written. Their first positions grow.
    segments: VecDeque<Segment>,
    /// The record that the next append will be.
    next: LogPosition,
    total_bytes: u64,
    live_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: LogPosition,
    bytes: u64,
    live_records: u64,
    live_bytes: u64,
}

impl Segment {
    fn starting_at(first: LogPosition) -> Self {
        Self { first, bytes: 0, live_records: 0, live_bytes: 0 }
    }
}

impl LogIndex {
    /// Changes the limits.
    pub fn set_limits(&mut self, limits: LogLimits) {
        self.limits = limits;
    }

    /// Makes the index of a log without records.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        let next = LogPosition(1);
        let segments = VecDeque::from([Segment::starting_at(next)]);
        Self { limits, segments, next, total_bytes: 0, live_bytes: 0 }
    }

    /// Forgets everything and takes over a log that was found on disk: the first record number and
    /// the bytes of each segment, oldest first, and the number that the next record will have. The
    /// owner then calls [`Self::live`] for each record that is live.
    pub fn restored(&mut self, segments: Vec<(LogPosition, u64)>, next: LogPosition) {
        *self = Self { next, ..Self::new(self.limits) };
        let found = |(first, bytes)| Segment { bytes, ..Segment::starting_at(first) };
        self.segments = segments.into_iter().map(found).collect();
        if self.segments.is_empty() {
            self.segments.push_back(Segment::starting_at(next));
        }
        self.total_bytes = self.segments.iter().map(|segment| segment.bytes).sum();
        debug_assert!(self.segments.iter().is_sorted_by(|a, b| a.first < b.first));
        debug_assert!(self.segments.iter().all(|segment| segment.first <= next));
    }

    /// Counts a record of `bytes` that is appended to the current segment, and returns its number.
    pub fn append(&mut self, bytes: usize) -> LogPosition {
        let position = self.next;
        self.next = position.next();
        self.total_bytes += bytes as u64;
        self.current().bytes += bytes as u64;
        position
    }

    /// The log has begun a new segment: records from now on belong to it.
    ///
    /// The host may have written some records to the new segment before it said so. They are counted
    /// to the one before, which keeps that one longer and lets nothing go too soon.
    pub fn rolled(&mut self) {
        let first = self.next;
        if self.current().first < first {
            self.segments.push_back(Segment::starting_at(first));
        }
    }

    /// The record at `position`, which has `bytes`, must survive.
    pub fn live(&mut self, position: LogPosition, bytes: usize) {
        let Some(segment) = self.segment_of(position) else { return };
        segment.live_records += 1;
        segment.live_bytes += bytes as u64;
        self.live_bytes += bytes as u64;
    }

    /// The record at `position`, which has `bytes` and was live, need not survive any more.
    pub fn dead(&mut self, position: LogPosition, bytes: usize) {
        let Some(segment) = self.segment_of(position) else { return };
        debug_assert!(segment.live_records > 0, "record {position} was not live");
        segment.live_records = segment.live_records.saturating_sub(1);
        segment.live_bytes = segment.live_bytes.saturating_sub(bytes as u64);
        self.live_bytes = self.live_bytes.saturating_sub(bytes as u64);
    }

    /// Returns the first record that must be kept, when there are segments before it: they hold
    /// nothing live, and are to be dropped. They are forgotten here at once.
    pub fn droppable(&mut self) -> Option<LogPosition> {
        let count = self.leading_dead();
        for segment in self.segments.drain(..count) {
            self.total_bytes -= segment.bytes;
        }
        (count > 0).then(|| self.segments[0].first)
    }

    /// Returns the records of the oldest segment that holds something live, when the log is too large
    /// for what is live in it.
    ///
    /// For each of them that is live, the owner appends it again, calls the new one live and the old
    /// one dead. Then it drops what is [`Self::droppable`] and asks again, until the answer is
    /// `None`; that ends after one round over the log at most. At that moment the log is no larger
    /// than the greatest of these: [`LogLimits::compact_above`]; its live bytes divided by
    /// [`LogLimits::live_ratio_percent`]; one segment.
    #[must_use]
    pub fn to_copy(&self) -> Option<Range<LogPosition>> {
        let dead = self.leading_dead();
        let droppable: u64 = self.segments.iter().take(dead).map(|segment| segment.bytes).sum();
        let kept = self.total_bytes - droppable;
        if kept <= self.limits.compact_above.0 || !self.is_sparse(kept) {
            return None;
        }
        let oldest = self.segments.get(dead)?;
        let after = self.segments.get(dead + 1)?;
        Some(oldest.first..after.first)
    }

    /// Returns the bytes of all segments that were not dropped.
    #[must_use]
    pub fn total_bytes(&self) -> ByteSize {
        ByteSize(self.total_bytes)
    }

    /// Returns the bytes of all live records.
    #[must_use]
    pub fn live_bytes(&self) -> ByteSize {
        ByteSize(self.live_bytes)
    }

    /// Returns how many segments there are, the one that is being written included.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Returns the number of the last record, 0 before the first one.
    #[must_use]
    pub fn last(&self) -> LogPosition {
        LogPosition(self.next.0 - 1)
    }

    fn is_sparse(&self, kept: u64) -> bool {
        let wanted = u128::from(kept) * u128::from(self.limits.live_ratio_percent);
        u128::from(self.live_bytes) * 100 < wanted
    }

    /// Counts the oldest segments that hold nothing live. The current one is never among them.
    fn leading_dead(&self) -> usize {
        let full = self.segments.len() - 1;
        self.segments.iter().take(full).take_while(|segment| segment.live_records == 0).count()
    }

    fn current(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log always has a segment that is being written")
    }

    fn segment_of(&mut self, position: LogPosition) -> Option<&mut Segment> {
        debug_assert!(position < self.next, "record {position} was never appended");
        let after = self.segments.partition_point(|segment| segment.first <= position);
        debug_assert!(after > 0, "record {position} is in a segment that was dropped");
        self.segments.get_mut(after.checked_sub(1)?)
    }
}
