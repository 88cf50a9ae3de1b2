use bytes::Bytes;

use crate::{MessageId, Source, Time, TopicName};

/// MQTT quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// At most once, no acknowledgement.
    #[default]
    AtMostOnce = 0,
    /// At least once, PUBACK.
    AtLeastOnce = 1,
    /// Exactly once, PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// Returns the level that `bits` stands for, `None` for 3 and above.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The properties of an MQTT 5 PUBLISH that travel with the message to its receivers.
///
/// Topic alias and subscription identifiers belong to one connection and are not among them;
/// message expiry is [`Message::expires`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Payload format indicator: whether the payload is UTF-8 text, if the publisher says so.
    pub payload_is_utf8: Option<bool>,
    /// Content type, as the publisher wrote it.
    pub content_type: Option<String>,
    /// Where an answer should go.
    pub response_topic: Option<String>,
    /// What an answer should carry along.
    pub correlation_data: Option<Bytes>,
    /// User properties, in order, names may repeat.
    pub user: Vec<(String, String)>,
}

/// A message that the hub accepted, with all that its delivery needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The hub's own number for it.
    pub id: MessageId,
    /// The topic it was published on.
    pub topic: TopicName,
    /// The payload, byte for byte.
    pub payload: Bytes,
    /// The quality of service it was published with.
    pub qos: QoS,
    /// The publisher asked to retain it.
    pub retain: bool,
    /// Who published it.
    pub source: Source,
    /// When the hub accepted it.
    pub received: Time,
    /// When it is no longer worth delivering, [`Time::NEVER`] when it has no end.
    pub expires: Time,
    /// Properties for the receivers; most messages have none.
    pub properties: Option<Box<Properties>>,
    /// How many functions it went through since it entered the hub.
    pub hops: u8,
    /// The message that led to this one, when a function made it.
    pub cause: Option<MessageId>,
}
