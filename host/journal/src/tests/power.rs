use super::*;
use proptest::prelude::*;

fn segment_of(first_position: u64) -> String {
    crate::recover::segment_name(first_position)
}

#[test]
fn what_was_synced_survives_a_power_cut_and_the_rest_need_not() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=3);
    assert_eq!(journal.sync_handle().sync().unwrap(), 3);
    write(&mut journal, 4..=5);
    disk.cut_power(|_| 0);
    assert_eq!(open(&disk, 1000).2, records(1..=3));
}

#[test]
fn a_sync_covers_the_segment_before_and_the_folder_after_a_roll() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 120);
    for position in 1..=9 {
        write(&mut journal, [position]);
    }
    assert!(journal.segments().count() > 3);
    assert_eq!(journal.sync_handle().sync().unwrap(), 9);
    disk.cut_power(|_| 0);
    assert_eq!(open(&disk, 120).2, records(1..=9));
}

#[test]
fn a_sync_with_nothing_new_asks_the_disk_for_nothing() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, [1]);
    let handle = journal.sync_handle();
    handle.sync().unwrap();
    disk.fail(fault(Operation::SyncFile, IO_ERROR));
    assert_eq!(handle.sync().unwrap(), 1);
}

#[test]
fn the_last_segment_but_one_may_be_torn_while_it_was_not_known_to_be_on_disk() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=3);
    journal.roll().unwrap();
    write(&mut journal, 4..=6);
    let torn = disk.content(&segment_of(1)).unwrap();
    disk.set_content(&segment_of(1), &torn[..torn.len() - 1]);
    let (mut journal, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=2));
    let cut = recovered.truncated.unwrap();
    assert_eq!(cut.removed, [Path::new("/journal").join(segment_of(4))]);
    assert!(cut.bytes > 100, "both segments count: {cut:?}");
    write(&mut journal, 3..=4);
    assert_eq!(open(&disk, 1000).2, records(1..=4));
}

#[test]
fn the_last_segment_but_one_may_lack_whole_records_while_it_was_not_known_to_be_on_disk() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=2);
    let shorter = disk.content(&segment_of(1)).unwrap();
    write(&mut journal, 3..=3);
    journal.roll().unwrap();
    write(&mut journal, 4..=6);
    disk.set_content(&segment_of(1), &shorter);
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=2));
    let cut = recovered.truncated.unwrap();
    assert_eq!((cut.offset, cut.removed.len()), (shorter.len() as u64, 1));
}

#[test]
fn opening_with_power_safety_syncs_what_it_found() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=3);
    drop(journal);
    try_open(&disk, &config(1000, SyncMode::Power)).unwrap();
    disk.cut_power(|_| 0);
    assert_eq!(open(&disk, 1000).2, records(1..=3));
}

#[test]
fn dropping_old_segments_first_makes_safe_what_replaced_them() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=3);
    journal.roll().unwrap();
    write(&mut journal, 4..=6);
    journal.drop_before(4).unwrap();
    // The removal reached the disk, later writes did not.
    write(&mut journal, 7..=9);
    let mut first = true;
    disk.cut_power(|n| if std::mem::take(&mut first) { n } else { 0 });
    assert_eq!(open(&disk, 1000).2, records(4..=6));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64),
    Sync,
    Roll,
    Drop(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..6_u64).prop_map(Step::Write),
        2 => Just(Step::Sync),
        1 => Just(Step::Roll),
        1 => (0..10_u64).prop_map(Step::Drop),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    /// Whatever a power cut keeps of what was not synced, the journal opens, without a gap, with at
    /// least what was synced.
    #[test]
    fn any_power_cut_leaves_a_journal_that_opens_with_all_that_was_synced(
        steps in steps(),
        kept in proptest::collection::vec(0..400_usize, 1..20),
    ) {
        let disk = MemoryDisk::new();
        let (mut journal, ..) = open(&disk, 150);
        let handle = journal.sync_handle();
        let (mut last, mut synced, mut dropped) = (0, 0, 1);
        for step in steps {
            match step {
                Step::Write(n) => {
                    write(&mut journal, last + 1..=last + n);
                    last += n;
                }
                Step::Sync => synced = handle.sync().unwrap(),
                Step::Roll => drop(journal.roll().unwrap()),
                Step::Drop(back) => {
                    dropped = dropped.max(last.saturating_sub(back));
                    journal.drop_before(dropped).unwrap();
                }
            }
        }
        synced = synced.max(handle.synced_up_to());
        let mut kept = kept.into_iter().cycle();
        disk.cut_power(|n| kept.next().unwrap() % (n + 1));
        let opened = try_open(&disk, &config(150, SyncMode::Process));
        prop_assert!(opened.is_ok(), "{}", opened.unwrap_err());
        let (_, recovered, found) = opened.unwrap();
        let end = recovered.next_position - 1;
        prop_assert!(end >= synced && end <= last, "{end} of {synced} to {last}");
        let start = found.first().map_or(end + 1, |(position, _)| *position);
        prop_assert!(start <= dropped.max(1), "{start} after {dropped}");
        prop_assert_eq!(found, records(start..=end));
    }
}
