use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, DiskFile};
use crate::frame::{self, Damage, HEADER_BYTES, Header};
use crate::journal::{Active, Segment};
use crate::lock::{FolderLock, LOCK_NAME, LockFailure};
use crate::opened::{OpenJournalError, RecordRefused, Recovered, Truncated};
use crate::places::{Place, Places, SegmentPlaces};
use crate::segment_reader::{Next, SegmentReader};

const SUFFIX: &str = ".journal";

/// Returns the file name of the segment whose first record has `first_position`.
pub(crate) fn segment_name(first_position: u64) -> String {
    format!("{first_position:020}{SUFFIX}")
}

fn first_position_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().filter(|position| *position > 0)
}

/// Returns the first positions of all segments after the one at `first_position`, newest first.
pub(crate) fn segments_after<D: Disk>(disk: &D, first_position: u64) -> io::Result<Vec<u64>> {
    let names = disk.list()?;
    let mut later: Vec<u64> = names.iter().filter_map(|name| first_position_of(name)).collect();
    later.retain(|found| *found > first_position);
    later.sort_unstable_by(|a, b| b.cmp(a));
    Ok(later)
}

/// Why a segment could not be made, and, when the attempt left a file, why that could not be removed.
pub(crate) struct CreateFailed {
    pub(crate) source: io::Error,
    pub(crate) not_removed: Option<io::Error>,
}

/// Makes a segment that has no records yet, or leaves no file.
pub(crate) fn create_segment<D: Disk>(
    disk: &D,
    first_position: u64,
    follows: u64,
) -> Result<D::File, CreateFailed> {
    let name = segment_name(first_position);
    let file = disk.create(&name).map_err(|source| CreateFailed { source, not_removed: None })?;
    let header = frame::encode_header(first_position, follows);
    match disk::write_all_at(&file, &header, 0) {
        Ok(()) => Ok(file),
        Err(source) => Err(CreateFailed { source, not_removed: disk.remove(&name).err() }),
    }
}

/// Makes `folder` when it is not there, and keeps other processes off it.
pub(crate) fn lock_folder(folder: &Path) -> Result<FolderLock, OpenJournalError> {
    let at_folder = |source| OpenJournalError::Folder { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(at_folder)?;
    FolderLock::take(folder).map_err(|failure| match failure {
        LockFailure::Held { pid } => OpenJournalError::InUse { folder: folder.to_owned(), pid },
        LockFailure::Io(source) => OpenJournalError::Lock { file: folder.join(LOCK_NAME), source },
    })
}

/// What [`recover`] hands to the journal.
pub(crate) struct Found<F> {
    pub(crate) recovered: Recovered,
    pub(crate) active: Active<F>,
    pub(crate) places: Places,
    /// The segment before the active one, when it may not be on disk as a whole.
    pub(crate) unsynced: Option<Active<F>>,
}

/// Reads all segments, cuts off a torn end, and makes the first segment of a new journal.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    folder: &Path,
    on_record: impl FnMut(u64, &[u8]) -> Result<(), RecordRefused>,
) -> Result<Found<D::File>, OpenJournalError> {
    let mut recovery = Recovery {
        disk,
        folder,
        segments: Vec::new(),
        truncated: None,
        places: Places::default(),
        on_record,
    };
    let mut names = recovery.segment_positions()?;
    let after_removed = recovery.remove_headless(&mut names)?;
    let mut read = recovery.read_all(&names)?;
    if read.is_none() {
        read = Some(recovery.create_first(after_removed.unwrap_or(1))?);
    }
    let Read { active, unsynced, last_position } = read.expect("there is a segment now");
    let recovered = Recovered {
        segments: recovery.segments,
        next_position: last_position + 1,
        truncated: recovery.truncated,
    };
    Ok(Found { recovered, active, places: recovery.places, unsynced })
}

struct Recovery<'a, D, R> {
    disk: &'a D,
    folder: &'a Path,
    segments: Vec<Segment>,
    truncated: Option<Truncated>,
    places: Places,
    on_record: R,
}

/// The newest segments, after all were read.
struct Read<F> {
    active: Active<F>,
    unsynced: Option<Active<F>>,
    last_position: u64,
}

/// What the header of a segment says, checked against its name.
struct Opened<F> {
    file: F,
    follows: u64,
    previous_synced: bool,
}

/// How reading a segment ended.
struct SegmentEnd {
    last_position: u64,
    bytes: u64,
    damage: Option<Damage>,
    size: u64,
}

