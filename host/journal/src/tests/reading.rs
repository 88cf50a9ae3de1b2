//! Single records, read while the journal is open.

use super::*;
use crate::{Disk, ReadRecordError};

fn read(journal: &Journal<MemoryDisk>, positions: &[u64]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    journal.reader().read(positions.iter().copied(), |_, record| {
        found.push(record.ok().map(<[u8]>::to_vec));
    });
    found
}

fn expect(positions: &[u64]) -> Vec<Option<Vec<u8>>> {
    positions.iter().map(|position| Some(record(*position))).collect()
}

#[test]
fn any_record_of_any_segment_is_found_in_any_order_also_after_the_journal_was_opened_again() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 150);
    for position in 1..=20 {
        write(&mut journal, [position]);
    }
    assert!(journal.segments().count() > 4);
    for positions in [vec![1, 2, 3], (1..=20).collect(), (1..=20).rev().collect(), vec![7, 7, 20]] {
        assert_eq!(read(&journal, &positions), expect(&positions));
    }
    drop(journal);
    let (mut journal, ..) = open(&disk, 150);
    write(&mut journal, [21]);
    assert_eq!(read(&journal, &[3, 21]), expect(&[3, 21]));
}

#[test]
fn a_record_is_found_without_reading_its_whole_segment() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 100 << 20);
    let long = |position: u64| vec![u8::try_from(position % 251).unwrap(); 20_000];
    for batch in 0..10 {
        for position in batch * 10 + 1..=batch * 10 + 10 {
            journal.append(position, &long(position));
        }
        journal.commit().unwrap();
    }
    let name = disk.list().unwrap().remove(0);
    let mut bytes = disk.content(&name).unwrap();
    // Whoever read from the front would find this.
    bytes[100] ^= 1;
    disk.set_content(&name, &bytes);
    assert_eq!(read(&journal, &[60, 99]), [Some(long(60)), Some(long(99))]);
    assert_eq!(read(&journal, &[1]), [None]);
}

#[test]
fn what_was_dropped_or_given_up_or_never_written_is_not_there() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1_000);
    write(&mut journal, 1..=3);
    journal.roll().unwrap();
    append(&mut journal, [4]);
    journal.discard_batch();
    write(&mut journal, [5]);
    assert_eq!(read(&journal, &[3, 4, 5, 6]), [Some(record(3)), None, Some(record(5)), None]);
    journal.drop_before(4).unwrap();
    assert_eq!(read(&journal, &[3, 5]), [None, Some(record(5))]);
}

#[test]
fn damage_is_told_with_its_place_and_what_lies_elsewhere_is_read() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1_000);
    write(&mut journal, 1..=2);
    journal.roll().unwrap();
    write(&mut journal, 3..=4);
    let name = disk.list().unwrap().remove(0);
    let mut bytes = disk.content(&name).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.set_content(&name, &bytes);
    let mut said = Vec::new();
    journal.reader().read([1, 2, 3], |position, record| said.push((position, record.map(drop))));
    assert!(matches!(said[0], (1, Ok(()))));
    let (2, Err(ReadRecordError::Damaged { offset, .. })) = &said[1] else { panic!("{said:?}") };
    assert_eq!(*offset, 71, "the second record begins there");
    assert!(matches!(said[2], (3, Ok(()))));
}
