mod crafted;
mod crash;
mod deployments;
mod limits;
mod pack;
mod put;
mod refused;

pub(crate) use crash::crash_point;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use tempfile::TempDir;

use crate::code_store::digest_of;
use crate::{CodeLimits, CodeStore, PutCodeError, PutOutcome};

/// A store in a folder of its own.
fn store() -> (TempDir, CodeStore) {
    store_with(CodeLimits::default())
}

fn store_with(limits: CodeLimits) -> (TempDir, CodeStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = CodeStore::open_with(folder.path(), limits).unwrap();
    (folder, store)
}

fn put(store: &CodeStore, zip: &[u8]) -> Result<PutOutcome, PutCodeError> {
    store.put_zip(&digest_of(zip), Cursor::new(zip))
}

/// What is below a folder: paths to "folder", "link to X", or mode and content.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    list_into(folder, "", &mut found);
    found
}

fn list_into(folder: &Path, above: &str, found: &mut BTreeMap<String, String>) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{above}{}", entry.file_name().to_str().unwrap());
        let metadata = entry.metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let shown = if metadata.is_dir() {
            list_into(&entry.path(), &format!("{path}/"), found);
            format!("{mode:o} folder")
        } else if metadata.is_symlink() {
            format!("link to {}", fs::read_link(entry.path()).unwrap().display())
        } else {
            format!("{mode:o} {}", fs::read_to_string(entry.path()).unwrap())
        };
        found.insert(path, shown);
    }
}

fn expect(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(path, shown)| ((*path).to_owned(), (*shown).to_owned())).collect()
}

/// Puts a zip that must be refused, and returns the reason. Nothing of it may be left.
fn refusal(zip: &[u8]) -> crate::ZipRefused {
    refusal_by(CodeLimits::default(), zip)
}

fn refusal_by(limits: CodeLimits, zip: &[u8]) -> crate::ZipRefused {
    let (folder, store) = store_with(limits);
    let error = put(&store, zip).unwrap_err();
    assert_eq!(listing(folder.path()), expect(&[]), "leftovers after {error}");
    let PutCodeError::Refused { source, .. } = error else { panic!("{error}") };
    source
}
