use std::collections::VecDeque;
use std::time::Duration;

use tomte_base::{ByteSize, Time};

#[cfg(test)]
mod tests;

/// What happens to a message for a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest messages make room.
    #[default]
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The new message is given back: whoever sent it is told that there is no room.
    Refuse,
}

/// How much may wait, and what happens to more. Chosen by the owner of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most messages.
    pub max_messages: u32,
    /// Most bytes, as the caller counts them.
    pub max_bytes: ByteSize,
    /// What happens to a message past these.
    pub overflow: Overflow,
}

impl Default for QueueLimits {
    /// 1,000 messages, 4 MiB, the oldest make room.
    fn default() -> Self {
        Self { max_messages: 1_000, max_bytes: ByteSize::mib(4), overflow: Overflow::DropOldest }
    }
}

/// What became of a message that was to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Push<T> {
    /// It waits.
    Queued,
    /// It waits, and these were dropped for it, the oldest first.
    QueuedDropping(Vec<T>),
    /// It was dropped: the queue is full and keeps the older ones, or it alone passes the limits.
    Dropped(T),
    /// It is given back, and the sender is to be told.
    Refused(T),
}

/// Messages that wait, in order, within [`QueueLimits`].
///
/// An expired message never leaves by [`Self::pop`]. It takes up room until it reaches the front, or
/// until [`Self::expire`] is called.
///
/// An empty queue allocates nothing, also when it was full before.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    entries: VecDeque<Entry<T>>,
    limits: QueueLimits,
    bytes: u64,
    /// No message expires before, [`Time::NEVER`] when none expires at all.
    soonest: Time,
    /// See [`Queue::EXPIRY_SEARCH_PERIOD`].
    next_search: Time,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    item: T,
    bytes: usize,
    expires: Time,
}

/// A vector with fewer places than this is not shrunk.
const SMALLEST_SHRUNK: usize = 64;

impl<T> Queue<T> {
    /// Time between two searches for expired messages, for an owner who follows
    /// [`Self::next_expiry`]. A search reads the whole queue; the period bounds its share of time
    /// however the messages expire. MQTT counts expiry in whole seconds.
    pub const EXPIRY_SEARCH_PERIOD: Duration = Duration::from_secs(1);

    /// Makes an empty queue.
    #[must_use]
    pub const fn new(limits: QueueLimits) -> Self {
        Self {
            entries: VecDeque::new(),
            limits,
            bytes: 0,
            soonest: Time::NEVER,
            next_search: Time(0),
        }
    }

    /// Returns how many messages wait, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns how many bytes wait, as the caller counted them.
    #[must_use]
    pub fn bytes(&self) -> ByteSize {
        ByteSize(self.bytes)
    }

    /// Returns the limits of the queue.
    #[must_use]
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// Changes the limits. What waits is not dropped; the next push makes the room that it needs.
    pub fn set_limits(&mut self, limits: QueueLimits) {
        self.limits = limits;
    }

    /// Adds a message of `bytes` at the end. It expires at `expires`, [`Time::NEVER`] for never.
    pub fn push(&mut self, item: T, bytes: usize, expires: Time) -> Push<T> {
        let fits_alone = self.limits.max_messages > 0 && bytes as u64 <= self.limits.max_bytes.0;
        let room = self.has_room(bytes);
        match self.limits.overflow {
            Overflow::Refuse if !room => Push::Refused(item),
            Overflow::DropNewest if !room => Push::Dropped(item),
            Overflow::DropOldest if !fits_alone => Push::Dropped(item),
            _ => {
                let dropped = self.make_room(bytes);
                self.soonest = self.soonest.min(expires);
                self.bytes += bytes as u64;
                self.entries.push_back(Entry { item, bytes, expires });
                if dropped.is_empty() { Push::Queued } else { Push::QueuedDropping(dropped) }
            }
        }
    }

    /// Puts back a message that [`Self::pop`] gave and that could not be delivered. It is not lost to
    /// the limits: the queue passes them by as much as the owner had taken out.
    pub fn push_front(&mut self, item: T, bytes: usize, expires: Time) {
        self.soonest = self.soonest.min(expires);
        self.bytes += bytes as u64;
        self.entries.push_front(Entry { item, bytes, expires });
    }

    /// Takes the first message that has not expired at `now`. The expired ones before it go to
    /// `dropped`.
    pub fn pop(&mut self, now: Time, dropped: &mut Vec<T>) -> Option<T> {
        while let Some(entry) = self.take_first() {
            if entry.expires > now {
                return Some(entry.item);
            }
            dropped.push(entry.item);
        }
        None
    }

