mod anew;
mod damage;
mod faults;
mod kill;
mod lock;
mod model;
mod power;
mod reading;
mod segments;
mod throughput;

use std::path::Path;

use crate::{
    Fault, Journal, JournalConfig, MemoryDisk, OpenJournalError, Operation, Recovered, SyncMode,
};

const FULL: i32 = 28;
const IO_ERROR: i32 = 5;

fn config(segment_bytes: u64, mode: SyncMode) -> JournalConfig {
    JournalConfig { segment_bytes, mode, ..JournalConfig::new(Path::new("/journal")) }
}

type Records = Vec<(u64, Vec<u8>)>;
type Opened = (Journal<MemoryDisk>, Recovered, Records);

fn try_open(disk: &MemoryDisk, config: &JournalConfig) -> Result<Opened, OpenJournalError> {
    let mut records = Vec::new();
    let (journal, recovered) = Journal::open_on(disk.clone(), config, |position, record| {
        records.push((position, record.to_vec()));
        Ok(())
    })?;
    Ok((journal, recovered, records))
}

fn open(disk: &MemoryDisk, segment_bytes: u64) -> Opened {
    try_open(disk, &config(segment_bytes, SyncMode::Process)).unwrap()
}

/// A record that can be told from every other.
fn record(position: u64) -> Vec<u8> {
    let length = usize::try_from(position % 7).unwrap() * 5;
    let mut record = format!("record {position} ").into_bytes();
    record.resize(record.len() + length, b'.');
    record
}

fn records(positions: impl IntoIterator<Item = u64>) -> Records {
    positions.into_iter().map(|position| (position, record(position))).collect()
}

fn append(journal: &mut Journal<MemoryDisk>, positions: impl IntoIterator<Item = u64>) {
    for position in positions {
        journal.append(position, &record(position));
    }
}

fn write(journal: &mut Journal<MemoryDisk>, positions: impl IntoIterator<Item = u64>) {
    append(journal, positions);
    journal.commit().unwrap();
}

fn fault(operation: Operation, errno: i32) -> Fault {
    Fault { operation, countdown: 0, errno, short: None }
}
