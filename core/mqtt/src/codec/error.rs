use crate::codec::{PacketType, PropertyId, ReasonCode};

/// Why bytes are not a packet. Clauses are those of MQTT 5.0 unless 3.1.1 is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet is larger than the receiver allows.
    #[error("the packet has {length} bytes, at most {limit} are allowed (MQTT-3.2.2-15)")]
    PacketTooLarge {
        /// Whole length of the packet in bytes.
        length: usize,
        /// The limit in bytes.
        limit: u32,
    },
    /// The remaining length runs over more than four bytes.
    #[error("the remaining length has more than four bytes (2.1.4)")]
    RemainingLengthTooLong,
    /// The bytes given are more or fewer than the remaining length says.
    #[error("the packet has {length} bytes, its fixed header says otherwise (2.1.4)")]
    FrameLength {
        /// Bytes given.
        length: usize,
    },
    /// A variable byte integer inside the packet runs over more than four bytes.
    #[error("a variable byte integer has more than four bytes (1.5.5)")]
    VariableIntegerTooLong,
    /// A variable byte integer uses more bytes than it needs.
    #[error("a variable byte integer is longer than it needs to be (MQTT-1.5.5-1)")]
    VariableIntegerNotMinimal,
    /// The packet type is 0, or one that the version does not have.
    #[error("the packet type {packet_type} does not exist in this version (2.1.2)")]
    UnknownPacketType {
        /// The type, 0 to 15.
        packet_type: u8,
    },
    /// The flags of the fixed header are not those of the packet type.
    #[error("the flags of {packet} are {flags:#06b} (MQTT-2.1.3-1)")]
    BadFlags {
        /// The type of the packet.
        packet: PacketType,
        /// Its four flag bits.
        flags: u8,
    },
    /// A field ends past the packet.
    #[error("the packet ends inside a field (2.1.4)")]
    Truncated,
    /// Bytes follow the last field.
    #[error("{length} bytes follow the last field of the packet (2.1.4)")]
    TrailingBytes {
        /// How many bytes follow.
        length: usize,
    },
    /// A text is not well-formed UTF-8.
    #[error("a text is not UTF-8 (MQTT-1.5.4-1)")]
    InvalidUtf8,
    /// A text holds U+0000.
    #[error("a text holds the character U+0000 (MQTT-1.5.4-2)")]
    NullCharacter,
    /// The packet identifier is zero.
    #[error("the packet identifier of {packet} is 0 (MQTT-2.2.1-3)")]
    PacketIdZero {
        /// The type of the packet.
        packet: PacketType,
    },
    /// The quality of service is 3.
    #[error("the quality of service is 3 (MQTT-3.3.1-4)")]
    BadQos,
    /// A QoS 0 message is marked as a duplicate.
    #[error("a message of QoS 0 is marked as duplicate (MQTT-3.3.1-2)")]
    DuplicateQos0,
    /// A topic name is empty, and no alias stands for it.
    #[error("the topic name is empty (MQTT-4.7.3-1)")]
    EmptyTopic,
    /// A topic filter is empty.
    #[error("the topic filter is empty (MQTT-4.7.3-1)")]
    EmptyFilter,
    /// A topic name holds a wildcard.
    #[error("a topic name holds a wildcard (MQTT-3.3.2-2)")]
    WildcardInTopic,

    /// A property identifier that the standard does not know.
    #[error("the property {id:#04x} does not exist (2.2.2.2)")]
    UnknownProperty {
        /// The identifier.
        id: u8,
    },
    /// A property that this packet may not carry.
    #[error("the property {property:?} does not belong in this packet (2.2.2.2)")]
    MisplacedProperty {
        /// The property.
        property: PropertyId,
    },
    /// A property that may come once comes again.
    #[error("the property {property:?} comes more than once (2.2.2.2)")]
    RepeatedProperty {
        /// The property.
        property: PropertyId,
    },
    /// A property has a value outside its range.
    #[error(
        "the property {property:?} has a value that is not allowed (3.1.2.11, 3.2.2.3, 3.3.2.3)"
    )]
    BadPropertyValue {
        /// The property.
        property: PropertyId,
    },
    /// The topic alias is zero.
    #[error("the topic alias is 0 (MQTT-3.3.2-8)")]
    TopicAliasZero,
    /// Authentication data comes without a method, or AUTH names no method.
    #[error("the authentication method is missing (3.1.2.11.10, 3.15.2.2.2)")]
    NoAuthenticationMethod,
    /// A reason code that does not exist or does not belong in this packet.
    #[error("the reason code {code:#04x} does not belong in {packet} (2.4)")]
    BadReasonCode {
        /// The type of the packet.
        packet: PacketType,
        /// The code.
        code: u8,
    },

    /// CONNECT names another protocol.
    #[error("the protocol name is not \"MQTT\" (MQTT-3.1.2-1)")]
    ProtocolName,
    /// CONNECT names a version that is not spoken here.
    #[error("the protocol level {level} is not supported, 4 and 5 are (MQTT-3.1.2-2)")]
    ProtocolLevel {
        /// The level.
        level: u8,
    },
    /// The reserved flag of CONNECT is set.
    #[error("the reserved flag of CONNECT is set (MQTT-3.1.2-3)")]
    ReservedConnectFlag,
    /// CONNECT has will flags but no will.
    #[error("CONNECT has a will QoS or will retain but no will (MQTT-3.1.2-11, MQTT-3.1.2-13)")]
    WillFlagsWithoutWill,
    /// The quality of service of the will is 3.
    #[error("the quality of service of the will is 3 (MQTT-3.1.2-12)")]
    BadWillQos,
    /// A 3.1.1 CONNECT has a password but no user name.
    #[error("CONNECT has a password but no user name (3.1.1, MQTT-3.1.2-22)")]
    PasswordWithoutUserName,
    /// The flags of CONNACK have a reserved bit.
    #[error("the reserved flags of CONNACK are set (MQTT-3.2.2-1)")]
    ReservedConnackFlag,
    /// CONNACK refuses and yet reports a session.
    #[error("CONNACK reports a session with a refusal (MQTT-3.2.2-6)")]
    SessionPresentOnRefusal,

    /// SUBSCRIBE or UNSUBSCRIBE has no filter, or its answer has no code.
    #[error("{packet} has an empty payload (MQTT-3.8.3-2, MQTT-3.10.3-2)")]
    EmptyPayload {
        /// The type of the packet.
        packet: PacketType,
    },
    /// The options of a subscription have a reserved bit, QoS 3 or retain handling 3.
    #[error("the subscription options {options:#010b} are not allowed (MQTT-3.8.3-5, 3.8.3.1)")]
    BadSubscriptionOptions {
        /// The options byte.
        options: u8,
    },
    /// No Local on a shared subscription.
    #[error("a shared subscription has the option no local (MQTT-3.8.3-4)")]
    NoLocalOnShared,
}

impl DecodeError {
    /// Returns the reason code that tells an MQTT 5 peer about this error (4.13).
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::ProtocolName | Self::ProtocolLevel { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            // 0x90 is for a topic name that is well formed (2.4).
            Self::WildcardInTopic
            | Self::EmptyTopic
            | Self::RepeatedProperty { .. }
            | Self::BadPropertyValue { .. }
            | Self::NoAuthenticationMethod
            | Self::BadReasonCode { .. }
            | Self::SessionPresentOnRefusal
            | Self::EmptyPayload { .. }
            | Self::NoLocalOnShared
            | Self::PacketIdZero { packet: PacketType::Publish } => ReasonCode::ProtocolError,
            // 3.8.3.1: reserved bits make the packet malformed, other values are protocol errors.
            Self::BadSubscriptionOptions { options } if *options & 0b1100_0000 == 0 => {
                ReasonCode::ProtocolError
            }
            _ => ReasonCode::MalformedPacket,
        }
    }
}
