use std::io::{self, BufReader, Read, Seek, SeekFrom};

use crate::CodeLimits;
use crate::zip_format::{
    CENTRAL_BYTES, CENTRAL_SIGNATURE, END_BYTES, END_SIGNATURE, END64_BYTES, END64_SIGNATURE,
    LOCAL_BYTES, LOCAL_SIGNATURE, LOCATOR64_BYTES, LOCATOR64_SIGNATURE, UNIX_SYSTEMS, u16_at,
    u32_at, u64_at,
};
use crate::zip_plan::ZipRefused;

/// An entry as the directory at the end of the archive describes it. Nothing of it is trusted yet.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed_bytes: u64,
    pub(crate) unpacked_bytes: u64,
    /// The Unix mode, when the archive was made on a system that has one.
    pub(crate) mode: Option<u32>,
    local_offset: u64,
}

impl Entry {
    /// Returns the name for an error message.
    pub(crate) fn shown_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    fn damaged(&self, what: &'static str) -> ZipRefused {
        ZipRefused::Damaged { entry: self.shown_name(), what }
    }
}

/// The directory of an archive.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<Entry>,
    /// Where the directory begins, and the data of entries must end.
    offset: u64,
}

/// Where the last record of an archive says that the directory is.
struct End {
    entries: u64,
    bytes: u64,
    offset: u64,
}

/// Reads the directory of `zip`, not more than `limits` allow.
pub(crate) fn read<R: Read + Seek>(
    zip: &mut R,
    limits: &CodeLimits,
) -> Result<Directory, ZipRefused> {
    let end = read_end(zip)?;
    if end.entries > limits.entries {
        return Err(ZipRefused::TooManyEntries { limit: limits.entries });
    }
    zip.seek(SeekFrom::Start(end.offset)).map_err(read_failed)?;
    let mut rest = BufReader::new(zip.take(end.bytes));
    let mut entries = Vec::new();
    for _ in 0..end.entries {
        entries.push(read_entry(&mut rest, limits)?);
    }
    if rest.read(&mut [0]).map_err(read_failed)? != 0 {
        return Err(ZipRefused::NotAZip { what: "its directory has more entries than it says" });
    }
    Ok(Directory { entries, offset: end.offset })
}

fn read_end<R: Read + Seek>(zip: &mut R) -> Result<End, ZipRefused> {
    let (at, record) = find_end(zip)?;
    if u16_at(&record, 4) != 0 || u16_at(&record, 6) != 0 {
        return Err(ZipRefused::NotAZip { what: "it is one part of several" });
    }
    let end = End {
        entries: u16_at(&record, 10).into(),
        bytes: u32_at(&record, 12).into(),
        offset: u32_at(&record, 16).into(),
    };
    let is_64 = end.entries == 0xffff || end.bytes == 0xffff_ffff || end.offset == 0xffff_ffff;
    let (at, end) = if is_64 { read_end64(zip, at)?.unwrap_or((at, end)) } else { (at, end) };
    // An archive with something before or after its parts would read differently elsewhere.
    if end.offset.checked_add(end.bytes) != Some(at) {
        return Err(ZipRefused::NotAZip { what: "its directory is not where it should be" });
    }
    Ok(end)
}

/// Finds the last record of the archive, behind which is only its comment.
fn find_end<R: Read + Seek>(zip: &mut R) -> Result<(u64, [u8; END_BYTES]), ZipRefused> {
    let size = zip.seek(SeekFrom::End(0)).map_err(read_failed)?;
    let start = size.saturating_sub(0xffff + END_BYTES as u64);
    zip.seek(SeekFrom::Start(start)).map_err(read_failed)?;
    let mut tail = Vec::new();
    zip.take(size - start).read_to_end(&mut tail).map_err(read_failed)?;
    let found = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|at| {
        let Some(record) = tail.get(*at..at + END_BYTES) else { return false };
        u32_at(record, 0) == END_SIGNATURE
            && at + END_BYTES + usize::from(u16_at(record, 20)) == tail.len()
    });
    let Some(at) = found else {
        return Err(ZipRefused::NotAZip { what: "it has no directory; is it cut off?" });
    };
    let record = tail[at..at + END_BYTES].try_into().expect("the length is that of the record");
    Ok((start + at as u64, record))
}

/// Reads the larger form of the last record, when the archive has it.
fn read_end64<R: Read + Seek>(zip: &mut R, at: u64) -> Result<Option<(u64, End)>, ZipRefused> {
    let Some(locator_at) = at.checked_sub(LOCATOR64_BYTES as u64) else { return Ok(None) };
    let locator: [u8; LOCATOR64_BYTES] = read_array(zip, locator_at)?;
    if u32_at(&locator, 0) != LOCATOR64_SIGNATURE {
        return Ok(None);
    }
    let record_at = u64_at(&locator, 8);
    let record: [u8; END64_BYTES] = read_array(zip, record_at)?;
    if u32_at(&record, 0) != END64_SIGNATURE {
        return Err(ZipRefused::NotAZip { what: "its directory is not where it should be" });
    }
    let end = End {
        entries: u64_at(&record, 32),
        bytes: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    };
    Ok(Some((record_at, end)))
}

