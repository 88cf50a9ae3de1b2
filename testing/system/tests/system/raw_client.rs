//! Packets written and read by hand, where it matters what each byte is and when it comes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use tomte_testkit::Hub;
use tomte_testkit::mqtt::{push_packet, push_text};

use crate::bad_clients::open_port;

/// Two bytes of length and the text.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_text(&mut bytes, text);
    bytes
}

/// A packet: its first byte, the length of the rest, the rest.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_packet(&mut bytes, first, body);
    bytes
}

pub(crate) fn connect_as(version: u8, client: &str, keep_alive_s: u8) -> Vec<u8> {
    let properties: &[u8] = if version == 5 { &[0] } else { &[] };
    let body = [&string("MQTT")[..], &[version, 2, 0, keep_alive_s], properties, &string(client)];
    packet(0x10, &body.concat())
}

/// Connects and waits for the CONNACK.
pub(crate) fn connected(hub: &Hub, version: u8, client: &str) -> TcpStream {
    connected_to(hub.mqtt, version, client)
}

/// As [`connected`], to the hub that listens on `port`.
pub(crate) fn connected_to(port: u16, version: u8, client: &str) -> TcpStream {
    let mut stream = open_port(port);
    stream.write_all(&connect_as(version, client, 0)).unwrap();
    assert_eq!(read_packet(&mut stream).first(), Some(&0x20));
    stream
}

/// Reads one packet, without interpreting it.
pub(crate) fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).unwrap();
    let (mut length, mut shift) = (usize::from(bytes[1] & 127), 7);
    while bytes.last().unwrap() & 128 != 0 {
        bytes.push(0);
        let at = bytes.len() - 1;
        stream.read_exact(&mut bytes[at..]).unwrap();
        length |= usize::from(bytes[at] & 127) << shift;
        shift += 7;
    }
    let start = bytes.len();
    bytes.resize(start + length, 0);
    stream.read_exact(&mut bytes[start..]).unwrap();
    bytes
}

pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
}

/// A PUBLISH; the packet identifier is written where `qos` has one.
pub(crate) fn publish(version: u8, topic: &str, payload: &[u8], qos: u8, id: u16) -> Vec<u8> {
    let id = if qos > 0 { id.to_be_bytes().to_vec() } else { Vec::new() };
    let properties: &[u8] = if version == 5 { &[0] } else { &[] };
    packet(0x30 | qos << 1, &[&string(topic)[..], &id, properties, payload].concat())
}

/// Returns the reason code of a PUBACK: 0 where it has none.
pub(crate) fn puback_reason(packet: &[u8], id: u16) -> u8 {
    assert_eq!((packet[0], &packet[2..4]), (0x40, &id.to_be_bytes()[..]), "{packet:?}");
    packet.get(4).copied().unwrap_or(0)
}

/// Sends a message of QoS 0 from one new client to another.
pub(crate) fn qos_0_goes_through(port: u16) {
    let mut receiver = connected_to(port, 5, "receiver");
    receiver.write_all(&packet(0x82, &[&[0, 1, 0], &string("fast")[..], &[0]].concat())).unwrap();
    assert_eq!(read_packet(&mut receiver)[0], 0x90);
    let mut sender = connected_to(port, 5, "fast sender");
    let message = publish(5, "fast", b"on time", 0, 0);
    sender.write_all(&message).unwrap();
    assert_eq!(read_packet(&mut receiver), message);
}

/// Returns a counter of the hub.
pub(crate) fn counter(hub: &Hub, name: &str) -> u64 {
    hub.status().unwrap().counters.get(name).copied().unwrap_or_default()
}
