//! Keeps the files of `/var/runtime` as folders on disk, one per distinct set.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Files by name, as in [`crate::WorkerSpec::runtime_files`].
type Files = [(String, Vec<u8>)];

/// The folders that were written. A set of files is written once in the life of a launcher.
pub(crate) struct RuntimeFolders {
    base: PathBuf,
    written: Mutex<HashMap<u64, PathBuf>>,
}

impl RuntimeFolders {
    pub(crate) fn new(base: PathBuf) -> Self {
        Self { base, written: Mutex::default() }
    }

    /// Returns the folder that holds exactly `files`, or nothing when there are none.
    pub(crate) fn folder_of(&self, files: &Files) -> io::Result<Option<PathBuf>> {
        if files.is_empty() {
            return Ok(None);
        }
        let digest = digest(files);
        let mut written = self.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(folder) = written.get(&digest) {
            return Ok(Some(folder.clone()));
        }
        let folder = self.base.join(format!("{digest:016x}"));
        if !holds(&folder, files) {
            write(&self.base, &folder, files)?;
        }
        written.insert(digest, folder.clone());
        Ok(Some(folder))
    }
}

fn digest(files: &Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

fn holds(folder: &Path, files: &Files) -> bool {
    let count = fs::read_dir(folder).map_or(0, Iterator::count);
    let same = |(name, content): &(String, Vec<u8>)| {
        fs::read(folder.join(name)).is_ok_and(|found| found == *content)
    };
    count == files.len() && files.iter().all(same)
}

/// Writes the files beside the folder and moves them into place, so that a crash leaves no half.
fn write(base: &Path, folder: &Path, files: &Files) -> io::Result<()> {
    let draft = base.join(format!(".draft-{}", std::process::id()));
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    for (name, content) in files {
        write_file(&draft, name, content)?;
    }
    let _ = fs::remove_dir_all(folder);
    fs::rename(&draft, folder)
}

fn write_file(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        let reason = format!("{name:?} is not a file name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let path = folder.join(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &str) -> Vec<(String, Vec<u8>)> {
        vec![("bootstrap".into(), content.into()), ("notes".into(), b"n".to_vec())]
    }

    #[test]
    fn equal_sets_share_a_folder_and_others_do_not() {
        let base = tempfile::tempdir().unwrap();
        let folders = RuntimeFolders::new(base.path().into());
        let one = folders.folder_of(&files("a")).unwrap().unwrap();
        assert_eq!(folders.folder_of(&files("a")).unwrap().unwrap(), one);
        assert_ne!(folders.folder_of(&files("b")).unwrap().unwrap(), one);
        assert_eq!(fs::read(one.join("bootstrap")).unwrap(), b"a");
    }

    #[test]
    fn a_folder_changed_on_disk_is_written_again_by_the_next_launcher() {
        let base = tempfile::tempdir().unwrap();
        let first = RuntimeFolders::new(base.path().into());
        let folder = first.folder_of(&files("a")).unwrap().unwrap();
        fs::write(folder.join("bootstrap"), "changed").unwrap();
        RuntimeFolders::new(base.path().into()).folder_of(&files("a")).unwrap();
        assert_eq!(fs::read(folder.join("bootstrap")).unwrap(), b"a");
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folders = RuntimeFolders::new(base.path().into());
        for name in ["", ".", "..", "a/b", "../x"] {
            assert!(folders.folder_of(&[(name.into(), Vec::new())]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn no_files_need_no_folder() {
        assert_eq!(RuntimeFolders::new("/nowhere".into()).folder_of(&[]).unwrap(), None);
    }
}
