use tomte_base::Revision;

use super::*;
use crate::{Deployments, InstallError, ReadDeploymentError, Stored};

pub(super) fn stored(revision: u64) -> Stored {
    Stored {
        revision: Revision(revision),
        manifest: format!("[hub]\nname = \"of revision {revision}\"\n"),
        code: BTreeMap::from([("regulate".to_owned(), format!("{revision:064}"))]),
        applied_ms: 1_700_000_000_000 + revision,
    }
}

fn deployments() -> (TempDir, Deployments) {
    let folder = tempfile::tempdir().unwrap();
    let deployments = Deployments::open(folder.path()).unwrap();
    (folder, deployments)
}

fn revisions(deployments: &Deployments) -> Vec<u64> {
    deployments.list().unwrap().into_iter().map(|listed| listed.revision.0).collect()
}

#[test]
fn there_is_nothing_in_force_at_first() {
    let (_folder, deployments) = deployments();
    assert_eq!(deployments.current().unwrap(), None);
    assert_eq!(revisions(&deployments), [] as [u64; 0]);
}

#[test]
fn what_was_installed_is_in_force_also_for_the_next_opener() {
    let (folder, deployments) = deployments();
    deployments.install(&stored(1)).unwrap();
    deployments.install(&stored(5)).unwrap();
    let again = Deployments::open(folder.path()).unwrap();
    assert_eq!(again.current().unwrap(), Some(stored(5)));
    assert_eq!(again.get(Revision(1)).unwrap(), stored(1));
    assert_eq!(revisions(&again), [1, 5]);
}

#[test]
fn a_stale_revision_is_refused() {
    let (_folder, deployments) = deployments();
    deployments.install(&stored(5)).unwrap();
    let other = Stored { manifest: String::new(), ..stored(5) };
    for stale in [stored(4), other] {
        let error = deployments.install(&stale).unwrap_err();
        let InstallError::Stale { offered, current } = error else { panic!("{error}") };
        assert_eq!((offered, current), (stale.revision, Revision(5)));
    }
    assert_eq!(deployments.current().unwrap(), Some(stored(5)));
}

#[test]
fn to_install_the_same_again_changes_nothing() {
    let (_folder, deployments) = deployments();
    deployments.install(&stored(5)).unwrap();
    deployments.install(&stored(5)).unwrap();
    assert_eq!(revisions(&deployments), [5]);
}

#[test]
fn the_history_is_bounded_and_keeps_the_newest() {
    let (folder, deployments) = deployments();
    for revision in 1..=25 {
        deployments.install(&stored(revision)).unwrap();
    }
    assert_eq!(revisions(&deployments), (6..=25).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(folder.path().join("revisions")).unwrap().count(), 20);
}

#[test]
fn people_find_the_manifest_as_it_was_written() {
    let (folder, deployments) = deployments();
    deployments.install(&stored(7)).unwrap();
    let manifest = fs::read_to_string(folder.path().join("revisions/7/manifest.toml")).unwrap();
    assert_eq!(manifest, stored(7).manifest);
    assert_eq!(fs::read_to_string(folder.path().join("current")).unwrap(), "7\n");
}

#[test]
fn damaged_files_are_named_and_a_newer_revision_gets_through() {
    for (file, content) in [
        ("current", "seven"),
        ("current", ""),
        ("revisions/7/manifest.toml", "[hub]"),
        ("revisions/7/deployment.json", "{}"),
        ("revisions/7/deployment.json", ""),
    ] {
        let (folder, deployments) = deployments();
        deployments.install(&stored(7)).unwrap();
        fs::write(folder.path().join(file), content).unwrap();
        let error = deployments.current().unwrap_err();
        let ReadDeploymentError::Damaged { ref path, .. } = error else { panic!("{error}") };
        assert_eq!(*path, folder.path().join(file));
        assert!(matches!(deployments.install(&stored(6)), Err(InstallError::Stale { .. })));
        deployments.install(&stored(8)).unwrap();
        assert_eq!(deployments.current().unwrap(), Some(stored(8)));
    }
}

#[test]
fn a_record_of_another_revision_is_not_believed() {
    let (folder, deployments) = deployments();
    deployments.install(&stored(7)).unwrap();
    let revisions = folder.path().join("revisions");
    fs::rename(revisions.join("7"), revisions.join("9")).unwrap();
    fs::write(folder.path().join("current"), "9").unwrap();
    let error = deployments.current().unwrap_err();
    assert!(error.to_string().contains("it is about revision 7"), "{error}");
}

#[test]
fn a_failed_install_leaves_the_one_before_in_force() {
    let (folder, deployments) = deployments();
    deployments.install(&stored(1)).unwrap();
    fs::rename(folder.path().join("revisions"), folder.path().join("elsewhere")).unwrap();
    let error = deployments.install(&stored(2)).unwrap_err();
    assert!(matches!(error, InstallError::Write { .. }) && !error.is_full(), "{error}");
    fs::rename(folder.path().join("elsewhere"), folder.path().join("revisions")).unwrap();
    assert_eq!(deployments.current().unwrap(), Some(stored(1)));
    deployments.install(&stored(2)).unwrap();
}
