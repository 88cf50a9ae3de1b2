//! Zips that no ordinary program makes.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// An entry of which every field can be a lie.
#[derive(Clone)]
pub(super) struct Crafted {
    pub(super) name: Vec<u8>,
    /// The name in the local header, when it differs.
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) system: u8,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) data: Vec<u8>,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u32,
    pub(super) unpacked_bytes: u32,
}

impl Crafted {
    pub(super) fn new(name: &str, mode: u32, method: u16, content: &[u8]) -> Self {
        let data = match method {
            8 => deflated(content),
            _ => content.to_vec(),
        };
        let mut crc = Crc::new();
        crc.update(content);
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            mode,
            system: 3,
            flags: 0,
            method,
            crc: crc.sum(),
            compressed_bytes: data.len().try_into().unwrap(),
            unpacked_bytes: content.len().try_into().unwrap(),
            data,
        }
    }

    pub(super) fn file(name: &str, content: &str) -> Self {
        Self::new(name, 0o100_644, 8, content.as_bytes())
    }

    pub(super) fn link(name: &str, target: &str) -> Self {
        Self::new(name, 0o120_777, 0, target.as_bytes())
    }

    /// A file of `megabytes` of zeros, whose compressed form is made of one block again and again.
    pub(super) fn zeros(name: &str, megabytes: usize) -> Self {
        let mut data = zero_block().repeat(megabytes);
        data.extend(deflated(b""));
        Self {
            compressed_bytes: data.len().try_into().unwrap(),
            unpacked_bytes: u32::try_from((megabytes as u64) << 20).unwrap_or(1000),
            data,
            ..Self::file(name, "")
        }
    }

    fn common(&self, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(20_u16.to_le_bytes());
        out.extend(self.flags.to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.crc.to_le_bytes());
        out.extend(self.compressed_bytes.to_le_bytes());
        out.extend(self.unpacked_bytes.to_le_bytes());
        out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        out.extend([0; 2]);
        out
    }
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A mebibyte of zeros, compressed so that more of the same can follow.
fn zero_block() -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 20);
    compress.compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    assert_eq!(compress.total_in(), 1 << 20);
    block
}

/// Puts entries together to an archive.
pub(super) fn zip(entries: &[Crafted]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = u32::try_from(out.len()).unwrap();
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        out.extend(0x0403_4b50_u32.to_le_bytes());
        out.extend(entry.common(local_name));
        out.extend(local_name);
        out.extend(&entry.data);
        directory.extend(0x0201_4b50_u32.to_le_bytes());
        directory.extend([20, entry.system]);
        directory.extend(entry.common(&entry.name));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
    }
    let offset = u32::try_from(out.len()).unwrap();
    let bytes = u32::try_from(directory.len()).unwrap();
    out.extend(directory);
    out.extend(end(entries.len(), bytes, offset));
    out
}

pub(super) fn end(entries: usize, bytes: u32, offset: u32) -> Vec<u8> {
    let entries = u16::try_from(entries).unwrap().to_le_bytes();
    let mut out = 0x0605_4b50_u32.to_le_bytes().to_vec();
    out.extend([0; 4]);
    out.extend(entries);
    out.extend(entries);
    out.extend(bytes.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0; 2]);
    out
}
