//! From the frames of a client to the bytes that they carry.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Bytes of the longest header: two, a length of eight, a mask of four.
const MAX_HEADER_BYTES: usize = 14;
/// Bytes that a control frame may carry (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

/// Why no further frame is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client said goodbye, perhaps with a code.
    Closed(Option<CloseCode>),
    /// A frame that RFC 6455 or section 6 of MQTT 5 forbids.
    Broken {
        /// What the close frame says.
        code: CloseCode,
        /// The same in words.
        what: &'static str,
    },
}

const fn broken(what: &'static str) -> End {
    End::Broken { code: CloseCode::Protocol, what }
}

/// The frame whose payload is coming.
#[derive(Debug)]
struct Coming {
    opcode: OpCode,
    /// Turned so that the next byte is unmasked with its first.
    mask: [u8; 4],
    left: u64,
}

/// Where the reading of frames is.
#[derive(Debug, Default)]
pub(crate) struct Unframer {
    header: [u8; MAX_HEADER_BYTES],
    /// Bytes of the header that have come.
    have: usize,
    coming: Option<Coming>,
    /// A message has begun whose last frame has not come.
    in_message: bool,
    /// What the control frame that is coming has brought so far.
    control: Vec<u8>,
}

impl Unframer {
    /// Reads `data` to its end, or to the frame that ends the connection. Leaves what the data
    /// frames carry at its front, and returns how much that is. `pong` becomes what the last ping
    /// carried.
    pub(crate) fn unframe(
        &mut self,
        data: &mut [u8],
        pong: &mut Option<Vec<u8>>,
    ) -> (usize, Option<End>) {
        let (mut read, mut carried) = (0, 0);
        loop {
            if self.coming.is_none() {
                match self.read_header(&data[read..]) {
                    Ok(used) => read += used,
                    Err(end) => return (carried, Some(end)),
                }
            }
            let Some(coming) = &mut self.coming else { break };
            let n = usize::try_from(coming.left).unwrap_or(usize::MAX).min(data.len() - read);
            unmask(&mut data[read..read + n], &mut coming.mask);
            if matches!(coming.opcode, OpCode::Control(_)) {
                self.control.extend_from_slice(&data[read..read + n]);
            } else {
                data.copy_within(read..read + n, carried);
                carried += n;
            }
            read += n;
            coming.left -= n as u64;
            if coming.left > 0 {
                break;
            }
            if let Some(end) = self.finish(pong) {
                return (carried, Some(end));
            }
        }
        (carried, None)
    }

    /// Reads a header, or as much of it as is there. Returns how many bytes belong to it.
    fn read_header(&mut self, data: &[u8]) -> Result<usize, End> {
        let n = data.len().min(MAX_HEADER_BYTES - self.have);
        self.header[self.have..self.have + n].copy_from_slice(&data[..n]);
        let mut cursor = Cursor::new(&self.header[..self.have + n]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| broken("an unknown opcode"))?;
        let Some((header, length)) = parsed else {
            self.have += n;
            return Ok(n);
        };
        let used = usize::try_from(cursor.position()).expect("a header is short") - self.have;
        self.have = 0;
        self.coming = Some(self.check(&header, length)?);
        Ok(used)
    }

    fn check(&mut self, header: &FrameHeader, length: u64) -> Result<Coming, End> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(broken("a reserved bit is set, and no extension was agreed on"));
        }
        let mask = header.mask.ok_or(broken("a frame without a mask"))?;
        if length > i64::MAX as u64 {
            return Err(broken("a length of more than 63 bits"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(broken("a control frame in fragments"));
            }
            OpCode::Control(_) if length > MAX_CONTROL_BYTES => {
                return Err(broken("a control frame of more than 125 bytes"));
            }
            OpCode::Control(_) => {}
            OpCode::Data(Data::Text) => {
                let what = "a text frame; MQTT is binary (MQTT-6.0.0-1)";
                return Err(End::Broken { code: CloseCode::Unsupported, what });
            }
            OpCode::Data(Data::Continue) if !self.in_message => {
                return Err(broken("a continuation of nothing"));
            }
            OpCode::Data(Data::Binary) if self.in_message => {
                return Err(broken("a new message within another"));
            }
            OpCode::Data(_) => self.in_message = !header.is_final,
        }
        Ok(Coming { opcode: header.opcode, mask, left: length })
    }

    /// Does what the frame asks for that is now complete.
    fn finish(&mut self, pong: &mut Option<Vec<u8>>) -> Option<End> {
        let coming = self.coming.take()?;
        let carried = std::mem::take(&mut self.control);
        match coming.opcode {
            OpCode::Control(Control::Ping) => *pong = Some(carried),
            OpCode::Control(Control::Close) => return Some(goodbye(&carried)),
            _ => {}
        }
        None
    }
}

fn goodbye(carried: &[u8]) -> End {
    let Some((code, reason)) = carried.split_first_chunk() else {
        let nothing = carried.is_empty();
        return if nothing { End::Closed(None) } else { broken("a close frame of one byte") };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return broken("a close frame with a code that may not be sent");
    }
    match std::str::from_utf8(reason) {
        Ok(_) => End::Closed(Some(code)),
        Err(_) => {
            let what = "a close frame with a reason that is not UTF-8";
            End::Broken { code: CloseCode::Invalid, what }
        }
    }
}

/// Takes the mask off, and turns it to where the next byte needs it.
fn unmask(data: &mut [u8], mask: &mut [u8; 4]) {
    for group in data.chunks_mut(4) {
        for (byte, mask) in group.iter_mut().zip(*mask) {
            *byte ^= mask;
        }
    }
    mask.rotate_left(data.len() % 4);
}
