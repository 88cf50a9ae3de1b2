//! Numbers, texts and byte strings of a record, written and read back.

use super::BadRecord;

/// Greatest number of a message, session or will: more than any hub counts up to, and far enough from
/// the greatest integer that the next ones can be given out.
pub(super) const MAX_NUMBER: u64 = 1 << 62;

/// Appends fields to the bytes of a record.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

/// Takes fields from the front of the bytes of a record.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Writer<'_> {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("packets and names are far below 4 GiB"));
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn option(&mut self, bytes: Option<&[u8]>) {
        self.u8(u8::from(bytes.is_some()));
        if let Some(bytes) = bytes {
            self.bytes(bytes);
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn bad(&self, field: &'static str) -> BadRecord {
        BadRecord { at: self.at, field }
    }

    pub(super) fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], BadRecord> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.bad(field))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], BadRecord> {
        Ok(self.take(N, field)?.try_into().expect("take returns as many as asked"))
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, BadRecord> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, BadRecord> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, BadRecord> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// Reads a number that the hub counted up to.
    pub(super) fn number(&mut self, field: &'static str) -> Result<u64, BadRecord> {
        let number = self.u64(field)?;
        if number > MAX_NUMBER { Err(self.bad(field)) } else { Ok(number) }
    }

    pub(super) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], BadRecord> {
        let length = usize::try_from(self.u32(field)?).map_err(|_| self.bad(field))?;
        self.take(length, field)
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, BadRecord> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad(field))
    }

    pub(super) fn parsed<T, E>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, BadRecord> {
        let text = self.text(field)?;
        parse(text).map_err(|_| self.bad(field))
    }

    pub(super) fn option<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Option<T>, BadRecord> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.bad(field)),
        }
    }
}
