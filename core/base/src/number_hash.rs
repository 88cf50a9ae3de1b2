use std::hash::{BuildHasherDefault, Hasher};

/// The hash of numbers that the hub gives out itself, or that have few values: nobody can choose
/// them so that they collide for long. It costs one multiplication.
pub type NumberHash = BuildHasherDefault<NumberHasher>;

/// Spreads a number over 64 bits by a multiplication (Knuth, The Art of Computer Programming, 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(16) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn numbers_in_a_row_fall_into_places_of_their_own() {
        let hash = NumberHash::default();
        // A table takes the place from the low bits and a mark from the high ones.
        let places: HashSet<u64> = (0..1_024_u64).map(|n| hash.hash_one(n) % 1_024).collect();
        let marks: HashSet<u64> = (0..1_024_u64).map(|n| hash.hash_one(n) >> 57).collect();
        assert_eq!((places.len(), marks.len()), (1_024, 128));
    }
}
