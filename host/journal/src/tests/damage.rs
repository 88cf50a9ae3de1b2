use super::*;
use crate::Damage;
use crate::frame::HEADER_BYTES;

const FIRST: &str = "00000000000000000001.journal";

/// A journal of three segments: records 1 to 3, 4 to 6, 7 to 9; all but the last are synced.
fn three_segments() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    append(&mut journal, 1..=3);
    journal.roll().unwrap();
    append(&mut journal, 4..=6);
    journal.roll().unwrap();
    journal.sync_handle().sync().unwrap();
    write(&mut journal, 7..=9);
    disk
}

fn name(first_position: u64) -> String {
    crate::recover::segment_name(first_position)
}

fn edit(disk: &MemoryDisk, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut content = disk.content(name).unwrap();
    edit(&mut content);
    disk.set_content(name, &content);
}

fn open_error(disk: &MemoryDisk) -> OpenJournalError {
    try_open(disk, &config(1000, SyncMode::Process)).unwrap_err()
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_all_before_it_comes_back() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    let mut ends = vec![journal.bytes()];
    for position in 1..=6 {
        write(&mut journal, [position]);
        ends.push(journal.bytes());
    }
    let content = disk.content(FIRST).unwrap();
    for length in 0..content.len() {
        let torn = MemoryDisk::new();
        torn.set_content(FIRST, &content[..length]);
        let whole = ends.iter().filter(|end| **end <= length as u64).count().saturating_sub(1);
        let (mut journal, recovered, found) = open(&torn, 1000);
        assert_eq!(found, records(1..=whole as u64), "torn after {length} bytes");
        let cut = recovered.truncated.map_or(0, |cut| cut.bytes);
        let kept = if length < HEADER_BYTES { 0 } else { ends[whole] };
        assert_eq!(cut, length as u64 - kept, "torn after {length} bytes");
        write(&mut journal, [whole as u64 + 1]);
        assert_eq!(open(&torn, 1000).2, records(1..=whole as u64 + 1));
    }
}

#[test]
fn any_flipped_bit_in_a_record_ends_recovery_before_that_record() {
    let disk = MemoryDisk::new();
    let (mut journal, ..) = open(&disk, 1000);
    write(&mut journal, [1]);
    let intact = usize::try_from(journal.bytes()).unwrap();
    write(&mut journal, [2]);
    let content = disk.content(FIRST).unwrap();
    for bit in intact * 8..content.len() * 8 {
        let flipped = MemoryDisk::new();
        let mut bytes = content.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        flipped.set_content(FIRST, &bytes);
        let (_, recovered, found) = open(&flipped, 1000);
        assert_eq!(found, records([1]), "bit {bit}");
        assert_eq!(recovered.truncated.map(|cut| cut.offset), Some(intact as u64), "bit {bit}");
    }
}

#[test]
fn any_flipped_bit_in_a_header_is_an_error() {
    for bit in 0..32 * 8 {
        let disk = three_segments();
        edit(&disk, &name(7), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        open_error(&disk);
    }
}

#[test]
fn zeros_after_the_last_record_are_cut_off() {
    let disk = three_segments();
    edit(&disk, &name(7), |bytes| bytes.resize(bytes.len() + 500, 0));
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=9));
    assert_eq!(recovered.truncated.map(|cut| cut.bytes), Some(500));
}

#[test]
fn a_claimed_length_beyond_the_limit_is_not_believed() {
    let disk = three_segments();
    edit(&disk, &name(7), |bytes| bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].fill(0xff));
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=6));
    let damage = recovered.truncated.map(|cut| cut.damage);
    assert_eq!(damage, Some(Damage::RecordTooLong { length: u32::MAX }));
}

#[test]
fn an_intact_record_at_a_foreign_place_ends_recovery() {
    let disk = three_segments();
    let stray = disk.content(&name(4)).unwrap()[HEADER_BYTES..].to_vec();
    edit(&disk, &name(7), |bytes| bytes.extend(stray));
    let (_, recovered, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=9));
    let damage = recovered.truncated.map(|cut| cut.damage);
    assert_eq!(damage, Some(Damage::Position { expected: 10, found: 4 }));
}

