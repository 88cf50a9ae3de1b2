//! The bytes of a segment: a header, then one frame for each record. Numbers are little-endian.
//!
//! ```text
//! header   magic "TOMTEJNL", version u32, first position u64, position that it follows u64,
//!          CRC32C of these 28 bytes, mark u8, 7 bytes reserved
//! frame    CRC32C of the rest of the frame, length of the record u32, position u64, flags u8, record
//! ```
//!
//! The mark is set, in place, once the segment before is safe on disk. Without it damage at the end
//! of that segment is what a power cut leaves; with it the damage has another cause.

use std::fmt;

/// The largest record in bytes: a message as large as MQTT allows, which takes up to 8/5 of its packet,
/// with all that the largest limits of a hub allow it to go to.
pub const MAX_RECORD_BYTES: usize = 1 << 30;

/// Bytes of a segment before its first frame.
pub(crate) const HEADER_BYTES: usize = 40;
/// Bytes of a frame before its record.
pub(crate) const FRAME_BYTES: usize = 17;
/// The form that this program writes, and the only one that it reads.
pub(crate) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"TOMTEJNL";

/// The positions between the record before and this one were given up and never written.
pub(crate) const FLAG_AFTER_GAP: u8 = 1;
const KNOWN_FLAGS: u8 = FLAG_AFTER_GAP;

const CHECKED_BYTES: usize = 28;
/// The place of the mark in a segment.
pub(crate) const MARK_OFFSET: u64 = 32;
/// The mark when the segment before is safe on disk; any other byte means that it may not be.
pub(crate) const PREVIOUS_SYNCED: u8 = 1;

/// What is wrong with the bytes at some place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file ends, or holds only zeros, inside its header.
    TornHeader,
    /// The header's checksum does not fit.
    HeaderChecksum,
    /// The file ends inside a record.
    TornRecord,
    /// The record claims more bytes than [`MAX_RECORD_BYTES`].
    RecordTooLong {
        /// The claimed length in bytes.
        length: u32,
    },
    /// The record's checksum does not fit.
    Checksum,
    /// The record has flags that this version does not know.
    UnknownFlags {
        /// The flags.
        flags: u8,
    },
    /// The segment ends before the last record that it had.
    RecordsMissing {
        /// The position of that record.
        up_to: u64,
    },
    /// The record or segment is intact, and does not belong at this place.
    Position {
        /// The position that belongs here.
        expected: u64,
        /// The position that is written here.
        found: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornHeader => write!(f, "the segment header is incomplete"),
            Self::HeaderChecksum => write!(f, "the checksum of the segment header does not fit"),
            Self::TornRecord => write!(f, "the file ends inside a record"),
            Self::RecordTooLong { length } => {
                write!(f, "a record claims {length} bytes, at most {MAX_RECORD_BYTES} are allowed")
            }
            Self::Checksum => write!(f, "the checksum of a record does not fit"),
            Self::UnknownFlags { flags } => write!(f, "a record has the unknown flags {flags:#x}"),
            Self::RecordsMissing { up_to } => {
                write!(f, "the records up to position {up_to} are missing at the end")
            }
            Self::Position { expected, found } => {
                write!(f, "position {found} stands where {expected} is expected")
            }
        }
    }
}

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Intact { first_position: u64, follows: u64, previous_synced: bool },
    Damaged(Damage),
    Foreign,
    OtherVersion(u32),
}

pub(crate) fn encode_header(first_position: u64, follows: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&first_position.to_le_bytes());
    header[20..28].copy_from_slice(&follows.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..CHECKED_BYTES]);
    header[28..32].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Reads a header from the start of a file, which may be shorter than one.
pub(crate) fn decode_header(bytes: &[u8]) -> Header {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return Header::Damaged(Damage::TornHeader);
    };
    if header.iter().all(|byte| *byte == 0) {
        return Header::Damaged(Damage::TornHeader);
    }
    if header[..8] != MAGIC {
        return Header::Foreign;
    }
    let version = u32_at(header, 8);
    if version != VERSION {
        return Header::OtherVersion(version);
    }
    if crc32c::crc32c(&header[..CHECKED_BYTES]) != u32_at(header, CHECKED_BYTES) {
        return Header::Damaged(Damage::HeaderChecksum);
    }
    Header::Intact {
        first_position: u64_at(header, 12),
        follows: u64_at(header, 20),
        previous_synced: header[32] == PREVIOUS_SYNCED,
    }
}

/// Appends the frame of `record` to `out`.
pub(crate) fn encode_frame(out: &mut Vec<u8>, position: u64, flags: u8, record: &[u8]) {
    let length = u32::try_from(record.len()).expect("append checks the length of records");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    out.push(flags);
    out.extend_from_slice(record);
    let checksum = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHead {
    checksum: u32,
    pub(crate) length: u32,
    pub(crate) position: u64,
    pub(crate) flags: u8,
}

impl FrameHead {
    /// Reads the fixed part; `bytes` has at least [`FRAME_BYTES`].
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            checksum: u32_at(bytes, 0),
            length: u32_at(bytes, 4),
            position: u64_at(bytes, 8),
            flags: bytes[16],
        }
    }

    /// Returns the bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_BYTES + usize::try_from(self.length).expect("usize has at least 32 bits")
    }

    /// Checks the whole frame, whose place follows the record at `previous`.
    pub(crate) fn check(&self, frame: &[u8], previous: u64) -> Result<(), Damage> {
        if crc32c::crc32c(&frame[4..]) != self.checksum {
            return Err(Damage::Checksum);
        }
        if self.flags & !KNOWN_FLAGS != 0 {
            return Err(Damage::UnknownFlags { flags: self.flags });
        }
        let expected = previous + 1;
        let after_gap = self.flags & FLAG_AFTER_GAP != 0 && self.position > expected;
        if (self.position != expected && !after_gap) || self.position == u64::MAX {
            return Err(Damage::Position { expected, found: self.position });
        }
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
