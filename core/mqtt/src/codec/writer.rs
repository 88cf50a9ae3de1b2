use crate::codec::frame::MAX_VARIABLE_INTEGER;
use crate::codec::{PacketType, PropertyId};

/// Returns how many bytes `value` takes as a variable byte integer.
pub(crate) const fn variable_integer_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Appends `value` as a variable byte integer. Values above the largest become the largest.
pub(crate) fn put_variable_integer(out: &mut Vec<u8>, value: usize) {
    let mut rest = u32::try_from(value).unwrap_or(u32::MAX).min(MAX_VARIABLE_INTEGER);
    loop {
        let [.., low] = rest.to_be_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends what `body` appends, with its length before it as a variable byte integer.
pub(crate) fn put_with_length(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    body(out);
    let length = out.len() - start - 1;
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => out[start] = short,
        _ => {
            let mut prefix = Vec::with_capacity(4);
            put_variable_integer(&mut prefix, length);
            out.splice(start..=start, prefix);
        }
    }
}

/// Appends a packet with fixed flags whose variable header and payload `body` appends.
pub(crate) fn put_packet(out: &mut Vec<u8>, packet: PacketType, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(packet.first_byte());
    put_with_length(out, body);
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Returns the part of `bytes` that fits a 16-bit length.
fn fitting(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(usize::from(u16::MAX))]
}

pub(crate) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = fitting(bytes);
    put_u16(out, u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_binary(out, &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))]);
}

pub(crate) fn put_byte_property(out: &mut Vec<u8>, id: PropertyId, value: Option<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(&[id as u8, value]);
    }
}

pub(crate) fn put_u16_property(out: &mut Vec<u8>, id: PropertyId, value: Option<u16>) {
    if let Some(value) = value {
        out.push(id as u8);
        put_u16(out, value);
    }
}

pub(crate) fn put_u32_property(out: &mut Vec<u8>, id: PropertyId, value: Option<u32>) {
    if let Some(value) = value {
        out.push(id as u8);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn put_text_property(out: &mut Vec<u8>, id: PropertyId, value: Option<&str>) {
    if let Some(value) = value {
        out.push(id as u8);
        put_text(out, value);
    }
}

pub(crate) fn put_binary_property(out: &mut Vec<u8>, id: PropertyId, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.push(id as u8);
        put_binary(out, value);
    }
}

pub(crate) fn put_user_property(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(PropertyId::UserProperty as u8);
    put_text(out, name);
    put_text(out, value);
}
