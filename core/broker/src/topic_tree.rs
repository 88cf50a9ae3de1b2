use std::hash::Hash;

use tomte_base::TopicFilter;

use crate::level_arena::{LevelArena, NodeId};

mod members;
#[cfg(test)]
mod tests;

use members::Members;

/// Who gets the messages on a topic: device subscriptions and routes in one tree.
///
/// The tree holds pairs of a filter and a key, each with a value. A key may have many filters and a
/// filter many keys. [`Self::matches`] visits every pair whose filter matches a topic.
///
/// A pair takes one node for each level of its filter that no other pair has, about 80 bytes, and
/// nothing more while it is alone with its filter. Keys and values lie in the nodes: keep them
/// small. Removal takes away the nodes that hold nothing any more.
///
/// Matching allocates nothing. It visits at most the nodes whose path matches the start of the
/// topic, so its worst case is one client that subscribes to all 2^n mixes of `+` and the levels of
/// one topic; the owner bounds the number of subscriptions of a client.
pub struct TopicTree<K, V> {
    levels: LevelArena<Here<K, V>>,
    pairs: usize,
    generation: u64,
}

/// What the tree knows at one node.
struct Here<K, V> {
    /// The child for the level `+`, and the one for `#`. A topic has no such levels, so they are not
    /// among the children that are found by text.
    plus: Option<NodeId>,
    hash: Option<NodeId>,
    members: Members<K, V>,
}

impl<K, V> Default for Here<K, V> {
    fn default() -> Self {
        Self { plus: None, hash: None, members: Members::None }
    }
}

impl<K, V> TopicTree<K, V>
where
    K: Copy + Eq + Hash + Ord,
{
    /// Makes an empty tree. A seed that clients do not know keeps them from choosing topics that
    /// make the tree slow.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { levels: LevelArena::new(seed), pairs: 0, generation: 0 }
    }

    /// Returns how many pairs of a filter and a key there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Tells whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// Returns a number that grows with each change. What was learned by [`Self::matches`] holds for
    /// one generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds a pair, or changes its value. Returns the value that was replaced.
    pub fn insert(&mut self, filter: &TopicFilter, key: K, value: V) -> Option<V> {
        let mut node = NodeId::ROOT;
        for level in filter.split('/') {
            node = self.child_or_new(node, level);
        }
        let replaced = self.levels.payload_mut(node).members.insert(key, value);
        self.generation += 1;
        self.pairs += usize::from(replaced.is_none());
        replaced
    }

    /// Returns the value of a pair.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter, key: K) -> Option<&V> {
        self.levels.payload(self.find(filter)?).members.get(key)
    }

    /// Removes a pair and returns its value.
    pub fn remove(&mut self, filter: &TopicFilter, key: K) -> Option<V> {
        let node = self.find(filter)?;
        let removed = self.levels.payload_mut(node).members.remove(key)?;
        self.prune(node);
        self.generation += 1;
        self.pairs -= 1;
        Some(removed)
    }

    /// Removes the pairs of `key` with each of `filters`, as when a session ends.
    pub fn remove_key<'f>(&mut self, key: K, filters: impl Iterator<Item = &'f TopicFilter>) {
        for filter in filters {
            self.remove(filter, key);
        }
    }

    /// Visits every pair whose filter matches `topic`, in an order that depends on the pairs alone
    /// and not on when they were added. The keys of one filter come in their order.
    ///
    /// Source: MQTT 5, section 4.7; filters that start with a wildcard do not match topics that
    /// start with `$` (MQTT-4.7.2-1).
    pub fn matches<'t>(&'t self, topic: &str, mut visit: impl FnMut(K, &'t V)) {
        let wildcards_match = !topic.starts_with('$');
        self.walk(NodeId::ROOT, Some(topic), wildcards_match, &mut visit);
    }

    /// Visits what matches below `node`, where `rest` holds the levels of the topic that are still
    /// to be matched, `None` when the topic has ended. Recursion goes as deep as a filter does.
    fn walk<'t, F>(&'t self, node: NodeId, rest: Option<&str>, wildcards_match: bool, visit: &mut F)
    where
        F: FnMut(K, &'t V),
    {
        let here = self.levels.payload(node);
        if let (true, Some(hash)) = (wildcards_match, here.hash) {
            self.levels.payload(hash).members.visit(visit);
        }
        let Some(rest) = rest else {
            here.members.visit(visit);
            return;
        };
        let (level, rest) = split_level(rest);
        if let Some(child) = self.levels.child(node, level) {
            self.walk(child, rest, true, visit);
        }
        if let (true, Some(plus)) = (wildcards_match, here.plus) {
            self.walk(plus, rest, true, visit);
        }
    }

    fn find(&self, filter: &TopicFilter) -> Option<NodeId> {
        filter.split('/').try_fold(NodeId::ROOT, |node, level| self.child(node, level))
    }

    fn child(&self, node: NodeId, level: &str) -> Option<NodeId> {
        match level {
            "+" => self.levels.payload(node).plus,
            "#" => self.levels.payload(node).hash,
            _ => self.levels.child(node, level),
        }
    }

    fn child_or_new(&mut self, node: NodeId, level: &str) -> NodeId {
        if !matches!(level, "+" | "#") {
            return self.levels.child_or_new(node, level);
        }
        if let Some(child) = self.child(node, level) {
            return child;
        }
        let child = self.levels.new_loose(node, level);
        let here = self.levels.payload_mut(node);
        let link = if level == "+" { &mut here.plus } else { &mut here.hash };
        *link = Some(child);
        child
    }

    /// Removes `node` and those above it, as far as they hold nothing.
    fn prune(&mut self, mut node: NodeId) {
        while node != NodeId::ROOT && self.is_bare(node) {
            let parent = self.levels.parent(node);
            let above = self.levels.payload_mut(parent);
            if above.plus == Some(node) {
                above.plus = None;
            } else if above.hash == Some(node) {
                above.hash = None;
            }
            self.levels.remove(node);
            node = parent;
        }
    }

    fn is_bare(&self, node: NodeId) -> bool {
        let here = self.levels.payload(node);
        let has_wildcards = here.plus.is_some() || here.hash.is_some();
        here.members.is_empty() && !has_wildcards && !self.levels.has_children(node)
    }
}

/// Splits a topic after its first level. The rest of `a/` is an empty level, that of `a` is none.
pub(crate) fn split_level(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (topic, None),
    }
}
