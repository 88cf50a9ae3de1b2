use std::io;
use std::ops::Deref;

use crate::disk::DiskFile;
use crate::frame::{self, Damage, FRAME_BYTES, FrameHead, HEADER_BYTES, Header, MAX_RECORD_BYTES};

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Record { position: u64, record: &'a [u8] },
    End,
    Damaged(Damage),
}

/// Reads a segment from front to back, holding a chunk or one record at a time.
pub(crate) struct SegmentReader<F> {
    file: F,
    size: u64,
    chunk_bytes: usize,
    /// Bytes of the file from `start` on; those before `used` are done with.
    buffer: Vec<u8>,
    start: u64,
    used: usize,
    /// Bytes before `used` that are the last frame.
    last_frame: usize,
    previous: u64,
}

impl<F: Deref<Target: DiskFile>> SegmentReader<F> {
    /// Reads the header of `file`; records can be asked for when it is intact.
    pub(crate) fn open(file: F) -> io::Result<(Self, Header)> {
        let size = file.size()?;
        let (buffer, start, used) = (Vec::new(), 0, 0);
        let mut reader = Self {
            file,
            size,
            chunk_bytes: CHUNK_BYTES,
            buffer,
            start,
            used,
            last_frame: 0,
            previous: 0,
        };
        reader.fill(HEADER_BYTES)?;
        let header = frame::decode_header(&reader.buffer);
        if let Header::Intact { first_position, .. } = header {
            reader.used = HEADER_BYTES;
            reader.previous = first_position.saturating_sub(1);
        }
        Ok((reader, header))
    }

    /// Stands in the middle of a segment, at the frame after the record at `previous`.
    pub(crate) fn at(file: F, offset: u64, previous: u64, chunk_bytes: usize) -> io::Result<Self> {
        let size = file.size()?;
        let (buffer, start) = (Vec::new(), offset);
        Ok(Self { file, size, chunk_bytes, buffer, start, used: 0, last_frame: 0, previous })
    }

    /// Returns the bytes of the record that was read last, with those of the frame around it.
    pub(crate) fn last_frame(&self) -> &[u8] {
        &self.buffer[self.used - self.last_frame..self.used]
    }

    /// Returns the position of the last record that was read.
    pub(crate) fn previous(&self) -> u64 {
        self.previous
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the place of the next frame.
    pub(crate) fn offset(&self) -> u64 {
        self.start + self.used as u64
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        if self.offset() == self.size {
            return Ok(Next::End);
        }
        if !self.fill(FRAME_BYTES)? {
            return Ok(Next::Damaged(Damage::TornRecord));
        }
        let head = FrameHead::decode(&self.buffer[self.used..]);
        if head.frame_bytes() > FRAME_BYTES + MAX_RECORD_BYTES {
            return Ok(Next::Damaged(Damage::RecordTooLong { length: head.length }));
        }
        if !self.fill(head.frame_bytes())? {
            return Ok(Next::Damaged(Damage::TornRecord));
        }
        let frame = &self.buffer[self.used..self.used + head.frame_bytes()];
        if let Err(damage) = head.check(frame, self.previous) {
            return Ok(Next::Damaged(damage));
        }
        self.previous = head.position;
        self.used += head.frame_bytes();
        self.last_frame = head.frame_bytes();
        Ok(Next::Record { position: head.position, record: &frame[FRAME_BYTES..] })
    }

    /// Makes `wanted` unused bytes available, and tells whether the file has them. The size is asked
    /// first, so that a damaged length cannot make the buffer larger than the file.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.buffer.len() - self.used >= wanted {
            return Ok(true);
        }
        if self.size.saturating_sub(self.offset()) < wanted as u64 {
            return Ok(false);
        }
        self.buffer.drain(..self.used);
        self.start += self.used as u64;
        self.used = 0;
        let mut filled = self.buffer.len();
        self.buffer.resize(wanted.max(self.chunk_bytes), 0);
        while filled < wanted {
            match self.file.read_at(&mut self.buffer[filled..], self.start + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        Ok(true)
    }
}
