//! New connections: from the listeners into the loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Interest, Token};
use tomte_base::Time;
use tomte_core_hub::{Counter, Owner, Peer, Slot};

use super::{EventLoop, FIRST_LISTENER};
use crate::listener::{Binding, Listener};
use crate::socket::Socket;

/// Connections that one turn accepts at most from one listener.
const ACCEPTS_PER_TURN: usize = 256;
/// How long those wait who could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl EventLoop {
    pub(super) fn listen(&mut self, bindings: Vec<Binding>) -> io::Result<()> {
        for old in &mut self.listeners {
            self.poll.registry().deregister(&mut old.socket)?;
        }
        let mut old = std::mem::take(&mut self.listeners);
        for binding in bindings {
            match binding {
                Binding::New(listener) => self.listeners.push(listener),
                Binding::Keep { name, admission } => {
                    let kept = old.iter().position(|listener| listener.name == name);
                    if let Some(at) = kept {
                        self.listeners.push(Listener { admission, ..old.swap_remove(at) });
                    }
                }
            }
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            self.poll.registry().register(&mut listener.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, now: Time, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get(index) else { return };
            match listener.socket.accept() {
                Ok((stream, address)) => self.open(now, index, stream, address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.accept_failed(now, index, &error),
            }
        }
        // There may be more: the event comes once, so ask for it again.
        let listener = &mut self.listeners[index];
        let token = Token(FIRST_LISTENER + index);
        let again =
            self.poll.registry().reregister(&mut listener.socket, token, Interest::READABLE);
        if let Err(error) = again {
            self.accept_failed(now, index, &error);
        }
    }

    /// Notes that those who wait at the listeners could not be let in, mostly because all descriptors are in
    /// use. They are tried again soon: the event that told of them does not come again.
    pub(super) fn accept_failed(&mut self, now: Time, index: usize, error: &io::Error) {
        self.hub.count(Counter::FailedAccepts);
        self.refusals.not_accepted(now, self.listeners[index].name, error);
        self.accept_again_at.get_or_insert(now + ACCEPT_RETRY);
    }

    /// Lets those in who could not be before, if it is time to try.
    pub(super) fn accept_again(&mut self, now: Time) {
        if self.accept_again_at.take_if(|at| *at <= now).is_some() {
            for index in 0..self.listeners.len() {
                self.accept(now, index);
            }
        }
    }

    pub(super) fn open(
        &mut self,
        now: Time,
        listener: usize,
        stream: mio::net::TcpStream,
        address: SocketAddr,
    ) {
        let n_open = self.sockets.len() - self.free_slots.len();
        if n_open >= self.max_connections {
            let why = format!("{n_open} connections are open: limits.max_connections is reached");
            return self.turn_away(now, "too many connections", why);
        }
        let admission = &self.listeners[listener].admission;
        let without = admission.without;
        let mut peer =
            Peer { owner: None, passwords: without.passwords, address: Some(address.ip()) };
        let mut socket = match &admission.tls {
            None => {
                peer.owner = without.anonymous.then_some(Owner::Anonymous);
                Socket::plain(stream, without)
            }
            Some(config) => match Socket::tls(stream, Arc::clone(config), without) {
                Ok(socket) => socket,
                Err(error) => return self.turn_away(now, "failed to begin a TLS session", error),
            },
        };
        socket.origins = Arc::clone(&admission.origins);
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            u32::try_from(self.sockets.len() - 1).expect("connections are bounded")
        });
        let (registry, token) = (self.poll.registry(), Token(slot as usize));
        if let Err(error) = registry.register(socket.stream_mut(), token, Interest::READABLE) {
            self.free_slots.push(slot);
            return self.turn_away(now, "failed to watch a connection", error);
        }
        self.sockets[slot as usize] = Some(socket);
        self.hub.on_opened(now, Slot(slot), peer);
    }

    fn turn_away(&mut self, now: Time, kind: &'static str, why: impl std::fmt::Display) {
        self.hub.count(Counter::RefusedConnection);
        self.refusals.refused(now, kind, why);
    }
}
