//! MQTT over WebSocket, with libraries that nobody here wrote, on the ports of MQTT itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use tomte_testkit::Hub;

use crate::bad_clients::CONNECT;
use crate::client::{Client, Library, PATIENCE};
use crate::manifests::broker;
use crate::raw_client::counter;

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

/// Asks for a WebSocket as a browser does for a page of `origin`, and returns the first line of the answer
/// and what follows; an accepted client says CONNECT at once.
fn ask_as_page_of(origin: Option<&str>, hub: &Hub) -> (String, Vec<u8>) {
    let port = hub.mqtt;
    let mut stream = TcpStream::connect(("localhost", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
    let head = format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         {origin}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    // CONNECT and DISCONNECT, each in a frame with a mask of zeros.
    let frame = |bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[0x82, 0x80 | length, 0, 0, 0, 0], bytes].concat()
    };
    let request = [head.as_bytes(), &frame(CONNECT), &frame(b"\xe0\x00")].concat();
    // The hub may close before it has read all.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _may_be_reset = stream.read_to_end(&mut answer);
    let end = answer.windows(2).position(|pair| pair == b"\r\n").expect("an answer");
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

/// Tells whether a page may connect. One that may not is refused in words and counted, before MQTT.
fn may_connect(origin: Option<&str>, hub: &Hub) -> bool {
    let refusals = || counter(hub, "tomte_refusals_total{what=\"websocket\"}");
    let before = refusals();
    let (status, rest) = ask_as_page_of(origin, hub);
    let is_connected = rest.windows(4).any(|bytes| bytes == b"\x20\x02\x00\x00");
    match status.as_str() {
        "HTTP/1.1 101 Switching Protocols" => assert!(is_connected, "{origin:?}: {rest:?}"),
        "HTTP/1.1 403 Forbidden" => {
            assert!(!is_connected);
            let words = String::from_utf8_lossy(&rest).into_owned();
            assert!(words.contains("listeners.origins"), "{words}");
        }
        other => panic!("{origin:?}: {other}"),
    }
    assert_eq!(refusals() - before, u64::from(!is_connected), "{origin:?}");
    is_connected
}

/// Proves a part of: MQT-3, MQT-4.
#[test]
fn a_page_of_another_host_connects_only_where_the_manifest_names_it() {
    let panel = Some("https://panel.example:8443");
    let hub = Hub::start(&broker()).unwrap();
    let own = format!("http://localhost:{}", hub.mqtt);
    for origin in [None, Some(own.as_str()), Some("https://LOCALHOST")] {
        assert!(may_connect(origin, &hub), "{origin:?}");
    }
    let strangers = ["https://evil.example", "null", "https://localhost.evil.example", ""];
    for origin in strangers.into_iter().map(Some).chain([panel]) {
        assert!(!may_connect(origin, &hub), "{origin:?}");
    }
    let named = "[listeners]\norigins = [\"https://Panel.example:8443\"]\n\n[listeners.mqtt]";
    hub.write_manifest(&broker().replace("[listeners.mqtt]", named)).unwrap();
    hub.apply().unwrap();
    assert!(may_connect(panel, &hub), "a deployment lets it in, with the listener as it is");
    for origin in
        strangers.into_iter().chain(["http://panel.example:8443", "https://panel.example"])
    {
        assert!(!may_connect(Some(origin), &hub), "{origin:?}");
    }
}
