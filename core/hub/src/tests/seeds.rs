//! What follows from the seed, and what does not.

use super::harness::{Bed, QOS1, open};

/// As many topics as the match cache has room for, nearly: some must push out others, and which ones
/// they are is a matter of the hash.
const N_TOPICS: usize = 4_000;

/// Tells for each topic whether the hub still has what it found for it.
fn cached(seed: u128) -> Vec<bool> {
    let mut hub = Bed::seeded(open(), seed).hub;
    let topics: Vec<String> = (0..N_TOPICS).map(|n| format!("a/{n}")).collect();
    for topic in &topics {
        hub.match_set(topic);
    }
    let generation = hub.tree.generation();
    topics.iter().map(|topic| hub.matches.get(topic, generation).is_some()).collect()
}

#[test]
fn which_topics_collide_depends_on_the_seed() {
    assert_eq!(cached(1), cached(1));
    assert_ne!(cached(1), cached(2));
    assert_ne!(cached(1), cached(1 << 64));
}

#[test]
fn what_clients_receive_does_not_depend_on_the_seed() {
    let received = |seed| {
        let mut bed = Bed::seeded(open(), seed);
        let sender = bed.connect("", "s", true);
        for n in 0..100 {
            bed.retain(sender, &format!("a/{}/b", n * 7 % 100), "r");
        }
        let receiver = bed.connect("", "r", false);
        for filter in ["a/+/b", "#", "$share/g/a/#", "a/1/#"] {
            bed.subscribe(receiver, filter, QOS1);
        }
        for n in 0..100 {
            bed.publish(sender, &format!("a/{n}/b"), "p", QOS1, n + 1);
        }
        bed.received_bytes(receiver)
    };
    for seed in 2..10 {
        assert!(received(1) == received(seed << 60), "seed {seed}");
    }
}
