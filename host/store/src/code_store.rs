use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::unpack::{self, UnpackError};
use crate::zip_plan::{self, ZipRefused};
use crate::{CodeLimits, durable};

/// Begins the names of folders that are being filled or removed.
const UNFINISHED: &str = ".unfinished-";

/// Whether code was new to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored now.
    Stored,
    /// It was there; nothing was read.
    AlreadyThere,
}

/// Why code could not be stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum PutCodeError {
    /// The digest is not one.
    #[error("{digest:?} is not a digest; a digest has 64 characters of 0-9 and a-f")]
    BadDigest {
        /// What was given.
        digest: String,
    },
    /// The bytes have another digest.
    #[error("the archive has digest {found}, and was announced with {announced}; send it again")]
    OtherDigest {
        /// What was given.
        announced: String,
        /// That of the bytes.
        found: String,
    },
    /// The archive is not one that can be unpacked.
    #[error("unpack code {digest}")]
    Refused {
        /// The digest.
        digest: String,
        /// Why.
        source: ZipRefused,
    },
    /// A file could not be written.
    #[error("write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PutCodeError {
    /// Tells whether the disk, or the owner's share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Write { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Code of functions, each a folder under the SHA-256 of the zip that it came in.
#[derive(Debug)]
pub struct CodeStore {
    root: PathBuf,
    limits: CodeLimits,
    unfinished: AtomicU64,
}

impl CodeStore {
    /// Opens the store in `folder`, makes the folder when it is not there, and removes what an
    /// interrupted process left.
    ///
    /// # Errors
    /// Fails when the folder cannot be made, read or cleaned.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::open_with(folder, CodeLimits::default())
    }

    /// As [`CodeStore::open`], with other limits.
    ///
    /// # Errors
    /// As [`CodeStore::open`].
    pub fn open_with(folder: &Path, limits: CodeLimits) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        durable::remove_with_prefix(folder, UNFINISHED)?;
        Ok(Self { root: folder.to_owned(), limits, unfinished: AtomicU64::new(0) })
    }

    /// Tells whether the code is there, as a whole.
    #[must_use]
    pub fn has(&self, digest: &str) -> bool {
        is_digest(digest) && self.folder(digest).is_dir()
    }

    /// Returns the folder that the code is in, or would be.
    #[must_use]
    pub fn folder(&self, digest: &str) -> PathBuf {
        self.root.join(digest)
    }

    /// Returns the digests of all code that is there.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn list(&self) -> io::Result<BTreeSet<String>> {
        let mut digests = BTreeSet::new();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            digests.extend(name.to_str().filter(|name| is_digest(name)).map(str::to_owned));
        }
        Ok(digests)
    }

    /// Unpacks `zip`, whose bytes have the SHA-256 `digest` (in lower-case hexadecimal digits).
    /// Returns when all of it is on disk.
    ///
    /// # Errors
    /// Fails with [`PutCodeError`] when the digest does not fit, the archive is damaged, malicious or
    /// larger than the limits, or a file cannot be written.
    pub fn put_zip<R: Read + Seek>(
        &self,
        digest: &str,
        mut zip: R,
    ) -> Result<PutOutcome, PutCodeError> {
        if !is_digest(digest) {
            return Err(PutCodeError::BadDigest { digest: digest.to_owned() });
        }
        if self.has(digest) {
            return Ok(PutOutcome::AlreadyThere);
        }
        check_digest(&mut zip, digest)?;
        let beside = self.unfinished_folder();
        let put = self.unpack_beside(digest, &mut zip, &beside);
        if put.is_err() {
            // What could not be removed now is removed when the store is opened.
            let _ = durable::remove(&beside);
        }
        put
    }

    /// Removes all code but that in `keep`, and returns what was removed.
    ///
    /// # Errors
    /// Fails when something cannot be removed; what is left is whole, or removed by the next open.
    pub fn remove_unused(&self, keep: &BTreeSet<String>) -> io::Result<BTreeSet<String>> {
        let mut removed = BTreeSet::new();
        for digest in self.list()?.difference(keep) {
            let beside = self.unfinished_folder();
            durable::rename(&self.folder(digest), &beside)?;
            removed.insert(digest.clone());
            durable::remove(&beside)?;
        }
        if !removed.is_empty() {
            durable::sync_folder(&self.root)?;
        }
        Ok(removed)
    }

    fn unpack_beside<R: Read + Seek>(
        &self,
        digest: &str,
        zip: &mut R,
        beside: &Path,
    ) -> Result<PutOutcome, PutCodeError> {
        let refused = |source| PutCodeError::Refused { digest: digest.to_owned(), source };
        let plan = zip_plan::plan(zip, &self.limits).map_err(refused)?;
        at(beside, |path| durable::create_folder(path, 0o755))?;
        unpack::unpack(zip, &plan, beside, &self.limits).map_err(|error| match error {
            UnpackError::Refused(source) => refused(source),
            UnpackError::Write { path, source } => PutCodeError::Write { path, source },
        })?;
        at(beside, durable::sync_tree)?;
        let folder = self.folder(digest);
        match durable::rename(beside, &folder) {
            Ok(()) => {}
            // Somebody else put the same code at the same time.
            Err(_) if self.has(digest) => {
                let _ = durable::remove(beside);
                return Ok(PutOutcome::AlreadyThere);
            }
            Err(source) => return Err(PutCodeError::Write { path: folder, source }),
        }
        at(&self.root, durable::sync_folder)?;
        Ok(PutOutcome::Stored)
    }

    fn unfinished_folder(&self) -> PathBuf {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!("{UNFINISHED}{}-{number}", std::process::id()))
    }
}

fn at<T>(path: &Path, change: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, PutCodeError> {
    change(path).map_err(|source| PutCodeError::Write { path: path.to_owned(), source })
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_digest<R: Read + Seek>(zip: &mut R, announced: &str) -> Result<(), PutCodeError> {
    let read_failed = |source| PutCodeError::Refused {
        digest: announced.to_owned(),
        source: ZipRefused::Read { source },
    };
    let mut hash = Sha256::new();
    zip.rewind().map_err(read_failed)?;
    io::copy(zip, &mut hash).map_err(read_failed)?;
    let found = hex(&hash.finalize());
    if found == announced {
        return Ok(());
    }
    Err(PutCodeError::OtherDigest { announced: announced.to_owned(), found })
}

/// Returns the digest of `bytes`, as the store wants it.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
