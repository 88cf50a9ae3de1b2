use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Batch;
use crate::disk::{self, Disk, DiskFile, Folder};
use crate::frame::HEADER_BYTES;
use crate::lock::FolderLock;
use crate::opened::{OpenJournalError, RecordRefused, Recovered};
use crate::places::Places;
use crate::reader::RecordReader;
use crate::recover;
use crate::sync::{End, Shared, SyncHandle};

/// Bytes that [`SyncMode::None`] gathers before it writes.
const LAZY_BYTES: usize = 256 << 10;

/// What a record is safe against once [`Journal::commit`] returned for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Against nothing: records are written when 256 KiB have gathered, by [`Journal::flush`] and
    /// when the journal is dropped.
    None,
    /// Against the end of the process, whatever ended it: the system has the bytes.
    #[default]
    Process,
    /// As `Process`; against a power cut once [`SyncHandle::sync`] returned its position.
    Power,
}

/// Where a journal is kept, and how.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The folder; made when it does not exist. Nothing else should be kept in it.
    pub folder: PathBuf,
    /// A batch that would make a segment longer than this goes to a new one, in bytes.
    pub segment_bytes: u64,
    /// What records are safe against.
    pub mode: SyncMode,
}

impl JournalConfig {
    /// Keeps a journal in `folder`: segments of 16 MiB, records safe against the end of the process.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), segment_bytes: 16 << 20, mode: SyncMode::default() }
    }
}

/// One file of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The position of its first record, or the one that a record will have when it has none yet.
    pub first_position: u64,
    /// Its length in bytes, header included.
    pub bytes: u64,
}

/// What [`Journal::commit`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The last position that is written (in [`SyncMode::None`]: accepted); 0 for none at all.
    pub written_up_to: u64,
    /// The first position of the segment that this commit began, when it began one.
    pub rolled: Option<u64>,
}

/// Why records could not be written. They stay in the batch, to be tried again by the next
/// [`Journal::commit`] or given up by [`Journal::discard_batch`]; nothing of them is on disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The write failed.
    #[error("write {length} bytes at offset {offset} of journal segment {file}")]
    Write {
        /// The segment.
        file: String,
        /// Where the batch should have begun.
        offset: u64,
        /// Bytes of the batch.
        length: usize,
        /// What the system said.
        source: io::Error,
    },
    /// No new segment could be made.
    #[error("create journal segment {file}")]
    CreateSegment {
        /// The segment.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is not known to be on disk could not be cut off after a failed sync.
    #[error("cut what is not safe off journal segment {file}")]
    CutUnsafeEnd {
        /// The segment.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is not known to be on disk could not be written once more after a failed sync.
    #[error("write what is not safe to journal segment {file} once more")]
    WriteAgain {
        /// The segment, or "the folder".
        file: String,
        /// What the system said, or what is wrong with what was read back.
        source: io::Error,
    },
    /// A failed sync, or a failed write that could not be undone, closed the journal for writing.
    #[error("the journal takes no records since an earlier failure ({reason})")]
    Poisoned {
        /// The earlier failure.
        reason: String,
    },
}

impl WriteError {
    /// Tells whether the disk, or the owner's share of it, is full: once there is room, the next
    /// commit works again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let (Self::Write { source, .. } | Self::CreateSegment { source, .. }) = self else {
            return false;
        };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Tells whether the journal takes nothing more until [`Journal::begin_anew`].
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        matches!(self, Self::Poisoned { .. })
    }
}

/// The segment that is written to. Everything before `bytes` is whole records.
pub(crate) struct Active<F> {
    pub(crate) file: Arc<F>,
    pub(crate) name: String,
    pub(crate) segment: Segment,
}

impl<F> Active<F> {
    fn end(&self) -> End {
        End { segment: self.segment.first_position, bytes: self.segment.bytes }
    }
}

/// An append-only log in a folder that no other process has open. See the crate's documentation.
pub struct Journal<D: Disk = Folder> {
    pub(crate) disk: Arc<D>,
    segment_bytes: u64,
    pub(crate) mode: SyncMode,
    /// Oldest first, without the active one.
    pub(crate) closed: VecDeque<Segment>,
    pub(crate) active: Active<D::File>,
    pub(crate) batch: Batch,
    pub(crate) written_up_to: u64,
    pub(crate) places: Arc<Places>,
    pub(crate) shared: Arc<Shared<D>>,
    _lock: Option<FolderLock>,
}

