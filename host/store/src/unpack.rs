use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::links::Node;
use crate::zip_directory::{self, Directory, Entry};
use crate::zip_format::STORED;
use crate::zip_plan::{Plan, ZipRefused};
use crate::{CodeLimits, durable};

const BUFFER_BYTES: usize = 64 << 10;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is not one that can be.
    #[error(transparent)]
    Refused(#[from] ZipRefused),
    /// A file, folder or link could not be made.
    #[error("write {path}")]
    Write {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Unpacks what `plan` says into the empty folder `into`. Files are readable by all, executable
/// where the archive says so; links come last, so that nothing is written through one.
pub(crate) fn unpack<R: Read + Seek>(
    zip: &mut R,
    plan: &Plan,
    into: &Path,
    limits: &CodeLimits,
) -> Result<(), UnpackError> {
    for (path, node) in &plan.tree {
        if *node == Node::Folder {
            write_to(&into.join(path), |path| durable::create_folder(path, 0o755))?;
        }
    }
    let mut left = limits.unpacked_bytes;
    for file in &plan.files {
        let target = into.join(&file.path);
        let mut out = write_to(&target, create_file)?;
        let mut content = Content::open(zip, &plan.directory, &file.entry, &file.path)?;
        while let Some(bytes) = content.next(&mut left, limits.unpacked_bytes)? {
            write_to(&target, |_| out.write_all(bytes))?;
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        write_to(&target, |_| out.set_permissions(fs::Permissions::from_mode(mode)))?;
    }
    for (path, node) in &plan.tree {
        if let Node::Link { target } = node {
            write_to(&into.join(path), |path| symlink(target, path))?;
        }
    }
    Ok(())
}

fn write_to<T>(path: &Path, write: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, UnpackError> {
    write(path).map_err(|source| UnpackError::Write { path: path.to_owned(), source })
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reads the target of a link, at most as long as the limits allow.
pub(crate) fn read_link_target<R: Read + Seek>(
    zip: &mut R,
    directory: &Directory,
    entry: &Entry,
    path: &str,
    limits: &CodeLimits,
) -> Result<Vec<u8>, ZipRefused> {
    let mut content = Content::open(zip, directory, entry, path)?;
    let limit = limits.path_bytes as u64;
    let (mut left, mut target) = (limit, Vec::new());
    while let Some(bytes) = content.next(&mut left, limit)? {
        target.extend_from_slice(bytes);
    }
    Ok(target)
}

/// The unpacked bytes of an entry, counted and checked as they come.
struct Content<'a, R: Read> {
    source: Source<io::Take<&'a mut R>>,
    buffer: Vec<u8>,
    checksum: Crc,
    unpacked_bytes: u64,
    entry: &'a Entry,
    path: &'a str,
}

enum Source<R: Read> {
    Stored(R),
    Deflated(Box<DeflateDecoder<R>>),
}

impl<'a, R: Read + Seek> Content<'a, R> {
    fn open(
        zip: &'a mut R,
        directory: &Directory,
        entry: &'a Entry,
        path: &'a str,
    ) -> Result<Self, ZipRefused> {
        let raw = directory.open(zip, entry)?;
        let source = match entry.method {
            STORED => Source::Stored(raw),
            _ => Source::Deflated(Box::new(DeflateDecoder::new(raw))),
        };
        let (buffer, checksum) = (vec![0; BUFFER_BYTES], Crc::new());
        Ok(Self { source, buffer, checksum, unpacked_bytes: 0, entry, path })
    }
}

impl<R: Read> Content<'_, R> {
    /// Returns the next bytes, which `left` has room for; `None` after the last ones, when all was as
    /// the directory says.
    fn next(&mut self, left: &mut u64, limit: u64) -> Result<Option<&[u8]>, ZipRefused> {
        let read = self.read()?;
        if read == 0 {
            return self.check_end().map(|()| None);
        }
        *left = left.checked_sub(read as u64).ok_or_else(|| {
            let entry = self.path.to_owned();
            ZipRefused::TooLarge { limit, entry }
        })?;
        self.unpacked_bytes += read as u64;
        self.checksum.update(&self.buffer[..read]);
        Ok(Some(&self.buffer[..read]))
    }

    fn read(&mut self) -> Result<usize, ZipRefused> {
        let read = match &mut self.source {
            Source::Stored(raw) => raw.read(&mut self.buffer),
            Source::Deflated(inflated) => inflated.read(&mut self.buffer),
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof => self.damaged("its compressed data is broken"),
            _ => zip_directory::read_failed(error),
        })
    }

    fn check_end(&self) -> Result<(), ZipRefused> {
        if self.unpacked_bytes != self.entry.unpacked_bytes {
            return Err(self.damaged("its size is not the one that the directory says"));
        }
        if self.checksum.sum() != self.entry.crc {
            return Err(ZipRefused::Checksum { entry: self.path.to_owned() });
        }
        Ok(())
    }

    fn damaged(&self, what: &'static str) -> ZipRefused {
        ZipRefused::Damaged { entry: self.path.to_owned(), what }
    }
}