    /// Returns the message that [`Self::pop`] would give. The expired ones before it go to `dropped`.
    pub fn peek(&mut self, now: Time, dropped: &mut Vec<T>) -> Option<&T> {
        while self.entries.front().is_some_and(|entry| entry.expires <= now) {
            dropped.extend(self.take_first().map(|entry| entry.item));
        }
        self.entries.front().map(|entry| &entry.item)
    }

    /// Returns the message at `place`, 0 for the oldest, expired ones included.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        self.entries.get(place).map(|entry| &entry.item)
    }

    /// Adds a message at the end that was there before, after a restart for example. It is not lost
    /// to the limits; the next [`Self::push`] makes the room that it needs.
    pub fn push_back(&mut self, item: T, bytes: usize, expires: Time) {
        self.soonest = self.soonest.min(expires);
        self.bytes += bytes as u64;
        self.entries.push_back(Entry { item, bytes, expires });
    }

    /// Empties the queue and returns what waited in order, each with its bytes and its expiry.
    pub fn drain_entries(&mut self) -> impl ExactSizeIterator<Item = (T, usize, Time)> + use<T> {
        self.bytes = 0;
        self.soonest = Time::NEVER;
        let entries = std::mem::take(&mut self.entries).into_iter();
        entries.map(|entry| (entry.item, entry.bytes, entry.expires))
    }

    /// Empties the queue and returns what waited in order, expired messages included.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = T> + use<T> {
        self.bytes = 0;
        self.soonest = Time::NEVER;
        std::mem::take(&mut self.entries).into_iter().map(|entry| entry.item)
    }

    /// Removes the messages that `test` picks, and gives them to `removed` in order.
    pub fn remove_where(&mut self, mut test: impl FnMut(&T) -> bool, removed: &mut Vec<T>) {
        self.remove_entries(|entry| test(&entry.item), removed);
    }

    /// Removes the messages that expired at `now`, and gives them to `dropped` in order.
    pub fn expire(&mut self, now: Time, dropped: &mut Vec<T>) {
        if self.soonest > now {
            return;
        }
        self.remove_entries(|entry| entry.expires <= now, dropped);
        self.next_search = now + Self::EXPIRY_SEARCH_PERIOD;
        let soonest = self.entries.iter().map(|entry| entry.expires).min();
        self.soonest = soonest.unwrap_or(Time::NEVER);
    }

    /// Returns when [`Self::expire`] should be called, `None` when no message expires. That is when
    /// the first message expires, but not sooner than [`Self::EXPIRY_SEARCH_PERIOD`] after the last
    /// search. It may be a call that finds nothing, when that message has left already.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Time> {
        (self.soonest != Time::NEVER).then(|| self.soonest.max(self.next_search))
    }

    /// Returns the waiting messages in order, expired ones included.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// Tells whether a message of `bytes` can be added without dropping another one.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.entries.len() < self.limits.max_messages as usize
            && self.bytes + bytes as u64 <= self.limits.max_bytes.0
    }

    /// Drops from the front until a message of `bytes`, which fits alone, has room.
    fn make_room(&mut self, bytes: usize) -> Vec<T> {
        let mut dropped = Vec::new();
        while !self.has_room(bytes) {
            let Some(entry) = self.take_first() else { break };
            dropped.push(entry.item);
        }
        dropped
    }

    fn take_first(&mut self) -> Option<Entry<T>> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes as u64;
        self.shrink();
        Some(entry)
    }

    fn remove_entries(&mut self, mut test: impl FnMut(&Entry<T>) -> bool, removed: &mut Vec<T>) {
        for _ in 0..self.entries.len() {
            let Some(entry) = self.entries.pop_front() else { break };
            if test(&entry) {
                self.bytes -= entry.bytes as u64;
                removed.push(entry.item);
            } else {
                self.entries.push_back(entry);
            }
        }
        self.shrink();
    }

    /// Gives memory back: all of it when the queue is empty, half when most is unused.
    fn shrink(&mut self) {
        let (used, places) = (self.entries.len(), self.entries.capacity());
        if used == 0 {
            self.entries = VecDeque::new();
            self.soonest = Time::NEVER;
        } else if places > SMALLEST_SHRUNK && used < places / 4 {
            self.entries.shrink_to(places / 2);
        }
    }
}
