use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use crate::disk::{Disk, DiskFile};
use crate::frame;

/// Why a journal could not be made safe against a power cut.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The system call failed. What it should have made safe may be gone, and asking again would
    /// only say that all is well; the journal takes no more records.
    #[error("sync journal segment {file}")]
    Sync {
        /// The segment, or "the folder".
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier failure closed the journal for writing.
    #[error("the journal takes no records since an earlier failure ({reason})")]
    Poisoned {
        /// The earlier failure.
        reason: String,
    },
}

/// Makes written records safe against a power cut, from a thread of its own.
///
/// Get it with [`Journal::sync_handle`](crate::Journal::sync_handle).
pub struct SyncHandle<D: Disk = crate::Folder> {
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for SyncHandle<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> fmt::Debug for SyncHandle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncHandle").field("synced_up_to", &self.synced_up_to()).finish()
    }
}

impl<D: Disk> SyncHandle<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared }
    }

    /// Syncs all that is written, over as many segments as it takes, and returns the position up to
    /// which (inclusive) records survive a power cut. Blocks for as long as the disk takes; returns
    /// at once when nothing was written since the last time.
    ///
    /// # Errors
    /// Fails with [`SyncError::Sync`] when the system call fails, which closes the journal for
    /// writing, and with [`SyncError::Poisoned`] when it was closed before.
    pub fn sync(&self) -> Result<u64, SyncError> {
        self.shared.sync()
    }

    /// Returns the position up to which (inclusive) records are known to survive a power cut.
    #[must_use]
    pub fn synced_up_to(&self) -> u64 {
        self.shared.lock().synced_up_to
    }
}

/// A segment of which some bytes may not have reached the disk.
struct Unsynced<F> {
    file: Arc<F>,
    name: String,
    first_position: u64,
}

impl<F> Clone for Unsynced<F> {
    fn clone(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            name: self.name.clone(),
            first_position: self.first_position,
        }
    }
}

/// A place in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    /// First position of the segment.
    pub(crate) segment: u64,
    /// Bytes of the segment up to there.
    pub(crate) bytes: u64,
}

/// Up to where the journal is known to be safe on disk.
pub(crate) struct SafePart<F> {
    pub(crate) position: u64,
    pub(crate) end: End,
    /// The segment that holds the end.
    pub(crate) file: Arc<F>,
}

/// The end of a segment that is not known to be safe on disk.
pub(crate) struct UnsafeEnd<F> {
    pub(crate) file: Arc<F>,
    pub(crate) name: String,
    /// Where it begins, and the position of the record before; none for the whole segment.
    pub(crate) from: Option<(u64, u64)>,
}

/// What the writer and the threads that sync both look at.
pub(crate) struct Shared<D: Disk> {
    disk: Arc<D>,
    /// Held while a thread syncs: the system tells of a failure once, and two that sync the same file
    /// would not know whom.
    syncing: Mutex<()>,
    state: Mutex<State<D::File>>,
}