#[test]
fn damage_in_an_older_segment_is_an_error_that_says_where_and_what_to_do() {
    for (segment, offset) in [(1, HEADER_BYTES + 20), (4, HEADER_BYTES + 20)] {
        let disk = three_segments();
        let before = disk.content(&name(7));
        edit(&disk, &name(segment), |bytes| bytes[offset] ^= 1);
        let error = open_error(&disk);
        let OpenJournalError::Damaged { ref file, offset, .. } = error else { panic!("{error}") };
        assert_eq!(file, &Path::new("/journal").join(name(segment)));
        assert_eq!(offset, HEADER_BYTES as u64);
        assert!(error.to_string().contains("move this segment and all newer ones"), "{error}");
        assert_eq!(disk.content(&name(7)), before, "nothing is cut");
    }
}

#[test]
fn the_way_out_of_damage_that_the_error_names_works() {
    let disk = three_segments();
    edit(&disk, &name(4), |bytes| bytes[HEADER_BYTES] ^= 1);
    open_error(&disk);
    for moved in [4, 7] {
        crate::Disk::remove(&disk, &name(moved)).unwrap();
    }
    let (mut journal, _, found) = open(&disk, 1000);
    assert_eq!(found, records(1..=3));
    write(&mut journal, [4]);
    assert_eq!(open(&disk, 1000).2, records(1..=4));
}

#[test]
fn a_missing_segment_between_others_is_an_error() {
    let disk = three_segments();
    crate::Disk::remove(&disk, &name(4)).unwrap();
    let error = open_error(&disk);
    assert!(matches!(error, OpenJournalError::Gap { follows: 6, found: 3, .. }), "{error}");
}

#[test]
fn a_segment_under_a_wrong_name_is_an_error() {
    let disk = three_segments();
    disk.set_content(&name(12), &disk.content(&name(7)).unwrap());
    crate::Disk::remove(&disk, &name(7)).unwrap();
    let error = open_error(&disk);
    assert!(matches!(error, OpenJournalError::Damaged { .. }), "{error}");
}

#[test]
fn a_file_of_another_kind_or_version_is_an_error() {
    let disk = three_segments();
    edit(&disk, &name(7), |bytes| bytes[..8].copy_from_slice(b"SQLite f"));
    assert!(matches!(open_error(&disk), OpenJournalError::Foreign { .. }));
    let disk = three_segments();
    edit(&disk, &name(7), |bytes| bytes[8] = 2);
    assert!(matches!(open_error(&disk), OpenJournalError::Version { found: 2, .. }));
}

#[test]
fn files_with_other_names_are_left_alone() {
    let disk = three_segments();
    for other in ["lost+found", "1.journal", "00000000000000000000.journal", "notes"] {
        disk.set_content(other, b"not ours");
    }
    assert_eq!(open(&disk, 1000).2, records(1..=9));
    assert_eq!(disk.content("notes").unwrap(), b"not ours");
}

#[test]
fn a_segment_that_was_just_being_made_is_removed() {
    for length in [0, 1, HEADER_BYTES - 1] {
        let disk = three_segments();
        disk.set_content(&name(10), &vec![0; length]);
        let (mut journal, recovered, found) = open(&disk, 1000);
        assert_eq!(found, records(1..=9));
        let removed = recovered.truncated.unwrap().removed;
        assert_eq!(removed, [Path::new("/journal").join(name(10))]);
        write(&mut journal, [10]);
        assert_eq!(open(&disk, 1000).2, records(1..=10));
    }
}

#[test]
fn the_only_segment_without_a_header_keeps_the_position_of_its_name() {
    let disk = MemoryDisk::new();
    disk.set_content(&name(42), &[]);
    let (_, recovered, _) = open(&disk, 1000);
    assert_eq!(recovered.next_position, 42);
}
