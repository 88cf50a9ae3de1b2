use std::collections::HashMap;

use tomte_base::NumberHash;

use crate::session::{KEPT_CAPACITY, Phase};

/// Messages on their way to the peer, by packet identifier.
#[derive(Clone, Debug)]
pub(crate) struct InFlight<M> {
    entries: HashMap<u16, Entry<M>, NumberHash>,
    /// Entries in the phase [`Phase::Released`].
    released: u16,
    /// The identifier to try next.
    next_id: u16,
    /// The place in the order that the next entry gets.
    next_order: u64,
}

#[derive(Clone, Debug)]
struct Entry<M> {
    order: u64,
    phase: Phase<M>,
}

impl<M> InFlight<M> {
    pub(crate) fn new() -> Self {
        Self { entries: HashMap::default(), released: 0, next_id: 1, next_order: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    pub(crate) fn released(&self) -> usize {
        usize::from(self.released)
    }

    pub(crate) fn next_id(&self) -> u16 {
        self.next_id
    }

    pub(crate) fn get(&self, id: u16) -> Option<&Phase<M>> {
        self.entries.get(&id).map(|entry| &entry.phase)
    }

    /// Adds a message under a free identifier, `None` when all 65,535 are taken.
    pub(crate) fn insert(&mut self, phase: Phase<M>) -> Option<u16> {
        if self.entries.len() >= usize::from(u16::MAX) {
            return None;
        }
        while self.entries.contains_key(&self.next_id) {
            self.next_id = following(self.next_id);
        }
        let id = self.next_id;
        self.put(id, phase);
        Some(id)
    }

    /// Sets the phase of `id`, at the end of the order; later identifiers start behind it.
    pub(crate) fn put(&mut self, id: u16, phase: Phase<M>) {
        self.remove(id);
        self.released += u16::from(phase.is_released());
        self.entries.insert(id, Entry { order: self.next_order, phase });
        self.next_order += 1;
        self.next_id = following(id);
    }

    pub(crate) fn set_next_id(&mut self, id: u16) {
        self.next_id = id.max(1);
    }

    pub(crate) fn remove(&mut self, id: u16) -> Option<Phase<M>> {
        let phase = self.entries.remove(&id)?.phase;
        self.released -= u16::from(phase.is_released());
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = HashMap::default();
        }
        Some(phase)
    }

    /// Moves the message `id` to [`Phase::Released`], behind all others, and returns it.
    pub(crate) fn release(&mut self, id: u16) -> Option<M> {
        let entry = self.entries.get_mut(&id)?;
        let message = std::mem::replace(&mut entry.phase, Phase::Released).into_message()?;
        entry.order = self.next_order;
        self.next_order += 1;
        self.released += 1;
        Some(message)
    }

    /// Returns the messages that are not released, in any order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &M> {
        self.entries.values().filter_map(|entry| entry.phase.message())
    }

    /// Returns all entries in order.
    pub(crate) fn in_order(&self) -> Vec<(u16, &Phase<M>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.order);
        entries.into_iter().map(|(id, entry)| (*id, &entry.phase)).collect()
    }

    /// Takes all entries, in order.
    pub(crate) fn drain(&mut self) -> Vec<Phase<M>> {
        self.released = 0;
        let mut entries: Vec<_> = std::mem::take(&mut self.entries).into_values().collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        entries.into_iter().map(|entry| entry.phase).collect()
    }
}

/// Returns the identifier after `id`; 0 is none.
fn following(id: u16) -> u16 {
    id.checked_add(1).unwrap_or(1)
}
