//! The records of a zip archive, as PKWARE's APPNOTE.TXT 6.3 lays them out. Little-endian.

pub(crate) const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
pub(crate) const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
pub(crate) const END_SIGNATURE: u32 = 0x0605_4b50;
pub(crate) const END64_SIGNATURE: u32 = 0x0606_4b50;
pub(crate) const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;

pub(crate) const LOCAL_BYTES: usize = 30;
pub(crate) const CENTRAL_BYTES: usize = 46;
pub(crate) const END_BYTES: usize = 22;
pub(crate) const END64_BYTES: usize = 56;
pub(crate) const LOCATOR64_BYTES: usize = 20;

pub(crate) const STORED: u16 = 0;
pub(crate) const DEFLATED: u16 = 8;

/// Bit 0: encrypted; bit 6: strong encryption; bit 13: the directory is encrypted too.
pub(crate) const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// Bit 11: names are UTF-8.
pub(crate) const FLAG_UTF8: u16 = 1 << 11;

/// Systems whose attributes are Unix modes: Unix itself, and OS X.
pub(crate) const UNIX_SYSTEMS: [u8; 2] = [3, 19];

pub(crate) const MODE_KIND: u32 = 0o170_000;
pub(crate) const MODE_FILE: u32 = 0o100_000;
pub(crate) const MODE_FOLDER: u32 = 0o040_000;
pub(crate) const MODE_LINK: u32 = 0o120_000;
pub(crate) const MODE_EXECUTE: u32 = 0o111;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
