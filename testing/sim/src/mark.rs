//! What tells one message of a run from all others: it stands in the payload.

use std::fmt;

use crate::table::SECOND;

/// A message: who made it first, its number there, and which functions it went through since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark {
    pub(crate) publisher: u32,
    pub(crate) number: u32,
    /// The functions, one octal digit each, the last one lowest.
    pub(crate) via: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.publisher, self.number)?;
        if self.via > 0 { write!(f, "'{:o}", self.via) } else { Ok(()) }
    }
}

/// What is added to a publisher for the copies on second topics.
const COPIES: u32 = 100_000;

/// Functions by their digit.
const FUNCTIONS: [&str; 3] = ["double", "chain", "echo"];

impl Mark {
    /// The mark of what `function` makes of the message.
    pub(crate) fn through(self, function: &str) -> Self {
        let digit = FUNCTIONS.iter().position(|name| *name == function).map_or(7, |at| at + 1);
        Self { via: self.via << 3 | u32::try_from(digit).expect("a digit"), ..self }
    }

    /// How many functions it went through.
    pub(crate) fn depth(self) -> u32 {
        (u32::BITS - self.via.leading_zeros()).div_ceil(3)
    }

    /// The payload that carries the mark, the value that conditions look at, and so much padding.
    pub(crate) fn payload(self, value: i64, padding: usize) -> Vec<u8> {
        let Self { publisher, number, via } = self;
        let pad = "x".repeat(padding);
        format!(r#"{{"p":{publisher},"n":{number},"via":{via},"v":{value},"pad":"{pad}"}}"#)
            .into_bytes()
    }

    /// The mark of its copy on that topic: the one on a second topic is a message of its own.
    pub(crate) fn on(self, topic: &str) -> Self {
        let copy = if topic.starts_with(SECOND) { COPIES } else { 0 };
        Self { publisher: self.publisher + copy, ..self }
    }

    /// Who made the message that it is, or is a copy of.
    pub(crate) fn maker(self) -> u32 {
        self.publisher % COPIES
    }

    /// Reads a payload back; none for a payload without a mark, such as an empty one.
    pub(crate) fn read(payload: &[u8]) -> Option<(Self, i64)> {
        let json: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let number = |key: &str| json.get(key)?.as_u64().and_then(|n| u32::try_from(n).ok());
        let mark = Self { publisher: number("p")?, number: number("n")?, via: number("via")? };
        Some((mark, json.get("v")?.as_i64()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_gives_back_its_mark() {
        let mark = Mark { publisher: 3, number: 17, via: 2 };
        assert_eq!(Mark::read(&mark.payload(-5, 10)), Some((mark, -5)));
        assert_eq!(Mark::read(b""), None);
        assert_eq!(mark.to_string(), "3.17'2");
    }

    #[test]
    fn a_mark_remembers_its_way() {
        let mark = Mark { publisher: 3, number: 17, via: 0 };
        let far = mark.through("double").through("echo").through("echo");
        assert_eq!((mark.depth(), far.depth()), (0, 3));
        assert_eq!(far.to_string(), "3.17'133");
    }
}
