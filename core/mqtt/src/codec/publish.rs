use std::fmt;

use bytes::Bytes;
use tomte_base::{Properties, QoS};

use crate::codec::property::{Place, PropertyBlock, Value};
use crate::codec::reader::Reader;
use crate::codec::{DecodeError, PacketType, PropertyId, UserProperties, Version};

/// PUBLISH: a message (3.3). It borrows from the buffer that it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The sender may have sent it before.
    pub dup: bool,
    /// The quality of service.
    pub qos: QoS,
    /// To a server: retain it. To a client: it was retained.
    pub retain: bool,
    /// The topic name, without wildcards; empty when the topic alias stands for it.
    pub topic: &'a str,
    /// The packet identifier, 0 for QoS 0.
    pub packet_id: u16,
    /// Properties; in 3.1.1 there are none.
    pub properties: PublishProperties<'a>,
    /// The payload, byte for byte.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn read(
        flags: u8,
        mut reader: Reader<'a>,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let dup = flags & 0b1000 != 0;
        let qos = QoS::from_bits(flags >> 1 & 0b11).ok_or(DecodeError::BadQos)?;
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::DuplicateQos0);
        }
        let topic = reader.topic()?;
        let packet_id = match qos {
            QoS::AtMostOnce => 0,
            _ => reader.packet_id(PacketType::Publish)?,
        };
        let block = match version {
            Version::V311 => PropertyBlock::default(),
            Version::V5 => PropertyBlock::read(&mut reader, Place::Packet(PacketType::Publish))?,
        };
        let properties = PublishProperties::new(block);
        if topic.is_empty() && properties.topic_alias().is_none() {
            return Err(DecodeError::EmptyTopic);
        }
        let (retain, payload) = (flags & 1 != 0, reader.rest());
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload })
    }
}

/// The properties of a PUBLISH, checked and still in their wire form (MQTT 5, 3.3.2.3).
///
/// Each accessor looks through them; there are seldom more than three.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    block: PropertyBlock<'a>,
}

impl<'a> PublishProperties<'a> {
    pub(crate) const fn new(block: PropertyBlock<'a>) -> Self {
        Self { block }
    }

    pub(crate) const fn block(self) -> PropertyBlock<'a> {
        self.block
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.block.is_empty()
    }

    /// Returns the number that stands for the topic on this connection, never 0.
    #[must_use]
    pub fn topic_alias(self) -> Option<u16> {
        self.block.u16(PropertyId::TopicAlias)
    }

    /// Returns how long the message is of use, in seconds.
    #[must_use]
    pub fn message_expiry_seconds(self) -> Option<u32> {
        self.block.u32(PropertyId::MessageExpiryInterval)
    }

    /// Tells whether the payload is UTF-8 text, if the publisher says so.
    #[must_use]
    pub fn is_utf8(self) -> Option<bool> {
        self.block.flag(PropertyId::PayloadFormatIndicator)
    }

    /// Returns the content type.
    #[must_use]
    pub fn content_type(self) -> Option<&'a str> {
        self.block.text(PropertyId::ContentType)
    }

    /// Returns where an answer should go, a valid topic name.
    #[must_use]
    pub fn response_topic(self) -> Option<&'a str> {
        self.block.text(PropertyId::ResponseTopic)
    }

    /// Returns what an answer should carry along.
    #[must_use]
    pub fn correlation_data(self) -> Option<&'a [u8]> {
        self.block.binary(PropertyId::CorrelationData)
    }

    /// Returns the user properties.
    #[must_use]
    pub const fn user_properties(self) -> UserProperties<'a> {
        UserProperties::received(self.block)
    }

    /// Returns the identifiers of the subscriptions that the message matched.
    pub fn subscription_identifiers(self) -> impl Iterator<Item = u32> + use<'a> {
        self.block.iter().filter_map(|(property, value)| match (property, value) {
            (PropertyId::SubscriptionIdentifier, Value::U32(identifier)) => Some(identifier),
            _ => None,
        })
    }

    /// Copies the properties that travel with the message, `None` when there are none.
    #[must_use]
    pub fn to_owned_properties(self) -> Option<Box<Properties>> {
        if self.is_empty() {
            return None;
        }
        let owned = |text: &str| text.to_owned();
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let properties = Properties {
            payload_is_utf8: self.is_utf8(),
            content_type: self.content_type().map(owned),
            response_topic: self.response_topic().map(owned),
            correlation_data: self.correlation_data().map(Bytes::copy_from_slice),
            user: self.user_properties().iter().map(pair).collect(),
        };
        (properties != Properties::default()).then(|| Box::new(properties))
    }
}

impl fmt::Debug for PublishProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishProperties")
            .field("topic_alias", &self.topic_alias())
            .field("message_expiry_seconds", &self.message_expiry_seconds())
            .field("is_utf8", &self.is_utf8())
            .field("content_type", &self.content_type())
            .field("response_topic", &self.response_topic())
            .field("correlation_data", &self.correlation_data())
            .field("subscription_identifiers", &Vec::from_iter(self.subscription_identifiers()))
            .field("user_properties", &self.user_properties())
            .finish()
    }
}
