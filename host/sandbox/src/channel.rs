//! The socket between the hub and its launcher: packets that can carry descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair, sockopt,
};

use crate::protocol::MAX_PACKET_BYTES;

/// Most descriptors that one packet carries.
pub(crate) const MAX_DESCRIPTORS: usize = 4;

/// One end of the socket. Sending and receiving may happen on different threads.
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Returns two connected ends, both closed on exec.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for end in [&one, &other] {
            sockopt::set_socket_send_buffer_size(end, 2 * MAX_PACKET_BYTES)?;
        }
        Ok((Channel(one), Channel(other)))
    }

    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Channel {
        Channel(descriptor)
    }

    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Sends one packet.
    pub(crate) fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let parts = [IoSlice::new(packet)];
        rustix::io::retry_on_intr(|| sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Waits for one packet and returns it with its descriptors, or nothing when the other end is
    /// closed. `buffer` must hold [`MAX_PACKET_BYTES`].
    pub(crate) fn receive<'a>(
        &self,
        buffer: &'a mut [u8],
    ) -> io::Result<Option<(&'a [u8], Vec<OwnedFd>)>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(buffer)];
            recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let packet = &buffer[..received.bytes];
        Ok((!packet.is_empty()).then_some((packet, descriptors)))
    }

    /// Ends the conversation: the other end and all waiting readers see its end.
    pub(crate) fn close(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_packet_arrives_whole_and_with_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let sent = vec![7; MAX_PACKET_BYTES];
        one.send(&sent, &[one.as_fd(), other.as_fd(), one.as_fd()]).unwrap();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        let (packet, descriptors) = other.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(packet, sent);
        assert_eq!(descriptors.len(), 3);
    }

    #[test]
    fn a_closed_channel_is_the_end_and_not_an_error() {
        let (one, other) = Channel::pair().unwrap();
        one.close();
        assert!(other.receive(&mut [0; 16]).unwrap().is_none());
    }
}
