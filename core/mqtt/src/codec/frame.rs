use std::fmt;

use crate::codec::DecodeError;

/// Largest packet that the format can express, in bytes: the fixed header and a remaining length of
/// 268,435,455 (1.5.5).
pub const MAX_PACKET_BYTES: usize = 5 + MAX_VARIABLE_INTEGER as usize;

/// Largest value of a variable byte integer (1.5.5).
pub(crate) const MAX_VARIABLE_INTEGER: u32 = 268_435_455;

/// The types of packets, with their numbers in the fixed header (2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// Returns the type whose number is `number`, `None` for 0 and above 15.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// Returns the flag bits that the fixed header must have, `None` for PUBLISH (2.1.3).
    pub(crate) const fn flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// Returns the first byte of a packet of this type that has fixed flags.
    pub(crate) const fn first_byte(self) -> u8 {
        match self.flags() {
            Some(flags) => (self as u8) << 4 | flags,
            None => (self as u8) << 4,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_uppercase())
    }
}

/// The fixed header of a packet: what its first two to five bytes say.
pub(crate) struct FixedHeader {
    /// The length of the fixed header itself, in bytes.
    pub(crate) header: usize,
    /// The length of what follows, in bytes.
    pub(crate) remaining: usize,
    /// The remaining length could have been written with fewer bytes.
    pub(crate) overlong: bool,
}

impl FixedHeader {
    /// Reads the fixed header at the start of `buf`, `None` when it is not there as a whole.
    pub(crate) fn read(buf: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut remaining = 0;
        for (index, byte) in buf.iter().skip(1).take(4).enumerate() {
            remaining |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                let overlong = *byte == 0 && index > 0;
                return Ok(Some(Self { header: index + 2, remaining, overlong }));
            }
        }
        if buf.len() >= 5 { Err(DecodeError::RemainingLengthTooLong) } else { Ok(None) }
    }
}

/// Returns the whole length in bytes of the first packet in `buf`, `None` when more bytes are needed
/// to tell.
///
/// The length may reach past the end of `buf`: then the rest has yet to come.
///
/// # Errors
/// Fails with [`DecodeError::PacketTooLarge`] as soon as the fixed header says that the packet has
/// more than `max_packet` bytes, and with [`DecodeError::RemainingLengthTooLong`] when the remaining
/// length never ends.
pub fn frame_len(buf: &[u8], max_packet: u32) -> Result<Option<usize>, DecodeError> {
    let Some(FixedHeader { header, remaining, .. }) = FixedHeader::read(buf)? else {
        return Ok(None);
    };
    let length = header + remaining;
    if u32::try_from(length).is_ok_and(|length| length <= max_packet) {
        Ok(Some(length))
    } else {
        Err(DecodeError::PacketTooLarge { length, limit: max_packet })
    }
}
