use super::*;
use crate::{SyncError, WriteError};

#[test]
fn a_short_write_is_continued() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    disk.fail(Fault { short: Some(5), ..fault(Operation::Write, 0) });
    disk.fail(Fault { short: Some(1), countdown: 1, ..fault(Operation::Write, 0) });
    write(&mut journal, 1..=5);
    assert_eq!(open(&disk, 1000).2, records(1..=5));
}

#[test]
fn nothing_of_a_failed_batch_stays_wherever_the_write_stopped() {
    let whole = {
        let (mut journal, ..) = open(&MemoryDisk::new(), 1000);
        let empty = journal.bytes();
        write(&mut journal, 1..=4);
        usize::try_from(journal.bytes() - empty).unwrap()
    };
    for stopped in 0..whole {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 1000);
        write(&mut journal, 1..=2);
        append(&mut journal, 3..=6);
        disk.fail(Fault { short: Some(stopped), ..fault(Operation::Write, IO_ERROR) });
        let error = journal.commit().unwrap_err();
        assert!(!error.is_full(), "{error}");
        assert_eq!(open(&disk, 1000).2, records(1..=2), "stopped after {stopped}");
        // A shorter batch of frames of the same size must not uncover the rest of the failed one.
        journal.discard_batch();
        write(&mut journal, [3]);
        assert_eq!(open(&disk, 1000).2, records(1..=3), "stopped after {stopped}");
    }
}

#[test]
fn a_failed_batch_is_kept_and_can_be_tried_again() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=2);
    disk.fail(fault(Operation::Write, IO_ERROR));
    assert!(journal.commit().is_err());
    append(&mut journal, [3]);
    assert_eq!(journal.commit().unwrap().written_up_to, 3);
    assert_eq!(open(&disk, 1000).2, records(1..=3));
}

#[test]
fn a_full_disk_is_told_apart_and_writing_works_again_when_there_is_room() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 100_000);
    disk.set_capacity(Some(200));
    let mut position = 1;
    let error = loop {
        append(&mut journal, [position]);
        match journal.commit() {
            Ok(_) => position += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error}");
    assert!(position > 2);
    assert_eq!(open(&disk, 100_000).2, records(1..position));
    assert!(journal.commit().unwrap_err().is_full());
    disk.set_capacity(None);
    journal.commit().unwrap();
    assert_eq!(open(&disk, 100_000).2, records(1..=position));
}

#[test]
fn a_disk_too_full_for_a_new_segment_leaves_the_old_one_in_use() {
    for (operation, short) in [(Operation::Create, None), (Operation::Write, Some(10))] {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 100);
        write(&mut journal, 1..=5);
        append(&mut journal, 6..=7);
        disk.fail(Fault { short, ..fault(operation, FULL) });
        let error = journal.commit().unwrap_err();
        assert!(matches!(error, WriteError::CreateSegment { .. }) && error.is_full(), "{error}");
        assert_eq!(open(&disk, 100).2, records(1..=5));
        assert_eq!(journal.commit().unwrap().rolled, Some(6));
        assert_eq!(open(&disk, 100).2, records(1..=7));
    }
}

#[test]
fn a_failed_write_that_cannot_be_undone_closes_the_journal() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, [1]);
    append(&mut journal, [2]);
    disk.fail(Fault { short: Some(9), ..fault(Operation::Write, FULL) });
    disk.fail(fault(Operation::Truncate, IO_ERROR));
    assert!(journal.commit().unwrap_err().is_full());
    for _ in 0..2 {
        let error = journal.commit().unwrap_err();
        assert!(matches!(error, WriteError::Poisoned { .. }) && !error.is_full(), "{error}");
    }
    let (mut journal, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records([1]));
    assert_eq!(recovered.truncated.map(|cut| cut.bytes), Some(9));
    write(&mut journal, [2]);
    assert_eq!(open(&disk, 1000).2, records(1..=2));
}

#[test]
fn a_segment_that_failed_half_made_and_cannot_be_removed_closes_the_journal() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 100);
    write(&mut journal, 1..=5);
    append(&mut journal, [6]);
    disk.fail(Fault { short: Some(10), ..fault(Operation::Write, IO_ERROR) });
    disk.fail(fault(Operation::Remove, IO_ERROR));
    assert!(journal.commit().is_err());
    assert!(matches!(journal.commit(), Err(WriteError::Poisoned { .. })));
    let (mut journal, recovered, found) = open(&disk, 100);
    assert_eq!(found, records(1..=5));
    assert_eq!(recovered.truncated.map(|cut| cut.removed.len()), Some(1));
    write(&mut journal, [6]);
    assert_eq!(open(&disk, 100).2, records(1..=6));
}

#[test]
fn a_failed_sync_closes_the_journal_at_once_and_is_not_tried_again() {
    for operation in [Operation::SyncFile, Operation::SyncFolder] {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 1000);
        let handle = journal.sync_handle();
        write(&mut journal, [1]);
        disk.fail(fault(operation, IO_ERROR));
        assert!(matches!(handle.sync(), Err(SyncError::Sync { .. })));
        assert_eq!(handle.synced_up_to(), 0);
        assert!(matches!(handle.sync(), Err(SyncError::Poisoned { .. })));
        append(&mut journal, [2]);
        assert!(matches!(journal.commit(), Err(WriteError::Poisoned { .. })));
        assert!(journal.drop_before(9).is_ok(), "there is nothing to drop");
    }
}

#[test]
fn a_segment_that_cannot_be_removed_is_tried_again() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=5);
    journal.roll().unwrap();
    disk.fail(fault(Operation::Remove, IO_ERROR));
    assert!(journal.drop_before(6).is_err());
    assert_eq!(journal.segments().count(), 2);
    journal.drop_before(6).unwrap();
    assert_eq!(journal.segments().count(), 1);
    assert_eq!(open(&disk, 1000).2, []);
}