impl<D: Disk> std::fmt::Debug for Journal<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("written_up_to", &self.written_up_to)
            .field("active", &self.active.segment)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `config.folder`, and makes one when there is none.
    ///
    /// Every record is given to `on_record`, oldest first, with its position. A torn or damaged tail
    /// of the last segment is cut off and reported; so is one of the segment before while the system
    /// had not yet confirmed that segment to be safe on disk, since a power cut can leave that.
    ///
    /// # Errors
    /// Fails with [`OpenJournalError`] when another process has the journal open, a file cannot be
    /// read, an older segment is damaged or missing, or `on_record` refuses a record.
    pub fn open(
        config: JournalConfig,
        on_record: impl FnMut(u64, &[u8]) -> Result<(), RecordRefused>,
    ) -> Result<(Self, Recovered), OpenJournalError> {
        let lock = recover::lock_folder(&config.folder)?;
        let disk = Folder::new(&config.folder);
        let (mut journal, recovered) = Self::open_on(disk, &config, on_record)?;
        journal._lock = Some(lock);
        Ok((journal, recovered))
    }
}

impl<D: Disk> Journal<D> {
    /// Opens the journal on `disk`, as [`Journal::open`] does; `config.folder` only names it.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: D,
        config: &JournalConfig,
        on_record: impl FnMut(u64, &[u8]) -> Result<(), RecordRefused>,
    ) -> Result<(Self, Recovered), OpenJournalError> {
        let disk = Arc::new(disk);
        let found = recover::recover(&*disk, &config.folder, on_record)?;
        let written_up_to = found.recovered.next_position - 1;
        let shared = Arc::new(Shared::new(Arc::clone(&disk), written_up_to));
        shared.folder_changed();
        for unsynced in found.unsynced.iter().chain([&found.active]) {
            let file = Arc::clone(&unsynced.file);
            shared.begin_segment(file, &unsynced.name, unsynced.segment.first_position);
        }
        let mut closed = VecDeque::from(found.recovered.segments.clone());
        closed.pop_back();
        let journal = Self {
            disk,
            segment_bytes: config.segment_bytes,
            mode: config.mode,
            closed,
            active: found.active,
            batch: Batch::after(written_up_to),
            written_up_to,
            places: Arc::new(found.places),
            shared,
            _lock: None,
        };
        journal.shared.wrote(written_up_to, journal.active.end());
        if config.mode == SyncMode::Power {
            journal.shared.sync().map_err(|source| OpenJournalError::Sync { source })?;
        }
        Ok((journal, found.recovered))
    }

    /// Adds a record to the batch that the next [`Journal::commit`] writes.
    ///
    /// # Panics
    /// When `position` does not follow the last one, or the record is longer than
    /// [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES). After [`Journal::discard_batch`] the
    /// positions that were given up may be left out.
    pub fn append(&mut self, position: u64, record: &[u8]) {
        self.batch.push(position, record);
    }

    /// Writes the batch, by one system call, at the end of the segment or of a new one. Returns at
    /// once when there is nothing to write.
    ///
    /// # Errors
    /// Fails with [`WriteError`] when a segment cannot be made or written, or the journal is closed
    /// for writing since an earlier failure.
    pub fn commit(&mut self) -> Result<Commit, WriteError> {
        self.check_poison()?;
        if self.mode == SyncMode::None && self.batch.bytes().len() < LAZY_BYTES {
            return Ok(Commit { written_up_to: self.batch.last(), rolled: None });
        }
        self.flush()
    }

    /// Writes the batch in every mode, also in [`SyncMode::None`].
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn flush(&mut self) -> Result<Commit, WriteError> {
        self.check_poison()?;
        let Some(first) = self.batch.first() else {
            return Ok(Commit { written_up_to: self.written_up_to, rolled: None });
        };
        let rolled = self.is_full_with_batch().then_some(first);
        if rolled.is_some() {
            self.roll_to(first)?;
        }
        self.write_batch()?;
        Ok(Commit { written_up_to: self.written_up_to, rolled })
    }

    /// Gives up the records that were appended and not written, and returns the position after the
    /// last written one. The next record may have that position, or any later one.
    pub fn discard_batch(&mut self) -> u64 {
        self.batch.discard(self.written_up_to);
        self.written_up_to + 1
    }

    /// Begins a new segment, so that the one written so far can be dropped later. Does nothing when
    /// that one has no records. Writes the batch first.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn roll(&mut self) -> Result<Commit, WriteError> {
        let commit = self.flush()?;
        if self.active.segment.bytes == HEADER_BYTES as u64 {
            return Ok(commit);
        }
        let first = self.written_up_to + 1;
        self.roll_to(first)?;
        Ok(Commit { rolled: Some(first), ..commit })
    }

    /// Removes the segments whose records all have positions before `position`, oldest first. The
    /// segment that is written to stays. What stays is synced before, so that a power cut cannot
    /// take both a record and the one that replaced it; commit what replaces them first.
    ///
    /// # Errors
    /// Fails when syncing fails (which closes the journal for writing) or a file cannot be removed;
    /// it can be called again.
    pub fn drop_before(&mut self, position: u64) -> io::Result<()> {
        while self.second_first_position().is_some_and(|second| second <= position) {
            if self.mode == SyncMode::None {
                self.flush().map_err(io::Error::other)?;
            }
            self.shared.sync().map_err(io::Error::other)?;
            let oldest = self.closed.front().expect("a second segment has a first before it");
            self.disk.remove(&recover::segment_name(oldest.first_position))?;
            self.shared.folder_changed();
            self.places.remove(oldest.first_position);
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Tells whether a failure has closed the journal for writing, until [`Journal::begin_anew`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.poisoned().is_some()
    }

    /// Returns a handle for the thread that syncs.
    #[must_use]
    pub fn sync_handle(&self) -> SyncHandle<D> {
        SyncHandle::new(Arc::clone(&self.shared))
    }

    /// Returns a reader of single records, for any thread.
    #[must_use]
    pub fn reader(&self) -> RecordReader<D> {
        RecordReader::new(Arc::clone(&self.disk), Arc::clone(&self.places))
    }

    /// Returns the length of all segments together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.bytes).sum()
    }

    /// Returns the segments, oldest first; the last one is written to.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.closed.iter().copied().chain([self.active.segment])
    }

    /// Returns the last position that is written, 0 for none at all.
    #[must_use]
    pub fn written_up_to(&self) -> u64 {
        self.written_up_to
    }

    fn second_first_position(&self) -> Option<u64> {
        self.segments().nth(1).map(|segment| segment.first_position)
    }

    fn check_poison(&self) -> Result<(), WriteError> {
        self.shared.poisoned().map_or(Ok(()), |reason| Err(WriteError::Poisoned { reason }))
    }

    fn is_full_with_batch(&self) -> bool {
        let bytes = self.active.segment.bytes;
        bytes > HEADER_BYTES as u64 && bytes + self.batch.bytes().len() as u64 > self.segment_bytes
    }

    fn write_batch(&mut self) -> Result<(), WriteError> {
        let (file, offset) = (&self.active.file, self.active.segment.bytes);
        if let Err(source) = disk::write_all_at(&**file, self.batch.bytes(), offset) {
            self.cut_failed_write(&source);
            let length = self.batch.bytes().len();
            return Err(WriteError::Write {
                file: self.active.name.clone(),
                offset,
                length,
                source,
            });
        }
        self.places.note(self.active.segment.first_position, self.batch.places_from(offset));
        self.active.segment.bytes += self.batch.bytes().len() as u64;
        self.written_up_to = self.batch.last();
        self.batch.written();
        self.shared.wrote(self.written_up_to, self.active.end());
        Ok(())
    }

    /// Removes what a failed write left, so that no record of it is ever taken for a written one.
    fn cut_failed_write(&self, cause: &io::Error) {
        if let Err(error) = self.active.file.truncate(self.active.segment.bytes) {
            let name = &self.active.name;
            self.shared.poison(&format!("write to {name}: {cause}; then cutting it: {error}"));
        }
    }

    /// Continues in a new segment. At most one closed segment is left that may not be on disk.
    pub(crate) fn roll_to(&mut self, first_position: u64) -> Result<(), WriteError> {
        if !self.shared.closed_are_synced() {
            let poisoned =
                |error: crate::SyncError| WriteError::Poisoned { reason: error.to_string() };
            self.shared.sync().map_err(poisoned)?;
        }
        let name = recover::segment_name(first_position);
        let file = match recover::create_segment(&*self.disk, first_position, self.written_up_to) {
            Ok(file) => Arc::new(file),
            Err(failed) => {
                if let Some(error) = failed.not_removed {
                    self.shared.poison(&format!("removing the incomplete {name}: {error}"));
                }
                return Err(WriteError::CreateSegment { file: name, source: failed.source });
            }
        };
        self.shared.folder_changed();
        self.shared.begin_segment(Arc::clone(&file), &name, first_position);
        self.closed.push_back(self.active.segment);
        let segment = Segment { first_position, bytes: HEADER_BYTES as u64 };
        self.active = Active { file, name, segment };
        Ok(())
    }
}

impl<D: Disk> Drop for Journal<D> {
    /// Writes what is still in the batch, as far as that works; `None` promises no more.
    fn drop(&mut self) {
        if self.mode == SyncMode::None {
            let _ = self.flush();
        }
    }
}
