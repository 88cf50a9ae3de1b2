use super::*;
use crate::frame::HEADER_BYTES;

#[test]
fn a_new_journal_is_empty_and_begins_at_one() {
    let (journal, recovered, records) = open(&MemoryDisk::new(), 1000);
    assert_eq!((recovered.next_position, records.len()), (1, 0));
    assert_eq!(recovered.truncated, None);
    assert_eq!(journal.written_up_to(), 0);
    assert_eq!(journal.bytes(), HEADER_BYTES as u64);
}

#[test]
fn records_come_back_in_order_with_their_positions() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=3);
    assert_eq!(journal.commit().unwrap().written_up_to, 3);
    write(&mut journal, 4..=4);
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=4));
    assert_eq!(recovered.next_position, 5);
    assert_eq!(recovered.truncated, None);
}

#[test]
fn an_empty_record_and_one_larger_than_the_read_buffer_come_back() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 100);
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected = vec![(1, vec![]), (2, large), (3, b"after".to_vec())];
    for (position, record) in &expected {
        journal.append(*position, record);
    }
    journal.commit().unwrap();
    assert!(open(&disk, 100).2 == expected);
}

#[test]
fn nothing_is_written_before_the_commit_and_nothing_by_an_empty_one() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=3);
    assert_eq!(open(&disk, 1000).2, []);
    journal.commit().unwrap();
    let bytes = journal.bytes();
    assert_eq!(journal.commit().unwrap().written_up_to, 3);
    assert_eq!(journal.bytes(), bytes);
}

#[test]
fn a_batch_is_one_write() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=30);
    disk.fail(Fault { countdown: 1, ..fault(Operation::Write, IO_ERROR) });
    journal.commit().unwrap();
}

#[test]
fn a_full_segment_makes_way_for_a_new_one_between_batches() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 300);
    let rolls: Vec<_> = (1..=40)
        .filter_map(|position| {
            append(&mut journal, [position]);
            journal.commit().unwrap().rolled
        })
        .collect();
    assert!(rolls.len() > 3, "{rolls:?}");
    let firsts: Vec<_> = journal.segments().map(|segment| segment.first_position).collect();
    assert_eq!(firsts, [&[1], &rolls[..]].concat());
    assert!(journal.segments().all(|segment| segment.bytes <= 300));
    let segments: Vec<_> = journal.segments().collect();
    let (_, recovered, found) = open(&disk, 300);
    assert_eq!(recovered.segments, segments);
    assert_eq!(found, records(1..=40));
}

#[test]
fn a_batch_larger_than_a_segment_stays_in_one_piece() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 300);
    append(&mut journal, 1..=100);
    assert_eq!(journal.commit().unwrap().rolled, None);
    append(&mut journal, 101..=200);
    assert_eq!(journal.commit().unwrap().rolled, Some(101));
    assert_eq!(open(&disk, 300).2, records(1..=200));
}

#[test]
fn a_segment_can_be_ended_early_and_an_empty_one_is_not() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    assert_eq!(journal.roll().unwrap().rolled, None);
    append(&mut journal, 1..=2);
    assert_eq!(journal.roll().unwrap().rolled, Some(3));
    assert_eq!(journal.roll().unwrap().rolled, None);
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!((recovered.next_position, found), (3, records(1..=2)));
}

#[test]
fn segments_wholly_before_a_position_are_dropped_and_others_stay() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    for first in [1, 4, 7] {
        append(&mut journal, first..first + 3);
        journal.roll().unwrap();
    }
    let bytes = journal.bytes();
    journal.drop_before(6).unwrap();
    assert!(journal.bytes() < bytes);
    assert_eq!(open(&disk, 1000).2, records(4..=9));
    journal.drop_before(7).unwrap();
    assert_eq!(open(&disk, 1000).2, records(7..=9));
}

#[test]
fn dropping_everything_keeps_the_position() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=9);
    journal.roll().unwrap();
    journal.drop_before(u64::MAX).unwrap();
    let (mut journal, recovered, found) = open(&disk, 1000);
    assert_eq!((recovered.next_position, found), (10, vec![]));
    write(&mut journal, [10]);
    assert_eq!(open(&disk, 1000).2, records([10]));
}

#[test]
fn positions_given_up_may_be_used_again_or_left_out() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 120);
    write(&mut journal, 1..=3);
    append(&mut journal, 4..=6);
    assert_eq!(journal.discard_batch(), 4);
    write(&mut journal, [4]);
    append(&mut journal, 5..=6);
    journal.discard_batch();
    write(&mut journal, [9]);
    write(&mut journal, 10..=30);
    assert!(journal.segments().count() > 2);
    assert_eq!(open(&disk, 120).2, records([1, 2, 3, 4].into_iter().chain(9..=30)));
}

#[test]
#[should_panic(expected = "position 3, expected 2")]
fn a_position_left_out_without_giving_it_up_is_a_mistake_of_the_caller() {
    let (mut journal, ..) = open(&MemoryDisk::new(), 1000);
    append(&mut journal, [1, 3]);
}

#[test]
fn without_safety_records_are_written_when_many_have_gathered_or_at_the_end() {
    let disk = MemoryDisk::new();
    let lazy = config(1 << 20, SyncMode::None);
    let (mut journal, ..) = try_open(&disk, &lazy).unwrap();
    append(&mut journal, [1]);
    assert_eq!(journal.commit().unwrap().written_up_to, 1);
    assert_eq!(journal.written_up_to(), 0);
    journal.append(2, &[0; 300 << 10]);
    journal.commit().unwrap();
    assert_eq!(journal.written_up_to(), 2);
    append(&mut journal, [3]);
    drop(journal);
    assert_eq!(try_open(&disk, &lazy).unwrap().1.next_position, 4);
}

#[test]
fn a_record_that_is_refused_is_named() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, 1..=3);
    let error = Journal::open_on(disk, &config(1000, SyncMode::Process), |position, _| {
        if position == 2 { Err("unknown type 9".into()) } else { Ok(()) }
    })
    .unwrap_err();
    let OpenJournalError::Record { position: 2, ref source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "unknown type 9");
}
