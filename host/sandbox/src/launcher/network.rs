//! Private networks: a namespace with a loopback interface and the hub's listener in it.

use std::fs::File;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::sys;
use crate::spec::WORKER_API_ADDRESS;

/// The network of one worker. A socket stays in the namespace it was made in, so the hub can answer
/// on the listener from outside.
pub(crate) struct Network {
    namespace: OwnedFd,
    pub(crate) listener: OwnedFd,
}

/// Makes networks, one ahead of need.
pub(crate) struct Networks {
    home: OwnedFd,
    ahead: Option<Network>,
}

impl Networks {
    /// Moves the launcher itself into an empty network.
    pub(crate) fn new() -> io::Result<Self> {
        sys::unshare(libc::CLONE_NEWNET)?;
        let mut networks = Self { home: current_namespace()?, ahead: None };
        networks.make_ahead();
        Ok(networks)
    }

    /// Makes the next network now, so that the next worker need not wait for it.
    pub(crate) fn make_ahead(&mut self) {
        if self.ahead.is_none() {
            self.ahead = self.make().ok();
        }
    }

    pub(crate) fn take(&mut self) -> io::Result<Network> {
        match self.ahead.take() {
            Some(network) => Ok(network),
            None => self.make(),
        }
    }

    /// Runs `action` with the current process inside of `network`. What it clones stays there.
    pub(crate) fn inside<T>(
        &self,
        network: &Network,
        action: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        enter(&network.namespace)?;
        let result = action();
        enter(&self.home)?;
        result
    }

    fn make(&self) -> io::Result<Network> {
        sys::unshare(libc::CLONE_NEWNET)?;
        let network = furnish();
        enter(&self.home)?;
        network
    }
}

fn furnish() -> io::Result<Network> {
    let any = UdpSocket::bind("0.0.0.0:0")?;
    sys::bring_loopback_up(any.as_fd())?;
    let listener = TcpListener::bind(WORKER_API_ADDRESS)?;
    listener.set_nonblocking(true)?;
    Ok(Network { namespace: current_namespace()?, listener: listener.into() })
}

fn current_namespace() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/self/ns/net")?.into())
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}
