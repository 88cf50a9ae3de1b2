//! A journal after its sync failed: with power safety it is cut, without it is written once more.

use proptest::prelude::*;

use super::*;
use crate::{Disk as _, DiskFile as _, SyncError, WriteError};

fn open_power(disk: &MemoryDisk, segment_bytes: u64) -> Opened {
    try_open(disk, &config(segment_bytes, SyncMode::Power)).unwrap()
}

/// Writes 1 to 3, syncs, writes 4 and 5, and lets the sync of these fail.
fn failed(disk: &MemoryDisk, segment_bytes: u64) -> Journal<MemoryDisk> {
    let (mut journal, ..) = open_power(disk, segment_bytes);
    write(&mut journal, 1..=3);
    assert_eq!(journal.sync_handle().sync().unwrap(), 3);
    for position in 4..=5 {
        write(&mut journal, [position]);
    }
    disk.fail(fault(Operation::SyncFile, IO_ERROR));
    assert!(matches!(journal.sync_handle().sync(), Err(SyncError::Sync { .. })));
    journal
}

#[test]
fn what_the_failed_sync_was_for_is_cut_off_and_writing_goes_on_in_a_new_segment() {
    for segment_bytes in [1_000, 200] {
        let disk = MemoryDisk::new();
        let mut journal = failed(&disk, segment_bytes);
        assert!(journal.commit().unwrap_err().is_poisoned());
        assert_eq!(journal.begin_anew().unwrap(), 4);
        write(&mut journal, 6..=7);
        assert_eq!(journal.sync_handle().sync().unwrap(), 7);
        disk.cut_power(|_| 0);
        let (journal, recovered, found) = open_power(&disk, segment_bytes);
        assert_eq!(found, records([1, 2, 3, 6, 7]));
        assert_eq!(recovered.truncated, None);
        assert!(journal.segments().any(|segment| segment.first_position == 4), "a new segment");
    }
}

#[test]
fn a_disk_that_still_fails_leaves_the_journal_closed_until_it_works() {
    for operation in [Operation::Truncate, Operation::SyncFile, Operation::SyncFolder] {
        let disk = MemoryDisk::new();
        let mut journal = failed(&disk, 1_000);
        disk.fail(fault(operation, IO_ERROR));
        assert!(matches!(journal.begin_anew(), Err(WriteError::CutUnsafeEnd { .. })));
        append(&mut journal, [6]);
        assert!(journal.commit().unwrap_err().is_poisoned());
        journal.discard_batch();
        journal.begin_anew().unwrap();
        write(&mut journal, [6]);
        assert_eq!(journal.sync_handle().sync().unwrap(), 6);
    }
}

#[test]
fn a_segment_that_failed_half_made_and_stayed_is_removed() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open_power(&disk, 100);
    write(&mut journal, 1..=3);
    journal.sync_handle().sync().unwrap();
    append(&mut journal, [4]);
    disk.fail(Fault { short: Some(10), ..fault(Operation::Write, IO_ERROR) });
    disk.fail(fault(Operation::Remove, IO_ERROR));
    assert!(journal.commit().is_err());
    journal.discard_batch();
    journal.begin_anew().unwrap();
    write(&mut journal, [5]);
    write(&mut journal, [6]);
    assert_eq!(open_power(&disk, 100).2, records([1, 2, 3, 5, 6]));
}

#[test]
fn an_open_journal_does_not_begin_anew() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open_power(&disk, 1_000);
    write(&mut journal, 1..=2);
    assert_eq!(journal.begin_anew().unwrap(), 3);
    assert_eq!(journal.segments().count(), 1);
}

/// Writes 1 to 3, syncs, writes 4 and 5, and lets the sync of these fail.
fn failed_in_process(disk: &MemoryDisk, segment_bytes: u64, mode: SyncMode) -> Journal<MemoryDisk> {
    let (mut journal, ..) = try_open(disk, &config(segment_bytes, mode)).unwrap();
    append(&mut journal, 1..=3);
    journal.flush().unwrap();
    assert_eq!(journal.sync_handle().sync().unwrap(), 3);
    for position in 4..=5 {
        append(&mut journal, [position]);
        journal.flush().unwrap();
    }
    disk.fail(fault(Operation::SyncFile, IO_ERROR));
    assert!(matches!(journal.sync_handle().sync(), Err(SyncError::Sync { .. })));
    journal
}

#[test]
fn without_power_safety_what_the_sync_was_for_is_written_once_more() {
    for mode in [SyncMode::Process, SyncMode::None] {
        for segment_bytes in [1_000, 200, 100] {
            let disk = MemoryDisk::new();
            let mut journal = failed_in_process(&disk, segment_bytes, mode);
            append(&mut journal, [6]);
            assert!(journal.flush().unwrap_err().is_poisoned());
            assert_eq!(journal.begin_anew().unwrap(), 6);
            assert_eq!(journal.sync_handle().synced_up_to(), 5);
            assert_eq!(journal.flush().unwrap().written_up_to, 6, "the batch was kept");
            disk.cut_power(|_| 0);
            let (_, recovered, found) = open(&disk, segment_bytes);
            assert_eq!(found, records(1..=5), "{mode:?}, segments of {segment_bytes}");
            assert_eq!(recovered.truncated, None);
        }
    }
}

