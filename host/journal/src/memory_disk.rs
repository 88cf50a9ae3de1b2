use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

/// A disk in memory for simulation: it fails when told, has room for so much, and loses what was not
/// synced when its power is cut. A sync that fails loses what it was for, although readers still see it and
/// the next sync says that all is well. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// A file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

/// Something that a disk can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a file.
    Create,
    /// Write to a file.
    Write,
    /// Cut a file.
    Truncate,
    /// Sync the content of a file.
    SyncFile,
    /// Sync the list of files.
    SyncFolder,
    /// Remove a file.
    Remove,
}

/// A failure to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What will fail.
    pub operation: Operation,
    /// How many operations of this kind still work before.
    pub countdown: u32,
    /// The number of the error, as Linux counts them: 28 for a full disk, 5 for an I/O error; 0 for a
    /// write that is only short.
    pub errno: i32,
    /// How many bytes a failing write writes before it fails; none means 0.
    pub short: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Content of every file that was ever made.
    inodes: Vec<Content>,
    names: BTreeMap<String, usize>,
    names_on_disk: BTreeMap<String, usize>,
    capacity: Option<usize>,
    faults: Vec<Fault>,
}

#[derive(Debug, Default)]
struct Content {
    written: Vec<u8>,
    on_disk: Vec<u8>,
    /// What a failed sync was for and was not written since: later syncs take it for synced.
    given_up: Vec<Range<usize>>,
}

impl MemoryDisk {
    /// Makes an empty disk without limits or faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a failure to come. It happens once.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Limits the bytes of all files together, or takes the limit away.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes;
    }

    /// Cuts the power and switches it on again: of every piece of `n` bytes that was written and not
    /// synced, the first `keep(n)` are there; of every change to the list of files that was not
    /// synced, all when `keep(1)` is not 0. Files must be opened anew.
    pub fn cut_power(&self, mut keep: impl FnMut(usize) -> usize) {
        let mut state = self.lock();
        if keep(1) == 0 {
            state.names = state.names_on_disk.clone();
        } else {
            state.names_on_disk = state.names.clone();
        }
        for content in &mut state.inodes {
            content.cut_power(&mut keep);
        }
    }

    /// Returns the content of a file, as a reader would see it now.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(name).map(|inode| state.inodes[*inode].written.clone())
    }

    /// Replaces the content of a file, on the disk as well.
    pub fn set_content(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let inode = state.inodes.len();
        state.inodes.push(Content {
            written: bytes.to_vec(),
            on_disk: bytes.to_vec(),
            given_up: Vec::new(),
        });
        state.names.insert(name.to_owned(), inode);
        state.names_on_disk.insert(name.to_owned(), inode);
    }
}

impl State {
    /// Counts one operation, and returns the fault whose turn it is.
    fn fault(&mut self, operation: Operation) -> Option<Fault> {
        let mut due = None;
        self.faults.retain_mut(|fault| {
            if fault.operation != operation || due.is_some() {
                return true;
            }
            if fault.countdown == 0 {
                due = Some(*fault);
                return false;
            }
            fault.countdown -= 1;
            true
        });
        due
    }

    fn check(&mut self, operation: Operation) -> io::Result<()> {
        let fault = self.fault(operation);
        fault.map_or(Ok(()), |fault| Err(io::Error::from_raw_os_error(fault.errno)))
    }

    fn room(&self) -> usize {
        let used: usize = self.names.values().map(|inode| self.inodes[*inode].written.len()).sum();
        self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used))
    }

    fn write(&mut self, inode: usize, bytes: &[u8], offset: usize) -> usize {
        let length = self.inodes[inode].written.len();
        let beyond = (offset + bytes.len()).saturating_sub(length);
        let written = bytes.len() - beyond.saturating_sub(self.room());
        let content = &mut self.inodes[inode].written;
        content.resize(length.max(offset + written), 0);
        content[offset..offset + written].copy_from_slice(&bytes[..written]);
        self.inodes[inode].dirty(offset..offset + written);
        written
    }
}

impl Content {
    /// A sync fails: the system takes what it was for as clean from now on, as Linux does.
    fn give_up(&mut self) {
        if self.on_disk.len() < self.written.len() {
            self.given_up.push(self.on_disk.len()..self.written.len());
        }
    }

    /// Bytes are written: they are dirty, whatever they were before.
    fn dirty(&mut self, written: Range<usize>) {
        let rest = |lost: Range<usize>| {
            let before = lost.start..lost.end.min(written.start);
            let after = lost.start.max(written.end)..lost.end;
            [before, after].into_iter().filter(|part| !part.is_empty())
        };
        self.given_up = self.given_up.drain(..).flat_map(rest).collect();
    }

    fn truncate(&mut self, length: usize) {
        self.written.truncate(length);
        self.dirty(length..usize::MAX);
    }

    fn sync(&mut self) {
        self.on_disk = self.written.clone();
        for lost in &self.given_up {
            self.on_disk[lost.clone()].fill(0);
        }
    }

    fn cut_power(&mut self, keep: &mut impl FnMut(usize) -> usize) {
        let synced = self.on_disk.len();
        if self.written.len() < synced || (self.written[..synced] != self.on_disk && keep(1) == 0) {
            self.written = self.on_disk.clone();
        } else {
            let unsynced = self.written.len() - synced;
            self.written.truncate(synced + keep(unsynced).min(unsynced));
        }
        self.on_disk = self.written.clone();
        self.given_up.clear();
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut state = self.lock();
        state.check(Operation::Create)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Content::default());
        state.names.insert(name.to_owned(), inode);
        Ok(MemoryFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let inode = self.lock().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile { disk: self.clone(), inode })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.check(Operation::Remove)?;
        state.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.check(Operation::SyncFolder)?;
        state.names_on_disk = state.names.clone();
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[self.inode].written.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let content = &state.inodes[self.inode].written;
        let rest = content.get(index(offset)..).unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        let mut bytes = bytes;
        if let Some(fault) = state.fault(Operation::Write) {
            bytes = &bytes[..fault.short.unwrap_or(0).min(bytes.len())];
            if fault.errno != 0 {
                state.write(self.inode, bytes, index(offset));
                return Err(io::Error::from_raw_os_error(fault.errno));
            }
        }
        match state.write(self.inode, bytes, index(offset)) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            written => Ok(written),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(Operation::Truncate)?;
        state.inodes[self.inode].truncate(index(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let failed = state.check(Operation::SyncFile);
        let content = &mut state.inodes[self.inode];
        match failed {
            Ok(()) => content.sync(),
            Err(_) => content.give_up(),
        }
        failed
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("files in memory are not longer than memory")
}
