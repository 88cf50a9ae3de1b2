//! Bytes read as decisions. What is missing at the end is zero, so that every input means something.

/// What is left of the input.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Returns a number below `limit`, 0 when there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.number()) % limit.max(1)
    }

    /// Returns up to `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Returns bytes with their length before them, one byte of it.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// Returns text with its length before it, at most 31 bytes; what is no UTF-8 gives "a".
    pub(crate) fn text(&mut self) -> &'a str {
        let length = usize::from(self.byte() % 32);
        std::str::from_utf8(self.take(length)).unwrap_or("a")
    }
}