/// A journal that never synced has nothing that is known to be safe, the headers included.
#[test]
fn a_journal_whose_first_sync_fails_is_written_once_more_as_a_whole() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1_000);
    write(&mut journal, 1..=3);
    disk.fail(fault(Operation::SyncFile, IO_ERROR));
    assert!(journal.sync_handle().sync().is_err());
    journal.begin_anew().unwrap();
    disk.cut_power(|_| 0);
    assert_eq!(open(&disk, 1_000).2, records(1..=3));
}

#[test]
fn a_disk_that_still_fails_keeps_the_journal_closed_and_what_was_promised_readable() {
    for operation in [Operation::Truncate, Operation::Write, Operation::SyncFile] {
        let disk = MemoryDisk::new();
        let mut journal = failed_in_process(&disk, 1_000, SyncMode::Process);
        disk.fail(fault(operation, IO_ERROR));
        assert!(
            matches!(journal.begin_anew(), Err(WriteError::WriteAgain { .. })),
            "{operation:?}"
        );
        append(&mut journal, [6]);
        assert!(journal.commit().unwrap_err().is_poisoned());
        assert_eq!(open(&disk, 1_000).2, records(1..=5));
        journal.begin_anew().unwrap();
        journal.commit().unwrap();
        assert_eq!(journal.sync_handle().sync().unwrap(), 6);
        disk.cut_power(|_| 0);
        assert_eq!(open(&disk, 1_000).2, records(1..=6));
    }
}

/// The pages may have been given back meanwhile, and the disk has something else.
#[test]
fn what_reads_back_damaged_is_not_written_again_and_the_journal_stays_closed() {
    let disk = MemoryDisk::new();
    let mut journal = failed_in_process(&disk, 1_000, SyncMode::Process);
    let name = disk.list().unwrap().remove(0);
    let file = disk.open(&name).unwrap();
    let end = file.size().unwrap();
    file.write_at(b"?", end - 1).unwrap();
    let error = journal.begin_anew().unwrap_err();
    assert!(
        std::error::Error::source(&error).unwrap().to_string().contains("damaged"),
        "{error:?}"
    );
    append(&mut journal, [6]);
    assert!(journal.commit().unwrap_err().is_poisoned());
}

#[test]
fn what_a_failed_write_left_is_removed_before_writing_goes_on() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1_000);
    write(&mut journal, [1]);
    append(&mut journal, [2]);
    disk.fail(Fault { short: Some(9), ..fault(Operation::Write, IO_ERROR) });
    disk.fail(fault(Operation::Truncate, IO_ERROR));
    assert!(journal.commit().is_err());
    assert!(journal.commit().unwrap_err().is_poisoned());
    journal.begin_anew().unwrap();
    journal.commit().unwrap();
    let (_, recovered, found) = open(&disk, 1_000);
    assert_eq!((found, recovered.truncated), (records(1..=2), None));
}

proptest! {
    /// Whatever is written between failures of the sync and wherever segments end, a power cut leaves
    /// what was synced, and nothing of what was cut off.
    #[test]
    fn any_number_of_failed_syncs_leaves_what_was_synced(
        steps in proptest::collection::vec((1..5_u64, any::<bool>()), 1..20),
        keep in any::<bool>(),
    ) {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open_power(&disk, 150);
        let (mut next, mut safe, mut unsafe_end) = (1, Vec::new(), Vec::new());
        for (n, fails) in steps {
            for position in next..next + n {
                write(&mut journal, [position]);
                // A roll may have synced what was written before.
                let synced = journal.sync_handle().synced_up_to();
                unsafe_end.push(position);
                safe.extend(unsafe_end.extract_if(.., |position| *position <= synced));
            }
            next += n;
            if fails {
                disk.fail(fault(Operation::SyncFile, IO_ERROR));
                prop_assert!(journal.sync_handle().sync().is_err());
                journal.begin_anew().unwrap();
                unsafe_end.clear();
            } else {
                journal.sync_handle().sync().unwrap();
                safe.append(&mut unsafe_end);
            }
        }
        disk.cut_power(|n| if keep { n } else { 0 });
        let (_, _, found) = open_power(&disk, 150);
        prop_assert_eq!(found, records(safe));
    }

    /// Without power safety a failure takes nothing: all that was written before the last sync that
    /// worked is there after a power cut, in the order in which it was written.
    #[test]
    fn any_number_of_failed_syncs_without_power_safety_loses_nothing(
        steps in proptest::collection::vec((1..5_u64, any::<bool>()), 1..20),
    ) {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 150);
        let mut next = 1;
        for (n, fails) in steps {
            for position in next..next + n {
                write(&mut journal, [position]);
            }
            next += n;
            if fails {
                disk.fail(fault(Operation::SyncFile, IO_ERROR));
                prop_assert!(journal.sync_handle().sync().is_err());
                prop_assert_eq!(journal.begin_anew().unwrap(), next);
            }
        }
        journal.sync_handle().sync().unwrap();
        disk.cut_power(|_| 0);
        prop_assert_eq!(open(&disk, 150).2, records(1..next));
    }
}
