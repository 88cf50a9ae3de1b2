//! A child process writes and reports what `commit` returned for, until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::record;
use crate::{Journal, JournalConfig, SyncMode};

const FOLDER: &str = "TOMTE_JOURNAL_KILL_FOLDER";
const ROUNDS: u64 = 25;
const SEGMENT_BYTES: u64 = 20_000;

fn config(folder: &Path) -> JournalConfig {
    let mode = SyncMode::Process;
    JournalConfig { segment_bytes: SEGMENT_BYTES, mode, ..JournalConfig::new(folder) }
}

/// The child: does nothing when it is run as a test.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut journal, recovered) =
        Journal::open(config(Path::new(&folder)), |_, _| Ok(())).unwrap();
    let mut position = recovered.next_position;
    let mut out = std::io::stdout().lock();
    loop {
        for _ in 0..1 + position % 40 {
            journal.append(position, &record(position));
            position += 1;
        }
        let commit = journal.commit().unwrap();
        writeln!(out, "committed {}", commit.written_up_to).unwrap();
        if commit.rolled.is_some() {
            journal.drop_before(position.saturating_sub(1000)).unwrap();
        }
    }
}

fn start_child(folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let test = "tests::kill::child_that_writes_until_it_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Lets a child write `commits` batches, kills it, and returns the last position it reported.
fn run_and_kill(folder: &Path, commits: u64) -> u64 {
    let (mut child, out) = start_child(folder);
    let (mut seen, mut committed) = (0, 0);
    for line in out.lines() {
        // A line that the kill cut short has no line end; its number would be too small, which is
        // no harm. The test harness prints lines of its own.
        let line = line.unwrap();
        let Some((_, number)) = line.split_once("committed ") else { continue };
        committed = number.parse().unwrap_or(committed).max(committed);
        seen += 1;
        if seen == commits {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    committed
}

#[test]
fn all_that_was_committed_is_there_after_the_process_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..ROUNDS {
        let committed = run_and_kill(folder.path(), 1 + (round * 37) % 60);
        assert!(committed > before, "the child wrote nothing");
        let mut last = None;
        let (_, recovered) = Journal::open(config(folder.path()), |position, bytes| {
            assert!(last.is_none_or(|last| position == last + 1), "{last:?} then {position}");
            assert_eq!(bytes, record(position));
            last = Some(position);
            Ok(())
        })
        .unwrap();
        let last = last.expect("there are records");
        assert!(last >= committed, "round {round}: committed {committed}, found {last}");
        assert_eq!(recovered.next_position, last + 1);
        before = last;
    }
}
