use crate::codec::{DecodeError, PacketType};

/// Tells whether `text` can be sent: at most 65,535 bytes and no U+0000 (1.5.4).
///
/// Texts of a decoded packet always can. Ask for texts that come from elsewhere, such as the user
/// properties that a function sets.
#[must_use]
pub fn is_representable(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && !text.as_bytes().contains(&0)
}

/// Reads fields from the front of a packet and never past its end.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns all that was not read yet.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            length => Err(DecodeError::TrailingBytes { length }),
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a variable byte integer of at most four bytes, in its shortest form (1.5.5).
    pub(crate) fn variable_integer(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || index == 0;
                return if minimal {
                    Ok(value)
                } else {
                    Err(DecodeError::VariableIntegerNotMinimal)
                };
            }
        }
        Err(DecodeError::VariableIntegerTooLong)
    }

    /// Reads the packet identifier, which is never zero (MQTT-2.2.1-3).
    pub(crate) fn packet_id(&mut self, packet: PacketType) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::PacketIdZero { packet }),
            id => Ok(id),
        }
    }

    /// Reads bytes with their length before them (1.5.6).
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// Reads a UTF-8 encoded string (1.5.4).
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.utf8()?;
        if text.as_bytes().contains(&0) { Err(DecodeError::NullCharacter) } else { Ok(text) }
    }

    /// Reads a topic name: a text without wildcards, which may be empty (4.7).
    pub(crate) fn topic(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.utf8()?;
        // One pass without a branch per byte; which byte it was matters only in the rare case.
        let odd = |byte: u8| (byte == 0) | (byte == b'+') | (byte == b'#');
        if !text.bytes().fold(false, |found, byte| found | odd(byte)) {
            return Ok(text);
        }
        let null = text.as_bytes().contains(&0);
        Err(if null { DecodeError::NullCharacter } else { DecodeError::WildcardInTopic })
    }

    /// Reads a topic filter: a text that is not empty. Where its wildcards are is not checked.
    pub(crate) fn filter(&mut self) -> Result<&'a str, DecodeError> {
        match self.text()? {
            "" => Err(DecodeError::EmptyFilter),
            filter => Ok(filter),
        }
    }

    fn utf8(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.binary()?).map_err(|_| DecodeError::InvalidUtf8)
    }
}
