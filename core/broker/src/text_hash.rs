use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// A fast hash of short texts, keyed by a seed that clients do not know.
#[derive(Clone)]
pub(crate) struct TextHash {
    seed: SharedSeed,
    start: u64,
    spread: u64,
}

impl TextHash {
    pub(crate) fn new(seed: u64) -> Self {
        let start = scramble(seed);
        Self { seed: SharedSeed::from_u64(seed), start, spread: scramble(start) | 1 }
    }

    /// Returns the hash of `text` in the context `salt`.
    ///
    /// The salt comes in after the text. The hasher would mix it with the first bytes of the text by
    /// exclusive or and rotate it by the length of the text, so that small salts and short texts
    /// would collide by design.
    pub(crate) fn of(&self, salt: u32, text: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.seed);
        hasher.write(text);
        scramble(hasher.finish() ^ u64::from(salt).wrapping_mul(self.spread))
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input reaches all others.
fn scramble(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn small_numbers_as_salt_and_text_do_not_collide() {
        for seed in 0..3 {
            let hash = TextHash::new(seed);
            let all: HashSet<u64> = (0..300u32)
                .flat_map(|salt| (0..300u32).map(move |n| (salt, n.to_string())))
                .map(|(salt, text)| hash.of(salt, text.as_bytes()))
                .collect();
            assert_eq!(all.len(), 300 * 300, "seed {seed}");
        }
    }

    #[test]
    fn another_seed_gives_another_hash() {
        assert_ne!(TextHash::new(1).of(7, b"a"), TextHash::new(2).of(7, b"a"));
        assert_eq!(TextHash::new(1).of(7, b"a"), TextHash::new(1).of(7, b"a"));
    }
}
