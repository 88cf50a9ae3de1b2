use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost:1883\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;

/// A connection with the event loop's side of it: what is kept between reads, and what is written.
#[derive(Default)]
struct Host {
    websocket: WebSocket,
    partial: Vec<u8>,
    mqtt: Vec<u8>,
    output: Vec<u8>,
    end: Option<CloseReason>,
}

impl Host {
    fn open() -> Self {
        let mut host = Self::default();
        host.read(REQUEST.as_bytes());
        assert!(host.write().starts_with(b"HTTP/1.1 101 "));
        host
    }

    /// Takes what one read brought. The machine takes all of the MQTT at once.
    fn read(&mut self, bytes: &[u8]) {
        if self.end.is_some() {
            return;
        }
        let kept = self.partial.len();
        let mut buffer = std::mem::take(&mut self.partial);
        buffer.extend_from_slice(bytes);
        let received = self.websocket.receive(&mut buffer, kept);
        buffer.truncate(received.filled);
        let place = if received.is_mqtt { &mut self.mqtt } else { &mut self.partial };
        place.extend_from_slice(&buffer);
        self.end = received.end;
    }

    /// What leaves when the socket takes everything.
    fn write(&mut self) -> Vec<u8> {
        self.websocket.seal(&mut self.output, self.end.as_ref());
        self.websocket.wrote(0);
        std::mem::take(&mut self.output)
    }
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x9f, 0x00, 0xe4];
    let mut frame = vec![first];
    match payload.len() {
        n @ ..126 => frame.push(0x80 | u8::try_from(n).unwrap()),
        n @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(n).unwrap().to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let n = u8::try_from(reason.len() + 2).unwrap();
    [&[FINAL | CLOSE, n][..], &code.to_be_bytes(), reason.as_bytes()].concat()
}

#[test]
fn the_first_byte_tells_http_from_mqtt() {
    for (first, is_websocket) in [(b'G', true), (0x10, false), (0x30, false), (0, false)] {
        let mut carrier = Carrier::default();
        carrier.choose(first, &Arc::default());
        assert_eq!(matches!(carrier, Carrier::WebSocket(_)), is_websocket, "{first}");
    }
}

#[test]
fn a_carrier_costs_a_plain_connection_two_words() {
    assert_eq!(size_of::<Carrier>(), 2 * size_of::<usize>());
}

