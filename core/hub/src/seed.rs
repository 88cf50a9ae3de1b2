//! What clients must not guess, from one seed: names for those that bring none, numbers of calls, and
//! how topics are hashed.
//!
//! Clients see some of it. It is the result of a keyed hash (Aumasson, Bernstein: SipHash), so that
//! what they see tells nothing of the rest.

#[expect(deprecated, reason = "what takes its place in the standard library takes no key")]
use std::hash::SipHasher;
use std::hash::{Hash, Hasher};

/// The seed that a host gave. It is never shown.
#[derive(Clone, Copy)]
pub(crate) struct Seed(u128);

/// What a number is for. Those for one purpose tell nothing of those for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    IdHigh,
    IdLow,
    Hashing,
}

impl Seed {
    pub(crate) fn new(seed: u128) -> Self {
        Self(seed)
    }

    /// Returns the `n`th id: a version 4 UUID.
    pub(crate) fn id(self, n: u64) -> u128 {
        let high = self.number(Purpose::IdHigh, n);
        let low = self.number(Purpose::IdLow, n);
        let bits = (u128::from(high) << 64) | u128::from(low);
        bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62)
    }

    /// Returns the seed of hash tables whose keys clients choose.
    pub(crate) fn for_hashing(self) -> u64 {
        self.number(Purpose::Hashing, 0)
    }

    fn number(self, purpose: Purpose, n: u64) -> u64 {
        let [high, low] = halves(self.0);
        #[expect(deprecated, reason = "what takes its place in the standard library takes no key")]
        let mut hasher = SipHasher::new_with_keys(high, low);
        (purpose, n).hash(&mut hasher);
        hasher.finish()
    }
}

fn halves(number: u128) -> [u64; 2] {
    let bytes = number.to_be_bytes();
    [0, 8].map(|at| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Takes back one step of SplitMix64, whose every result tells its input.
    fn unmixed(result: u64) -> u64 {
        let mut z = result ^ (result >> 31) ^ (result >> 62);
        z = z.wrapping_mul(0x3196_42b2_d24d_8ec3);
        z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
        (z ^ (z >> 30) ^ (z >> 60)).wrapping_sub(0x9e37_79b9_7f4a_7c15)
    }

    fn mixed(input: u64) -> u64 {
        let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The low halves of ids were steps of SplitMix64 from half of the seed.
    #[test]
    fn who_knows_one_id_does_not_know_the_next_one() {
        let seed = Seed::new(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        let low = |n: u64| halves(seed.id(n))[1];
        let variants = (0..4_u64).map(|bits| low(1) & !(0x3 << 62) | bits << 62);
        let guesses = variants.map(|known| mixed(unmixed(known) ^ mixed(1) ^ mixed(2)));
        let hidden = !(0x3 << 62);
        assert!(guesses.into_iter().all(|guess| guess & hidden != low(2) & hidden));
        assert_eq!(unmixed(mixed(7)), 7);
    }

    #[test]
    fn ids_are_version_4_uuids_and_differ() {
        let ids: HashSet<u128> =
            (0..1_000).flat_map(|n| [1, 1 << 64].map(|seed| Seed::new(seed).id(n))).collect();
        assert_eq!(ids.len(), 2_000);
        assert!(ids.iter().all(|id| (id >> 76) & 0xf == 4 && (id >> 62) & 0x3 == 2));
    }

    #[test]
    fn equal_seeds_give_equal_ids() {
        assert_eq!(Seed::new(5).id(9), Seed::new(5).id(9));
    }
}
