use tomte_base::TopicName;

use crate::text_hash::TextHash;

/// Most topics that a [`MatchCache`] holds at once, one longer topic aside.
pub const CACHED_TOPICS: usize = SETS * WAYS;

/// Longest topic that is kept among the [`CACHED_TOPICS`], in bytes. Together they bound the bytes of
/// topics to 2 MiB. Of longer topics only the last one is kept.
pub const LONGEST_CACHED_TOPIC_BYTES: usize = 512;

/// Topics that may lie in one set: how many are compared for one lookup.
const WAYS: usize = 8;

/// Number of sets, a power of two.
const SETS: usize = 512;

/// What was found for topics that return: topic to `T`, where a `T` holds for one generation of the
/// topic tree.
///
/// Topics come from clients, so the cache has a fixed shape, as that of a processor has: the hash of a
/// topic names a set of eight places, and a new topic takes the place of one that was not asked for
/// lately. Nothing is ever cleared as a whole, a flood of new topics costs each message one lookup
/// and one exchange, and topics that are asked for again survive it. Topics that were made to
/// collide only push out each other. Results of older generations are replaced first.
///
/// An empty cache allocates nothing; the first topic allocates the table, about 40 bytes for each
/// of the [`CACHED_TOPICS`] and the size of `T`.
pub struct MatchCache<T> {
    sets: Vec<Set<T>>,
    /// The last topic that was longer than [`LONGEST_CACHED_TOPIC_BYTES`].
    long: Option<Entry<T>>,
    hash: TextHash,
    topics: usize,
    topic_bytes: usize,
}

struct Set<T> {
    tags: [u32; WAYS],
    /// One bit for each place: it was asked for since the hand last passed.
    recent: u8,
    hand: u8,
    places: [Option<Entry<T>>; WAYS],
}

struct Entry<T> {
    topic: TopicName,
    generation: u64,
    value: T,
}

impl<T> Entry<T> {
    fn is(&self, topic: &str, generation: u64) -> bool {
        self.generation == generation && self.topic.as_str() == topic
    }
}

impl<T> MatchCache<T> {
    /// Makes an empty cache. A seed that clients do not know keeps them from choosing topics that
    /// push out those of others.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let hash = TextHash::new(seed);
        Self { sets: Vec::new(), long: None, hash, topics: 0, topic_bytes: 0 }
    }

    /// Returns how many topics are held, those of older generations included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics + usize::from(self.long.is_some())
    }

    /// Tells whether no topic is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes the held topics have, one longer topic aside.
    #[must_use]
    pub fn topic_bytes(&self) -> usize {
        self.topic_bytes
    }

    /// Returns what was found for `topic` in this `generation`.
    pub fn get(&mut self, topic: &str, generation: u64) -> Option<&T> {
        if topic.len() > LONGEST_CACHED_TOPIC_BYTES {
            return self.long.as_ref().filter(|e| e.is(topic, generation)).map(|e| &e.value);
        }
        let (set, tag) = self.place_of(topic);
        self.sets.get_mut(set)?.get(tag, topic, generation)
    }

    /// Keeps what was found for `topic` in this `generation`, and returns it.
    pub fn insert(&mut self, topic: TopicName, generation: u64, value: T) -> &T {
        let entry = Entry { topic, generation, value };
        if entry.topic.len() > LONGEST_CACHED_TOPIC_BYTES {
            return &self.long.insert(entry).value;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Set::new);
        }
        self.topics += 1;
        self.topic_bytes += entry.topic.len();
        let (set, tag) = self.place_of(&entry.topic);
        let set = &mut self.sets[set];
        let way = set.choose_place(tag, &entry);
        if let Some(old) = set.places[way].take() {
            self.topics -= 1;
            self.topic_bytes -= old.topic.len();
        }
        set.tags[way] = tag;
        set.recent &= !(1 << way);
        &set.places[way].insert(entry).value
    }

    /// Returns the set of `topic`, and a second part of its hash that tells most topics of one set
    /// apart.
    fn place_of(&self, topic: &str) -> (usize, u32) {
        let hash = self.hash.of(0, topic.as_bytes());
        let [a, b, c, d, low @ ..] = hash.to_be_bytes();
        (u32::from_be_bytes(low) as usize % SETS, u32::from_be_bytes([a, b, c, d]))
    }
}

impl<T> Set<T> {
    fn new() -> Self {
        Self { tags: [0; WAYS], recent: 0, hand: 0, places: [const { None }; WAYS] }
    }

    fn get(&mut self, tag: u32, topic: &str, generation: u64) -> Option<&T> {
        let way = (0..WAYS).find(|way| {
            let entry = self.places[*way].as_ref();
            self.tags[*way] == tag && entry.is_some_and(|entry| entry.is(topic, generation))
        })?;
        self.recent |= 1 << way;
        self.places[way].as_ref().map(|entry| &entry.value)
    }