impl<D: Disk, R: FnMut(u64, &[u8]) -> Result<(), RecordRefused>> Recovery<'_, D, R> {
    fn path(&self, first_position: u64) -> PathBuf {
        self.folder.join(segment_name(first_position))
    }

    fn read_error(&self, first_position: u64, offset: u64, source: io::Error) -> OpenJournalError {
        OpenJournalError::Read { file: self.path(first_position), offset, source }
    }

    fn folder_error(&self, source: io::Error) -> OpenJournalError {
        OpenJournalError::Folder { folder: self.folder.to_owned(), source }
    }

    /// Returns the first positions of all segments, oldest first.
    fn segment_positions(&self) -> Result<Vec<u64>, OpenJournalError> {
        let names = self.disk.list().map_err(|source| self.folder_error(source))?;
        let mut positions: Vec<u64> =
            names.iter().filter_map(|name| first_position_of(name)).collect();
        positions.sort_unstable();
        Ok(positions)
    }

    /// Removes newest segments whose header never reached the disk: they were just being made, or the
    /// power was cut. Returns the first position of the oldest one of them.
    fn remove_headless(
        &mut self,
        positions: &mut Vec<u64>,
    ) -> Result<Option<u64>, OpenJournalError> {
        let mut removed = None;
        while let Some(last) = positions.last().copied() {
            if !self.is_headless(last)? && !self.follows_headless(positions)? {
                break;
            }
            let size = self.open_file(last)?.size();
            let size = size.map_err(|source| self.read_error(last, 0, source))?;
            self.remove_segment(last, size, Damage::TornHeader)?;
            positions.pop();
            removed = Some(last);
        }
        Ok(removed)
    }

    fn is_headless(&self, first_position: u64) -> Result<bool, OpenJournalError> {
        let file = self.open_file(first_position)?;
        let (_, header) = SegmentReader::open(&file)
            .map_err(|source| self.read_error(first_position, 0, source))?;
        Ok(header == Header::Damaged(Damage::TornHeader))
    }

    /// Tells whether the last segment has a header and the one before, not known to be on disk, none.
    fn follows_headless(&self, positions: &[u64]) -> Result<bool, OpenJournalError> {
        let [.., before, last] = positions else { return Ok(false) };
        Ok(!self.open_segment(*last)?.previous_synced && self.is_headless(*before)?)
    }

    fn open_file(&self, first_position: u64) -> Result<D::File, OpenJournalError> {
        let opened = self.disk.open(&segment_name(first_position));
        opened.map_err(|source| self.read_error(first_position, 0, source))
    }

    fn remove_segment(
        &mut self,
        first_position: u64,
        size: u64,
        damage: Damage,
    ) -> Result<(), OpenJournalError> {
        let file = self.path(first_position);
        self.disk
            .remove(&segment_name(first_position))
            .and_then(|()| self.disk.sync())
            .map_err(|source| OpenJournalError::Cut { file: file.clone(), offset: 0, source })?;
        self.note_cut(file.clone(), 0, size, damage).removed.push(file);
        Ok(())
    }

    /// Notes a cut; the earliest place counts, the bytes add up.
    fn note_cut(
        &mut self,
        file: PathBuf,
        offset: u64,
        bytes: u64,
        damage: Damage,
    ) -> &mut Truncated {
        let before = self.truncated.take();
        let (cut, removed) =
            before.map_or((0, Vec::new()), |before| (before.bytes, before.removed));
        self.truncated.insert(Truncated { file, offset, bytes: cut + bytes, removed, damage })
    }

    /// Reads all segments; `None` when there are none.
    fn read_all(&mut self, positions: &[u64]) -> Result<Option<Read<D::File>>, OpenJournalError> {
        let mut before: Option<Read<D::File>> = None;
        for (index, first_position) in positions.iter().copied().enumerate() {
            let opened = self.open_segment(first_position)?;
            if let Some(before) = &before
                && before.last_position != opened.follows
            {
                let is_last = index + 1 == positions.len();
                self.cut_gap(before, first_position, &opened, is_last)?;
                break;
            }
            let end = self.read_segment(&opened.file, first_position)?;
            if let Some(damage) = end.damage {
                self.cut(&opened.file, first_position, &end, damage, &positions[index + 1..])?;
            }
            let segment = Segment { first_position, bytes: end.bytes };
            self.segments.push(segment);
            let name = segment_name(first_position);
            let active = Active { file: Arc::new(opened.file), name, segment };
            let unsynced = before.map(|before| before.active).filter(|_| !opened.previous_synced);
            before = Some(Read { active, unsynced, last_position: end.last_position });
            if end.damage.is_some() {
                break;
            }
        }
        Ok(before)
    }

    fn open_segment(&self, first_position: u64) -> Result<Opened<D::File>, OpenJournalError> {
        let file = self.open_file(first_position)?;
        let (_, header) = SegmentReader::open(&file)
            .map_err(|source| self.read_error(first_position, 0, source))?;
        let path = self.path(first_position);
        let damage = match header {
            Header::Intact { first_position: found, follows, previous_synced } => {
                if found == first_position {
                    return Ok(Opened { file, follows, previous_synced });
                }
                Damage::Position { expected: first_position, found }
            }
            Header::Damaged(damage) => damage,
            Header::Foreign => return Err(OpenJournalError::Foreign { file: path }),
            Header::OtherVersion(found) => {
                return Err(OpenJournalError::Version { file: path, found });
            }
        };
        Err(OpenJournalError::Damaged { file: path, offset: 0, damage })
    }

    /// Hands over the records of one segment, up to its end or the first damage.
    fn read_segment(
        &mut self,
        file: &D::File,
        first_position: u64,
    ) -> Result<SegmentEnd, OpenJournalError> {
        let at_header = |source| self.read_error(first_position, 0, source);
        let (mut reader, _) = SegmentReader::open(file).map_err(at_header)?;
        let size = reader.size();
        let (mut last_position, mut places) = (first_position - 1, SegmentPlaces::default());
        let damage = loop {
            let offset = reader.offset();
            match reader.next().map_err(|source| self.read_error(first_position, offset, source))? {
                Next::Record { position, record } => {
                    (self.on_record)(position, record).map_err(|source| {
                        let file = self.folder.join(segment_name(first_position));
                        OpenJournalError::Record { file, offset, position, source }
                    })?;
                    places.note(Place { position, offset });
                    last_position = position;
                }
                Next::End => break None,
                Next::Damaged(damage) => break Some(damage),
            }
        };
        self.places.set(first_position, places);
        Ok(SegmentEnd { last_position, bytes: reader.offset(), damage, size })
    }

    /// Removes the last segment after a gap, if a power cut can have left the gap: the end of the
    /// segment before was not known to be on disk.
    fn cut_gap(
        &mut self,
        before: &Read<D::File>,
        first_position: u64,
        opened: &Opened<D::File>,
        is_last: bool,
    ) -> Result<(), OpenJournalError> {
        let (follows, found) = (opened.follows, before.last_position);
        if !is_last || opened.previous_synced || follows < found {
            return Err(OpenJournalError::Gap { file: self.path(first_position), follows, found });
        }
        let damage = Damage::RecordsMissing { up_to: follows };
        let size = opened.file.size();
        let size = size.map_err(|source| self.read_error(first_position, 0, source))?;
        self.remove_segment(first_position, size, damage)?;
        let Segment { first_position, bytes } = before.active.segment;
        self.note_cut(self.path(first_position), bytes, 0, damage);
        Ok(())
    }

    /// Cuts a segment where the damage begins, if that is where a crash or a power cut can have left
    /// it: in the last segment, or in the one before while it was not known to be on disk. Newer
    /// segments go first, so that a crash in between leaves a last segment with a torn end.
    fn cut(
        &mut self,
        file: &D::File,
        first_position: u64,
        end: &SegmentEnd,
        damage: Damage,
        newer: &[u64],
    ) -> Result<(), OpenJournalError> {
        let path = self.path(first_position);
        let refused = OpenJournalError::Damaged { file: path.clone(), offset: end.bytes, damage };
        match newer {
            [] => {}
            [newest] => {
                let opened = self.open_segment(*newest)?;
                if opened.previous_synced {
                    return Err(refused);
                }
                let size =
                    opened.file.size().map_err(|source| self.read_error(*newest, 0, source))?;
                self.remove_segment(*newest, size, damage)?;
            }
            _ => return Err(refused),
        }
        file.truncate(end.bytes).and_then(|()| file.sync_data()).map_err(|source| {
            OpenJournalError::Cut { file: path.clone(), offset: end.bytes, source }
        })?;
        self.note_cut(path, end.bytes, end.size - end.bytes, damage);
        Ok(())
    }

    /// Makes the first segment of a journal that has none.
    fn create_first(&mut self, first_position: u64) -> Result<Read<D::File>, OpenJournalError> {
        let last_position = first_position - 1;
        let file = create_segment(self.disk, first_position, last_position).map_err(|failed| {
            OpenJournalError::Create { file: self.path(first_position), source: failed.source }
        })?;
        let segment = Segment { first_position, bytes: HEADER_BYTES as u64 };
        self.segments.push(segment);
        let name = segment_name(first_position);
        let active = Active { file: Arc::new(file), name, segment };
        Ok(Read { active, unsynced: None, last_position })
    }
}
