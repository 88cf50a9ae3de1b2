use std::fmt;
use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not start with a number.
    #[error("{text:?} does not start with a number")]
    NoNumber {
        /// The refused text.
        text: String,
    },
    /// The unit is missing or unknown.
    #[error("{text:?} has no unit that is known here; units are {units}")]
    UnknownUnit {
        /// The refused text.
        text: String,
        /// The units that are allowed.
        units: &'static str,
    },
    /// The number is too large to be represented.
    #[error("{text:?} is too large")]
    TooLarge {
        /// The refused text.
        text: String,
    },
}

fn parse_with_units(
    text: &str,
    units: &[(&str, u64)],
    unit_names: &'static str,
) -> Result<u64, QuantityError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(QuantityError::NoNumber { text: text.to_owned() });
    }
    let unit = text[digits..].trim_start();
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(QuantityError::UnknownUnit { text: text.to_owned(), units: unit_names });
    };
    let too_large = || QuantityError::TooLarge { text: text.to_owned() };
    let number: u64 = text[..digits].parse().map_err(|_| too_large())?;
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// A size in bytes, written `64MiB` in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 8] = [
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("", 1),
    ];

    /// Returns `n` kibibytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// Returns `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// Reads a size: a whole number and one of B, KiB, MiB, GiB, kB, MB, GB.
    ///
    /// # Errors
    /// Fails with [`QuantityError`] when there is no number, the unit is unknown, or it is too large.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse_with_units(text, &Self::UNITS, "B, KiB, MiB, GiB, kB, MB, GB").map(Self)
    }
}

impl fmt::Display for ByteSize {
    /// Writes the largest binary unit that divides the size, so that reading it back is exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, size)| n >= *size && n.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", n / size),
            None => write!(f, "{n}B"),
        }
    }
}

/// A share of processor time: 1000 is one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliCpu(pub u32);

/// Reads a span of time: a whole number and one of ms, s, m, h, d.
///
/// # Errors
/// Fails with [`QuantityError`] when there is no number, the unit is unknown, or it is too large.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    parse_with_units(text, &units, "ms, s, m, h, d").map(Duration::from_millis)
}

/// Writes a span of time with the largest unit that divides it, so that reading it back is exact to
/// the millisecond.
#[must_use]
pub fn format_duration(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_what_they_print() {
        for size in [0, 1, 1023, 1024, 64 << 20, 3 << 30, 1_000_000] {
            assert_eq!(ByteSize::parse(&ByteSize(size).to_string()), Ok(ByteSize(size)));
        }
        assert_eq!(ByteSize::parse("64MiB"), Ok(ByteSize::mib(64)));
        assert_eq!(ByteSize::parse(" 10 kB "), Ok(ByteSize(10_000)));
    }

    #[test]
    fn spans_read_what_they_print() {
        for millis in [0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "MiB", "12 parsecs", "-1s", "99999999999999999999d", "9999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
            assert!(ByteSize::parse(text).is_err(), "{text:?}");
        }
    }
}
