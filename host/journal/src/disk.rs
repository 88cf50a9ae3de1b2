use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder that a journal lives in: the one seam between the journal and the machine.
///
/// There are two: [`Folder`], and [`MemoryDisk`](crate::MemoryDisk) for simulation, which fails and
/// loses its power on demand.
pub trait Disk: Send + Sync + 'static {
    /// A file of the folder.
    type File: DiskFile;

    /// Returns the names of all files.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file that was not there.
    ///
    /// # Errors
    /// Fails when the file exists or cannot be made.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    /// Fails when there is no such file or it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Removes a file.
    ///
    /// # Errors
    /// Fails when the file cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when the list of files would survive a power cut.
    ///
    /// # Errors
    /// Fails when the folder cannot be synced.
    fn sync(&self) -> io::Result<()>;
}

/// A file of a [`Disk`].
pub trait DiskFile: Send + Sync + 'static {
    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Fails when the file cannot be asked.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// Fails when the bytes cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some first part of `bytes` at `offset` and returns its length.
    ///
    /// # Errors
    /// Fails when nothing could be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// Fails when the file cannot be cut.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Returns when the content would survive a power cut.
    ///
    /// # Errors
    /// Fails when the content cannot be synced.
    fn sync_data(&self) -> io::Result<()>;
}

/// A folder of the file system. Files are readable and writable by their owner only.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Takes the folder at `path`, which must exist.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Disk for Folder {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of the journal's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).open(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all_at<F: DiskFile>(file: &F, bytes: &[u8], offset: u64) -> io::Result<()> {
    let (mut bytes, mut offset) = (bytes, offset);
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
