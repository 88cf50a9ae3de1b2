use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Deref;

use tomte_base::{TopicError, TopicName};

use crate::connection::ProtocolError;

/// Shortest topic that gets an alias towards the client, in bytes: an alias costs three bytes itself.
pub const MIN_ALIASED_TOPIC_BYTES: usize = 4;

/// The topic of a PUBLISH from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboundTopic<'p> {
    /// As the packet has it, without wildcards, not empty; its depth is not checked.
    Sent(&'p str),
    /// What the alias of the packet stands for.
    Aliased(TopicName),
}

impl InboundTopic<'_> {
    /// Returns the topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            InboundTopic::Sent(topic) => topic,
            InboundTopic::Aliased(topic) => topic,
        }
    }

    /// Returns the topic as one that can be kept.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when the topic has too many levels.
    pub fn to_topic_name(&self) -> Result<TopicName, TopicError> {
        match self {
            InboundTopic::Sent(topic) => TopicName::new(topic),
            InboundTopic::Aliased(topic) => Ok(topic.clone()),
        }
    }
}

impl Deref for InboundTopic<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// What the aliases of the client stand for, by alias minus one. Bounded by the topic alias maximum.
#[derive(Debug, Default)]
pub(crate) struct InboundAliases(Vec<Option<TopicName>>);

impl InboundAliases {
    /// Returns the topic of `alias`, which is not 0; a `topic` that is not empty is its new meaning.
    pub(crate) fn resolve(&mut self, alias: u16, topic: &str) -> Result<TopicName, ProtocolError> {
        let index = usize::from(alias) - 1;
        let known = self.0.get(index).and_then(Option::as_ref);
        if topic.is_empty() {
            return known.cloned().ok_or(ProtocolError::UnknownAlias { alias });
        }
        if let Some(same) = known.filter(|known| known.as_str() == topic) {
            return Ok(same.clone());
        }
        let topic = TopicName::new(topic).map_err(ProtocolError::BadTopic)?;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(topic.clone());
        Ok(topic)
    }
}

/// A hash without a random seed; the map behind it holds at most 65,535 topics.
type Hash = BuildHasherDefault<DefaultHasher>;

/// The aliases that the server gave to topics, at most the client's topic alias maximum.
///
/// When all are taken, a new topic replaces one that was not used since the hand last came by
/// (second chance), so that a few busy topics keep their aliases among many rare ones.
#[derive(Debug, Default)]
pub(crate) struct OutboundAliases {
    alias_of: HashMap<TopicName, u16, Hash>,
    /// The topic of each alias, by alias minus one, and whether it was used lately.
    given: Vec<(TopicName, bool)>,
    hand: usize,
}

impl OutboundAliases {
    /// Returns the alias of `topic`, and whether the client has to be told what it stands for.
    pub(crate) fn choose(&mut self, topic: &TopicName, maximum: u16) -> (Option<u16>, bool) {
        if let Some(alias) = self.alias_of.get(topic) {
            self.given[usize::from(*alias) - 1].1 = true;
            return (Some(*alias), false);
        }
        (self.give(topic, maximum), true)
    }

    fn give(&mut self, topic: &TopicName, maximum: u16) -> Option<u16> {
        let index = if self.given.len() < usize::from(maximum) {
            self.given.push((topic.clone(), true));
            self.given.len() - 1
        } else {
            self.replace(topic)?
        };
        let alias = u16::try_from(index + 1).ok()?;
        self.alias_of.insert(topic.clone(), alias);
        Some(alias)
    }

    /// Puts `topic` where the hand points, unless the topic there was used lately.
    fn replace(&mut self, topic: &TopicName) -> Option<usize> {
        let index = self.hand;
        self.hand = (index + 1) % self.given.len();
        let (old, used) = &mut self.given[index];
        if std::mem::take(used) {
            return None;
        }
        *used = true;
        self.alias_of.remove(old);
        *old = topic.clone();
        Some(index)
    }
}
