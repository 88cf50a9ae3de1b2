//! Files that are there as a whole or not at all, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Readable by all.
pub(crate) const PUBLIC: u32 = 0o644;
/// Readable by the owner only.
pub(crate) const SECRET: u32 = 0o600;

/// Writes `path`, in the place of what was there.
pub(crate) fn replace(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let beside = write_beside(path, content, mode)?;
    finish(path, &beside, fs::rename(&beside, path))
}

/// Writes `path`; fails with `AlreadyExists` when something is there.
pub(crate) fn create(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let beside = write_beside(path, content, mode)?;
    let linked = fs::hard_link(&beside, path);
    finish(path, &beside, linked.and_then(|()| fs::remove_file(&beside)))
}

fn finish(path: &Path, beside: &Path, moved: io::Result<()>) -> io::Result<()> {
    if moved.is_err() {
        let _ = fs::remove_file(beside);
    }
    moved?;
    File::open(folder_of(path))?.sync_all()
}

fn write_beside(path: &Path, content: &str, mode: u32) -> io::Result<PathBuf> {
    let name = path.file_name().expect("files have names").to_string_lossy();
    // Names of devices do not begin with a dot, so that this is nobody's record.
    let beside = folder_of(path).join(format!(".{name}.{}", std::process::id()));
    // What an interrupted process with the same number left may have another mode.
    let _ = fs::remove_file(&beside);
    let written = write_synced(&beside, content, mode);
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map(|()| beside)
}

fn write_synced(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("files are in folders")
}
