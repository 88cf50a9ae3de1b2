use std::io;
use std::sync::Arc;

use crate::disk::Disk;
use crate::frame::Damage;
use crate::places::{Place, Places};
use crate::recover::segment_name;
use crate::segment_reader::{Next, SegmentReader};

/// Bytes that are read at once, unless a record is larger.
const CHUNK_BYTES: usize = 64 << 10;

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadRecordError {
    /// No segment has it: it was never written, or its segment was dropped.
    #[error("record {position} is not in the journal")]
    NotThere {
        /// The record's position.
        position: u64,
    },
    /// The segment could not be read.
    #[error("read record {position} from journal segment {file}")]
    Read {
        /// The record's position.
        position: u64,
        /// The segment.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The segment is damaged at the record or shortly before it.
    #[error(
        "read record {position}: journal segment {file} is damaged at offset {offset} ({damage})"
    )]
    Damaged {
        /// The record's position.
        position: u64,
        /// The segment.
        file: String,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
}

/// Reads single records of a journal that is open, also from another thread.
///
/// Get it with [`Journal::reader`](crate::Journal::reader). A record can be read once the commit
/// that wrote it has returned.
pub struct RecordReader<D: Disk = crate::Folder> {
    disk: Arc<D>,
    places: Arc<Places>,
}

impl<D: Disk> Clone for RecordReader<D> {
    fn clone(&self) -> Self {
        Self { disk: Arc::clone(&self.disk), places: Arc::clone(&self.places) }
    }
}

impl<D: Disk> std::fmt::Debug for RecordReader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordReader").finish_non_exhaustive()
    }
}

/// The segment that is being read, and how far it was.
struct Open<F> {
    segment: u64,
    file: Arc<F>,
    reader: SegmentReader<Arc<F>>,
}

impl<D: Disk> RecordReader<D> {
    pub(crate) fn new(disk: Arc<D>, places: Arc<Places>) -> Self {
        Self { disk, places }
    }

    /// Reads the records at `positions` and hands each, or why it cannot be read, to `take`. Records
    /// that lie near each other are read together when their positions grow.
    pub fn read(
        &self,
        positions: impl IntoIterator<Item = u64>,
        mut take: impl FnMut(u64, Result<&[u8], ReadRecordError>),
    ) {
        let mut open = None;
        for position in positions {
            self.read_one(position, &mut open, &mut take);
        }
    }

    fn read_one(
        &self,
        position: u64,
        open: &mut Option<Open<D::File>>,
        take: &mut impl FnMut(u64, Result<&[u8], ReadRecordError>),
    ) {
        let Some((segment, place)) = self.places.find(position) else {
            return take(position, Err(ReadRecordError::NotThere { position }));
        };
        let file = || segment_name(segment);
        let failed = |source| ReadRecordError::Read { position, file: file(), source };
        if let Err(source) = self.go_to(segment, place, position, open) {
            return take(position, Err(failed(source)));
        }
        let reader = &mut open.as_mut().expect("it was just opened").reader;
        loop {
            let offset = reader.offset();
            match reader.next() {
                Err(source) => return take(position, Err(failed(source))),
                Ok(Next::Damaged(damage)) => {
                    let damaged =
                        ReadRecordError::Damaged { position, file: file(), offset, damage };
                    return take(position, Err(damaged));
                }
                Ok(Next::Record { position: found, record }) if found == position => {
                    return take(position, Ok(record));
                }
                Ok(Next::Record { position: found, .. }) if found < position => {}
                Ok(Next::Record { .. } | Next::End) => {
                    return take(position, Err(ReadRecordError::NotThere { position }));
                }
            }
        }
    }

    /// Stands at `place`, or further on towards the record at `position` where the reader is already.
    fn go_to(
        &self,
        segment: u64,
        place: Place,
        position: u64,
        open: &mut Option<Open<D::File>>,
    ) -> io::Result<()> {
        let file = match open {
            Some(open) if open.segment == segment => {
                let (offset, previous) = (open.reader.offset(), open.reader.previous());
                if offset >= place.offset && previous < position {
                    return Ok(());
                }
                Arc::clone(&open.file)
            }
            _ => Arc::new(self.disk.open(&segment_name(segment))?),
        };
        let reader =
            SegmentReader::at(Arc::clone(&file), place.offset, place.position - 1, CHUNK_BYTES)?;
        *open = Some(Open { segment, file, reader });
        Ok(())
    }
}
