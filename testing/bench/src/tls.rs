//! The client's side of TLS, and an authority of the benchmark's own for a peer that has none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Makes the TLS side of a client from PEM texts: trusts `ca` alone, and presents its certificate.
///
/// # Errors
/// Fails when a text is not PEM, or key and certificate do not fit.
pub(crate) fn client(ca: &str, certificate: &str, key: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).context("the authority")?)?;
    let certificate =
        CertificateDer::from_pem_slice(certificate.as_bytes()).context("the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("the key")?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

/// Makes an authority and a server's identity in `folder`, as `ca.pem`, `server.pem` and
/// `server.key`, and the TLS side of a client. All keys are P-256, as the hub's are.
///
/// # Errors
/// Fails when a file cannot be written.
pub(crate) fn make_identities(folder: &Path) -> Result<Arc<ClientConfig>> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "benchmark");
    let authority = params.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(params, authority_key);
    let issue = |name: &str| -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    let (server, server_key) = issue("localhost")?;
    for (file, text) in
        [("ca.pem", &authority), ("server.pem", &server), ("server.key", &server_key)]
    {
        fs::write(folder.join(file), text).with_context(|| format!("write {file}"))?;
    }
    let (certificate, key) = issue("device")?;
    client(&authority, &certificate, &key)
}
