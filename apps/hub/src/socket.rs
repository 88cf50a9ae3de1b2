//! One accepted socket: plain or TLS bytes in, bytes out, nothing decided.

use std::io::{self, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ServerConnection;
use tomte_core_hub::CloseReason;

use crate::listener::WithoutCertificate;
use crate::websocket::Carrier;

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes are in the buffer; the socket may hold more.
    Some(usize),
    /// So many bytes are in the buffer; the socket holds no more for now.
    Drained(usize),
    /// The other end closed.
    Ended,
}

pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// What the bytes of MQTT come in.
    pub(crate) carrier: Carrier,
    /// The beginning of a packet whose rest has not come yet.
    pub(crate) partial: Vec<u8>,
    /// The machine has done with it; it is closed when its output is written.
    pub(crate) closing: Option<CloseReason>,
    /// The last write did not take everything; the system says when there is room again.
    pub(crate) blocked: bool,
    /// It did so once: the system is asked to say when there is room. Most sockets always have it.
    pub(crate) watches_room: bool,
    /// The handshake has told who is there.
    pub(crate) identified: bool,
    /// Who may stay that showed no certificate.
    pub(crate) without: WithoutCertificate,
    /// Web pages of other hosts that may connect.
    pub(crate) origins: Arc<[String]>,
    /// Whole packets are kept that the machine left for the next turn.
    pub(crate) has_more: bool,
    /// How far the check of its password is.
    pub(crate) check: PasswordStep,
}

/// Whether a connection waits for the check of its password. Nothing is read from it meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PasswordStep {
    /// It does not wait.
    #[default]
    None,
    /// Its CONNECT is kept until the answer is there.
    Waiting,
    /// The answer is there: what is kept is to be handed over again.
    Answered,
}

impl Socket {
    pub(crate) fn plain(stream: TcpStream, without: WithoutCertificate) -> Self {
        Self::new(stream, None, without)
    }

    pub(crate) fn tls(
        stream: TcpStream,
        config: Arc<rustls::ServerConfig>,
        without: WithoutCertificate,
    ) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(config)?;
        connection.set_buffer_limit(Some(64 << 10));
        Ok(Self::new(stream, Some(Box::new(connection)), without))
    }

    fn new(
        stream: TcpStream,
        tls: Option<Box<ServerConnection>>,
        without: WithoutCertificate,
    ) -> Self {
        Self {
            identified: tls.is_none(),
            stream,
            tls,
            carrier: Carrier::default(),
            partial: Vec::new(),
            closing: None,
            blocked: false,
            watches_room: false,
            without,
            origins: Arc::default(),
            has_more: false,
            check: PasswordStep::None,
        }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// The certificate that the client showed.
    pub(crate) fn peer_certificate(&self) -> Option<rustls::pki_types::CertificateDer<'static>> {
        let certificates = self.tls.as_ref()?.peer_certificates()?;
        certificates.first().map(|certificate| certificate.clone().into_owned())
    }

    /// Reads what is there into `buffer`.
    ///
    /// # Errors
    /// Fails when the socket or the TLS session failed.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        match &mut self.tls {
            None => read_plain(&mut self.stream, buffer),
            Some(tls) => read_tls(&mut self.stream, tls, buffer),
        }
    }

    /// Writes from the front of `output` what the socket takes, and removes it. Tells whether all
    /// is written.
    ///
    /// # Errors
    /// Fails when the socket failed.
    pub(crate) fn write(&mut self, output: &mut Vec<u8>) -> io::Result<bool> {
        if let Carrier::WebSocket(websocket) = &mut self.carrier {
            websocket.seal(output, self.closing.as_ref());
        }
        let written = match &mut self.tls {
            None => write_plain(&mut self.stream, output),
            Some(tls) => write_tls(&mut self.stream, tls, output),
        };
        if let Carrier::WebSocket(websocket) = &mut self.carrier {
            websocket.wrote(output.len());
        }
        written
    }

    /// Returns the socket itself.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Says goodbye on the TLS session.
    pub(crate) fn close_notify(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _the_other_end_may_be_gone = tls.write_tls(&mut self.stream);
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

fn is_blocked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// One read: on a stream socket, a read that does not fill the buffer has emptied the socket
/// (epoll(7), question 9), which saves the read that would only say so.
fn read_plain(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
    loop {
        return match stream.read(buffer) {
            Ok(0) => Ok(ReadOutcome::Ended),
            Ok(n) if n < buffer.len() => Ok(ReadOutcome::Drained(n)),
            Ok(n) => Ok(ReadOutcome::Some(n)),
            Err(error) if is_retry(&error) => continue,
            Err(error) if is_blocked(&error) => Ok(ReadOutcome::Drained(0)),
            Err(error) => Err(error),
        };
    }
}

fn read_tls(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    buffer: &mut [u8],
) -> io::Result<ReadOutcome> {
    let mut filled = 0;
    let mut ended = false;
    loop {
        match tls.reader().read(&mut buffer[filled..]) {
            Ok(0) => {
                ended |= filled < buffer.len();
            }
            Ok(n) => {
                filled += n;
                continue;
            }
            Err(error) if is_blocked(&error) => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => ended = true,
        }
        if filled == buffer.len() {
            return Ok(ReadOutcome::Some(filled));
        }
        if ended {
            return Ok(if filled > 0 { ReadOutcome::Some(filled) } else { ReadOutcome::Ended });
        }
        match tls.read_tls(stream) {
            Ok(0) => ended = true,
            Ok(_) => {
                let processed = tls.process_new_packets();
                // The handshake's answers, and the alert that says what was wrong.
                while tls.wants_write() {
                    match tls.write_tls(stream) {
                        Ok(_) => {}
                        Err(error) if is_retry(&error) => {}
                        Err(_) => break,
                    }
                }
                processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            Err(error) if is_retry(&error) => {}
            Err(error) if is_blocked(&error) => return Ok(ReadOutcome::Drained(filled)),
            Err(error) if filled == 0 => return Err(error),
            Err(_) => ended = true,
        }
    }
}

fn write_plain(stream: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut written = 0;
    let result = loop {
        if written == output.len() {
            break Ok(true);
        }
        match stream.write(&output[written..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(error) if is_retry(&error) => {}
            Err(error) if is_blocked(&error) => break Ok(false),
            Err(error) => break Err(error),
        }
    };
    output.drain(..written);
    result
}

fn write_tls(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    output: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        if !output.is_empty() && !tls.is_handshaking() {
            let taken = tls.writer().write(output)?;
            output.drain(..taken);
        }
        if !tls.wants_write() {
            return Ok(output.is_empty());
        }
        match tls.write_tls(stream) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if is_retry(&error) => {}
            Err(error) if is_blocked(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
