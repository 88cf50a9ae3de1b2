use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::pem;

/// Why a client cannot be made from its files.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// One of the texts is not what it should be.
    #[error("read the {part}: {what}")]
    Pem {
        /// Which text.
        part: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The certificates or the key cannot be used.
    #[error("use the {part}")]
    Refused {
        /// Which text.
        part: &'static str,
        /// Why.
        source: rustls::Error,
    },
}

/// Makes the TLS side of a device: trusts `ca_pem` alone, and presents its certificate.
///
/// # Errors
/// Fails with [`ClientConfigError`] when a text is not PEM, or the key does not fit the certificate.
pub fn client_config(
    ca_pem: &str,
    certificate_pem: &str,
    private_key_pem: &str,
) -> Result<Arc<ClientConfig>, ClientConfigError> {
    let part = "certificate of the device";
    let certificate =
        pem::certificate(certificate_pem).map_err(|what| ClientConfigError::Pem { part, what })?;
    let key = pem::private_key(private_key_pem).map_err(|what| {
        let part = "private key of the device";
        ClientConfigError::Pem { part, what }
    })?;
    builder(ca_pem)?
        .with_client_auth_cert(vec![certificate], key)
        .map(Arc::new)
        .map_err(|source| ClientConfigError::Refused { part, source })
}

/// Makes the TLS side of a client that trusts `ca_pem` alone, and presents no certificate.
///
/// # Errors
/// Fails with [`ClientConfigError`] when the text is not PEM.
pub fn anonymous_client_config(ca_pem: &str) -> Result<Arc<ClientConfig>, ClientConfigError> {
    Ok(Arc::new(builder(ca_pem)?.with_no_client_auth()))
}

fn builder(
    ca_pem: &str,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ClientConfigError> {
    let part = "certificate of the hub's authority";
    let root = pem::certificate(ca_pem).map_err(|what| ClientConfigError::Pem { part, what })?;
    let mut roots = RootCertStore::empty();
    roots.add(root).map_err(|source| ClientConfigError::Refused { part, source })?;
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(roots))
}
