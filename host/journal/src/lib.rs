//! The append-only log that acknowledgements wait for.
//!
//! A journal is a folder of segments. A segment is a header and records; a record has a position
//! (its number, from 1, never used twice while it is on disk) and bytes that this crate does not
//! look into. Records are gathered with [`Journal::append`] and written by one
//! [`Journal::commit`] for all of them, so that one system call serves many acknowledgements.
//!
//! It promises:
//! * What `commit` returned for is there after the process was killed ([`SyncMode::Process`]), and
//!   what [`SyncHandle::sync`] returned for is there after the power was cut.
//! * [`Journal::open`] gives back every such record, in order, in bounded memory, or names the file
//!   and the offset that keep it from doing so. A torn tail is cut off and reported.
//! * After a failed write nothing of the failed batch stays in the file; after a failed fsync nothing
//!   is written any more before [`Journal::begin_anew`]: with [`SyncMode::Power`] that cuts off what
//!   the fsync was for, else it writes it once more.
//!
//! It leaves to others: what records mean, which of them are still needed (see
//! [`Journal::drop_before`]), and when to sync. Run a thread that calls [`SyncHandle::sync`] in
//! every mode: it bounds what a power cut can take, and keeps a roll to the next segment from
//! syncing inline. A tool that salvages the intact records of a damaged older segment is not there
//! yet; [`OpenJournalError`] says how to go on without it.

mod anew;
mod batch;
mod disk;
mod frame;
mod journal;
mod lock;
mod memory_disk;
mod opened;
mod places;
mod reader;
mod recover;
mod segment_reader;
mod sync;
#[cfg(test)]
mod tests;

pub use disk::{Disk, DiskFile, Folder};
pub use frame::{Damage, MAX_RECORD_BYTES};
pub use journal::{Commit, Journal, JournalConfig, Segment, SyncMode, WriteError};
pub use memory_disk::{Fault, MemoryDisk, MemoryFile, Operation};
pub use opened::{OpenJournalError, RecordRefused, Recovered, Truncated};
pub use reader::{ReadRecordError, RecordReader};
pub use sync::{SyncError, SyncHandle};
