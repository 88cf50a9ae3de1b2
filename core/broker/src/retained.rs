use std::collections::BTreeSet;
use std::sync::Arc;

use tomte_base::{ByteSize, Message, Properties, Time, TopicFilter};

use crate::level_arena::{LevelArena, NodeId};
use crate::topic_tree::split_level;

#[cfg(test)]
mod tests;

/// How much may be retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Most topics with a retained message.
    pub max_messages: u32,
    /// Most memory, as [`message_bytes`] counts it.
    pub max_bytes: ByteSize,
}

impl Default for RetainedLimits {
    /// 100,000 messages, 64 MiB.
    fn default() -> Self {
        Self { max_messages: 100_000, max_bytes: ByteSize::mib(64) }
    }
}

/// Which limit a refused message would have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedLimit {
    /// [`RetainedLimits::max_messages`].
    Messages,
    /// [`RetainedLimits::max_bytes`].
    Bytes,
}

/// What became of a message that was to be retained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum SetOutcome {
    /// It is the retained message of its topic now.
    Stored {
        /// The one that was before.
        replaced: Option<Arc<Message>>,
    },
    /// It is not retained, and the one before still is.
    Refused(RetainedLimit),
}

impl SetOutcome {
    /// Tells whether the message is not retained.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// The retained messages: the last one of each topic that was published with the retain flag.
///
/// [`Self::set`] takes any message; that one with an empty payload clears its topic instead (MQTT 5,
/// 3.3.1.3) is a rule of the caller, who calls [`Self::clear`]. A payload that is a slice of a large
/// read buffer keeps the whole buffer: copy it out before it is retained.
///
/// Topics lie in a tree by level. A filter visits the nodes that match its first levels: `+/x` looks
/// up `x` once below each first level, whatever else lies there.
pub struct Retained {
    levels: LevelArena<Option<Arc<Message>>>,
    /// The messages that expire, the first one first.
    expiries: BTreeSet<(Time, NodeId)>,
    limits: RetainedLimits,
    messages: usize,
    bytes: u64,
}

impl Retained {
    /// Makes an empty store. A seed that clients do not know keeps them from choosing topics that
    /// make it slow.
    #[must_use]
    pub fn new(limits: RetainedLimits, seed: u64) -> Self {
        let levels = LevelArena::new(seed);
        Self { levels, expiries: BTreeSet::new(), limits, messages: 0, bytes: 0 }
    }

    /// Changes the limits. What is retained stays, and past the new limits a topic that is retained
    /// still takes a message that is not larger than the one before.
    pub fn set_limits(&mut self, limits: RetainedLimits) {
        self.limits = limits;
    }

    /// Returns how many topics have a retained message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Tells whether nothing is retained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Returns the sum of [`message_bytes`] over all retained messages.
    #[must_use]
    pub fn bytes(&self) -> ByteSize {
        ByteSize(self.bytes)
    }

    /// Makes `message` the retained message of its topic, if the limits allow it.
    pub fn set(&mut self, message: Arc<Message>) -> SetOutcome {
        let old = self.find(&message.topic).and_then(|node| self.levels.payload(node).as_deref());
        if let Some(limit) = self.refusal(&message, old) {
            return SetOutcome::Refused(limit);
        }
        let mut node = NodeId::ROOT;
        for level in message.topic.split('/') {
            node = self.levels.child_or_new(node, level);
        }
        let replaced = self.take(node);
        self.put(node, message);
        SetOutcome::Stored { replaced }
    }

    /// Removes the retained message of `topic` and returns it.
    pub fn clear(&mut self, topic: &str) -> Option<Arc<Message>> {
        let node = self.find(topic)?;
        let removed = self.take(node)?;
        self.prune(node);
        Some(removed)
    }

    /// Returns the retained message of `topic`.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        self.levels.payload(self.find(topic)?).as_ref()
    }

    /// Visits the retained messages whose topics match `filter`. Those that expired are among them
    /// until [`Self::expire`] is called. The order is not that of acceptance.
    ///
    /// Source: MQTT 5, section 4.7; filters that start with a wildcard do not match topics that
    /// start with `$` (MQTT-4.7.2-1).
    pub fn matching<'t>(&'t self, filter: &TopicFilter, mut visit: impl FnMut(&'t Arc<Message>)) {
        self.walk(NodeId::ROOT, Some(filter), &mut visit);
    }

    /// Removes the messages whose end has come and returns them, the first to expire first.
    pub fn expire(&mut self, now: Time) -> Vec<Arc<Message>> {
        let mut removed = Vec::new();
        while let Some((_, node)) = self.expiries.first().copied().filter(|(end, _)| *end <= now) {
            removed.extend(self.take(node));
            self.prune(node);
        }
        removed
    }

