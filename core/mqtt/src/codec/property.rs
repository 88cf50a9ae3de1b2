use crate::codec::reader::Reader;
use crate::codec::{DecodeError, PacketType};

/// The properties of MQTT 5, with their identifiers on the wire (2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum PropertyId {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQos = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

/// Where a block of properties stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the variable header of a packet.
    Packet(PacketType),
    /// Before the will in the payload of CONNECT.
    Will,
}

impl Place {
    const fn bit(self) -> u16 {
        match self {
            Place::Packet(packet) => 1 << packet as u8,
            Place::Will => WILL,
        }
    }
}

/// How the value of a property is written.
#[derive(Clone, Copy)]
enum Format {
    Byte,
    U16,
    U32,
    VariableInteger,
    Text,
    Topic,
    Binary,
    Pair,
}

/// The value of a property.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Byte(u8),
    U16(u16),
    U32(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

const WILL: u16 = 1;
const CONNECT: u16 = 1 << PacketType::Connect as u8;
const CONNACK: u16 = 1 << PacketType::Connack as u8;
const PUBLISH: u16 = 1 << PacketType::Publish as u8;
const SUBSCRIBE: u16 = 1 << PacketType::Subscribe as u8;
const UNSUBSCRIBE: u16 = 1 << PacketType::Unsubscribe as u8;
const DISCONNECT: u16 = 1 << PacketType::Disconnect as u8;
const AUTH: u16 = 1 << PacketType::Auth as u8;
/// Every packet that answers with a reason.
const REASONED: u16 = CONNACK
    | 1 << PacketType::Puback as u8
    | 1 << PacketType::Pubrec as u8
    | 1 << PacketType::Pubrel as u8
    | 1 << PacketType::Pubcomp as u8
    | 1 << PacketType::Suback as u8
    | 1 << PacketType::Unsuback as u8
    | DISCONNECT
    | AUTH;

/// Returns what the standard says of the property `byte`: table 2-4.
const fn rule(byte: u8) -> Option<(PropertyId, Format, u16)> {
    use PropertyId as P;
    Some(match byte {
        0x01 => (P::PayloadFormatIndicator, Format::Byte, PUBLISH | WILL),
        0x02 => (P::MessageExpiryInterval, Format::U32, PUBLISH | WILL),
        0x03 => (P::ContentType, Format::Text, PUBLISH | WILL),
        0x08 => (P::ResponseTopic, Format::Topic, PUBLISH | WILL),
        0x09 => (P::CorrelationData, Format::Binary, PUBLISH | WILL),
        0x0B => (P::SubscriptionIdentifier, Format::VariableInteger, PUBLISH | SUBSCRIBE),
        0x11 => (P::SessionExpiryInterval, Format::U32, CONNECT | CONNACK | DISCONNECT),
        0x12 => (P::AssignedClientIdentifier, Format::Text, CONNACK),
        0x13 => (P::ServerKeepAlive, Format::U16, CONNACK),
        0x15 => (P::AuthenticationMethod, Format::Text, CONNECT | CONNACK | AUTH),
        0x16 => (P::AuthenticationData, Format::Binary, CONNECT | CONNACK | AUTH),
        0x17 => (P::RequestProblemInformation, Format::Byte, CONNECT),
        0x18 => (P::WillDelayInterval, Format::U32, WILL),
        0x19 => (P::RequestResponseInformation, Format::Byte, CONNECT),
        0x1A => (P::ResponseInformation, Format::Text, CONNACK),
        0x1C => (P::ServerReference, Format::Text, CONNACK | DISCONNECT),
        0x1F => (P::ReasonString, Format::Text, REASONED),
        0x21 => (P::ReceiveMaximum, Format::U16, CONNECT | CONNACK),
        0x22 => (P::TopicAliasMaximum, Format::U16, CONNECT | CONNACK),
        0x23 => (P::TopicAlias, Format::U16, PUBLISH),
        0x24 => (P::MaximumQos, Format::Byte, CONNACK),
        0x25 => (P::RetainAvailable, Format::Byte, CONNACK),
        0x26 => {
            let everywhere = CONNECT | REASONED | PUBLISH | SUBSCRIBE | UNSUBSCRIBE | WILL;
            (P::UserProperty, Format::Pair, everywhere)
        }
        0x27 => (P::MaximumPacketSize, Format::U32, CONNECT | CONNACK),
        0x28 => (P::WildcardSubscriptionAvailable, Format::Byte, CONNACK),
        0x29 => (P::SubscriptionIdentifierAvailable, Format::Byte, CONNACK),
        0x2A => (P::SharedSubscriptionAvailable, Format::Byte, CONNACK),
        _ => return None,
    })
}

fn read_value<'a>(reader: &mut Reader<'a>, format: Format) -> Result<Value<'a>, DecodeError> {
    Ok(match format {
        Format::Byte => Value::Byte(reader.u8()?),
        Format::U16 => Value::U16(reader.u16()?),
        Format::U32 => Value::U32(reader.u32()?),
        Format::VariableInteger => Value::U32(reader.variable_integer()?),
        Format::Text => Value::Text(reader.text()?),
        Format::Topic => Value::Text(reader.topic()?),
        Format::Binary => Value::Binary(reader.binary()?),
        Format::Pair => Value::Pair(reader.text()?, reader.text()?),
    })
}

