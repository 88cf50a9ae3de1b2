//! MQTT 3.1.1 packets, encoded once before the measurement, and the borders of received ones.

pub(crate) use tomte_testkit::mqtt::Frame;
use tomte_testkit::mqtt::{push_packet, push_text};

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

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(body.len() + 5);
    push_packet(&mut packet, first, body);
    packet
}

/// Returns packet id and payload when this is a PUBLISH; the id is 0 with QoS 0.
pub(crate) fn as_publish(frame: Frame<'_>) -> Option<(u16, &[u8])> {
    if frame.first >> 4 != 3 {
        return None;
    }
    let topic = usize::from(u16::from_be_bytes([*frame.body.first()?, *frame.body.get(1)?]));
    let rest = frame.body.get(2 + topic..)?;
    if frame.first & 0x06 == 0 {
        return Some((0, rest));
    }
    Some((u16::from_be_bytes([*rest.first()?, *rest.get(1)?]), &rest[2..]))
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
            let (got, body) = as_publish(frame).unwrap();
            assert_eq!((got, body.len(), &body[..2]), (id, PAYLOAD_BYTES, b"xy".as_slice()));
        }
    }

    #[test]
    fn the_connect_packet_is_the_one_of_the_standard() {
        // MQTT 3.1.1, 3.1: name, level 4, clean session, no keep-alive, client id.
        assert_eq!(connect("a"), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a");
    }
}