fn read_entry(rest: &mut impl Read, limits: &CodeLimits) -> Result<Entry, ZipRefused> {
    let mut record = [0; CENTRAL_BYTES];
    rest.read_exact(&mut record).map_err(read_failed)?;
    if u32_at(&record, 0) != CENTRAL_SIGNATURE {
        return Err(ZipRefused::NotAZip { what: "its directory is damaged" });
    }
    let name_bytes = usize::from(u16_at(&record, 28));
    let mut name = vec![0; name_bytes];
    rest.read_exact(&mut name).map_err(read_failed)?;
    let mut extra = vec![0; usize::from(u16_at(&record, 30))];
    rest.read_exact(&mut extra).map_err(read_failed)?;
    let comment_bytes = u64::from(u16_at(&record, 32));
    io::copy(&mut rest.take(comment_bytes), &mut io::sink()).map_err(read_failed)?;
    // The limit is checked here, so that long names do not gather before they are refused.
    if name_bytes > limits.path_bytes {
        let path = crate::entry_path::inside_folder(&"a".repeat(name_bytes), limits);
        let problem = path.expect_err("it is longer than the limit");
        let entry = String::from_utf8_lossy(&name[..limits.path_bytes]).into_owned();
        return Err(ZipRefused::BadPath { entry, problem });
    }
    let mut entry = Entry {
        name,
        flags: u16_at(&record, 8),
        method: u16_at(&record, 10),
        crc: u32_at(&record, 16),
        compressed_bytes: u32_at(&record, 20).into(),
        unpacked_bytes: u32_at(&record, 24).into(),
        mode: UNIX_SYSTEMS.contains(&record[5]).then(|| u32_at(&record, 38) >> 16),
        local_offset: u32_at(&record, 42).into(),
    };
    read_extra64(&mut entry, &extra)?;
    Ok(entry)
}

/// Takes the sizes that did not fit into 32 bits from the extra field 1.
fn read_extra64(entry: &mut Entry, extra: &[u8]) -> Result<(), ZipRefused> {
    let mut rest = extra;
    while rest.len() >= 4 {
        let (id, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let Some(mut field) = rest.get(4..4 + length) else { break };
        rest = &rest[4 + length..];
        if id != 1 {
            continue;
        }
        let short = entry.damaged("its extra field for large files is too short");
        let numbers =
            [&mut entry.unpacked_bytes, &mut entry.compressed_bytes, &mut entry.local_offset];
        for number in numbers.into_iter().filter(|number| **number == 0xffff_ffff) {
            if field.len() < 8 {
                return Err(short);
            }
            *number = u64_at(field, 0);
            field = &field[8..];
        }
    }
    Ok(())
}

impl Directory {
    /// Moves `zip` to the data of `entry`, and returns a reader of its compressed bytes.
    pub(crate) fn open<'a, R: Read + Seek>(
        &self,
        zip: &'a mut R,
        entry: &Entry,
    ) -> Result<io::Take<&'a mut R>, ZipRefused> {
        let header: [u8; LOCAL_BYTES] = read_array(zip, entry.local_offset)?;
        if u32_at(&header, 0) != LOCAL_SIGNATURE {
            return Err(entry.damaged("its header is not where the directory says"));
        }
        let mut name = vec![0; usize::from(u16_at(&header, 26))];
        zip.read_exact(&mut name).map_err(read_failed)?;
        if name != entry.name || u16_at(&header, 8) != entry.method {
            return Err(entry.damaged("its header and the directory disagree"));
        }
        let extra = u64::from(u16_at(&header, 28));
        let start = entry.local_offset + (LOCAL_BYTES + name.len()) as u64 + extra;
        if start.checked_add(entry.compressed_bytes).is_none_or(|end| end > self.offset) {
            return Err(entry.damaged("its data reaches into the directory"));
        }
        zip.seek(SeekFrom::Start(start)).map_err(read_failed)?;
        Ok(zip.take(entry.compressed_bytes))
    }
}

fn read_array<const N: usize>(
    zip: &mut (impl Read + Seek),
    at: u64,
) -> Result<[u8; N], ZipRefused> {
    let mut bytes = [0; N];
    zip.seek(SeekFrom::Start(at)).and_then(|_| zip.read_exact(&mut bytes)).map_err(read_failed)?;
    Ok(bytes)
}

/// An archive that ends too early is refused as cut off, other failures are the reader's.
pub(crate) fn read_failed(error: io::Error) -> ZipRefused {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            ZipRefused::NotAZip { what: "it ends too early; is it cut off?" }
        }
        // A seek to an offset that no file can have.
        io::ErrorKind::InvalidInput => {
            ZipRefused::NotAZip { what: "its directory is not where it should be" }
        }
        _ => ZipRefused::Read { source: error },
    }
}
