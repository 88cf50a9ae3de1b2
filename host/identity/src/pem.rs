use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Returns the first certificate in `text`.
pub(crate) fn certificate(text: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| format!("it holds no certificate in PEM form ({error})"))
}

/// Returns the first private key in `text`.
pub(crate) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| format!("it holds no private key in PEM form ({error})"))
}
