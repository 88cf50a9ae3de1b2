//! One frame, decoded, encoded and cut.

use tomte_mqtt::codec::{Packet, Version, connect_version, decode, encode, frame_len};

use crate::memory;

/// Bytes of memory that decoding may take for each byte of a frame, and whatever the frame is: the
/// least subscription has four bytes, and a list of them doubles as it grows.
const MEMORY_PER_BYTE: usize = 64;
const MEMORY_ALWAYS: usize = 2_048;

/// Cuts are tried in frames up to this length; longer ones repeat themselves.
const LONGEST_CUT_FRAME: usize = 600;

/// Checks one frame. The first byte of `data` chooses the version, and whether the rest is a frame
/// as it stands or lacks the length that fits.
pub fn codec(data: &[u8]) {
    let (version, frame) = frame_of(data);
    check_frame(version, &frame);
    if let [first, rest @ ..] = &frame[..]
        && frame.len() <= LONGEST_CUT_FRAME
        && frame_len(&frame, u32::MAX) == Ok(Some(frame.len()))
    {
        for cut in 0..rest.len() {
            assert!(decode(&frame[..=cut], version).is_err(), "a cut packet was accepted");
            check_frame(version, &framed(*first, &rest[..cut]));
        }
    }
}

/// Reads the version and the frame from the input of a target.
pub(crate) fn frame_of(data: &[u8]) -> (Version, Vec<u8>) {
    let (choice, bytes) = data.split_first().unwrap_or((&0, &[]));
    let version = if choice & 1 == 0 { Version::V5 } else { Version::V311 };
    match bytes.split_first() {
        Some((first, body)) if choice & 2 == 0 => (version, framed(*first, body)),
        _ => (version, bytes.to_vec()),
    }
}

/// Returns `body` as a packet with `first` as its first byte.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mut length = body.len();
    loop {
        let more = if length > 0x7F { 0x80 } else { 0 };
        frame.push(u8::try_from(length & 0x7F).expect("seven bits") | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    frame.extend_from_slice(body);
    frame
}

fn check_frame(version: Version, frame: &[u8]) {
    let (decoded, peak) = memory::peak_of(|| decode(frame, version));
    let bound = MEMORY_ALWAYS + MEMORY_PER_BYTE * frame.len();
    assert!(peak <= bound, "decoding {} bytes took {peak} bytes of memory", frame.len());
    let Ok(packet) = decoded else { return };
    assert_eq!(frame_len(frame, u32::MAX), Ok(Some(frame.len())), "a frame of another length");
    let version = match packet {
        Packet::Connect(_) => connect_version(frame).expect("it was decoded"),
        _ => version,
    };
    let mut again = Vec::new();
    encode(&mut again, version, &packet);
    assert_eq!(frame_len(&again, u32::MAX), Ok(Some(again.len())));
    assert_eq!(decode(&again, version), Ok(packet), "it does not come back: {again:02x?}");
}