    /// Returns the place for a new entry: that of the same topic, else an empty or outdated one,
    /// else the first after the hand that was not asked for since the hand last passed (the
    /// second-chance rule of page replacement).
    fn choose_place(&mut self, tag: u32, new: &Entry<T>) -> usize {
        let holds_same = |way: &usize| {
            let entry = self.places[*way].as_ref();
            self.tags[*way] == tag && entry.is_some_and(|entry| entry.topic == new.topic)
        };
        let is_free = |way: &usize| {
            self.places[*way].as_ref().is_none_or(|entry| entry.generation != new.generation)
        };
        (0..WAYS)
            .find(holds_same)
            .or_else(|| (0..WAYS).find(is_free))
            .unwrap_or_else(|| self.second_chance())
    }

    fn second_chance(&mut self) -> usize {
        loop {
            let way = usize::from(self.hand) % WAYS;
            self.hand = self.hand.wrapping_add(1);
            if self.recent & (1 << way) == 0 {
                return way;
            }
            self.recent &= !(1 << way);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> TopicName {
        TopicName::new(&format!("flood/{n}/temperature")).unwrap()
    }

    #[test]
    fn a_topic_that_returns_is_found_in_its_generation_only() {
        let mut cache = MatchCache::new(0);
        assert_eq!(cache.get("flood/1/temperature", 1), None);
        assert_eq!(cache.insert(topic(1), 1, "old"), &"old");
        assert_eq!(cache.get("flood/1/temperature", 1), Some(&"old"));
        assert_eq!(cache.get("flood/2/temperature", 1), None);
        assert_eq!(cache.get("flood/1/temperature", 2), None);
        assert_eq!(cache.insert(topic(1), 2, "new"), &"new");
        assert_eq!(cache.get("flood/1/temperature", 2), Some(&"new"));
        assert_eq!(cache.get("flood/1/temperature", 1), None);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn an_empty_cache_allocates_nothing() {
        let cache = MatchCache::<u64>::new(0);
        assert_eq!((cache.sets.capacity(), cache.len()), (0, 0));
    }

    /// Proves: MQT-4.
    #[test]
    fn a_flood_of_topics_stays_within_the_bounds() {
        let mut cache = MatchCache::new(0);
        let long = "x".repeat(LONGEST_CACHED_TOPIC_BYTES - 10);
        let mut most = 0;
        for n in 0..10 * CACHED_TOPICS {
            let topic = TopicName::new(&format!("{long}{n}")).unwrap();
            assert_eq!(*cache.insert(topic.clone(), 0, n), n);
            assert_eq!(cache.get(&topic, 0), Some(&n));
            most = most.max(cache.len());
        }
        assert_eq!(most, CACHED_TOPICS, "the cache is used to its bound and not past it");
        assert!(cache.topic_bytes() <= CACHED_TOPICS * LONGEST_CACHED_TOPIC_BYTES);
        let held: usize = cache.entries().map(|entry| entry.topic.len()).sum();
        assert_eq!(cache.topic_bytes(), held);
        assert_eq!(cache.entries().count(), cache.len());
    }

    #[test]
    fn topics_that_are_asked_for_again_survive_a_flood() {
        let mut cache = MatchCache::new(0);
        let hot: Vec<_> = (0..100).map(|n| TopicName::new(&format!("hot/{n}")).unwrap()).collect();
        let (mut missed, mut asked) = (0, 0);
        for round in 0..1000 {
            for topic in &hot {
                asked += 1;
                if cache.get(topic, 0).is_none() {
                    missed += 1;
                    cache.insert(topic.clone(), 0, 0);
                }
            }
            (0..100).for_each(|n| assert_eq!(*cache.insert(topic(round * 100 + n), 0, n), n));
        }
        assert!(missed < asked / 50, "{missed} of {asked} lookups missed");
    }

    #[test]
    fn outdated_results_leave_before_current_ones() {
        let mut cache = MatchCache::new(0);
        for n in 0..CACHED_TOPICS {
            cache.insert(topic(n), 0, n);
        }
        // Far fewer topics than places: no set gets more current topics than it has outdated ones.
        let current: Vec<_> = (0..200).map(|n| topic(1_000_000 + n)).collect();
        for topic in &current {
            cache.insert(topic.clone(), 1, 0);
        }
        assert!(current.iter().all(|topic| cache.get(topic, 1).is_some()));
    }

    #[test]
    fn topics_past_the_length_limit_share_one_place() {
        let mut cache = MatchCache::new(0);
        let at_limit = TopicName::new(&"a".repeat(LONGEST_CACHED_TOPIC_BYTES)).unwrap();
        let past = |c: &str| TopicName::new(&c.repeat(LONGEST_CACHED_TOPIC_BYTES + 1)).unwrap();
        cache.insert(at_limit.clone(), 0, 1);
        cache.insert(past("b"), 0, 2);
        assert_eq!(cache.get(&past("b"), 0), Some(&2));
        assert_eq!(cache.get(&past("b"), 1), None);
        cache.insert(past("c"), 0, 3);
        assert_eq!(cache.get(&past("b"), 0), None);
        assert_eq!(cache.get(&past("c"), 0), Some(&3));
        assert_eq!(cache.get(&at_limit, 0), Some(&1));
        assert_eq!((cache.len(), cache.topic_bytes()), (2, LONGEST_CACHED_TOPIC_BYTES));
    }

    impl<T> MatchCache<T> {
        fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
            self.sets.iter().flat_map(|set| set.places.iter().flatten()).chain(&self.long)
        }
    }
}
