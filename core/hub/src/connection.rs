//! A network connection as the hub sees it: who is there, and the bytes that wait to be written.

use std::fmt;
use std::net::IpAddr;

use tomte_base::{LogPosition, Source};

use crate::Owner;
use crate::password::Check;
use crate::stalled::Stalled;
use crate::wills::KeptWill;

/// The host's number for a connection. It may be used again once the host has said
/// [`Hub::on_closed`](crate::Hub::on_closed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the host knows of the other end when it accepts a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is, unless it shows a password; none while a TLS handshake has yet to tell, or where
    /// a password is needed.
    pub owner: Option<Owner>,
    /// The listener takes user names and passwords.
    pub passwords: bool,
    /// Where it is, for the limit on wrong passwords.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// Returns a peer that is known and shows no password.
    #[must_use]
    pub fn known(owner: Owner) -> Self {
        Self { owner: Some(owner), passwords: false, address: None }
    }
}

/// Why a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye.
    Disconnected,
    /// The socket ended or failed.
    Lost,
    /// A malformed packet or a breach of the protocol, in words.
    Protocol(String),
    /// CONNECT was refused, in words.
    Refused(String),
    /// No CONNECT came in time.
    ConnectTimeout,
    /// No CONNECT had come, and too many newer connections were in the same state.
    Crowded,
    /// Nothing came within one and a half times the keep-alive.
    KeepAlive,
    /// Another connection of the same owner took the client identifier.
    TakenOver,
    /// Its unread output passed the limit.
    SlowReader,
    /// All half received packets together passed the limit, and its own was the largest.
    Unfinished,
    /// The journal failed, and an acknowledgement could not be given.
    NotStored,
    /// The device's identity was taken away.
    Revoked,
    /// The hub stops.
    Shutdown,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the client disconnected"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Protocol(what) => write!(f, "protocol error: {what}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Crowded => f.write_str(
                "too many connections have sent no CONNECT, and this one is the oldest of them",
            ),
            Self::ConnectTimeout => f.write_str("no CONNECT came in time"),
            Self::KeepAlive => f.write_str("nothing came within the keep-alive time"),
            Self::TakenOver => f.write_str("another connection took the session over"),
            Self::SlowReader => f.write_str("the client reads too slowly"),
            Self::Unfinished => f.write_str(
                "half received packets fill the memory that all connections share, and this is the largest of them",
            ),
            Self::NotStored => f.write_str("the journal could not keep what the client asked for"),
            Self::Revoked => f.write_str("the device's identity was revoked"),
            Self::Shutdown => f.write_str("the hub stops"),
        }
    }
}

pub(crate) struct Connection {
    /// Tells this connection from an earlier one in the same slot.
    pub(crate) serial: u64,
    pub(crate) owner: Option<Owner>,
    pub(crate) source: Source,
    /// The listener takes passwords.
    pub(crate) passwords: bool,
    pub(crate) address: Option<IpAddr>,
    pub(crate) check: Check,
    /// It counts among those that have not sent a valid CONNECT.
    pub(crate) connecting: bool,
    pub(crate) stalled: Stalled,
    pub(crate) mqtt: tomte_mqtt::connection::Connection,
    pub(crate) session: Option<u32>,
    /// The session was there before the connection.
    pub(crate) resumed: bool,
    pub(crate) will: Option<Box<KeptWill>>,
    /// Encoded packets that the host has yet to write.
    pub(crate) out: Vec<u8>,
    /// How much of `out` answers what the client sent, in bytes.
    pub(crate) answers: usize,
    /// The last bytes hold packets that were left for the next turn.
    pub(crate) has_more: bool,
    /// It is in the list of connections with something to write.
    pub(crate) dirty: bool,
    /// Nothing may be written before the journal is safe up to here.
    pub(crate) gate: LogPosition,
    /// Why the machine has done with it; bytes that still come are ignored.
    pub(crate) closing: Option<CloseReason>,
}

impl Connection {
    pub(crate) fn owner(&self) -> &Owner {
        self.owner.as_ref().unwrap_or(&Owner::Anonymous)
    }
}
