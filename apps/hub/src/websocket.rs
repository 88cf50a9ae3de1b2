//! MQTT over WebSocket, on the same ports as MQTT itself.
//!
//! ```text
//!   first byte ── not G ──> Stream: the bytes are MQTT
//!       └─ G ─> Request ── head is good ──> Open ── close frame, bad frame ──> closed
//!                  └─ head is bad, or longer than 8 KiB ──> refused, in words
//! ```
//!
//! Nothing is joined and nothing is kept: what a frame carries goes to the machine as it comes, so
//! a frame or a message may be of any length, and the bound of an MQTT packet is the only one.
//!
//! *Source:* RFC 6455; MQTT 5, section 6.

mod incoming;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tomte_core_hub::CloseReason;
use tungstenite::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use incoming::{End, Unframer};

/// What carries the bytes of MQTT on a connection.
#[derive(Debug, Default)]
pub(crate) enum Carrier {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// The connection itself.
    Stream,
    /// Frames of WebSocket.
    WebSocket(Box<WebSocket>),
}

/// What became of the bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// So many bytes at the front of the buffer are to be kept.
    pub(crate) filled: usize,
    /// They are MQTT, and not the beginning of a request.
    pub(crate) is_mqtt: bool,
    /// The connection ends once they are handed over.
    pub(crate) end: Option<CloseReason>,
}

impl Carrier {
    /// Tells from the first byte what the connection carries: a CONNECT packet begins with 0x10, and
    /// no packet that a client may send first begins with the G of `GET`.
    ///
    /// Pages of `origins` may connect although they come from other hosts.
    pub(crate) fn choose(&mut self, first: u8, origins: &Arc<[String]>) {
        *self = if first == b'G' {
            let origins = Arc::clone(origins);
            Self::WebSocket(Box::new(WebSocket { origins, ..WebSocket::default() }))
        } else {
            Self::Stream
        };
    }
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Request,
    Open(Unframer),
    /// The request was refused, or the goodbye is among the output.
    Over,
}

/// One connection over WebSocket.
#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    phase: Phase,
    /// The answer to the request, before it is put before the output.
    answer: Vec<u8>,
    /// What the client's last ping carried. Older ones need no answer (RFC 6455, section 5.5.3).
    pong: Option<Vec<u8>>,
    /// What the close frame will say, where it is not the plain goodbye.
    goodbye: Option<Option<CloseFrame>>,
    /// Bytes at the front of the output that are framed already.
    sealed: usize,
    /// Pages of other hosts that may connect.
    origins: Arc<[String]>,
}

impl WebSocket {
    /// Takes what is in `buffer`: `kept` bytes that the last call left there and what came since.
    /// Leaves the bytes of MQTT, or the beginning of a request, at its front.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], kept: usize) -> Received {
        match &mut self.phase {
            Phase::Request => self.receive_request(buffer, kept),
            Phase::Open(_) => self.receive_frames(buffer, kept, kept),
            Phase::Over => Received { filled: 0, is_mqtt: false, end: None },
        }
    }

    fn receive_request(&mut self, buffer: &mut [u8], kept: usize) -> Received {
        let head = match request::end_of_head(buffer, kept) {
            Ok(None) => return Received { filled: buffer.len(), is_mqtt: false, end: None },
            Ok(Some(end)) => {
                request::accept(&buffer[..end], &self.origins).map(|answer| (end, answer))
            }
            Err(refusal) => Err(refusal),
        };
        match head {
            Ok((end, answer)) => {
                self.answer = answer;
                self.phase = Phase::Open(Unframer::default());
                self.receive_frames(buffer, 0, end)
            }
            Err(refusal) => {
                self.answer = refusal.to_response();
                self.phase = Phase::Over;
                let end = Some(CloseReason::Refused(refusal.why));
                Received { filled: 0, is_mqtt: false, end }
            }
        }
    }

    /// Takes the frames from `from` on, and puts what they carry behind the first `kept` bytes.
    fn receive_frames(&mut self, buffer: &mut [u8], kept: usize, from: usize) -> Received {
        let Phase::Open(unframer) = &mut self.phase else { unreachable!("it is open") };
        let (carried, end) = unframer.unframe(&mut buffer[from..], &mut self.pong);
        if kept < from {
            buffer.copy_within(from..from + carried, kept);
        }
        let end = end.map(|end| self.end(end));
        Received { filled: kept + carried, is_mqtt: true, end }
    }

    fn end(&mut self, end: End) -> CloseReason {
        match end {
            End::Closed(code) => {
                let frame = code.map(|code| CloseFrame { code, reason: "".into() });
                self.goodbye = Some(frame);
                CloseReason::Lost
            }
            End::Broken { code, what } => {
                self.goodbye = Some(Some(CloseFrame { code, reason: what.into() }));
                CloseReason::Protocol(format!("WebSocket: {what}"))
            }
        }
    }

    /// Tells whether there is something to write that the machine knows nothing of.
    pub(crate) fn has_answer(&self) -> bool {
        !self.answer.is_empty() || self.pong.is_some()
    }

    /// Makes frames of what is not framed yet in `output`: one for all of it, behind what answers the
    /// client's own frames, and before the goodbye if the connection ends for `closing`.
    ///
    /// The machine may have taken back what waited, because the journal failed. Then the client has the
    /// beginning of a frame whose end is gone, and nothing can follow it.
    pub(crate) fn seal(&mut self, output: &mut Vec<u8>, closing: Option<&CloseReason>) {
        if output.len() < self.sealed {
            return self.fall_silent(output);
        }
        let is_open = matches!(self.phase, Phase::Open(_));
        if !is_open {
            output.truncate(self.sealed);
        }
        let waiting = output.len() - self.sealed;
        if waiting > 0 || self.has_answer() {
            let mut front = std::mem::take(&mut self.answer);
            if let Some(pong) = self.pong.take() {
                put(Frame::pong(Bytes::from(pong)), &mut front);
            }
            if waiting > 0 {
                put_header(waiting, &mut front);
            }
            output.splice(self.sealed..self.sealed, front);
        }
        if let Some(reason) = closing.filter(|_| is_open) {
            let plain = || Some(CloseFrame { code: code_of(reason), reason: "".into() });
            put(Frame::close(self.goodbye.take().unwrap_or_else(plain)), output);
            self.phase = Phase::Over;
        }
        self.sealed = output.len();
    }

    fn fall_silent(&mut self, output: &mut Vec<u8>) {
        output.clear();
        self.answer.clear();
        self.pong = None;
        self.phase = Phase::Over;
        self.sealed = 0;
    }

    /// Remembers how much of the output the socket did not take.
    pub(crate) fn wrote(&mut self, left: usize) {
        self.sealed = left;
    }
}

fn put(frame: Frame, output: &mut Vec<u8>) {
    frame.format(output).expect("a vector takes everything");
}

fn put_header(payload: usize, output: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let length = u64::try_from(payload).expect("lengths fit");
    header.format(length, output).expect("a vector takes everything");
}

fn code_of(reason: &CloseReason) -> CloseCode {
    match reason {
        CloseReason::Shutdown => CloseCode::Away,
        CloseReason::Protocol(_) | CloseReason::Unfinished => CloseCode::Policy,
        _ => CloseCode::Normal,
    }
}
