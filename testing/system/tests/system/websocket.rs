//! MQTT over WebSocket, with libraries that nobody here wrote, on the ports of MQTT itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use tomte_testkit::Hub;

use crate::client::{Client, Library, PATIENCE};
use crate::manifests::broker;

/// Publishes through each pair of libraries and versions, over `ws` and over `wss`, and to a client
/// without WebSocket.
///
/// Proves a part of: MQT-3.
#[test]
fn every_library_reaches_every_other_over_websocket_with_and_without_tls() {
    let hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let ends = [(Library::Paho, 4), (Library::Paho, 5), (Library::MqttJs, 4), (Library::MqttJs, 5)];
    for (number, (from, from_version)) in ends.into_iter().enumerate() {
        let (to, to_version) = ends[3 - number];
        let plain = Client::anonymous(to, to_version, "receiver", hub.mqtt).over_websocket();
        let secure = Client::device(to, to_version, &two, hub.mqtts).over_websocket();
        let stream = Client::anonymous(to, to_version, "stream", hub.mqtt);
        let mut receivers = [plain, secure, stream].map(|client| client.subscribe("t/+", 1));
        let sender = Client::device(from, from_version, &one, hub.mqtts).over_websocket();
        let long = "x".repeat(100_000);
        let _sender = sender.publish("t/x", 1, &["first", &long]);
        for receiver in &mut receivers {
            assert_eq!([receiver.payload(), receiver.payload()], ["first", long.as_str()]);
        }
    }
}

/// Proves a part of: MQT-3.
#[test]
fn a_kept_session_goes_from_websocket_to_tcp_and_back() {
    let hub = Hub::start(&broker()).unwrap();
    let stream = Client::anonymous(Library::MqttJs, 5, "one", hub.mqtt).with_kept_session();
    let websocket = Client { id: "two".to_owned(), ..stream.clone() }.over_websocket();
    let sender = Client::anonymous(Library::Paho, 5, "sender", hub.mqtt).over_websocket();
    for (before, carrier) in [(stream.clone(), websocket.carrier), (websocket, stream.carrier)] {
        drop(before.subscribe("k/#", 1));
        drop(sender.publish("k/1", 1, &["a", "b"]));
        let after = Client { carrier, ..before };
        let mut back = after.start(serde_json::json!({"do": "nothing"}));
        assert_eq!(back.expect("connected")["session"], true);
        assert_eq!([back.payload(), back.payload()], ["a", "b"]);
    }
}

#[test]
fn a_web_browser_that_comes_by_is_told_what_the_port_is_for() {
    let hub = Hub::start(&broker()).unwrap();
    let mut stream = TcpStream::connect(("localhost", hub.mqtt)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    assert!(answer.contains("this port speaks MQTT"), "{answer}");
}
