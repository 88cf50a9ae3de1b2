use std::fmt;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate, printed as `4f:1c:...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Reads what is printed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_what_it_prints() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(fingerprint.to_string().len(), 32 * 3 - 1);
        assert!(fingerprint.to_string().starts_with("03:90:58:c6:f2:c0:cb:49"));
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
    }

    #[test]
    fn what_is_no_fingerprint_is_not_read() {
        let good = Fingerprint([7; 32]).to_string();
        for bad in ["", "07", &good[3..], &format!("{good}:07"), &good.replace(':', "")] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