/// Checks the range of a value: flags are 0 or 1, some numbers and topics are not nothing.
fn check_value(property: PropertyId, value: Value<'_>) -> Result<(), DecodeError> {
    use PropertyId as P;
    let allowed = match (property, value) {
        (P::TopicAlias, Value::U16(0)) => return Err(DecodeError::TopicAliasZero),
        (P::ResponseTopic, Value::Text("")) => return Err(DecodeError::EmptyTopic),
        (_, Value::Byte(value)) => value <= 1,
        (P::ReceiveMaximum, Value::U16(value)) => value > 0,
        (P::MaximumPacketSize | P::SubscriptionIdentifier, Value::U32(value)) => value > 0,
        _ => true,
    };
    if allowed { Ok(()) } else { Err(DecodeError::BadPropertyValue { property }) }
}

/// The properties of one packet, checked, still in their wire form.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PropertyBlock<'a> {
    bytes: &'a [u8],
}

impl<'a> PropertyBlock<'a> {
    /// Reads the property length and the properties, and checks them against their `place`.
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let length = reader.variable_integer()?;
        let bytes = reader.take(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)?;
        if !bytes.is_empty() {
            Self::check(bytes, place)?;
        }
        Ok(Self { bytes })
    }

    fn check(bytes: &[u8], place: Place) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut seen = 0u64;
        while !reader.is_empty() {
            let id = reader.u8()?;
            let (property, format, places) = rule(id).ok_or(DecodeError::UnknownProperty { id })?;
            if places & place.bit() == 0 {
                return Err(DecodeError::MisplacedProperty { property });
            }
            check_value(property, read_value(&mut reader, format)?)?;
            let bit = 1 << id;
            if seen & bit != 0 && !may_repeat(property, place) {
                return Err(DecodeError::RepeatedProperty { property });
            }
            seen |= bit;
        }
        Ok(())
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the properties as they are on the wire, without their length.
    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns each property in the order of the packet.
    pub(crate) fn iter(self) -> impl Iterator<Item = (PropertyId, Value<'a>)> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            let (property, format, _) = rule(reader.u8().ok()?)?;
            Some((property, read_value(&mut reader, format).ok()?))
        })
    }

    fn find(self, wanted: PropertyId) -> Option<Value<'a>> {
        self.iter().find(|(property, _)| *property == wanted).map(|(_, value)| value)
    }

    /// Returns the value of a property that is one byte, 0 or 1.
    pub(crate) fn flag(self, property: PropertyId) -> Option<bool> {
        match self.find(property)? {
            Value::Byte(value) => Some(value == 1),
            _ => None,
        }
    }

    pub(crate) fn u16(self, property: PropertyId) -> Option<u16> {
        match self.find(property)? {
            Value::U16(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn u32(self, property: PropertyId) -> Option<u32> {
        match self.find(property)? {
            Value::U32(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn text(self, property: PropertyId) -> Option<&'a str> {
        match self.find(property)? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn binary(self, property: PropertyId) -> Option<&'a [u8]> {
        match self.find(property)? {
            Value::Binary(value) => Some(value),
            _ => None,
        }
    }
}

/// Tells whether a property may come more than once: user properties anywhere, subscription
/// identifiers in a PUBLISH (3.3.2.3.8).
fn may_repeat(property: PropertyId, place: Place) -> bool {
    match property {
        PropertyId::UserProperty => true,
        PropertyId::SubscriptionIdentifier => place == Place::Packet(PacketType::Publish),
        _ => false,
    }
}
