use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tomte_base::Revision;

use crate::code_store::digest_of;
use crate::durable;

/// Revisions that are kept, the current one among them.
const KEPT_REVISIONS: usize = 20;

const REVISIONS: &str = "revisions";
const POINTER: &str = "current";
const MANIFEST: &str = "manifest.toml";
const RECORD: &str = "deployment.json";
/// Begins the names of files and folders that are being written.
const UNFINISHED: &str = ".unfinished-";

/// A revision of the configuration with the code that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub revision: Revision,
    /// The manifest, as it was written.
    pub manifest: String,
    /// Digests of code by name of function.
    pub code: BTreeMap<String, String>,
    /// When it was applied, in milliseconds since 1970.
    pub applied_ms: u64,
}

/// A revision that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub revision: Revision,
    /// When it was applied, in milliseconds since 1970.
    pub applied_ms: u64,
}

/// Why a revision could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadDeploymentError {
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {what}; apply the configuration again with a newer revision")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

/// Why a revision could not be installed. The one before is in force.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A newer revision is in force, or the same with another content.
    #[error("revision {offered} is not newer than revision {current}, which is in force")]
    Stale {
        /// The revision that was offered.
        offered: Revision,
        /// The revision in force.
        current: Revision,
    },
    /// The revision in force could not be read.
    #[error("find out which revision is in force")]
    Current {
        /// Why.
        source: ReadDeploymentError,
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

impl InstallError {
    /// Tells whether the disk, or the owner's share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Write { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What is written beside the manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    revision: u64,
    applied_ms: u64,
    manifest_sha256: String,
    code: BTreeMap<String, String>,
}

/// The revisions of the configuration, each a folder; a file `current` names the one in force.
#[derive(Debug)]
pub struct Deployments {
    root: PathBuf,
    revisions: PathBuf,
}

impl Deployments {
    /// Opens the revisions in `folder`, and makes the folder when it is not there.
    ///
    /// # Errors
    /// Fails when the folder cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let revisions = folder.join(REVISIONS);
        fs::create_dir_all(&revisions)?;
        Ok(Self { root: folder.to_owned(), revisions })
    }

    /// Returns the revision in force, `None` before the first one.
    ///
    /// # Errors
    /// Fails with [`ReadDeploymentError`] when a file cannot be read or is damaged.
    pub fn current(&self) -> Result<Option<Stored>, ReadDeploymentError> {
        self.current_revision()?.map(|revision| self.get(revision)).transpose()
    }

    /// Returns a revision that is kept.
    ///
    /// # Errors
    /// Fails with [`ReadDeploymentError`] when it is not kept, cannot be read or is damaged.
    pub fn get(&self, revision: Revision) -> Result<Stored, ReadDeploymentError> {
        let folder = self.folder(revision);
        let record = read_record(&folder, revision)?;
        let path = folder.join(MANIFEST);
        let manifest = read(&path)?;
        if digest_of(manifest.as_bytes()) != record.manifest_sha256 {
            let what = "its content is not what was applied".to_owned();
            return Err(ReadDeploymentError::Damaged { path, what });
        }
        let Record { code, applied_ms, .. } = record;
        Ok(Stored { revision, manifest, code, applied_ms })
    }

    /// Returns the revisions that are kept, oldest first.
    ///
    /// # Errors
    /// Fails with [`ReadDeploymentError`] when a file cannot be read or is damaged.
    pub fn list(&self) -> Result<Vec<Listed>, ReadDeploymentError> {
        let in_force = self.current_revision()?;
        let kept = self.kept_revisions()?;
        // One that was written and never put in force is no part of the history.
        let applied = kept.into_iter().filter(|revision| Some(*revision) <= in_force);
        applied
            .map(|revision| {
                let record = read_record(&self.folder(revision), revision)?;
                Ok(Listed { revision, applied_ms: record.applied_ms })
            })
            .collect()
    }

    /// Puts `stored` in force. When this returns it stays so over a power cut; a kill before leaves
    /// the revision that was in force. To install the one in force again changes nothing.
    ///
    /// # Errors
    /// Fails with [`InstallError`] when the revision is not newer than the one in force, or a file
    /// cannot be written.
    pub fn install(&self, stored: &Stored) -> Result<(), InstallError> {
        let current = self.newest_in_force().map_err(|source| InstallError::Current { source })?;
        let offered = stored.revision;
        if let Some(current) = current.filter(|current| *current >= offered) {
            // A repeated request, or one that the caller does not know to have succeeded.
            if current == offered && self.get(current).is_ok_and(|there| there == *stored) {
                return Ok(());
            }
            return Err(InstallError::Stale { offered, current });
        }
        self.clean()?;
        self.write_revision(stored)?;
        self.point_to(offered)?;
        self.forget_old();
        Ok(())
    }

    fn folder(&self, revision: Revision) -> PathBuf {
        self.revisions.join(revision.to_string())
    }

    fn current_revision(&self) -> Result<Option<Revision>, ReadDeploymentError> {
        let path = self.root.join(POINTER);
        let text = match read(&path) {
            Ok(text) => text,
            Err(ReadDeploymentError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match text.trim_end().parse() {
            Ok(number) => Ok(Some(Revision(number))),
            Err(_) => {
                let what = format!("{text:?} is not a revision");
                Err(ReadDeploymentError::Damaged { path, what })
            }
        }
    }

    /// Returns the revision in force; when the pointer is damaged the newest that is kept, so that a
    /// newer one gets through.
    fn newest_in_force(&self) -> Result<Option<Revision>, ReadDeploymentError> {
        match self.current_revision() {
            Err(ReadDeploymentError::Damaged { .. }) => Ok(self.kept_revisions()?.last().copied()),
            current => current,
        }
    }

    fn kept_revisions(&self) -> Result<Vec<Revision>, ReadDeploymentError> {
        let read = |source| ReadDeploymentError::Read { path: self.revisions.clone(), source };
        let mut revisions = Vec::new();
        for entry in fs::read_dir(&self.revisions).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            revisions.extend(number.map(Revision));
        }
        revisions.sort_unstable();
        Ok(revisions)
    }

    /// Removes what an interrupted install left half written.
    fn clean(&self) -> Result<(), InstallError> {
        for folder in [&self.root, &self.revisions] {
            at(folder, |folder| durable::remove_with_prefix(folder, UNFINISHED))?;
        }
        Ok(())
    }

    fn write_revision(&self, stored: &Stored) -> Result<(), InstallError> {
        let beside = self.revisions.join(format!("{UNFINISHED}{}", stored.revision));
        at(&beside, |path| durable::create_folder(path, 0o755))?;
        let record = Record {
            revision: stored.revision.0,
            applied_ms: stored.applied_ms,
            manifest_sha256: digest_of(stored.manifest.as_bytes()),
            code: stored.code.clone(),
        };
        let mut record =
            serde_json::to_string_pretty(&record).expect("texts and numbers are always JSON");
        record.push('\n');
        at(&beside.join(MANIFEST), |path| durable::write_file(path, stored.manifest.as_bytes()))?;
        at(&beside.join(RECORD), |path| durable::write_file(path, record.as_bytes()))?;
        at(&beside, durable::sync_folder)?;
        let folder = self.folder(stored.revision);
        // An install that was interrupted before the switch may have left one that never counted.
        at(&folder, durable::remove)?;
        at(&folder, |folder| durable::rename(&beside, folder))?;
        at(&self.revisions, durable::sync_folder)
    }

    /// Switches the pointer: the one moment in which the revision in force changes.
    fn point_to(&self, revision: Revision) -> Result<(), InstallError> {
        let beside = self.root.join(format!("{UNFINISHED}{POINTER}"));
        let pointer = self.root.join(POINTER);
        at(&beside, |path| durable::write_file(path, format!("{revision}\n").as_bytes()))?;
        at(&pointer, |pointer| durable::rename(&beside, pointer))?;
        at(&self.root, durable::sync_folder)
    }

    /// Removes revisions beyond those that are kept. What cannot be removed is tried next time.
    fn forget_old(&self) {
        let revisions = self.kept_revisions().unwrap_or_default();
        let excess = revisions.len().saturating_sub(KEPT_REVISIONS);
        for revision in &revisions[..excess] {
            let beside = self.revisions.join(format!("{UNFINISHED}{revision}"));
            let renamed = durable::rename(&self.folder(*revision), &beside);
            if renamed.and_then(|()| durable::remove(&beside)).is_err() {
                return;
            }
        }
    }
}

fn at(path: &Path, change: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), InstallError> {
    change(path).map_err(|source| InstallError::Write { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, ReadDeploymentError> {
    fs::read_to_string(path)
        .map_err(|source| ReadDeploymentError::Read { path: path.to_owned(), source })
}

fn read_record(folder: &Path, revision: Revision) -> Result<Record, ReadDeploymentError> {
    let path = folder.join(RECORD);
    let damaged = |path: &Path, what| ReadDeploymentError::Damaged { path: path.to_owned(), what };
    let record: Record =
        serde_json::from_str(&read(&path)?).map_err(|error| damaged(&path, error.to_string()))?;
    if record.revision != revision.0 {
        return Err(damaged(&path, format!("it is about revision {}", record.revision)));
    }
    Ok(record)
}
