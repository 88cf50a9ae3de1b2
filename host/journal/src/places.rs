//! Where records lie: a place for every so many bytes, so that one record can be read without its
//! whole segment.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes between two places that are remembered, at least. To read one record, about half of them
/// are read in vain; a gigabyte of journal needs a quarter of a mebibyte of memory for its places.
const SPACING_BYTES: u64 = 64 << 10;

/// The place of a record in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) offset: u64,
}

/// The remembered places of one segment, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentPlaces(Vec<Place>);

impl SegmentPlaces {
    /// Notes a record; those too near to the last one are not remembered.
    pub(crate) fn note(&mut self, place: Place) {
        if self.0.last().is_none_or(|last| place.offset >= last.offset + SPACING_BYTES) {
            self.0.push(place);
        }
    }

    /// Returns the places, `start` bytes later.
    pub(crate) fn shifted_by(&self, start: u64) -> impl Iterator<Item = Place> {
        self.0.iter().map(move |place| Place { offset: place.offset + start, ..*place })
    }

    /// Returns the last remembered place that is not after the record at `position`.
    fn before(&self, position: u64) -> Option<Place> {
        let after = self.0.partition_point(|place| place.position <= position);
        self.0.get(after.checked_sub(1)?).copied()
    }
}

/// The places of all segments, shared by the journal and those who read it.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<u64, SegmentPlaces>>);

impl Places {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, SegmentPlaces>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, segment: u64, places: SegmentPlaces) {
        self.lock().insert(segment, places);
    }

    /// Notes records that were written to `segment`.
    pub(crate) fn note(&self, segment: u64, written: impl IntoIterator<Item = Place>) {
        let mut segments = self.lock();
        let places = segments.entry(segment).or_default();
        written.into_iter().for_each(|place| places.note(place));
    }

    pub(crate) fn remove(&self, segment: u64) {
        self.lock().remove(&segment);
    }

    /// Forgets what lies at `offset` of `segment` or later, and later segments.
    pub(crate) fn cut(&self, segment: u64, offset: u64) {
        let mut segments = self.lock();
        segments.retain(|first, _| *first <= segment);
        if let Some(places) = segments.get_mut(&segment) {
            places.0.retain(|place| place.offset < offset);
        }
    }

    /// Returns the segment that holds the record at `position`, and where to begin to read.
    pub(crate) fn find(&self, position: u64) -> Option<(u64, Place)> {
        let segments = self.lock();
        let (first, places) = segments.range(..=position).next_back()?;
        Some((*first, places.before(position)?))
    }
}
