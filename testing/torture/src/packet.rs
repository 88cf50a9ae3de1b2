//! The few packets of MQTT 3.1.1 that the clients here need, written without the hub's own codec, so
//! that an error in that one does not hide itself.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tomte_testkit::mqtt::{Frame, push_packet, push_text};

/// How long a read waits, so that a client sees in time that it is to stop.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// How long a write waits for a hub that takes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A packet from the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Connack { present: bool, code: u8 },
    Publish { topic: String, payload: Vec<u8>, qos: u8, id: u16 },
    Puback(u16),
    Pubrec(u16),
    Pubrel(u16),
    Pubcomp(u16),
    Suback,
    Other(u8),
}

/// A will of a client: topic and payload; its quality of service is 1.
#[derive(Clone, Copy, Debug)]
pub struct Will<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
}

pub(crate) fn connect(out: &mut Vec<u8>, client_id: &str, clean: bool, will: Option<Will<'_>>) {
    let mut body = Vec::new();
    push_text(&mut body, "MQTT");
    let flags = u8::from(clean) << 1 | if will.is_some() { 0b0000_1100 } else { 0 };
    body.extend_from_slice(&[4, flags, 0, 0]);
    push_text(&mut body, client_id);
    if let Some(will) = will {
        push_text(&mut body, will.topic);
        push_text(&mut body, will.payload);
    }
    push_packet(out, 0x10, &body);
}

pub(crate) fn subscribe(out: &mut Vec<u8>, filter: &str, qos: u8) {
    let mut body = vec![0, 1];
    push_text(&mut body, filter);
    body.push(qos);
    push_packet(out, 0x82, &body);
}

pub(crate) fn publish(
    out: &mut Vec<u8>,
    topic: &str,
    payload: &[u8],
    (qos, id): (u8, u16),
    dup: bool,
    retain: bool,
) {
    let mut body = Vec::with_capacity(payload.len() + topic.len() + 4);
    push_text(&mut body, topic);
    body.extend_from_slice(&id.to_be_bytes());
    body.extend_from_slice(payload);
    push_packet(out, 0x30 | u8::from(dup) << 3 | qos << 1 | u8::from(retain), &body);
}

/// PUBACK is 4, PUBREC 5, PUBREL 6, PUBCOMP 7.
pub(crate) fn ack(out: &mut Vec<u8>, kind: u8, id: u16) {
    push_packet(out, kind << 4 | if kind == 6 { 2 } else { 0 }, &id.to_be_bytes());
}

pub(crate) fn disconnect(out: &mut Vec<u8>) {
    push_packet(out, 0xe0, &[]);
}

/// Takes the first packet out of `bytes`, if it is there as a whole.
fn decode(bytes: &[u8]) -> Option<(Packet, usize)> {
    let (Frame { first, body }, length) = Frame::split(bytes)?;
    let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let packet = match first >> 4 {
        2 => Packet::Connack { present: body[0] & 1 != 0, code: body[1] },
        3 => {
            let qos = first >> 1 & 3;
            let topic_end = 2 + usize::from(number(0));
            let topic = String::from_utf8_lossy(&body[2..topic_end]).into_owned();
            let payload_at = topic_end + if qos > 0 { 2 } else { 0 };
            let id = if qos > 0 { number(topic_end) } else { 0 };
            Packet::Publish { topic, payload: body[payload_at..].to_vec(), qos, id }
        }
        4 => Packet::Puback(number(0)),
        5 => Packet::Pubrec(number(0)),
        6 => Packet::Pubrel(number(0)),
        7 => Packet::Pubcomp(number(0)),
        9 => Packet::Suback,
        other => Packet::Other(other),
    };
    Some((packet, length))
}

/// A connection to the hub.
pub(crate) struct Link {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub(crate) out: Vec<u8>,
}

impl Link {
    /// Connects, and returns the connection with "session present".
    pub(crate) fn open(
        port: u16,
        client_id: &str,
        clean: bool,
        will: Option<Will<'_>>,
    ) -> io::Result<(Self, bool)> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut link = Self { stream, buffer: Vec::new(), out: Vec::new() };
        connect(&mut link.out, client_id, clean, will);
        link.flush()?;
        match link.wait()? {
            Packet::Connack { present, code: 0 } => Ok((link, present)),
            other => Err(io::Error::other(format!("CONNACK was expected, {other:?} came"))),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// Takes in what has come, after waiting a little for it.
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Returns what has come, after waiting a little for it.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<Packet>> {
        self.fill()?;
        let (mut packets, mut used) = (Vec::new(), 0);
        while let Some((packet, length)) = decode(&self.buffer[used..]) {
            packets.push(packet);
            used += length;
        }
        self.buffer.drain(..used);
        Ok(packets)
    }

    /// Waits for one packet; what follows it stays.
    pub(crate) fn wait(&mut self) -> io::Result<Packet> {
        loop {
            if let Some((packet, length)) = decode(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(packet);
            }
            self.fill()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_reads_back_as_it_was_written_and_a_part_of_it_waits() {
        for length in [0, 5, 200, 20_000] {
            let (mut bytes, payload) = (Vec::new(), vec![7; length]);
            publish(&mut bytes, "a/b", &payload, (1, 9), false, false);
            let expect = Packet::Publish { topic: "a/b".into(), payload, qos: 1, id: 9 };
            assert_eq!(decode(&bytes), Some((expect, bytes.len())));
            assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        }
    }
}
