//! Passwords of thin devices: made here, told once, kept as a hash.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::crypto::ring;
use subtle::ConstantTimeEq;

/// Letters and digits of a made password: none that looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a made password: 120 bits that nobody can guess.
const MADE_CHARACTERS: usize = 24;
/// Longest password, in bytes. A CONNECT packet could carry 65,535.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// Memory of one hash in KiB, passes over it and lanes: one of the equally strong choices of the
/// OWASP password storage cheat sheet, the one with the least memory, for small machines.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
const LANES: u32 = 1;
/// Bounds of what a record may ask for, so that a damaged one cannot ask for gigabytes.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 64;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// A password in clear. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// It is empty.
    #[error("the password is empty")]
    Empty,
    /// It is longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
}

impl Password {
    /// Takes a password that somebody chose.
    ///
    /// # Errors
    /// Fails with [`PasswordRefusal`] when it is empty or too long.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PasswordRefusal> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(PasswordRefusal::Empty),
            1..=MAX_PASSWORD_BYTES => Ok(Self(bytes)),
            _ => Err(PasswordRefusal::TooLong),
        }
    }

    /// Makes one at random.
    ///
    /// # Panics
    /// Panics when the system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let random: [u8; MADE_CHARACTERS] = random();
        Self(random.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect())
    }

    /// The password, to be told once.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// An argon2id hash of a password with its salt and costs, written as `$argon2id$v=19$m=...`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password with a salt of its own. Takes tens of milliseconds.
    ///
    /// # Panics
    /// Panics when the system has no randomness.
    #[must_use]
    pub fn of(password: &Password) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES));
        let params = params.expect("the costs are within the bounds of the algorithm");
        let salt = random::<SALT_BYTES>().to_vec();
        let hash = compute(&params, &salt, &password.0).expect("the costs were checked");
        Self { params, salt, hash }
    }

    /// A hash that no password has, to spend the same time on a device that is not there.
    #[must_use]
    pub fn of_nobody() -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES));
        let params = params.expect("the costs are within the bounds of the algorithm");
        Self { params, salt: vec![0; SALT_BYTES], hash: vec![0; HASH_BYTES] }
    }

    /// Tells whether it is the hash of `password`. Takes tens of milliseconds.
    #[must_use]
    pub fn is_of(&self, password: &Password) -> bool {
        compute(&self.params, &self.salt, &password.0)
            .is_some_and(|hash| bool::from(hash.ct_eq(&self.hash)))
    }
}

fn compute(params: &Params, salt: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut hash = vec![0; params.output_len().unwrap_or(HASH_BYTES)];
    let mut memory = vec![Block::default(); params.block_count()];
    argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut memory).ok()?;
    Some(hash)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let source = ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        write!(f, "$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// What is no hash as [`PasswordHash`] is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH")]
pub struct NoPasswordHash;

impl FromStr for PasswordHash {
    type Err = NoPasswordHash;

    fn from_str(text: &str) -> Result<Self, NoPasswordHash> {
        parse(text).ok_or(NoPasswordHash)
    }
}

fn parse(text: &str) -> Option<PasswordHash> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    let (m, t, p): (u32, u32, u32) = (cost("m")?, cost("t")?, cost("p")?);
    if m > MAX_MEMORY_KIB || t > MAX_PASSES {
        return None;
    }
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    if salt.len() < argon2::MIN_SALT_LEN || hash.len() < SALT_BYTES {
        return None;
    }
    let params = Params::new(m, t, p, Some(hash.len())).ok()?;
    Some(PasswordHash { params, salt, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn a_hash_knows_its_password_and_no_other_also_after_it_was_written_and_read() {
        let hash = PasswordHash::of(&password("open sesame"));
        let read: PasswordHash = hash.to_string().parse().unwrap();
        for hash in [hash, read] {
            assert!(hash.is_of(&password("open sesame")));
            assert!(!hash.is_of(&password("open sesame ")));
        }
    }

    /// The first test vector of argon2id's reference implementation with 64 KiB.
    #[test]
    fn a_hash_of_the_reference_implementation_is_understood() {
        let hash =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash: PasswordHash = hash.parse().unwrap();
        assert!(hash.is_of(&password("password")));
        assert!(!hash.is_of(&password("Password")));
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        let hash = || PasswordHash::of(&password("x")).to_string();
        assert_ne!(hash(), hash());
    }

    #[test]
    fn nobody_has_no_password() {
        assert!(!PasswordHash::of_nobody().is_of(&Password::generate()));
    }

    #[test]
    fn made_passwords_are_long_different_and_easy_to_type() {
        let (one, two) = (Password::generate(), Password::generate());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), 24);
        assert!(one.reveal().iter().all(u8::is_ascii_alphanumeric));
    }

    #[test]
    fn a_password_has_at_least_one_byte_and_at_most_256() {
        assert_eq!(Password::new(""), Err(PasswordRefusal::Empty));
        assert!(Password::new("x".repeat(256)).is_ok());
        assert_eq!(Password::new("x".repeat(257)), Err(PasswordRefusal::TooLong));
    }

    #[test]
    fn neither_a_password_nor_its_hash_is_in_what_debugging_prints() {
        let secret = password("open sesame");
        assert_eq!(
            format!("{secret:?} {:?}", PasswordHash::of(&secret)),
            "Password(..) PasswordHash(..)"
        );
    }

    #[test]
    fn what_is_no_hash_or_asks_for_too_much_is_refused() {
        let good =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(good.parse::<PasswordHash>().is_ok());
        for bad in [
            "",
            "open sesame",
            &good.replace("argon2id", "argon2i"),
            &good.replace("m=256", "m=4000000000"),
            &good.replace("m=256", "m=1048576"),
            &good.replace("t=2", "t=1000"),
            &good.replace("p=1", "p=0"),
            &good.replace("c29tZXNhbHQ", "c2E"),
            &good.replace("nf65", "!!!!"),
            &format!("{good}$more"),
        ] {
            assert!(bad.parse::<PasswordHash>().is_err(), "{bad}");
        }
    }
}
