use crate::codec::{DecodeError, PacketType, Version};

/// The reason codes of MQTT 5 (2.4).
///
/// 0x00 has three names in the standard: Success, Normal disconnection, Granted QoS 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ReasonCode {
    #[default]
    Success = 0x00,
    GrantedQos1 = 0x01,
    GrantedQos2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QosNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// The return codes of a 3.1.1 CONNACK (3.1.1, 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ConnectReturnCode {
    Accepted = 0,
    UnacceptableProtocolVersion = 1,
    IdentifierRejected = 2,
    ServerUnavailable = 3,
    BadUserNameOrPassword = 4,
    NotAuthorized = 5,
}

/// Packets that a reason code may be in, one bit for each type.
const fn packets(types: &[PacketType]) -> u16 {
    let (mut bits, mut index) = (0, 0);
    while index < types.len() {
        bits |= 1 << types[index] as u8;
        index += 1;
    }
    bits
}

const CONNACK: u16 = packets(&[PacketType::Connack]);
const PUBLISHED: u16 = packets(&[PacketType::Puback, PacketType::Pubrec]);
const RELEASED: u16 = packets(&[PacketType::Pubrel, PacketType::Pubcomp]);
const SUBACK: u16 = packets(&[PacketType::Suback]);
const UNSUBACK: u16 = packets(&[PacketType::Unsuback]);
const DISCONNECT: u16 = packets(&[PacketType::Disconnect]);
const AUTH: u16 = packets(&[PacketType::Auth]);

/// All reason codes with the packets that they may be in (2.4, table 2-6).
const PLACES: [(ReasonCode, u16); 43] = {
    use ReasonCode as R;
    [
        (R::Success, CONNACK | PUBLISHED | RELEASED | SUBACK | UNSUBACK | DISCONNECT | AUTH),
        (R::GrantedQos1, SUBACK),
        (R::GrantedQos2, SUBACK),
        (R::DisconnectWithWill, DISCONNECT),
        (R::NoMatchingSubscribers, PUBLISHED),
        (R::NoSubscriptionExisted, UNSUBACK),
        (R::ContinueAuthentication, AUTH),
        (R::ReAuthenticate, AUTH),
        (R::UnspecifiedError, CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT),
        (R::MalformedPacket, CONNACK | DISCONNECT),
        (R::ProtocolError, CONNACK | DISCONNECT),
        (R::ImplementationSpecificError, CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT),
        (R::UnsupportedProtocolVersion, CONNACK),
        (R::ClientIdentifierNotValid, CONNACK),
        (R::BadUserNameOrPassword, CONNACK),
        (R::NotAuthorized, CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT),
        (R::ServerUnavailable, CONNACK),
        (R::ServerBusy, CONNACK | DISCONNECT),
        (R::Banned, CONNACK),
        (R::ServerShuttingDown, DISCONNECT),
        (R::BadAuthenticationMethod, CONNACK | DISCONNECT),
        (R::KeepAliveTimeout, DISCONNECT),
        (R::SessionTakenOver, DISCONNECT),
        (R::TopicFilterInvalid, SUBACK | UNSUBACK | DISCONNECT),
        (R::TopicNameInvalid, CONNACK | PUBLISHED | DISCONNECT),
        (R::PacketIdentifierInUse, PUBLISHED | SUBACK | UNSUBACK),
        (R::PacketIdentifierNotFound, RELEASED),
        (R::ReceiveMaximumExceeded, DISCONNECT),
        (R::TopicAliasInvalid, DISCONNECT),
        (R::PacketTooLarge, CONNACK | DISCONNECT),
        (R::MessageRateTooHigh, DISCONNECT),
        (R::QuotaExceeded, CONNACK | PUBLISHED | SUBACK | DISCONNECT),
        (R::AdministrativeAction, DISCONNECT),
        (R::PayloadFormatInvalid, CONNACK | PUBLISHED | DISCONNECT),
        (R::RetainNotSupported, CONNACK | DISCONNECT),
        (R::QosNotSupported, CONNACK | DISCONNECT),
        (R::UseAnotherServer, CONNACK | DISCONNECT),
        (R::ServerMoved, CONNACK | DISCONNECT),
        (R::SharedSubscriptionsNotSupported, SUBACK | DISCONNECT),
        (R::ConnectionRateExceeded, CONNACK | DISCONNECT),
        (R::MaximumConnectTime, DISCONNECT),
        (R::SubscriptionIdentifiersNotSupported, SUBACK | DISCONNECT),
        (R::WildcardSubscriptionsNotSupported, SUBACK | DISCONNECT),
    ]
};

impl ReasonCode {
    /// Returns the reason code that `byte` stands for.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        PLACES.iter().map(|(code, _)| *code).find(|code| *code as u8 == byte)
    }

    /// Tells whether the code reports a failure: 0x80 and above.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }

    /// Tells whether the standard allows the code in a packet of type `packet`.
    #[must_use]
    pub fn is_allowed_in(self, packet: PacketType) -> bool {
        PLACES.iter().any(|(code, places)| *code == self && places & (1 << packet as u8) != 0)
    }

    /// Returns all reason codes, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        PLACES.iter().map(|(code, _)| *code)
    }

    /// Returns the nearest return code of a 3.1.1 CONNACK.
    #[must_use]
    pub const fn connect_return_code(self) -> ConnectReturnCode {
        match self {
            code if !code.is_failure() => ConnectReturnCode::Accepted,
            Self::UnsupportedProtocolVersion => ConnectReturnCode::UnacceptableProtocolVersion,
            Self::ClientIdentifierNotValid => ConnectReturnCode::IdentifierRejected,
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => {
                ConnectReturnCode::BadUserNameOrPassword
            }
            Self::NotAuthorized
            | Self::Banned
            | Self::TopicNameInvalid
            | Self::RetainNotSupported
            | Self::QosNotSupported => ConnectReturnCode::NotAuthorized,
            _ => ConnectReturnCode::ServerUnavailable,
        }
    }

    /// Reads the reason code of a `packet` of MQTT 5.
    pub(crate) fn read(packet: PacketType, byte: u8) -> Result<Self, DecodeError> {
        Self::from_byte(byte)
            .filter(|code| code.is_allowed_in(packet))
            .ok_or(DecodeError::BadReasonCode { packet, code: byte })
    }

    /// Returns the byte that a SUBACK carries: 3.1.1 has a single failure code (3.1.1, 3.9.3).
    pub(crate) const fn suback_byte(self, version: Version) -> u8 {
        match version {
            Version::V311 if self.is_failure() => Self::UnspecifiedError as u8,
            _ => self as u8,
        }
    }
}

impl ConnectReturnCode {
    /// Returns the reason code that says the same in MQTT 5.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Accepted => ReasonCode::Success,
            Self::UnacceptableProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::IdentifierRejected => ReasonCode::ClientIdentifierNotValid,
            Self::ServerUnavailable => ReasonCode::ServerUnavailable,
            Self::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
        }
    }

    /// Returns the return code that `byte` stands for.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Accepted,
            1 => Self::UnacceptableProtocolVersion,
            2 => Self::IdentifierRejected,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }
}
