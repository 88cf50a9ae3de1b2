//! What the journal must keep, and what waits for it.
//!
//! The machine writes records into a batch; the host commits the batch and says how far it is
//! safe. An acknowledgement that depends on a record is held here until then.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use tomte_base::{LogPosition, Time};
use tomte_broker::{LogIndex, LogLimits};

/// How long a record waits for others that need a commit more than it does.
const WAIT: Duration = Duration::from_millis(20);
/// Bytes of such records that are not kept waiting.
const WAITING_BYTES: usize = 64 << 10;

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
    /// The last record that may not be lost; those after it may wait for a later commit.
    needed: LogPosition,
    /// When the host was first asked to commit and everything in the batch could wait.
    waits_since: Option<Time>,
    /// Nothing waits for records up to here: they are safe, or were given up.
    settled: LogPosition,
    /// Records up to here can be read back, and no failure takes them away again.
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
            needed: LogPosition::default(),
            waits_since: None,
            settled: LogPosition::default(),
            safe: LogPosition::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Changes when old records are copied so that segments can go.
    pub(crate) fn set_limits(&mut self, limits: LogLimits) {
        self.index.set_limits(limits);
    }

    /// Takes over what recovery found: segments as (first position, bytes), and the next position.
    pub(crate) fn restored(&mut self, segments: Vec<(LogPosition, u64)>, next: LogPosition) {
        self.index.restored(segments, next);
        self.appended = LogPosition(next.0.saturating_sub(1));
        self.needed = self.appended;
        self.settled = self.appended;
        self.safe = self.appended;
    }

    /// Writes a record; it may be lost in a crash as long as nothing else makes a commit necessary.
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
        self.needed = kept.position;
        self.index.live(kept.position, kept.bytes as usize);
        kept
    }

    /// Writes a record that only says that something matters no more.
    pub(crate) fn note(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.needed = self.append(encode).position;
    }

    /// Writes a record that only says that something matters no more, and whose loss does no more
    /// than make a client get a message of QoS 1 once more. It waits for others at most [`WAIT`].
    pub(crate) fn note_in_time(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
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

    /// The last record that must be safe before anything that rests on the journal is said.
    pub(crate) fn needed(&self) -> LogPosition {
        self.needed
    }

    /// The last record written.
    pub(crate) fn appended(&self) -> LogPosition {
        self.appended
    }

    /// How far nothing waits for the journal: it is safe, or was given up after a failed commit.
    pub(crate) fn settled(&self) -> LogPosition {
        self.settled
    }

    /// How far records can be read back, whatever fails.
    pub(crate) fn safe(&self) -> LogPosition {
        self.safe
    }

    /// Records up to `position` can be read back, whatever fails.
    pub(crate) fn safe_up_to(&mut self, position: LogPosition) {
        self.safe = self.safe.max(position);
    }

    /// Holds `ack` until all needed records up to now are safe. Returns it when they are already.
    pub(crate) fn after_all(&mut self, ack: A) -> Option<A> {
        if !self.is_awaited() {
            return Some(ack);
        }
        self.wait(ack);
        None
    }

    /// Holds `ack` until the next commit, even if there is nothing to wait for.
    pub(crate) fn wait(&mut self, ack: A) {
        self.waiting.push_back((self.needed, ack));
    }

    /// Tells whether something waits for a commit, or would have to.
    pub(crate) fn is_awaited(&self) -> bool {
        self.needed > self.settled || !self.waiting.is_empty()
    }

    /// Hands out one acknowledgement that `durable` has released.
    pub(crate) fn release(&mut self, durable: LogPosition) -> Option<A> {
        self.settled = self.settled.max(durable);
        let (position, _) = self.waiting.front()?;
        if *position > self.settled {
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
        self.drain(|_, _| {});
        self.settled = self.appended;
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
        self.waits_since = None;
        if self.batch.capacity() > 1 << 20 {
            self.batch.shrink_to(1 << 16);
        }
        n_records
    }

    pub(crate) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Tells whether the batch has a record that must not wait, or too many that may.
    pub(crate) fn is_urgent(&self) -> bool {
        let first = self.records.first().map(|(position, _)| *position);
        first.is_some_and(|first| first <= self.needed) || self.batch.len() >= WAITING_BYTES
    }

    /// Tells whether the batch is to be written at `now`. If not, it will be in [`WAIT`].
    pub(crate) fn must_commit(&mut self, now: Time) -> bool {
        if self.records.is_empty() || self.is_urgent() {
            return !self.records.is_empty();
        }
        self.waits_since.get_or_insert(now);
        false
    }

    /// What waits has waited long enough, if it is time.
    pub(crate) fn on_deadline(&mut self, now: Time) {
        if self.commit_deadline().is_some_and(|deadline| deadline <= now) {
            self.waits_since = None;
            self.needed = self.appended;
        }
    }

    /// When records that could wait so far must be written.
    pub(crate) fn commit_deadline(&self) -> Option<Time> {
        self.waits_since.map(|since| since + WAIT)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger<u8> {
        Ledger::new(LogLimits::default())
    }

    fn commit(ledger: &mut Ledger<u8>) {
        ledger.drain(|_, _| {});
        assert_eq!(ledger.release(ledger.appended()), None);
    }

    #[test]
    fn what_may_wait_is_written_with_what_may_not() {
        let (mut ledger, now) = (ledger(), Time::from_millis(1_000));
        ledger.note_in_time(|out| out.push(1));
        assert!(!ledger.must_commit(now) && ledger.has_records());
        ledger.note(|out| out.push(2));
        assert!(ledger.must_commit(now));
        assert_eq!(ledger.drain(|_, _| {}), 2);
        assert!(!ledger.must_commit(now));
    }

    #[test]
    fn what_may_wait_is_written_in_time() {
        let (mut ledger, now) = (ledger(), Time::from_millis(1_000));
        ledger.note_in_time(|out| out.push(1));
        assert!(!ledger.must_commit(now));
        assert_eq!(ledger.commit_deadline(), Some(now + WAIT));
        ledger.on_deadline(now + WAIT);
        assert!(ledger.must_commit(now + WAIT));
        commit(&mut ledger);
        assert_eq!(ledger.commit_deadline(), None);
    }

    #[test]
    fn much_that_may_wait_is_written_at_once() {
        let (mut ledger, now) = (ledger(), Time::from_millis(1_000));
        ledger.note_in_time(|out| out.resize(WAITING_BYTES - 1, 0));
        assert!(!ledger.must_commit(now));
        ledger.note_in_time(|out| out.push(0));
        assert!(ledger.must_commit(now));
    }

    #[test]
    fn an_acknowledgement_does_not_wait_for_what_may_wait() {
        let mut ledger = ledger();
        ledger.keep(|out| out.push(1));
        assert_eq!(ledger.after_all(1), None);
        commit_releases(&mut ledger, 1);
        ledger.note_in_time(|out| out.push(2));
        assert_eq!(ledger.after_all(2), Some(2));
    }

    fn commit_releases(ledger: &mut Ledger<u8>, ack: u8) {
        ledger.drain(|_, _| {});
        assert_eq!(ledger.release(ledger.appended()), Some(ack));
    }
}
