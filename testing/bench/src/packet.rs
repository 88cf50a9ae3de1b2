//! MQTT 3.1.1 packets, encoded once before the measurement, and the borders of received ones.

/// Length of every payload that is sent, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = 128;

/// First byte of a CONNACK.
pub(crate) const CONNACK: u8 = 0x20;
/// First byte of a PUBACK.
pub(crate) const PUBACK: u8 = 0x40;
/// First byte of a SUBACK.
pub(crate) const SUBACK: u8 = 0x90;

/// Returns a CONNECT with a clean session and no keep-alive.
pub(crate) fn connect(client: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
    push_text(&mut body, client);
    frame(0x10, &body)
}

/// Returns a CONNECT whose session is kept, so that the broker must keep what is queued for it.
pub(crate) fn connect_persistent(client: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x00\x00\x00".to_vec();
    push_text(&mut body, client);
    frame(0x10, &body)
}

/// Returns a SUBSCRIBE to one filter.
pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    push_text(&mut body, filter);
    body.push(qos);
    frame(0x82, &body)
}

/// Returns a PUBLISH; `id` is used with QoS 1 alone.
pub(crate) fn publish(topic: &str, qos: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
    push_text(&mut body, topic);
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload);
    frame(0x30 | (qos << 1), &body)
}

/// Returns a payload of the usual length that starts with `head`.
pub(crate) fn payload(head: &[u8]) -> Vec<u8> {
    let mut payload = head.to_vec();
    payload.resize(PAYLOAD_BYTES, b'.');
    payload
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("the texts of a benchmark are short");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).expect("a remainder of 128 fits");
        rest /= 128;
        packet.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// One received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The first byte: kind and flags.
    pub(crate) first: u8,
    /// What follows the length.
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the first packet of `bytes` and its whole length, `None` while it is not complete.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let first = *bytes.first()?;
        let (mut length, mut at) = (0usize, 1);
        loop {
            let byte = *bytes.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = bytes.get(at..at + length)?;
        Some((Self { first, body }, at + length))
    }

    /// Returns packet id and payload when this is a PUBLISH; the id is 0 with QoS 0.
    pub(crate) fn as_publish(self) -> Option<(u16, &'a [u8])> {
        if self.first >> 4 != 3 {
            return None;
        }
        let topic = usize::from(u16::from_be_bytes([*self.body.first()?, *self.body.get(1)?]));
        let rest = self.body.get(2 + topic..)?;
        if self.first & 0x06 == 0 {
            return Some((0, rest));
        }
        Some((u16::from_be_bytes([*rest.first()?, *rest.get(1)?]), &rest[2..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_reads_as_it_was_written() {
        for (qos, id) in [(0, 0), (1, 513)] {
            let packet = publish("a/b", qos, id, &payload(b"xy"));
            let (frame, length) = Frame::split(&packet).unwrap();
            assert_eq!(length, packet.len());
            let (got, body) = frame.as_publish().unwrap();
            assert_eq!((got, body.len(), &body[..2]), (id, PAYLOAD_BYTES, b"xy".as_slice()));
        }
    }

    #[test]
    fn a_packet_is_split_off_only_when_it_is_complete() {
        let packet = publish("topic", 1, 1, &payload(b""));
        for cut in 0..packet.len() {
            assert!(Frame::split(&packet[..cut]).is_none(), "{cut}");
        }
        let two = [packet.as_slice(), packet.as_slice()].concat();
        assert_eq!(Frame::split(&two).unwrap().1, packet.len());
    }

    #[test]
    fn the_connect_packet_is_the_one_of_the_standard() {
        // MQTT 3.1.1, 3.1: name, level 4, clean session, no keep-alive, client id.
        assert_eq!(connect("a"), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a");
    }
}
