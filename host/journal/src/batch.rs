use crate::frame::{self, FLAG_AFTER_GAP, MAX_RECORD_BYTES};
use crate::places::{Place, SegmentPlaces};

/// Capacity that the buffer keeps after a batch; what one huge batch took beyond it is given back.
const KEPT_CAPACITY_BYTES: usize = 1 << 20;

/// Records that are framed and wait for the next write.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Some of the records, with their offsets in `bytes`.
    places: SegmentPlaces,
    /// Position of the first record, when there is one.
    first: Option<u64>,
    /// Position of the last record, or of the last one written when there is none.
    last: u64,
    /// Positions before the next record were given up.
    gap_allowed: bool,
}

impl Batch {
    pub(crate) fn after(last: u64) -> Self {
        Self {
            bytes: Vec::new(),
            places: SegmentPlaces::default(),
            first: None,
            last,
            gap_allowed: false,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns where records lie once the batch is written at `start` of a segment.
    pub(crate) fn places_from(&self, start: u64) -> impl Iterator<Item = Place> {
        self.places.shifted_by(start)
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.first
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn push(&mut self, position: u64, record: &[u8]) {
        let expected = self.last + 1;
        let after_gap = self.gap_allowed && position > expected;
        assert!(position == expected || after_gap, "position {position}, expected {expected}");
        assert!(record.len() <= MAX_RECORD_BYTES, "a record of {} bytes", record.len());
        let flags = if after_gap { FLAG_AFTER_GAP } else { 0 };
        let offset = self.bytes.len() as u64;
        self.places.note(Place { position, offset });
        frame::encode_frame(&mut self.bytes, position, flags, record);
        self.first.get_or_insert(position);
        self.last = position;
        self.gap_allowed = false;
    }

    /// Forgets records that are written now.
    pub(crate) fn written(&mut self) {
        self.places = SegmentPlaces::default();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY_BYTES);
        self.first = None;
    }

    /// Forgets records that are not written; the next one may leave their positions out.
    pub(crate) fn discard(&mut self, written_up_to: u64) {
        self.written();
        self.gap_allowed = true;
        self.last = written_up_to;
    }
}
