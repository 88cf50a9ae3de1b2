//! A child process is killed before its first change to the disk, its second, and so on, until it
//! gets through.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::crafted::{Crafted, zip};
use super::deployments::stored;
use super::*;
use crate::Deployments;

const FOLDER: &str = "TOMTE_STORE_CRASH_FOLDER";
const CRASH_AT: &str = "TOMTE_STORE_CRASH_AT";

/// Ends a child at the change that it was told; other processes go on.
pub(crate) fn crash_point() {
    static CHANGES: AtomicU32 = AtomicU32::new(0);
    let Some(crash_at) = std::env::var_os(CRASH_AT) else { return };
    let crash_at: u32 = crash_at.to_str().unwrap().parse().unwrap();
    if CHANGES.fetch_add(1, Ordering::SeqCst) == crash_at {
        let this = rustix::process::getpid();
        rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
    }
}

fn code() -> Vec<u8> {
    zip(&[Crafted::file("a/b", "content"), Crafted::link("l", "a"), Crafted::file("c", "")])
}

/// The children: they do nothing when they are run as tests.
#[test]
fn child_that_installs() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    Deployments::open(Path::new(&folder)).unwrap().install(&stored(30)).unwrap();
}

#[test]
fn child_that_puts_code() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    put(&CodeStore::open(Path::new(&folder)).unwrap(), &code()).unwrap();
}

#[test]
fn child_that_removes_code() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    CodeStore::open(Path::new(&folder)).unwrap().remove_unused(&[].into()).unwrap();
}

/// Runs a child that is killed at a change, and tells whether it was.
fn is_killed(child: &str, folder: &Path, crash_at: u32) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("tests::crash::{child}"), "--exact"])
        .env(FOLDER, folder)
        .env(CRASH_AT, crash_at.to_string())
        .output()
        .unwrap();
    assert!(
        output.status.success() || output.status.signal() == Some(9),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    !output.status.success()
}

/// Kills the child at every change, each time in a folder that `prepare` made, and lets `check` see
/// what is left and whether the child got through.
fn kill_everywhere(child: &str, prepare: impl Fn(&Path), check: impl Fn(&Path, bool)) {
    for crash_at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let killed = is_killed(child, folder.path(), crash_at);
        check(folder.path(), !killed);
        if !killed {
            assert!(crash_at > 2, "the child was killed at {crash_at} places only");
            return;
        }
    }
}

#[test]
fn a_kill_at_any_change_leaves_the_old_or_the_new_revision_and_a_newer_one_gets_through() {
    let prepare = |folder: &Path| {
        let deployments = Deployments::open(folder).unwrap();
        for revision in 1..=20 {
            deployments.install(&stored(revision)).unwrap();
        }
    };
    kill_everywhere("child_that_installs", prepare, |folder, through| {
        let deployments = Deployments::open(folder).unwrap();
        let current = deployments.current().unwrap().unwrap();
        assert!(current == stored(30) || (current == stored(20) && !through), "{current:?}");
        let listed = deployments.list().unwrap();
        assert_eq!(listed.last().unwrap().revision, current.revision);
        for revision in [30, 31] {
            deployments.install(&stored(revision)).unwrap();
            assert_eq!(deployments.current().unwrap(), Some(stored(revision)));
        }
        let names = listing(folder);
        assert!(!names.keys().any(|name| name.contains(".unfinished")), "{names:?}");
    });
}

#[test]
fn the_first_install_killed_at_any_change_leaves_nothing_or_the_revision() {
    kill_everywhere(
        "child_that_installs",
        |_| {},
        |folder, through| {
            let deployments = Deployments::open(folder).unwrap();
            let current = deployments.current().unwrap();
            assert!(current == Some(stored(30)) || (current.is_none() && !through), "{current:?}");
            deployments.install(&stored(30)).unwrap();
        },
    );
}

#[test]
fn a_kill_at_any_change_leaves_the_whole_code_or_none_of_it() {
    let digest = digest_of(&code());
    let whole = {
        let (_folder, store) = store();
        put(&store, &code()).unwrap();
        listing(&store.folder(&digest))
    };
    let empty = |folder: &Path| drop(CodeStore::open(folder).unwrap());
    kill_everywhere("child_that_puts_code", empty, |folder, through| {
        let store = CodeStore::open(folder).unwrap();
        assert!(store.has(&digest) || !through);
        if !store.has(&digest) {
            assert_eq!(listing(folder), expect(&[]), "leftovers");
            put(&store, &code()).unwrap();
        }
        assert_eq!(listing(&store.folder(&digest)), whole);
    });
    let filled = |folder: &Path| {
        put(&CodeStore::open(folder).unwrap(), &code()).unwrap();
    };
    kill_everywhere("child_that_removes_code", filled, |folder, through| {
        let store = CodeStore::open(folder).unwrap();
        if store.has(&digest) {
            assert!(!through);
            assert_eq!(listing(&store.folder(&digest)), whole);
        } else {
            assert_eq!(listing(folder), expect(&[]), "leftovers");
        }
    });
}
