//! The listening sockets of the MQTT side.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use thiserror::Error;

/// Who may connect to a listener, and how they prove it.
#[derive(Clone)]
pub(crate) struct Admission {
    /// Where there is one, the client's certificate says which device it is.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may come in without a certificate.
    pub(crate) without: WithoutCertificate,
    /// Web pages of other hosts that may connect, in lower case.
    pub(crate) origins: Arc<[String]>,
}

/// Who may come in without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WithoutCertificate {
    /// Anybody, without an identity.
    pub(crate) anonymous: bool,
    /// Who has the password of a device.
    pub(crate) passwords: bool,
}

pub(crate) struct Listener {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) socket: mio::net::TcpListener,
    pub(crate) admission: Admission,
}

/// What becomes of a listener when the configuration changes.
pub(crate) enum Binding {
    /// It is new, or its address changed.
    New(Listener),
    /// The socket stays; who may connect may have changed.
    Keep {
        /// Its protocol.
        name: &'static str,
        /// Who may connect from now on.
        admission: Admission,
    },
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error(
        "failed to listen for {protocol} on {address}: another program has the port; stop it, or set listeners.{protocol}.bind to another port"
    )]
    PortTaken { protocol: &'static str, address: SocketAddr },
    #[error("failed to listen for {protocol} on {address}: {source}")]
    Other { protocol: &'static str, address: SocketAddr, source: std::io::Error },
}

impl ListenError {
    pub(crate) fn of(protocol: &'static str, address: SocketAddr, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Self::PortTaken { protocol, address },
            _ => Self::Other { protocol, address, source },
        }
    }
}

impl Listener {
    pub(crate) fn bind(
        name: &'static str,
        address: SocketAddr,
        admission: Admission,
    ) -> Result<Self, ListenError> {
        let failed = |source: std::io::Error| ListenError::of(name, address, source);
        let socket = StdListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // Accepted sockets inherit both (tcp(7)), which saves two calls for each connection.
        let _best_effort = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        let _best_effort = rustix::net::sockopt::set_socket_keepalive(&socket, true);
        let address = socket.local_addr().map_err(failed)?;
        let socket = mio::net::TcpListener::from_std(socket);
        Ok(Self { name, address, socket, admission })
    }
}
