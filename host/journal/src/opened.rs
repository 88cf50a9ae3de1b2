//! What opening a journal tells.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::frame::{Damage, VERSION};
use crate::journal::Segment;

/// What the receiver of recovered records says when it cannot take one.
pub type RecordRefused = Box<dyn Error + Send + Sync>;

/// What opening a journal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The segments, oldest first; the last one is written to.
    pub segments: Vec<Segment>,
    /// The position that the next record must have.
    pub next_position: u64,
    /// What was cut off, if anything was.
    pub truncated: Option<Truncated>,
}

/// What recovery cut off: everything from one place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The segment that holds the place.
    pub file: PathBuf,
    /// The place in the segment, in bytes.
    pub offset: u64,
    /// Bytes that were cut off, those of removed segments included.
    pub bytes: u64,
    /// Segments that were removed as a whole.
    pub removed: Vec<PathBuf>,
    /// What was wrong at the place.
    pub damage: Damage,
}

/// Why a journal could not be opened. Nothing was changed, except that a torn tail may have been cut.
#[derive(Debug, thiserror::Error)]
pub enum OpenJournalError {
    /// The folder could not be made or read.
    #[error("open the journal folder {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file could not be made.
    #[error("lock the journal with {file}")]
    Lock {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("the journal {folder} is in use by process {pid}; stop that process first")]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The other process, or "unknown".
        pid: String,
    },
    /// A segment could not be read.
    #[error("read journal segment {file} at offset {offset}")]
    Read {
        /// The segment.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A file has the name of a segment and is none.
    #[error("{file} is not a journal segment; move it out of the folder")]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A segment was written by a program that uses another form.
    #[error(
        "journal segment {file} has format version {found}, this program reads version {VERSION}; \
         open it with the release that wrote it"
    )]
    Version {
        /// The segment.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A segment is damaged where a crash or a power cut cannot have damaged it.
    #[error(
        "journal segment {file} is damaged at offset {offset} ({damage}), and newer segments follow; \
         restore the folder from a backup, or give up what comes after that offset: move this segment \
         and all newer ones elsewhere"
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// Segments are missing between others.
    #[error(
        "journal segment {file} follows position {follows}, and the segment before it ends at \
         {found}: segments between them are missing; restore them from a backup, or move this segment \
         and all newer ones elsewhere"
    )]
    Gap {
        /// The segment after the gap.
        file: PathBuf,
        /// The last position before it.
        follows: u64,
        /// The last position that is there.
        found: u64,
    },
    /// The receiver of the records refused one.
    #[error("take over record {position} of journal segment {file}, at offset {offset}")]
    Record {
        /// The segment.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// The record's position.
        position: u64,
        /// Why it was refused.
        source: RecordRefused,
    },
    /// A torn tail could not be cut off.
    #[error("cut the torn end off journal segment {file} at offset {offset}")]
    Cut {
        /// The segment.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The first segment of a new journal could not be made.
    #[error("create journal segment {file}")]
    Create {
        /// The segment.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was recovered could not be made safe against a power cut.
    #[error("sync what was recovered")]
    Sync {
        /// The failure.
        source: crate::SyncError,
    },
}
