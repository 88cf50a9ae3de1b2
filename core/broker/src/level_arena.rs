//! The levels of many topics as one tree: the shape below [`crate::TopicTree`] and
//! [`crate::Retained`].
//!
//! Nodes lie in one vector and refer to each other by number. One hash table for the whole tree
//! finds the child of a node by its text, so that a node with one child costs no more than its own
//! few words, and a node with a million children is found as fast. Siblings are linked, so that they
//! can be walked too.
//!
//! Freed nodes are used again, the lowest numbers first, so that the vector can shrink from its end.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use hashbrown::HashTable;

use crate::text_hash::TextHash;

/// Longest text of a level that is kept inside its node, in bytes.
pub(crate) const INLINE_LABEL_BYTES: usize = 22;

/// Containers with fewer places than this are not shrunk.
const SMALLEST_SHRUNK: usize = 1024;

/// The number of a node. It stays the same for as long as the node exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(NonZeroU32);

impl NodeId {
    pub(crate) const ROOT: NodeId = NodeId(NonZeroU32::MIN);

    fn from_index(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("memory ends before four billion nodes"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The text of one level. Both variants take 24 bytes.
enum Label {
    Inline { length: u8, text: [u8; INLINE_LABEL_BYTES] },
    Long(Box<str>),
}

impl Label {
    fn new(label: &str) -> Self {
        match u8::try_from(label.len()) {
            Ok(length) if label.len() <= INLINE_LABEL_BYTES => {
                let mut text = [0; INLINE_LABEL_BYTES];
                text[..label.len()].copy_from_slice(label.as_bytes());
                Self::Inline { length, text }
            }
            _ => Self::Long(label.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, text } => &text[..usize::from(*length)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a label was text when it was made")
    }
}

struct Node<P> {
    label: Label,
    parent: NodeId,
    first_child: Option<NodeId>,
    next: Option<NodeId>,
    previous: Option<NodeId>,
    payload: P,
}

/// A tree of levels with a payload `P` at each node.
pub(crate) struct LevelArena<P> {
    nodes: Vec<Node<P>>,
    free: BTreeSet<NodeId>,
    edges: HashTable<NodeId>,
    hash: TextHash,
}

impl<P: Default> LevelArena<P> {
    /// Bytes that one node takes at most, without what its payload keeps elsewhere: the node, a
    /// quarter of it for room to grow, and its share of a hash table that has a number and a byte in
    /// each place and is at least 7/16 full.
    pub(crate) const NODE_BYTES: usize =
        size_of::<Node<P>>() * 5 / 4 + (size_of::<NodeId>() + 1) * 16 / 7 + 1;

    pub(crate) fn new(seed: u64) -> Self {
        let root = Node {
            label: Label::new(""),
            parent: NodeId::ROOT,
            first_child: None,
            next: None,
            previous: None,
            payload: P::default(),
        };
        Self {
            nodes: vec![root],
            free: BTreeSet::new(),
            edges: HashTable::new(),
            hash: TextHash::new(seed),
        }
    }

    /// Returns how many nodes are in use, the root included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Returns how many nodes there is memory for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    pub(crate) fn payload(&self, id: NodeId) -> &P {
        &self.nodes[id.index()].payload
    }

    pub(crate) fn payload_mut(&mut self, id: NodeId) -> &mut P {
        &mut self.nodes[id.index()].payload
    }

    pub(crate) fn parent(&self, id: NodeId) -> NodeId {
        self.nodes[id.index()].parent
    }

    pub(crate) fn label(&self, id: NodeId) -> &str {
        self.nodes[id.index()].label.as_str()
    }

    pub(crate) fn has_children(&self, id: NodeId) -> bool {
        self.nodes[id.index()].first_child.is_some()
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let first = self.nodes[id.index()].first_child;
        std::iter::successors(first, |child| self.nodes[child.index()].next)
    }

    /// Returns the child of `parent` for the level `label`.
    pub(crate) fn child(&self, parent: NodeId, label: &str) -> Option<NodeId> {
        if !self.has_children(parent) {
            return None;
        }
        let is_it = |id: &NodeId| {
            let node = &self.nodes[id.index()];
            node.parent == parent && node.label.as_bytes() == label.as_bytes()
        };
        self.edges.find(self.hash.of(parent.0.get(), label.as_bytes()), is_it).copied()
    }

    /// Returns the child of `parent` for the level `label`, made if there was none.
    pub(crate) fn child_or_new(&mut self, parent: NodeId, label: &str) -> NodeId {
        if let Some(child) = self.child(parent, label) {
            return child;
        }
        let id = self.new_loose(parent, label);
        self.link(id);
        let hash = self.hash.of(parent.0.get(), label.as_bytes());
        let Self { edges, nodes, hash: hasher, .. } = self;
        edges.insert_unique(hash, id, |id| hash_of(hasher, nodes, *id));
        id
    }

    /// Makes a node that knows its parent, while its parent does not know it: neither
    /// [`Self::child`] nor [`Self::children`] finds it.
    pub(crate) fn new_loose(&mut self, parent: NodeId, label: &str) -> NodeId {
        let node = Node {
            label: Label::new(label),
            parent,
            first_child: None,
            next: None,
            previous: None,
            payload: P::default(),
        };
        match self.free.pop_first() {
            Some(id) => {
                self.nodes[id.index()] = node;
                id
            }
            None => {
                self.reserve();
                self.nodes.push(node);
                NodeId::from_index(self.nodes.len() - 1)
            }
        }
    }

    /// Removes a node that has no children. Its parent forgets it, unless it was loose.
    pub(crate) fn remove(&mut self, id: NodeId) {
        let Self { edges, nodes, hash, .. } = self;
        if let Ok(edge) = edges.find_entry(hash_of(hash, nodes, id), |other| *other == id) {
            edge.remove();
            self.unlink(id);
        }
        self.release(id);
    }

    /// Makes room for a node. A large vector grows by a quarter: doubling would leave up to half of
    /// the memory unused.
    fn reserve(&mut self) {
        let places = self.nodes.capacity();
        if self.nodes.len() == places && places >= SMALLEST_SHRUNK {
            self.nodes.reserve_exact(places / 4);
        }
    }

    fn link(&mut self, id: NodeId) {
        let parent = self.nodes[id.index()].parent;
        let head = self.nodes[parent.index()].first_child.replace(id);
        self.nodes[id.index()].next = head;
        if let Some(head) = head {
            self.nodes[head.index()].previous = Some(id);
        }
    }

    fn unlink(&mut self, id: NodeId) {
        let Node { parent, next, previous, .. } = self.nodes[id.index()];
        match previous {
            Some(previous) => self.nodes[previous.index()].next = next,
            None => self.nodes[parent.index()].first_child = next,
        }
        if let Some(next) = next {
            self.nodes[next.index()].previous = previous;
        }
    }

    fn release(&mut self, id: NodeId) {
        debug_assert!(!self.has_children(id), "a node with children was removed");
        let node = &mut self.nodes[id.index()];
        node.label = Label::new("");
        node.payload = P::default();
        self.free.insert(id);
        while self.free.last().is_some_and(|last| last.index() + 1 == self.nodes.len()) {
            self.free.pop_last();
            self.nodes.pop();
        }
        self.shrink();
    }

    /// Gives memory back when three quarters of it are unused.
    fn shrink(&mut self) {
        let is_sparse = |used: usize, places: usize| places > SMALLEST_SHRUNK && used < places / 4;
        if is_sparse(self.nodes.len(), self.nodes.capacity()) {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
        let Self { edges, nodes, hash, .. } = self;
        if is_sparse(edges.len(), edges.capacity()) {
            edges.shrink_to(edges.len() * 2, |id| hash_of(hash, nodes, *id));
        }
    }
}

fn hash_of<P>(hash: &TextHash, nodes: &[Node<P>], id: NodeId) -> u64 {
    let node = &nodes[id.index()];
    hash.of(node.parent.0.get(), node.label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_kept_in_the_node_up_to_its_limit_and_beside_it_past_that() {
        assert_eq!(size_of::<Label>(), 24);
        for length in [0, 1, 21, 22, 23, 1000] {
            let text = "ä".repeat(length / 2) + &"x".repeat(length % 2);
            let label = Label::new(&text);
            assert_eq!(label.as_str(), text);
            assert_eq!(matches!(label, Label::Inline { .. }), length <= 22);
        }
    }

    #[test]
    fn children_are_found_by_text_and_by_walking() {
        let mut arena = LevelArena::<u8>::new(0);
        let a = arena.child_or_new(NodeId::ROOT, "a");
        let b = arena.child_or_new(NodeId::ROOT, "b");
        let below = arena.child_or_new(a, "b");
        assert_eq!(arena.child_or_new(NodeId::ROOT, "a"), a);
        assert_eq!(arena.child(NodeId::ROOT, "b"), Some(b));
        assert_eq!(arena.child(a, "b"), Some(below));
        assert_eq!(arena.child(b, "b"), None);
        assert_eq!(arena.children(NodeId::ROOT).collect::<Vec<_>>(), [b, a]);
        arena.remove(b);
        assert_eq!(arena.child(NodeId::ROOT, "b"), None);
        assert_eq!(arena.children(NodeId::ROOT).collect::<Vec<_>>(), [a]);
    }

    #[test]
    fn a_loose_node_is_known_by_its_number_alone() {
        let mut arena = LevelArena::<u8>::new(0);
        let loose = arena.new_loose(NodeId::ROOT, "+");
        assert_eq!(arena.child(NodeId::ROOT, "+"), None);
        assert!(!arena.has_children(NodeId::ROOT));
        assert_eq!((arena.parent(loose), arena.label(loose)), (NodeId::ROOT, "+"));
        arena.remove(loose);
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn siblings_stay_linked_when_any_of_them_leaves() {
        for leaving in 0..5 {
            let mut arena = LevelArena::<u8>::new(0);
            let ids: Vec<_> =
                (0..5).map(|n| arena.child_or_new(NodeId::ROOT, &n.to_string())).collect();
            arena.remove(ids[leaving]);
            let mut rest: Vec<_> = arena.children(NodeId::ROOT).collect();
            rest.reverse();
            let expect: Vec<_> = ids.iter().copied().filter(|id| *id != ids[leaving]).collect();
            assert_eq!(rest, expect);
        }
    }

    #[test]
    fn memory_returns_when_most_nodes_have_left() {
        let mut arena = LevelArena::<u8>::new(0);
        let ids: Vec<_> =
            (0..10_000).map(|n| arena.child_or_new(NodeId::ROOT, &n.to_string())).collect();
        assert!(arena.capacity() >= 10_000);
        for id in ids.iter().step_by(2).chain(ids.iter().skip(1).step_by(2)) {
            arena.remove(*id);
        }
        assert_eq!(arena.len(), 1);
        assert!(arena.capacity() <= SMALLEST_SHRUNK, "{}", arena.capacity());
        assert!(arena.edges.capacity() <= SMALLEST_SHRUNK, "{}", arena.edges.capacity());
    }
}
