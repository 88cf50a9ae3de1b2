use std::hash::{BuildHasherDefault, Hasher};

/// How large an empty table may stay, in entries; a larger one is given back.
pub(crate) const KEPT_CAPACITY: usize = 64;

/// The hash of packet identifiers. At most 65,535 exist, so nobody can make them collide for long.
pub(crate) type IdHash = BuildHasherDefault<IdHasher>;

/// Spreads 16 bits over 64 by a multiplication (Knuth, The Art of Computer Programming, 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u16(u16::from(*byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = (self.0.rotate_left(16) ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
