//! Damage to the files of a journal, as the input says.

use std::collections::BTreeMap;

use tomte_journal::{Disk, MemoryDisk};

use super::{Records, Written};
use crate::input::Input;

/// Bytes of a header that its checksum covers, and the place of that checksum.
const HEADER_CHECKED: usize = 28;

/// Most that a file is made longer by one edit, in bytes.
const LONGEST_TAIL: usize = 4_096;

/// The first changed place of each file, 0 for one that is gone or new.
#[derive(Default)]
pub(super) struct Damaged {
    from: BTreeMap<String, usize>,
}

impl Damaged {
    fn note(&mut self, file: &str, place: usize) {
        let from = self.from.entry(file.to_owned()).or_insert(place);
        *from = place.min(*from);
    }

    /// Returns the records before all damage. A file that came in between counts as damage there.
    pub(super) fn intact(&self, written: &[Written]) -> Records {
        let first = self.from.first_key_value();
        let is_intact = |record: &&Written| {
            first.is_none_or(|(file, place)| {
                record.file < *file || (record.file == *file && record.end <= *place)
            })
        };
        let intact = written.iter().take_while(is_intact);
        intact.map(|record| (record.position, record.bytes.clone())).collect()
    }
}

/// Edits files until the input ends.
pub(super) fn damage(disk: &MemoryDisk, input: &mut Input<'_>) -> Damaged {
    let mut damaged = Damaged::default();
    while !input.is_empty() {
        let files = disk.list().expect("a disk in memory");
        let what = input.byte();
        let Some(file) = files.get(usize::from(what >> 4) % files.len().max(1)) else {
            return damaged;
        };
        edit(disk, file, what & 0x0F, input, &mut damaged);
    }
    damaged
}

fn edit(disk: &MemoryDisk, file: &str, how: u8, input: &mut Input<'_>, damaged: &mut Damaged) {
    let mut bytes = disk.content(file).expect("it is listed");
    let at = input.below(bytes.len() + 1);
    match how {
        0 => {
            disk.remove(file).expect("it is listed");
            return damaged.note(file, 0);
        }
        1 => return rename(disk, file, input, damaged),
        2 => bytes.truncate(at),
        3 => {
            damaged.note(file, bytes.len());
            bytes.resize(bytes.len() + input.below(LONGEST_TAIL), 0);
        }
        4 => bytes.extend_from_slice(input.piece()),
        5 => mend_header(&mut bytes),
        6 => mend_frame(&mut bytes, at),
        7 => bytes[at..].reverse(),
        8..=11 => bytes.splice(at.., input.piece().iter().copied()).for_each(drop),
        _ => overwrite(&mut bytes, at, input.piece()),
    }
    let old = disk.content(file).expect("it is listed");
    let same = old.iter().zip(&bytes).take_while(|(old, new)| old == new).count();
    if same < old.len() || same < bytes.len() {
        damaged.note(file, same);
    }
    disk.set_content(file, &bytes);
}

/// Gives a segment the name of another position.
fn rename(disk: &MemoryDisk, file: &str, input: &mut Input<'_>, damaged: &mut Damaged) {
    let digits: [u8; 8] = input.take(8).try_into().unwrap_or([0xFF; 8]);
    let name = format!("{:020}.journal", u64::from_le_bytes(digits));
    let bytes = disk.content(file).expect("it is listed");
    disk.remove(file).expect("it is listed");
    disk.set_content(&name, &bytes);
    damaged.note(file, 0);
    damaged.note(&name, 0);
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let end = (at + piece.len()).max(bytes.len());
    bytes.resize(end, 0);
    bytes[at..at + piece.len()].copy_from_slice(piece);
}

/// Makes the checksum of the header fit.
fn mend_header(bytes: &mut [u8]) {
    if bytes.len() >= HEADER_CHECKED + 4 {
        let checksum = crc32c::crc32c(&bytes[..HEADER_CHECKED]);
        bytes[HEADER_CHECKED..HEADER_CHECKED + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Makes the checksum of the frame at `at` fit, if a whole one can be there.
fn mend_frame(bytes: &mut [u8], at: usize) {
    let Some(length) = bytes.get(at + 4..at + 8) else { return };
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    if let Some(rest) = bytes.get(at + 4..at.saturating_add(17).saturating_add(length)) {
        let checksum = crc32c::crc32c(rest);
        bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}
