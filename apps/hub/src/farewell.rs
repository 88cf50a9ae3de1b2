//! Connections that the hub ended, and whose client may still be sending.
//!
//! A socket that is closed with bytes unread resets the connection: the client's next write fails, and
//! it may never read the packet that says why. So the hub says that nothing more comes, and keeps the
//! socket a little longer.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use tomte_base::Time;
use tomte_core_hub::CloseReason;

/// How long a client has to read the last packet.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Most sockets at once; the oldest makes room.
const MAX_KEPT: usize = 256;

/// The sockets, in the order of their time.
#[derive(Debug, Default)]
pub(crate) struct Farewells(VecDeque<(Time, TcpStream)>);

impl Farewells {
    /// Keeps the socket if the hub ended the connection for something that the client did.
    pub(crate) fn keep(&mut self, now: Time, stream: TcpStream, reason: &CloseReason) {
        let was_told_why = matches!(
            reason,
            CloseReason::Protocol(_) | CloseReason::Refused(_) | CloseReason::Unfinished
        );
        if !was_told_why || stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        if self.0.len() == MAX_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now + KEPT_FOR, stream));
    }

    /// Closes those whose time is over.
    pub(crate) fn close_due(&mut self, now: Time) {
        while self.0.pop_front_if(|(until, _)| *until <= now).is_some() {}
    }

    /// When the next one is to be closed.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.0.front().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (TcpStream::from_std(server), client)
    }

    #[test]
    fn a_client_that_still_sends_reads_why_its_connection_ended() {
        let (mut server, mut client) = pair();
        let mut farewells = Farewells::default();
        client.write_all(b"never read").unwrap();
        server.write_all(b"why").unwrap();
        let now = Time::from_millis(1_000);
        farewells.keep(now, server, &CloseReason::Protocol("too much".to_owned()));
        let mut told = Vec::new();
        for _ in 0..3 {
            client.write_all(b"more").unwrap();
        }
        client.read_to_end(&mut told).unwrap();
        assert_eq!(told, b"why");
        assert_eq!(farewells.next_deadline(), Some(now + KEPT_FOR));
        farewells.close_due(now + KEPT_FOR);
        assert_eq!(farewells.next_deadline(), None);
    }

    #[test]
    fn a_client_that_left_by_itself_is_not_waited_for_and_there_is_a_bound() {
        let mut farewells = Farewells::default();
        let now = Time::from_millis(1_000);
        let (server, mut client) = pair();
        farewells.keep(now, server, &CloseReason::Disconnected);
        assert_eq!(farewells.next_deadline(), None);
        let read = client.read(&mut [0]);
        assert!(
            matches!(read, Ok(0)) || read.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
        );
        let clients: Vec<_> = (0..=MAX_KEPT)
            .map(|_| {
                let (server, client) = pair();
                farewells.keep(now, server, &CloseReason::Refused(String::new()));
                client
            })
            .collect();
        assert_eq!(farewells.0.len(), MAX_KEPT);
        drop(clients);
    }
}
