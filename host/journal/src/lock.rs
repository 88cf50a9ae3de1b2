use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name of the lock file in the folder of a journal.
pub(crate) const LOCK_NAME: &str = "lock";

/// Keeps other processes off a folder until it is dropped. The file stays; the lock on it counts.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug)]
pub(crate) enum LockFailure {
    Held { pid: String },
    Io(io::Error),
}

impl FolderLock {
    /// Locks `folder` and writes this process's number into the lock file, for whoever comes next.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockFailure> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(folder.join(LOCK_NAME)).map_err(LockFailure::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockFailure::Held { pid: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(LockFailure::Io(error)),
        }
        // A full disk must not keep the journal from opening: the number is only for people.
        let _ = note_holder(&mut file);
        Ok(Self { _file: file })
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
