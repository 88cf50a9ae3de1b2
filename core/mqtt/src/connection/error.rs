use tomte_base::TopicError;

use crate::codec::ReasonCode;

/// Why a CONNECT is refused by its form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectRefusal {
    /// A client sends CONNECT once. There is no CONNACK to this one; an MQTT 5 client gets a
    /// DISCONNECT.
    #[error("the client sent a second CONNECT (MQTT-3.1.0-2)")]
    SecondConnect,
    /// A 3.1.1 client without an identifier asks for a session that lasts.
    #[error("the client identifier is empty and the session is not clean (3.1.1, MQTT-3.1.3-8)")]
    NoClientId,
    /// The will has a QoS that CONNACK rules out.
    #[error("the will's quality of service is above the maximum of {maximum} (MQTT-3.2.2-12)")]
    WillQos {
        /// The limit.
        maximum: u8,
    },
    /// The will is to be retained, and nothing is.
    #[error("the will is to be retained, and retained messages are not available (MQTT-3.2.2-13)")]
    WillRetain,
}

impl ConnectRefusal {
    /// Returns the reason code that tells the client.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::SecondConnect => ReasonCode::ProtocolError,
            Self::NoClientId => ReasonCode::ClientIdentifierNotValid,
            Self::WillQos { .. } => ReasonCode::QosNotSupported,
            Self::WillRetain => ReasonCode::RetainNotSupported,
        }
    }
}

/// What a connected client did against the protocol. The connection is then to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A topic alias is past the limit that CONNACK gave.
    #[error("the topic alias {alias} is above the maximum of {maximum} (MQTT-3.3.2-9)")]
    AliasTooLarge {
        /// The alias.
        alias: u16,
        /// The limit.
        maximum: u16,
    },
    /// A topic alias stands for nothing yet.
    #[error("the topic alias {alias} was not given a topic before (3.3.2.3.4)")]
    UnknownAlias {
        /// The alias.
        alias: u16,
    },
    /// The topic that an alias shall stand for is no topic name.
    #[error("the topic of an alias is no topic name (4.7)")]
    BadTopic(#[source] TopicError),
    /// A client sent a subscription identifier in a PUBLISH.
    #[error("a PUBLISH from a client has a subscription identifier (MQTT-3.3.4-6)")]
    SubscriptionIdentifierFromClient,
    /// More messages are unacknowledged than CONNACK allowed.
    #[error("more than {maximum} messages are unacknowledged (MQTT-3.3.4-7)")]
    ReceiveMaximumExceeded {
        /// The limit.
        maximum: u16,
    },
    /// The QoS is above the one that CONNACK named.
    #[error("the quality of service is above the maximum of {maximum} (MQTT-3.2.2-11)")]
    QosNotSupported {
        /// The limit.
        maximum: u8,
    },
    /// The message is to be retained, and CONNACK said that nothing is.
    #[error("retained messages are not available (MQTT-3.2.2-14)")]
    RetainNotSupported,
}

impl ProtocolError {
    /// Returns the reason code for the DISCONNECT.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::AliasTooLarge { .. } => ReasonCode::TopicAliasInvalid,
            Self::BadTopic(_) => ReasonCode::TopicNameInvalid,
            Self::UnknownAlias { .. } | Self::SubscriptionIdentifierFromClient => {
                ReasonCode::ProtocolError
            }
            Self::ReceiveMaximumExceeded { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::QosNotSupported { .. } => ReasonCode::QosNotSupported,
            Self::RetainNotSupported => ReasonCode::RetainNotSupported,
        }
    }
}