    /// Returns when the next message expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Time> {
        self.expiries.first().map(|(end, _)| *end)
    }

    fn refusal(&self, new: &Message, old: Option<&Message>) -> Option<RetainedLimit> {
        let bytes = self.bytes - old.map_or(0, weight) + weight(new);
        if old.is_none() && self.messages >= self.limits.max_messages as usize {
            return Some(RetainedLimit::Messages);
        }
        (bytes > self.limits.max_bytes.0.max(self.bytes)).then_some(RetainedLimit::Bytes)
    }

    fn find(&self, topic: &str) -> Option<NodeId> {
        topic.split('/').try_fold(NodeId::ROOT, |node, level| self.levels.child(node, level))
    }

    fn put(&mut self, node: NodeId, message: Arc<Message>) {
        self.messages += 1;
        self.bytes += weight(&message);
        if message.expires != Time::NEVER {
            self.expiries.insert((message.expires, node));
        }
        *self.levels.payload_mut(node) = Some(message);
    }

    fn take(&mut self, node: NodeId) -> Option<Arc<Message>> {
        let message = self.levels.payload_mut(node).take()?;
        self.messages -= 1;
        self.bytes -= weight(&message);
        self.expiries.remove(&(message.expires, node));
        Some(message)
    }

    /// Removes `node` and those above it, as far as they hold nothing.
    fn prune(&mut self, mut node: NodeId) {
        while node != NodeId::ROOT
            && self.levels.payload(node).is_none()
            && !self.levels.has_children(node)
        {
            let parent = self.levels.parent(node);
            self.levels.remove(node);
            node = parent;
        }
    }

    /// Visits what matches below `node`, where `rest` holds the levels of the filter that are still
    /// to be matched. Recursion goes as deep as the tree does.
    fn walk<'t, F>(&'t self, node: NodeId, rest: Option<&str>, visit: &mut F)
    where
        F: FnMut(&'t Arc<Message>),
    {
        match rest.map(split_level) {
            None => self.levels.payload(node).iter().for_each(visit),
            Some(("#", _)) => self.walk_all(node, visit),
            Some(("+", rest)) => {
                self.wild_children(node).for_each(|child| self.walk(child, rest, visit));
            }
            Some((level, rest)) => {
                if let Some(child) = self.levels.child(node, level) {
                    self.walk(child, rest, visit);
                }
            }
        }
    }

    fn walk_all<'t, F>(&'t self, node: NodeId, visit: &mut F)
    where
        F: FnMut(&'t Arc<Message>),
    {
        self.levels.payload(node).iter().for_each(&mut *visit);
        self.wild_children(node).for_each(|child| self.walk_all(child, visit));
    }

    /// Returns the children of `node` that a wildcard stands for.
    fn wild_children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let all = move |child: &NodeId| {
            node != NodeId::ROOT || !self.levels.label(*child).starts_with('$')
        };
        self.levels.children(node).filter(all)
    }
}

/// The place of a message among [`Retained::expiries`]: twice its size, for nodes of the set are at
/// least half full.
const EXPIRY_BYTES: usize = 2 * size_of::<(Time, NodeId)>() + 8;

fn weight(message: &Message) -> u64 {
    message_bytes(message) as u64
}

/// Returns how much memory it takes to retain `message`, in bytes: a little more than it really
/// does, for levels that topics share are counted for each.
#[must_use]
pub fn message_bytes(message: &Message) -> usize {
    // The message and its topic each have two reference counts before them.
    const REFERENCE_COUNTS: usize = 4 * size_of::<usize>();
    let levels = message.topic.split('/').count();
    let expires = message.expires != Time::NEVER;
    size_of::<Message>()
        + REFERENCE_COUNTS
        + if expires { EXPIRY_BYTES } else { 0 }
        + message.topic.len()
        + message.payload.len()
        + message.properties.as_deref().map_or(0, properties_bytes)
        + levels * LevelArena::<Option<Arc<Message>>>::NODE_BYTES
        + longer_labels(&message.topic)
}

/// The bytes of levels that do not fit in a node are kept beside it.
fn longer_labels(topic: &str) -> usize {
    let limit = crate::level_arena::INLINE_LABEL_BYTES;
    topic.split('/').map(str::len).filter(|length| *length > limit).sum()
}

fn properties_bytes(properties: &Properties) -> usize {
    let Properties { payload_is_utf8: _, content_type, response_topic, correlation_data, user } =
        properties;
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let pair =
        |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
    size_of::<Properties>()
        + text(content_type)
        + text(response_topic)
        + correlation_data.as_ref().map_or(0, |data| data.len())
        + user.iter().map(pair).sum::<usize>()
}
