//! A journal, damage to its files, and what opening it gives back.
//!
//! The input writes records and segments, then edits files. Checksums can be made to fit what was
//! edited, so that more than the checksum is put to the test.

mod damage;

use std::path::Path;

use tomte_journal::{Journal, JournalConfig, MemoryDisk, OpenJournalError, SyncMode};

use crate::input::Input;
use crate::memory;

/// Memory that opening may take beside what the records themselves take: a chunk, and lists.
const MEMORY_ALWAYS: usize = 1 << 20;

/// Most steps of writing, so that files stay small enough to be edited everywhere.
const MOST_STEPS: u8 = 48;

/// A record that was written, and where it ends.
struct Written {
    position: u64,
    bytes: Vec<u8>,
    file: String,
    end: usize,
}

type Records = Vec<(u64, Vec<u8>)>;

/// Writes a journal, damages it, opens it, and goes on with it.
pub fn journal(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = MemoryDisk::new();
    let config = config(&mut input);
    let written = write(&disk, &config, &mut input);
    let intact = damage::damage(&disk, &mut input).intact(&written);
    let ((opened, found), peak) = memory::peak_of(|| open(&disk, &config));
    let bound =
        MEMORY_ALWAYS + 8 * found.iter().map(|(_, record)| record.len() + 64).sum::<usize>();
    assert!(peak <= bound, "opening took {peak} bytes of memory");
    let n_checked = match &opened {
        Ok(_) => intact.len(),
        Err(_) => intact.len().min(found.len()),
    };
    assert!(found.len() >= n_checked, "{} records came back of {n_checked}", found.len());
    assert!(found[..n_checked] == intact[..n_checked], "records came back changed");
    assert!(found.is_sorted_by_key(|(position, _)| *position), "positions out of order");
    if let Ok((journal, next)) = opened {
        go_on(&disk, &config, journal, next, found);
    }
}

fn config(input: &mut Input<'_>) -> JournalConfig {
    let segment_bytes = 60 + 4 * u64::from(input.byte());
    let mode = if input.byte() & 1 == 0 { SyncMode::Process } else { SyncMode::Power };
    JournalConfig { segment_bytes, mode, ..JournalConfig::new(Path::new("/journal")) }
}

fn write(disk: &MemoryDisk, config: &JournalConfig, input: &mut Input<'_>) -> Vec<Written> {
    let (mut journal, _) = Journal::open_on(disk.clone(), config, |_, _| Ok(())).expect("is empty");
    let mut written = Vec::new();
    for _ in 0..input.byte() % MOST_STEPS {
        match input.byte() {
            step @ 0..=191 => {
                let position = journal.written_up_to() + 1;
                let mut bytes = format!("{position} ").into_bytes();
                bytes.resize(bytes.len() + usize::from(step % 64), step);
                journal.append(position, &bytes);
                journal.commit().expect("the disk works");
                let segment = journal.segments().last().expect("there is one");
                let file = format!("{:020}.journal", segment.first_position);
                let end = usize::try_from(segment.bytes).expect("it is small");
                written.push(Written { position, bytes, file, end });
            }
            192..=223 => drop(journal.roll().expect("the disk works")),
            _ => drop(journal.sync_handle().sync().expect("the disk works")),
        }
    }
    written
}

type Opened = Result<(Journal<MemoryDisk>, u64), OpenJournalError>;

fn open(disk: &MemoryDisk, config: &JournalConfig) -> (Opened, Records) {
    let mut records = Vec::new();
    let opened = Journal::open_on(disk.clone(), config, |position, record| {
        records.push((position, record.to_vec()));
        Ok(())
    });
    (opened.map(|(journal, recovered)| (journal, recovered.next_position)), records)
}

/// A journal that was opened takes records, and gives them back with those that it found.
fn go_on(
    disk: &MemoryDisk,
    config: &JournalConfig,
    mut journal: Journal<MemoryDisk>,
    next: u64,
    found: Records,
) {
    // The last positions are not for records.
    if next >= u64::MAX - 1 {
        return;
    }
    journal.append(next, b"later");
    journal.commit().expect("the disk works");
    drop(journal);
    let (opened, again) = open(disk, config);
    assert!(opened.is_ok(), "it opened once: {opened:?}");
    let expect: Records = found.into_iter().chain([(next, b"later".to_vec())]).collect();
    assert!(again == expect, "records were lost by opening");
}
