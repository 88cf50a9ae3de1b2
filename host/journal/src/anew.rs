//! How a journal that a failure has closed is opened again for writing, while its owner goes on.
//!
//! A sync that fails leaves pages that the system takes for clean: asking again would say that all is
//! well. With [`SyncMode::Power`] nobody was told yet that what it was for is safe, so that it is cut off.
//! In the other modes it was promised, and it can still be read: it is written once more, in its place,
//! which makes the pages dirty again, and then synced.

use std::io;

use crate::disk::{self, Disk, DiskFile};
use crate::frame::{HEADER_BYTES, Header};
use crate::journal::{Active, Journal, Segment, SyncMode, WriteError};
use crate::recover;
use crate::segment_reader::{Next, SegmentReader};
use crate::sync::{SafePart, UnsafeEnd};

/// Bytes that are read at once to be written again.
const CHUNK_BYTES: usize = 64 << 10;

impl<D: Disk> Journal<D> {
    /// Opens the journal again for writing after a failure that closed it. Returns the position after the
    /// last record that is left. Does nothing when the journal is open. It waits for the disk.
    ///
    /// With [`SyncMode::Power`] everything that is not known to be on disk is cut off, the batch too, and a
    /// new segment begins. The owner writes that anew, with positions that were not used.
    ///
    /// In the other modes nothing is lost: what is not known to be on disk is read back, checked, written
    /// in its place and synced. The batch stays.
    ///
    /// # Errors
    /// Fails when the disk still refuses, with [`WriteError::CutUnsafeEnd`] or [`WriteError::WriteAgain`],
    /// the latter also when what was written cannot be read back, and as [`Journal::commit`]; it can be
    /// called again.
    pub fn begin_anew(&mut self) -> Result<u64, WriteError> {
        let Some(reason) = self.shared.poisoned() else { return Ok(self.written_up_to + 1) };
        match self.mode {
            SyncMode::Power => self.begin_after_cut(reason),
            SyncMode::Process | SyncMode::None => self.write_unsafe_end_again(),
        }
    }

    fn begin_after_cut(&mut self, reason: String) -> Result<u64, WriteError> {
        let Some(safe) = self.shared.begin_cut() else {
            return Err(WriteError::Poisoned { reason });
        };
        let position = safe.position;
        let file = recover::segment_name(safe.end.segment);
        self.cut_to(safe).map_err(|source| WriteError::CutUnsafeEnd { file, source })?;
        self.batch.discard(position);
        self.shared.end_cut();
        if self.active.segment.bytes > HEADER_BYTES as u64 {
            self.roll_to(position + 1)?;
        }
        Ok(position + 1)
    }

    /// Removes what follows the safe part, newest first, and makes that safe on disk.
    fn cut_to(&mut self, safe: SafePart<D::File>) -> io::Result<()> {
        // The folder is asked, because the failure may have left a segment that was never begun.
        for later in recover::segments_after(&*self.disk, safe.end.segment)? {
            self.disk.remove(&recover::segment_name(later))?;
        }
        self.places.cut(safe.end.segment, safe.end.bytes);
        safe.file.truncate(safe.end.bytes)?;
        safe.file.sync_data()?;
        self.disk.sync()?;
        self.closed.retain(|segment| segment.first_position < safe.end.segment);
        let name = recover::segment_name(safe.end.segment);
        let segment = Segment { first_position: safe.end.segment, bytes: safe.end.bytes };
        self.active = Active { file: safe.file, name, segment };
        self.written_up_to = safe.position;
        Ok(())
    }

    fn write_unsafe_end_again(&mut self) -> Result<u64, WriteError> {
        let failed = |file: &str| {
            let file = file.to_owned();
            move |source| WriteError::WriteAgain { file, source }
        };
        let unsafe_end = self.shared.begin_writing_again();
        self.remove_what_was_not_written().map_err(failed(&self.active.name))?;
        for end in unsafe_end {
            write_again(&end).map_err(failed(&end.name))?;
        }
        match self.shared.sync_again() {
            Ok(_) => Ok(self.written_up_to + 1),
            Err(error) => Err(failed(&self.active.name)(io::Error::other(error))),
        }
    }

    /// Removes what a failed write left and could not take away itself.
    fn remove_what_was_not_written(&mut self) -> io::Result<()> {
        for later in recover::segments_after(&*self.disk, self.active.segment.first_position)? {
            self.disk.remove(&recover::segment_name(later))?;
            self.shared.folder_changed();
        }
        self.active.file.truncate(self.active.segment.bytes)
    }
}

/// Writes the records at the end of a segment once more, after it has checked each.
fn write_again<F: DiskFile>(end: &UnsafeEnd<F>) -> io::Result<()> {
    let file = &*end.file;
    let mut reader = match end.from {
        Some((offset, previous)) => SegmentReader::at(file, offset, previous, CHUNK_BYTES)?,
        None => {
            let (reader, header) = SegmentReader::open(file)?;
            if !matches!(header, Header::Intact { .. }) {
                return Err(io::Error::other(format!("the header that was written is {header:?}")));
            }
            let mut header = [0; HEADER_BYTES];
            file.read_at(&mut header, 0)?;
            disk::write_all_at(file, &header, 0)?;
            reader
        }
    };
    loop {
        let offset = reader.offset();
        match reader.next()? {
            Next::Record { .. } => disk::write_all_at(file, reader.last_frame(), offset)?,
            Next::End => return Ok(()),
            Next::Damaged(damage) => {
                let what =
                    format!("what was written at offset {offset} reads as damaged: {damage}");
                return Err(io::Error::other(what));
            }
        }
    }
}
