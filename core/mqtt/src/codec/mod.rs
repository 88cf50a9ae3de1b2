//! The wire format of MQTT 3.1.1 and 5: bytes to packets and back.
//!
//! [`frame_len`] finds the end of the first packet in a buffer and refuses one that is too large
//! before any of it is kept. [`decode`] then reads the packet; what it returns borrows from the
//! buffer. A packet that [`decode`] returns is well formed: its texts are UTF-8 without U+0000, its
//! properties are allowed where they are, and single ones are single.
//!
//! Not checked here, because the answer is a choice or depends on state: where the wildcards of a
//! topic filter are (a server may close, or answer with a failure in SUBACK), whether an identifier
//! is expected, whether the sender is the right end to send this packet.
//!
//! The `encode_*` functions append one packet each. Fields that a version does not have are left
//! out. Texts and binary values that do not fit their 16-bit length are cut at that length; see
//! [`is_representable`].

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod frame;
mod packet;
mod property;
mod publish;
mod publish_encode;
mod reader;
mod reason;
mod suback;
mod subscribe;
mod unsubscribe;
mod user_properties;
mod writer;

#[cfg(test)]
mod tests;

pub use ack::{Ack, encode_puback, encode_pubcomp, encode_pubrec, encode_pubrel};
pub use auth::{Auth, encode_auth};
pub use connack::{Connack, ConnackProperties, encode_connack};
pub use connect::{Connect, ConnectProperties, Will, connect_version, encode_connect};
pub use disconnect::{Disconnect, encode_disconnect};
pub use error::DecodeError;
pub use frame::{MAX_PACKET_BYTES, PacketType, frame_len};
pub use packet::{Packet, decode, encode, encode_pingreq, encode_pingresp};
pub use property::PropertyId;
pub use publish::{Publish, PublishProperties};
pub use publish_encode::{PublishHead, PublishTemplate, encode_publish, publish_len};
pub use reader::is_representable;
pub use reason::{ConnectReturnCode, ReasonCode};
pub use suback::{Suback, Unsuback, encode_suback, encode_unsuback};
pub use subscribe::{RetainHandling, Subscribe, Subscription, encode_subscribe};
pub use unsubscribe::{Unsubscribe, encode_unsubscribe};
pub use user_properties::UserProperties;

/// The versions of the protocol that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// Returns the version that a CONNECT names by `level`.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// Returns the protocol level that a CONNECT of this version carries.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}
