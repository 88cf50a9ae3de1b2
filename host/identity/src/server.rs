use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use crate::open::Server;
use crate::registry::Registry;
use crate::verifier::DeviceVerifier;

/// What clients may ask for: the name that IANA has for MQTT, the one of the AWS device SDKs, and HTTP
/// for MQTT over WebSocket. A client that would also speak `h2` is given `http/1.1`; one that asks for
/// nothing is as welcome.
const PROTOCOLS: [&[u8]; 3] = [b"mqtt", b"x-amzn-mqtt-ca", b"http/1.1"];
/// Bytes of plain text in one TLS record that the hub sends.
const RECORD_BYTES: usize = 4 << 10;

/// What a listener does with a client that presents no certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutCertificate {
    /// The handshake fails.
    #[default]
    Refuse,
    /// The connection has no peer certificate, and whoever accepts it decides.
    Allow,
}

/// The certificate that the hub presents. It can be renewed while listeners use it.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    current: RwLock<(Arc<CertifiedKey>, SystemTime)>,
}

impl ServerCertificate {
    pub(crate) fn new(server: Server) -> Self {
        Self { current: RwLock::new((Arc::new(server.key), server.expires)) }
    }

    /// Presents another certificate from now on. Tells whether it is another.
    pub(crate) fn replace(&self, server: Server) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = current.0.cert != server.key.cert;
        *current = (Arc::new(server.key), server.expires);
        is_another
    }

    pub(crate) fn expires(&self) -> SystemTime {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

/// Makes the checker of client certificates that `root` has signed.
pub(crate) fn chain_verifier(
    root: &CertificateDer<'static>,
    clients: WithoutCertificate,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(|_| VerifierBuilderError::NoRootAnchors)?;
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    match clients {
        WithoutCertificate::Refuse => builder.build(),
        WithoutCertificate::Allow => builder.allow_unauthenticated().build(),
    }
}

/// One way to listen: what every configuration for it shares.
#[derive(Debug)]
pub(crate) struct Listening {
    verifier: Arc<DeviceVerifier>,
    /// Each way has keys of its own, so that a session begun without a certificate is not resumed
    /// where one is asked for.
    tickets: Arc<dyn ProducesTickets>,
}

impl Listening {
    pub(crate) fn new(
        chain: Arc<dyn ClientCertVerifier>,
        registry: &Arc<RwLock<Registry>>,
    ) -> Result<Self, rustls::Error> {
        let registry = Arc::clone(registry);
        let tickets = ring::Ticketer::new()?;
        Ok(Self { verifier: Arc::new(DeviceVerifier { chain, registry }), tickets })
    }

    /// Makes a configuration: TLS 1.2 and 1.3, sessions resumed by tickets that the hub does not
    /// keep, small records.
    pub(crate) fn config(&self, certificate: &Arc<ServerCertificate>) -> Arc<ServerConfig> {
        let verifier = Arc::clone(&self.verifier);
        let certificate = Arc::clone(certificate);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has both versions")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificate);
        config.ticketer = Arc::clone(&self.tickets);
        config.send_tls13_tickets = 1;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_fragment_size = Some(RECORD_BYTES);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Arc::new(config)
    }
}
