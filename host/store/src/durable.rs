//! Changes to files that survive a kill and a power cut, in the order in which they were asked for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a folder that was not there, readable by all when `mode` says so.
pub(crate) fn create_folder(path: &Path, mode: u32) -> io::Result<()> {
    crash_point();
    DirBuilder::new().mode(mode).create(path)?;
    // The mode given above is cut by the mask of the process.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Writes a file that was not there, and returns when it is on disk.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    crash_point();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    crash_point();
    file.write_all(bytes)?;
    crash_point();
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    crash_point();
    fs::rename(from, to)
}

/// Returns when the list of files in `path` is on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    crash_point();
    File::open(path)?.sync_all()
}

/// Returns when everything on the file system of `path` is on disk: one call for a tree of files.
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    crash_point();
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// Removes a file or a folder with all that it holds, and does not mind when it is not there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    crash_point();
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// Removes what is in `folder` and has a name that begins with `prefix`.
pub(crate) fn remove_with_prefix(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(not(test))]
fn crash_point() {}

/// Kills the process when as many changes were made as the test that started it wants.
#[cfg(test)]
fn crash_point() {
    crate::tests::crash_point();
}
