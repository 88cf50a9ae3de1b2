//! Clients that do not speak MQTT, or too much of it: they go, the others stay.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tomte_testkit::Hub;

use crate::client::{Client, Library, Running};
use crate::manifests::broker;

pub(crate) const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x";

pub(crate) fn open(hub: &Hub) -> TcpStream {
    open_port(hub.mqtt)
}

pub(crate) fn open_port(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends `bytes` and waits until the hub closes the connection.
pub(crate) fn expect_close(hub: &Hub, what: &str, bytes: &[u8]) {
    let mut stream = open(hub);
    // The hub may close before it has read all.
    let _ = stream.write_all(bytes);
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let closed =
        end.is_ok() || end.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
    assert!(closed, "{what}: the hub left the connection open");
}

pub(crate) struct Innocents {
    receiver: Running,
}

impl Innocents {
    pub(crate) fn connect(hub: &Hub) -> Self {
        let receiver = Client::anonymous(Library::Paho, 5, "good", hub.mqtt).subscribe("good", 1);
        Self { receiver }
    }

    pub(crate) fn still_talk(&mut self, hub: &Hub) {
        drop(Client::anonymous(Library::MqttJs, 4, "other", hub.mqtt).publish("good", 1, &["yes"]));
        assert_eq!(self.receiver.payload(), "yes");
    }
}

/// Proves a part of: MQT-4.
#[test]
fn malformed_packets_end_their_connection_and_no_other() {
    let hub = Hub::start(&broker()).unwrap();
    let mut innocents = Innocents::connect(&hub);
    let after_connect = |bytes: &[u8]| [CONNECT, bytes].concat();
    for (what, bytes) in [
        ("not MQTT at all", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a length of five bytes", after_connect(b"\x30\xff\xff\xff\xff\xff")),
        ("QoS 3", after_connect(b"\x36\x05\x00\x01a\x00\x01")),
        ("a topic with a wildcard", after_connect(b"\x30\x05\x00\x03a/#")),
        ("a topic that is no UTF-8", after_connect(b"\x30\x04\x00\x02\xff\xfe")),
        ("packet id 0", after_connect(b"\x32\x05\x00\x01a\x00\x00")),
        ("a second CONNECT", after_connect(CONNECT)),
        ("PUBLISH before CONNECT", b"\x30\x03\x00\x01a".to_vec()),
    ] {
        expect_close(&hub, what, &bytes);
    }
    innocents.still_talk(&hub);
}

/// Proves a part of: MQT-4.
#[test]
fn a_client_that_says_nothing_is_closed() {
    let hub = Hub::start(&broker()).unwrap();
    let mut innocents = Innocents::connect(&hub);
    expect_close(&hub, "silence", b"");
    expect_close(&hub, "half a CONNECT", &CONNECT[..7]);
    innocents.still_talk(&hub);
}

/// The length is announced; the hub need not wait for the packet.
///
/// Proves a part of: MQT-4.
#[test]
fn a_packet_larger_than_the_limit_is_refused_before_it_is_held() {
    let hub = Hub::start(&broker()).unwrap();
    let mut innocents = Innocents::connect(&hub);
    let before = hub.status().unwrap().memory_bytes;
    expect_close(&hub, "200 MiB", &[CONNECT, b"\x30\x80\x80\x80\x64"].concat());
    let after = hub.status().unwrap().memory_bytes;
    assert!(after < before + (50 << 20), "{before} -> {after} bytes");
    innocents.still_talk(&hub);
}

/// Proves: MQT-3. Proves a part of: CFG-18.
#[test]
fn a_stranger_without_a_certificate_of_this_hub_is_refused() {
    let hub = Hub::start(&broker()).unwrap();
    let other = Hub::start(&broker()).unwrap();
    let mut stranger = other.device("one").unwrap();
    // It trusts the hub, so that it is the hub that refuses.
    stranger.ca = hub.device("one").unwrap().ca;
    let client = Client::device(Library::Paho, 5, &stranger, hub.mqtts);
    let mut running = client.start(serde_json::json!({"do": "nothing"}));
    assert_eq!(running.count_until_gone("connected"), 0);
}
