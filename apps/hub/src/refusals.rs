//! What becomes of a client that is refused: a counter, and a line in the log that a flood of them does
//! not multiply.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rustls::{CertificateError, Error as TlsError};
use tomte_base::Time;
use tomte_core_hub::{CloseReason, Counter};
use tomte_identity::IdentityRefusal;

/// Between two lines about the same kind of refusal.
const QUIET: Duration = Duration::from_secs(10);

/// Returns the counter of a connection that failed with `error`; none where the client or the network
/// just went away.
pub(crate) fn counter_of_failure(error: &io::Error) -> Option<Counter> {
    let tls = error.get_ref()?.downcast_ref::<TlsError>()?;
    Some(match tls {
        TlsError::NoCertificatesPresented => Counter::CertificateMissing,
        TlsError::InvalidCertificate(error) => counter_of_certificate(error),
        _ => Counter::RefusedHandshake,
    })
}

fn counter_of_certificate(error: &CertificateError) -> Counter {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Counter::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Counter::CertificateNotYetValid
        }
        CertificateError::Revoked => Counter::CertificateRevoked,
        _ => Counter::CertificateUnknown,
    }
}

/// Returns the counter of a certificate that stands for no device.
pub(crate) fn counter_of_identity(refusal: IdentityRefusal) -> Counter {
    match refusal {
        IdentityRefusal::Expired => Counter::CertificateExpired,
        IdentityRefusal::NotYetValid => Counter::CertificateNotYetValid,
        IdentityRefusal::Revoked => Counter::CertificateRevoked,
        IdentityRefusal::UnknownIssuer | IdentityRefusal::NoName => Counter::CertificateUnknown,
    }
}

/// Returns what kind of refusal a close is; none for the usual ends of connections.
fn kind(reason: &CloseReason) -> Option<&'static str> {
    match reason {
        CloseReason::Protocol(_) => Some("protocol error"),
        CloseReason::Refused(_) => Some("refused"),
        CloseReason::ConnectTimeout => Some("no CONNECT"),
        CloseReason::Crowded => Some("crowded"),
        CloseReason::SlowReader => Some("slow reader"),
        CloseReason::Unfinished => Some("unfinished packet"),
        CloseReason::NotStored => Some("not stored"),
        CloseReason::Disconnected
        | CloseReason::Lost
        | CloseReason::KeepAlive
        | CloseReason::TakenOver
        | CloseReason::Revoked
        | CloseReason::Shutdown => None,
    }
}

/// When each kind of refusal was last written down.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    written: BTreeMap<&'static str, Written>,
}

#[derive(Debug)]
struct Written {
    at: Time,
    unwritten: u64,
}

impl RefusalLog {
    /// Writes why a connection was closed, if it was a refusal.
    pub(crate) fn closed(&mut self, now: Time, reason: &CloseReason) {
        if let Some(kind) = kind(reason) {
            self.refused(now, kind, reason);
        }
    }

    /// Writes that a client was refused, unless the same kind was written a moment ago.
    pub(crate) fn refused(&mut self, now: Time, kind: &'static str, why: impl std::fmt::Display) {
        if let Some(unwritten) = self.take(now, kind) {
            tracing::info!(kind, reason = %why, unwritten, "a client was refused");
        }
    }

    /// Writes that clients wait because a listener fails, unless it was written a moment ago.
    pub(crate) fn not_accepted(&mut self, now: Time, listener: &'static str, error: &io::Error) {
        if let Some(unwritten) = self.take(now, listener) {
            tracing::warn!(listener, %error, unwritten, "failed to accept a connection; it is tried again");
        }
    }

    /// Tells how many of this kind were not written since the last one, if it is time for a line.
    fn take(&mut self, now: Time, kind: &'static str) -> Option<u64> {
        let Some(written) = self.written.get_mut(kind) else {
            self.written.insert(kind, Written { at: now, unwritten: 0 });
            return Some(0);
        };
        if now - written.at < QUIET {
            written.unwritten += 1;
            return None;
        }
        written.at = now;
        Some(std::mem::take(&mut written.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_one_line_and_the_next_says_how_many_there_were() {
        let mut log = RefusalLog::default();
        let start = Time::from_millis(5_000);
        assert_eq!(log.take(start, "refused"), Some(0));
        for _ in 0..1_000 {
            assert_eq!(log.take(start, "refused"), None);
        }
        assert_eq!(log.take(start, "crowded"), Some(0), "another kind");
        assert_eq!(log.take(start + QUIET, "refused"), Some(1_000));
        assert_eq!(log.take(start + QUIET, "refused"), None);
    }

    #[test]
    fn what_tls_found_wrong_has_a_counter_of_its_own_and_a_lost_connection_none() {
        let counter = |error: TlsError| counter_of_failure(&io::Error::other(error));
        let certificate = |error| counter(TlsError::InvalidCertificate(error));
        assert_eq!(certificate(CertificateError::Expired), Some(Counter::CertificateExpired));
        assert_eq!(
            certificate(CertificateError::NotValidYet),
            Some(Counter::CertificateNotYetValid)
        );
        assert_eq!(certificate(CertificateError::Revoked), Some(Counter::CertificateRevoked));
        assert_eq!(certificate(CertificateError::BadSignature), Some(Counter::CertificateUnknown));
        assert_eq!(counter(TlsError::NoCertificatesPresented), Some(Counter::CertificateMissing));
        assert_eq!(counter(TlsError::DecryptError), Some(Counter::RefusedHandshake));
        assert_eq!(counter_of_failure(&io::ErrorKind::ConnectionReset.into()), None);
    }
}