struct State<F> {
    /// Oldest first; the last one is the segment that is written to.
    unsynced: Vec<Unsynced<F>>,
    written_up_to: u64,
    synced_up_to: u64,
    /// Where the last written record ends.
    written_end: End,
    /// Where the last record ends that is safe on disk; none before the first sync.
    synced_end: Option<End>,
    /// How often the end was cut off or written once more after a failed sync: what a sync says of an
    /// earlier time does not count.
    cuts: u64,
    /// How often files were made or removed, and how many of these changes are safe on disk.
    folder_changes: u64,
    folder_synced: u64,
    poisoned: Option<String>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(disk: Arc<D>, written_up_to: u64) -> Self {
        let state = State {
            unsynced: Vec::new(),
            written_up_to,
            synced_up_to: 0,
            written_end: End::default(),
            synced_end: None,
            cuts: 0,
            folder_changes: 0,
            folder_synced: 0,
            poisoned: None,
        };
        Self { disk, syncing: Mutex::new(()), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<D::File>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the failure that closed the journal, if one did.
    pub(crate) fn poisoned(&self) -> Option<String> {
        self.lock().poisoned.clone()
    }

    pub(crate) fn poison(&self, reason: &str) {
        self.lock().poisoned.get_or_insert_with(|| reason.to_owned());
    }

    /// Notes that records up to `position` were handed to the system, and where the last one ends.
    pub(crate) fn wrote(&self, position: u64, end: End) {
        let mut state = self.lock();
        state.written_up_to = position;
        state.written_end = end;
    }

    /// Returns the part that is known to be safe on disk, what follows it is about to be cut off;
    /// none before the first sync. A sync that runs meanwhile says nothing any more.
    pub(crate) fn begin_cut(&self) -> Option<SafePart<D::File>> {
        let mut state = self.lock();
        state.cuts += 1;
        let end = state.synced_end?;
        let segment = state.unsynced.iter().find(|found| found.first_position == end.segment)?;
        Some(SafePart { position: state.synced_up_to, end, file: Arc::clone(&segment.file) })
    }

    /// Everything after the safe part was cut off, and that is safe on disk: what the sync failed
    /// for is not there any more.
    pub(crate) fn end_cut(&self) {
        let mut state = self.lock();
        let Some(end) = state.synced_end else { return };
        state.unsynced.retain(|segment| segment.first_position == end.segment);
        state.written_up_to = state.synced_up_to;
        state.written_end = end;
        state.folder_synced = state.folder_changes;
        state.poisoned = None;
    }

    /// Returns what is written and not known to be safe on disk, oldest first: it is about to be written
    /// once more. A sync that runs meanwhile says nothing any more.
    pub(crate) fn begin_writing_again(&self) -> Vec<UnsafeEnd<D::File>> {
        let mut state = self.lock();
        state.cuts += 1;
        let (safe, position) = (state.synced_end, state.synced_up_to);
        let end_of = |found: &Unsynced<D::File>| UnsafeEnd {
            file: Arc::clone(&found.file),
            name: found.name.clone(),
            from: safe
                .filter(|end| end.segment == found.first_position)
                .map(|end| (end.bytes, position)),
        };
        state.unsynced.iter().map(end_of).collect()
    }

    /// Syncs what was written once more, and opens the journal when the disk has it.
    pub(crate) fn sync_again(&self) -> Result<u64, SyncError> {
        self.lock().poisoned = None;
        self.sync()
    }

    /// Notes that a file was made or removed.
    pub(crate) fn folder_changed(&self) {
        self.lock().folder_changes += 1;
    }

    /// Notes the segment that is written to from now on.
    pub(crate) fn begin_segment(&self, file: Arc<D::File>, name: &str, first_position: u64) {
        self.lock().unsynced.push(Unsynced { file, name: name.to_owned(), first_position });
    }

    /// Tells whether all segments but the one that is written to are safe on disk.
    pub(crate) fn closed_are_synced(&self) -> bool {
        self.lock().unsynced.len() <= 1
    }

    /// Syncs what is not known to be safe on disk: segments in the order in which they were written,
    /// then the folder.
    pub(crate) fn sync(&self) -> Result<u64, SyncError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (segments, target, end, folder_changes, cuts) = {
            let state = self.lock();
            if let Some(reason) = &state.poisoned {
                return Err(SyncError::Poisoned { reason: reason.clone() });
            }
            if state.is_synced() {
                return Ok(state.synced_up_to);
            }
            let folder_changes =
                Some(state.folder_changes).filter(|changes| *changes != state.folder_synced);
            let (target, end) = (state.written_up_to, state.written_end);
            (state.unsynced.clone(), target, end, folder_changes, state.cuts)
        };
        let synced = self.sync_files(&segments, folder_changes.is_some());
        let mut state = self.lock();
        if state.cuts != cuts {
            let reason = "the end of the journal was cut off while it was synced".to_owned();
            return Err(SyncError::Poisoned { reason });
        }
        if let Err((file, source)) = synced {
            state.poisoned.get_or_insert_with(|| format!("sync of {file}: {source}"));
            return Err(SyncError::Sync { file, source });
        }
        state.synced_end = Some(end);
        state.synced(&segments, target, folder_changes);
        Ok(target)
    }

    fn sync_files(
        &self,
        segments: &[Unsynced<D::File>],
        folder: bool,
    ) -> Result<(), (String, io::Error)> {
        for segment in segments {
            segment.file.sync_data().map_err(|error| (segment.name.clone(), error))?;
        }
        if folder {
            self.disk.sync().map_err(|error| ("the folder".to_owned(), error))?;
        }
        if let [_, .., last] = segments {
            // Only sharpens what recovery can tell, so that a failure costs nothing.
            let _ = last.file.write_at(&[frame::PREVIOUS_SYNCED], frame::MARK_OFFSET);
        }
        Ok(())
    }
}

impl<F> State<F> {
    fn is_synced(&self) -> bool {
        self.unsynced.len() <= 1
            && self.synced_up_to == self.written_up_to
            && self.folder_synced == self.folder_changes
    }

    /// Forgets what was synced; the segment that is written to stays.
    fn synced(&mut self, segments: &[Unsynced<F>], target: u64, folder_changes: Option<u64>) {
        self.synced_up_to = self.synced_up_to.max(target);
        self.folder_synced = self.folder_synced.max(folder_changes.unwrap_or(0));
        let Some(last) = segments.last() else { return };
        // The one that holds the last safe record stays: a cut needs it.
        let end = self.synced_end.map_or(u64::MAX, |end| end.segment);
        let first = last.first_position.min(end);
        self.unsynced.retain(|segment| segment.first_position >= first);
    }
}
