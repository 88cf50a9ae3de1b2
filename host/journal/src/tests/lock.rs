use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_second_opener_is_told_who_has_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig::new(&folder.path().join("deeper/journal"));
    let (journal, _) = Journal::open(config.clone(), |_, _| Ok(())).unwrap();
    let error = Journal::open(config.clone(), |_, _| Ok(())).unwrap_err();
    let OpenJournalError::InUse { ref pid, .. } = error else { panic!("{error}") };
    assert_eq!(*pid, std::process::id().to_string());
    drop(journal);
    Journal::open(config, |_, _| Ok(())).unwrap();
}

#[test]
fn files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    Journal::open(JournalConfig::new(folder.path()), |_, _| Ok(())).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = JournalConfig::new(&file.path().join("journal"));
    let error = Journal::open(config, |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
}
