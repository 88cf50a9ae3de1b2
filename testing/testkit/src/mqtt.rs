//! The frame around every packet of MQTT, for clients that are made by hand: without the hub's own codec,
//! so that an error in that one does not hide itself.

/// Appends a text, or other bytes of that form: two bytes of length, then the bytes.
///
/// # Panics
/// Panics when it is longer than 65,535 bytes.
pub fn push_text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("a text of MQTT has at most 65,535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// Appends a packet: its first byte, the length of the rest, the rest.
pub fn push_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    push_length(out, body.len());
    out.extend_from_slice(body);
}

/// Appends a length, seven bits in each byte (2.2.3 of MQTT 3.1.1, 1.5.5 of MQTT 5).
pub fn push_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits");
        rest >>= 7;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            return;
        }
    }
}

/// A packet among received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The first byte: kind and flags.
    pub first: u8,
    /// What follows the length.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the first packet of `bytes` and its whole length; nothing while it is not complete.
    #[must_use]
    pub fn split(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let first = *bytes.first()?;
        let (mut length, mut at) = (0, 1);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_bytes_of_the_standard() {
        for (length, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (16_383, &[0xff, 0x7f]),
            (2_097_152, &[0x80, 0x80, 0x80, 1]),
        ] {
            let mut out = Vec::new();
            push_length(&mut out, length);
            assert_eq!(out, bytes, "{length}");
        }
    }

    #[test]
    fn a_packet_is_split_off_as_it_was_written_and_only_when_it_is_complete() {
        for length in [0, 5, 127, 128, 20_000] {
            let (mut bytes, body) = (Vec::new(), vec![7; length]);
            push_packet(&mut bytes, 0x30, &body);
            let whole = bytes.len();
            for cut in 0..whole.min(200) {
                assert_eq!(Frame::split(&bytes[..cut]), None, "{cut} of {whole}");
            }
            bytes.extend([0xc0, 0]);
            assert_eq!(Frame::split(&bytes), Some((Frame { first: 0x30, body: &body }, whole)));
        }
    }
}
