//! The listening sockets of the MQTT side.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use thiserror::Error;

/// How long a connection may be silent before its peer is probed, how often it is then asked again, and
/// how often in vain until the connection counts as lost.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Connections that the system makes before the hub accepts them, at most; where all devices come back
/// at once after a power cut, those past it would be sent away to try again a second later. The system
/// may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

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

/// Sets what every accepted connection takes over from the socket that listens (tcp(7)): packets leave at
/// once, and a peer that is gone without a word is noticed although it has no keep-alive of MQTT.
fn set_connection_options(listener: &StdListener) -> rustix::io::Result<()> {
    sockopt::set_tcp_nodelay(listener, true)?;
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(listener, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(listener, PROBES)
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
        set_connection_options(&socket).map_err(|error| failed(error.into()))?;
        rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
        let address = socket.local_addr().map_err(failed)?;
        let socket = mio::net::TcpListener::from_std(socket);
        Ok(Self { name, address, socket, admission })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn an_accepted_connection_is_probed_and_does_not_delay() {
        let without = WithoutCertificate { anonymous: true, passwords: false };
        let admission = Admission { tls: None, without, origins: Arc::default() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind("mqtt", any, admission).unwrap();
        let _client = TcpStream::connect(listener.address).unwrap();
        let mut accepted = listener.socket.accept();
        while accepted.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            accepted = listener.socket.accept();
        }
        let (stream, _) = accepted.unwrap();
        assert!(sockopt::tcp_nodelay(&stream).unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), PROBE_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), PROBE_EVERY);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), PROBES);
    }
}
