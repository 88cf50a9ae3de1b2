use std::fmt;

use crate::codec::property::{PropertyBlock, Value};
use crate::codec::writer::put_user_property;

/// The user properties of a packet, in order; names may repeat.
///
/// Those of a decoded packet are read again from it on each [`iter`](Self::iter); those of a packet
/// to be sent come from a slice of pairs.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Received(PropertyBlock<'a>),
    ToSend(&'a [(String, String)]),
}

impl Default for Form<'_> {
    fn default() -> Self {
        Form::ToSend(&[])
    }
}

impl<'a> UserProperties<'a> {
    pub(crate) const fn received(block: PropertyBlock<'a>) -> Self {
        Self(Form::Received(block))
    }

    /// Returns each name with its value.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (block, pairs): (PropertyBlock<'a>, &'a [(String, String)]) = match self.0 {
            Form::Received(block) => (block, &[]),
            Form::ToSend(pairs) => (PropertyBlock::default(), pairs),
        };
        let received = block.iter().filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        });
        received.chain(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            put_user_property(out, name, value);
        }
    }
}

impl<'a> From<&'a [(String, String)]> for UserProperties<'a> {
    fn from(pairs: &'a [(String, String)]) -> Self {
        Self(Form::ToSend(pairs))
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
