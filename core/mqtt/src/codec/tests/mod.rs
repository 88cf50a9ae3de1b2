mod beside_rmqtt;
mod differential;
mod golden;
mod malformed;
mod properties;
mod publish;
mod random;
mod strategies;
mod texts;

use crate::codec::{DecodeError, Packet, Version, decode, encode};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// Reads bytes written as hex digits; blanks are ignored and `'text'` stands for its bytes.
fn bytes(written: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in written.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<char> = part.chars().filter(|c| !c.is_whitespace()).collect();
        for pair in digits.chunks(2) {
            let pair: String = pair.iter().collect();
            out.push(u8::from_str_radix(&pair, 16).unwrap());
        }
    }
    out
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, version, packet);
    out
}

/// Checks that `written` is refused with `expect`.
#[track_caller]
fn refused(version: Version, written: &str, expect: DecodeError) {
    assert_eq!(decode(&bytes(written), version), Err(expect), "{version:?} {written}");
}

/// Returns `body` as a packet with `first` as its first byte.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    super::writer::put_variable_integer(&mut frame, body.len());
    frame.extend_from_slice(body);
    frame
}
