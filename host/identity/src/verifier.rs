use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::IdentityRefusal;
use crate::registry::Registry;

/// Lets in certificates of the hub's own authority that belong to a device of the registry.
#[derive(Debug)]
pub(crate) struct DeviceVerifier {
    /// Checks the signature chain and the time.
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) registry: Arc<RwLock<Registry>>,
}

impl ClientCertVerifier for DeviceVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let now_ms = now.as_secs().saturating_mul(1000);
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let found = registry.device_of(end_entity, now_ms);
        found.map(|_| verified).map_err(|refusal| Error::InvalidCertificate(error_of(refusal)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn error_of(refusal: IdentityRefusal) -> CertificateError {
    match refusal {
        IdentityRefusal::UnknownIssuer => CertificateError::UnknownIssuer,
        IdentityRefusal::Expired => CertificateError::Expired,
        IdentityRefusal::NotYetValid => CertificateError::NotValidYet,
        IdentityRefusal::Revoked => CertificateError::Revoked,
        IdentityRefusal::NoName => CertificateError::ApplicationVerificationFailure,
    }
}

/// Returns the refusal that an error of the chain stands for.
pub(crate) fn refusal_of(error: &Error) -> IdentityRefusal {
    match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => IdentityRefusal::Expired,
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => IdentityRefusal::NotYetValid,
        _ => IdentityRefusal::UnknownIssuer,
    }
}