/// The key and its answer are those of RFC 6455, section 1.3.
#[test]
fn the_answer_proves_that_the_key_was_read_and_names_the_subprotocol() {
    let mut host = Host::default();
    host.read(REQUEST.as_bytes());
    let answer = String::from_utf8(host.write()).unwrap();
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(answer.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    assert_eq!((host.end, host.mqtt), (None, Vec::new()));
}

#[test]
fn every_request_that_is_not_granted_says_what_is_wrong() {
    let without = |line: &str| {
        let lines = REQUEST.split_inclusive("\r\n").filter(|it| !it.starts_with(line));
        lines.collect::<String>()
    };
    let with = |from: &str, to: &str| {
        assert!(REQUEST.contains(from));
        REQUEST.replace(from, to)
    };
    let many = format!("Upgrade: websocket\r\n{}", "A: b\r\n".repeat(100));
    for (request, status, why) in [
        (without("Host"), 400, "no host"),
        (without("Upgrade"), 426, "no Upgrade: websocket"),
        (with("Upgrade: websocket", "Upgrade: h2c"), 426, "no Upgrade: websocket"),
        (without("Connection"), 400, "no Connection: Upgrade"),
        (without("Sec-WebSocket-Key"), 400, "no sec-websocket-key"),
        (with("dGhl", "dGh"), 400, "not 16 bytes in base64"),
        (with("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400, "not 16 bytes in base64"),
        (with("Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version is not 13"),
        (without("Sec-WebSocket-Protocol"), 400, "does not offer mqtt"),
        (with("mqttv3.1, mqtt", "mqttv3.1"), 400, "does not offer mqtt"),
        (with("mqttv3.1, mqtt", "MQTT"), 400, "does not offer mqtt"),
        (with("HTTP/1.1", "HTTP/1.0"), 400, "not of HTTP/1.1"),
        (with("GET /", "GETS /"), 400, "neither MQTT nor a GET"),
        (with("Host:", "Ho st:"), 400, "not HTTP"),
        (with("Host:", "Host: other\r\nHost:"), 400, "host twice"),
        (with("Upgrade: websocket\r\n", &many), 400, "too many headers"),
        (with("Host:", "Origin: https://evil.example\r\nHost:"), 403, "https://evil.example"),
        (with("Host:", "Origin: null\r\nHost:"), 403, "a page of null"),
    ] {
        let mut host = Host::default();
        host.read(request.as_bytes());
        let answer = String::from_utf8(host.write()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        assert!(answer.split_once("\r\n\r\n").unwrap().1.contains(why), "{request}\n{answer}");
        assert!(matches!(host.end, Some(CloseReason::Refused(_))));
        assert!(host.mqtt.is_empty());
    }
}

#[test]
fn a_page_of_the_same_host_may_connect() {
    for origin in ["http://localhost:3000", "https://LOCALHOST"] {
        let mut host = Host::default();
        host.read(REQUEST.replace("Host:", &format!("Origin: {origin}\r\nHost:")).as_bytes());
        assert!(host.write().starts_with(b"HTTP/1.1 101 "), "{origin}");
    }
}

#[test]
fn a_head_of_eight_kibibytes_is_the_longest() {
    let filled_to = |bytes: usize| {
        let filler = "a".repeat(bytes - REQUEST.len() - "X: \r\n".len());
        REQUEST.replace("Host:", &format!("X: {filler}\r\nHost:"))
    };
    let longest = filled_to(request::MAX_HEAD_BYTES);
    assert_eq!(longest.len(), request::MAX_HEAD_BYTES);
    for cut in [1, 4_000, longest.len()] {
        let mut host = Host::default();
        longest.as_bytes().chunks(cut).for_each(|piece| host.read(piece));
        assert!(host.write().starts_with(b"HTTP/1.1 101 "), "{cut}");

        let mut host = Host::default();
        let too_long = filled_to(request::MAX_HEAD_BYTES + 1);
        too_long.as_bytes().chunks(cut).for_each(|piece| host.read(piece));
        assert!(host.write().starts_with(b"HTTP/1.1 431 "), "{cut}");
    }
    let mut endless = Host::default();
    while endless.end.is_none() {
        endless.read(b"GET GET GET GET ");
        assert!(endless.partial.len() <= request::MAX_HEAD_BYTES);
    }
}

#[test]
fn frames_that_follow_the_request_at_once_are_read() {
    let mut host = Host::default();
    host.read(&[REQUEST.as_bytes(), &frame(FINAL | BINARY, b"hello")].concat());
    assert_eq!(host.mqtt, b"hello");
}

#[test]
fn frames_and_packets_need_not_begin_together() {
    let mut host = Host::open();
    for piece in [
        frame(BINARY, b"ab"),
        frame(FINAL | PING, b"are you there"),
        frame(0, b""),
        frame(0, b"cd"),
        frame(FINAL, b"e"),
        frame(FINAL | PONG, b"nobody asked"),
        frame(FINAL | BINARY, &[b'f'; 70_000]),
    ] {
        host.read(&piece);
    }
    assert_eq!(host.mqtt, [b"abcde".as_slice(), &[b'f'; 70_000]].concat());
    assert_eq!(host.write(), [&[FINAL | PONG, 13][..], b"are you there"].concat());
    assert_eq!(host.end, None);
}

#[test]
fn each_forbidden_frame_ends_the_connection_with_its_code() {
    let unmasked = vec![FINAL | BINARY, 1, b'a'];
    let longer_than_63_bits = [&[FINAL | BINARY, 0xff][..], &[0xff; 8], &[0; 4]].concat();
    let nested = [frame(BINARY, b""), frame(FINAL | BINARY, b"")].concat();
    for (bytes, code) in [
        (frame(FINAL | TEXT, b"hello"), 1003),
        (frame(TEXT, b"hel"), 1003),
        (unmasked, 1002),
        (frame(FINAL | BINARY | 0x40, b"x"), 1002),
        (frame(FINAL | BINARY | 0x20, b"x"), 1002),
        (frame(FINAL | BINARY | 0x10, b"x"), 1002),
        (frame(FINAL | 3, b"x"), 1002),
        (frame(FINAL | 11, b"x"), 1002),
        (frame(FINAL, b"x"), 1002),
        (nested, 1002),
        (longer_than_63_bits, 1002),
        (frame(PING, b"x"), 1002),
        (frame(FINAL | PING, &[0; 126]), 1002),
        (frame(FINAL | CLOSE, &[0; 126]), 1002),
        (frame(FINAL | CLOSE, b"x"), 1002),
        (frame(FINAL | CLOSE, &1005u16.to_be_bytes()), 1002),
        (frame(FINAL | CLOSE, &999u16.to_be_bytes()), 1002),
        (frame(FINAL | CLOSE, b"\x03\xe8\xff"), 1007),
    ] {
        let mut host = Host::open();
        host.read(&[frame(FINAL | BINARY, b"before"), bytes.clone()].concat());
        assert!(matches!(host.end, Some(CloseReason::Protocol(_))), "{bytes:x?} {:?}", host.end);
        assert_eq!(host.mqtt, b"before");
        let written = host.write();
        assert_eq!(written[0], FINAL | CLOSE, "{bytes:x?}");
        assert_eq!(written[2..4], u16::to_be_bytes(code), "{bytes:x?}");
        assert_eq!(usize::from(written[1]), written.len() - 2);
    }
}

#[test]
fn a_goodbye_is_answered_with_its_own_code() {
    for (payload, answer) in [
        (&b""[..], vec![FINAL | CLOSE, 0]),
        (b"\x03\xe8", close_frame(1000, "")),
        (b"\x03\xe9gone", close_frame(1001, "")),
        (b"\x0f\xa0", close_frame(4000, "")),
    ] {
        let mut host = Host::open();
        host.read(&frame(FINAL | CLOSE, payload));
        assert_eq!(host.end, Some(CloseReason::Lost));
        assert_eq!(host.write(), answer);
    }
}

#[test]
fn the_machine_says_goodbye_behind_its_last_output() {
    for (reason, code) in [(CloseReason::Disconnected, 1000), (CloseReason::Shutdown, 1001)] {
        let mut host = Host::open();
        host.output.extend(b"bye");
        host.end = Some(reason);
        let goodbye = [&[FINAL | BINARY, 3][..], b"bye", &close_frame(code, "")].concat();
        assert_eq!(host.write(), goodbye);
        assert_eq!(host.write(), b"", "it is said once");
    }
}

#[test]
fn nothing_of_mqtt_is_written_before_the_request_is_granted() {
    let mut host = Host { output: b"packet".to_vec(), ..Host::default() };
    host.end = Some(CloseReason::ConnectTimeout);
    assert_eq!(host.write(), b"");
}

#[test]
fn each_write_is_one_frame_of_the_least_header() {
    for (n, header) in [
        (1, vec![FINAL | BINARY, 1]),
        (125, vec![FINAL | BINARY, 125]),
        (126, vec![FINAL | BINARY, 126, 0, 126]),
        (65_535, vec![FINAL | BINARY, 126, 0xff, 0xff]),
        (65_536, vec![FINAL | BINARY, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut host = Host::open();
        host.output = vec![7; n];
        assert_eq!(host.write(), [header, vec![7; n]].concat());
    }
}

#[test]
fn what_a_slow_socket_left_is_not_framed_again() {
    let mut host = Host::open();
    host.output.extend(b"first");
    host.websocket.seal(&mut host.output, None);
    let mut written: Vec<u8> = host.output.drain(..3).collect();
    host.websocket.wrote(host.output.len());
    host.output.extend(b"second");
    host.read(&frame(FINAL | PING, b"?"));
    written.extend(host.write());
    let frames = [
        &[FINAL | BINARY, 5][..],
        b"first",
        &[FINAL | PONG, 1],
        b"?",
        &[FINAL | BINARY, 6],
        b"second",
    ];
    assert_eq!(written, frames.concat());
}

/// The journal failed: the machine takes back what waits, and closes.
#[test]
fn no_frame_follows_one_whose_end_was_taken_back() {
    let mut host = Host::open();
    host.output.extend(b"first");
    host.websocket.seal(&mut host.output, None);
    host.output.drain(..3);
    host.websocket.wrote(host.output.len());
    host.read(&frame(FINAL | PING, b"?"));
    host.output.clear();
    host.end = Some(CloseReason::NotStored);
    assert_eq!(host.write(), b"");
    host.output.extend(b"second");
    assert_eq!(host.write(), b"");
    assert!(!host.websocket.has_answer());
}

#[test]
fn a_flood_of_pings_is_answered_once_for_each_write() {
    let mut host = Host::open();
    for number in 0..=200 {
        host.read(&frame(FINAL | PING, &[number; 125]));
    }
    assert_eq!(host.write(), [&[FINAL | PONG, 125][..], &[200; 125]].concat());
}

/// A frame that a client might send, mostly a good one.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        8 => Just(FINAL | BINARY), 3 => Just(BINARY), 3 => Just(0), 3 => Just(FINAL),
        3 => Just(FINAL | PING), 1 => Just(FINAL | PONG), 1 => any::<u8>()
    ];
    let payload = prop_oneof![6 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 100..400)];
    (opcode, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    /// Whatever the network makes of the stream, the result is that of one read.
    #[test]
    fn any_cut_of_the_stream_gives_the_same(
        frames in vec(any_frame(), 0..20),
        pieces in vec(1usize..40, 1..100),
    ) {
        let stream = [REQUEST.as_bytes(), &frames.concat()].concat();
        let mut whole = Host::default();
        whole.read(&stream);
        let mut cut = Host::default();
        let (mut rest, mut sizes) = (&stream[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let n = rest.len().min(*sizes.next().unwrap());
            cut.read(&rest[..n]);
            rest = &rest[n..];
        }
        prop_assert_eq!(&cut.mqtt, &whole.mqtt);
        prop_assert_eq!(&cut.end, &whole.end);
        prop_assert_eq!(cut.write(), whole.write());
    }

    /// What the other library makes of our frames is what was put in.
    #[test]
    fn a_client_reads_what_was_written(outputs in vec(vec(any::<u8>(), 1..70_000), 1..4)) {
        use tungstenite::protocol::{Role, WebSocket as Client};
        let mut host = Host::open();
        let mut wire = Vec::new();
        for output in &outputs {
            host.output.clone_from(output);
            wire.extend(host.write());
        }
        let mut client = Client::from_raw_socket(std::io::Cursor::new(wire), Role::Client, None);
        for output in outputs {
            prop_assert_eq!(client.read().unwrap().into_data(), output);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_more_than_a_head(bytes in vec(any::<u8>(), 0..2_000)) {
        for mut host in [Host::default(), Host::open()] {
            for piece in bytes.chunks(7) {
                host.read(piece);
            }
            prop_assert!(host.partial.len() <= request::MAX_HEAD_BYTES);
            host.write();
        }
    }
}
