//! The one source of chance: every choice of a run follows from its seed.

use std::time::Duration;

/// A SplitMix64 generator (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed);
        // Neighbouring seeds begin far apart.
        rng.0 = rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to `n`, without it; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        usize::try_from(self.next() % n as u64).expect("less than a usize")
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `per_mille` of 1,000 cases.
    pub(crate) fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1_000) < per_mille
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A span from 0 to `longest`, short ones more often.
    pub(crate) fn span(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        let uniform = self.next() % nanos;
        let shorter = if self.chance(500) { uniform / 16 } else { uniform };
        Duration::from_nanos(shorter)
    }

    pub(crate) fn millis(&mut self, low: usize, high: usize) -> Duration {
        Duration::from_micros(self.range(low * 1_000, high * 1_000) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_another_gives_another() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            (0..20).map(|_| rng.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            assert!((3..=9).contains(&rng.range(3, 9)));
            assert!(rng.span(Duration::from_millis(5)) < Duration::from_millis(5));
        }
        assert_eq!((0..1_000).filter(|_| rng.chance(0)).count(), 0);
        assert_eq!((0..1_000).filter(|_| rng.chance(1_000)).count(), 1_000);
    }
}
