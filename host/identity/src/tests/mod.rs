mod files;
mod handshakes;
mod logins;
mod records;
mod reload;
mod server;

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tomte_base::DeviceName;

use crate::{DeviceCredentials, Identity, client_config, pem};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    SystemTime::now()
}

fn open(folder: &Path) -> Identity {
    Identity::open(folder, "greenhouse", now()).unwrap()
}

fn hub() -> (TempDir, Identity) {
    let folder = tempfile::tempdir().unwrap();
    let identity = open(folder.path());
    (folder, identity)
}

fn name(name: &str) -> DeviceName {
    DeviceName::new(name).unwrap()
}

fn add(identity: &Identity, device: &str) -> DeviceCredentials {
    identity.add_device(&name(device), now()).unwrap()
}

fn certificate(credentials: &DeviceCredentials) -> CertificateDer<'static> {
    pem::certificate(&credentials.certificate_pem).unwrap()
}

fn client_of(credentials: &DeviceCredentials) -> Arc<ClientConfig> {
    let DeviceCredentials { certificate_pem, private_key_pem, ca_pem, .. } = credentials;
    client_config(ca_pem, certificate_pem, private_key_pem).unwrap()
}

/// The two ends of a connection over memory.
struct Connection {
    client: ClientConnection,
    server: ServerConnection,
}

impl Connection {
    fn peer(&self) -> Option<&CertificateDer<'static>> {
        self.server.peer_certificates().map(|chain| &chain[0])
    }
}

/// Why a connection did not come about: what the hub and the client saw.
#[derive(Debug)]
struct Failed {
    hub: Option<Error>,
    client: Option<Error>,
}

fn connect(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<Connection, Box<Failed>> {
    connect_to("localhost", client, server)
}

fn connect_to(
    host: &str,
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<Connection, Box<Failed>> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), host).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut failed = Failed { hub: None, client: None };
    // Until neither has anything to say: session tickets come after the handshake.
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let to_server = bytes.len();
        failed.hub = failed.hub.or(receive(&bytes, |from| {
            server.read_tls(from).unwrap();
            server.process_new_packets().err()
        }));
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        failed.client = failed.client.or(receive(&bytes, |from| {
            client.read_tls(from).unwrap();
            client.process_new_packets().err()
        }));
        if to_server == 0 && bytes.is_empty() {
            break;
        }
    }
    match (&failed.hub, &failed.client) {
        (None, None) => Ok(Connection { client, server }),
        _ => Err(Box::new(failed)),
    }
}

fn receive(
    bytes: &[u8],
    mut process: impl FnMut(&mut Cursor<&[u8]>) -> Option<Error>,
) -> Option<Error> {
    let mut from = Cursor::new(bytes);
    let mut error = None;
    while from.position() < bytes.len() as u64 && error.is_none() {
        error = process(&mut from);
    }
    error
}
