use proptest::prelude::*;

use super::*;

/// What can happen to a journal.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Commit,
    FailCommit { short: usize, full: bool },
    Discard,
    Roll,
    Drop(u64),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Step::Append),
        4 => Just(Step::Commit),
        2 => (0..200_usize, any::<bool>()).prop_map(|(short, full)| Step::FailCommit { short, full }),
        1 => Just(Step::Discard),
        1 => Just(Step::Roll),
        1 => (0..8_u64).prop_map(Step::Drop),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

/// The plain model: two lists of records.
#[derive(Default)]
struct Model {
    written: Records,
    batch: Records,
}

impl Model {
    fn last_position(&self, journal: &Journal<MemoryDisk>) -> u64 {
        self.batch.last().map_or(journal.written_up_to(), |(position, _)| *position)
    }

    fn commit(&mut self) {
        self.written.append(&mut self.batch);
    }
}

fn run(steps: Vec<Step>) {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 200);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(record) => {
                let position = model.last_position(&journal) + 1;
                journal.append(position, &record);
                model.batch.push((position, record));
            }
            Step::Commit => {
                journal.commit().unwrap();
                model.commit();
            }
            Step::FailCommit { short, full } => {
                let errno = if full { FULL } else { IO_ERROR };
                let failing = Fault { short: Some(short), ..fault(Operation::Write, errno) };
                if !model.batch.is_empty() {
                    disk.fail(failing);
                    match journal.commit() {
                        Err(error) => assert_eq!(error.is_full(), full),
                        // A roll may set a mark first, whose failure costs nothing.
                        Ok(commit) => {
                            assert!(commit.rolled.is_some());
                            model.commit();
                        }
                    }
                }
            }
            Step::Discard => {
                journal.discard_batch();
                model.batch.clear();
            }
            Step::Roll => {
                journal.roll().unwrap();
                model.commit();
            }
            Step::Drop(back) => {
                let before = journal.written_up_to().saturating_sub(back);
                journal.drop_before(before).unwrap();
                let first = journal.segments().next().unwrap().first_position;
                assert!(model.written.iter().all(|(at, _)| *at >= first || *at < before));
                model.written.retain(|(position, _)| *position >= first);
            }
            Step::Sync => {
                assert_eq!(journal.sync_handle().sync().unwrap(), journal.written_up_to());
            }
            Step::Reopen => {
                drop(journal);
                model.batch.clear();
                journal = open(&disk, 200).0;
            }
        }
        let (_, recovered, found) = open(&disk, 200);
        assert_eq!(found, model.written);
        assert_eq!(recovered.truncated, None);
        assert_eq!(recovered.next_position, journal.written_up_to() + 1);
        assert_eq!(recovered.segments, journal.segments().collect::<Vec<_>>());
        assert_eq!(journal.bytes(), disk_bytes(&disk));
    }
}

fn disk_bytes(disk: &MemoryDisk) -> u64 {
    let names = crate::Disk::list(disk).unwrap();
    names.iter().map(|name| disk.content(name).unwrap().len() as u64).sum()
}

proptest! {
    #[test]
    fn a_journal_holds_what_a_list_would_hold(steps in proptest::collection::vec(step(), 1..60)) {
        run(steps);
    }

    /// Whatever bytes a folder has, opening ends, and what it leaves opens again to the same.
    #[test]
    fn any_bytes_in_a_segment_are_recovered_or_refused(
        intact in 0..5_u64,
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0..300_usize,
    ) {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 1000);
        write(&mut journal, 1..=intact);
        let name = crate::recover::segment_name(1);
        let mut bytes = disk.content(&name).unwrap();
        bytes.truncate(at);
        bytes.extend(noise);
        disk.set_content(&name, &bytes);
        if let Ok((_, _, found)) = try_open(&disk, &config(1000, SyncMode::Process)) {
            prop_assert!(found.len() as u64 <= intact);
            let (_, again, same) = open(&disk, 1000);
            prop_assert_eq!(same, found);
            prop_assert_eq!(again.truncated, None);
        }
    }
}
