use tomte_base::{Properties, QoS};

use crate::codec::writer::{
    put_binary_property, put_byte_property, put_text, put_text_property, put_u16, put_u16_property,
    put_u32_property, put_user_property, put_variable_integer, variable_integer_len,
};
use crate::codec::{PacketType, PropertyId, Publish, Version};

/// What a PUBLISH says besides its payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishHead<'a> {
    /// It may have been sent before. Left out for QoS 0 (MQTT-3.3.1-2).
    pub dup: bool,
    /// The quality of service.
    pub qos: QoS,
    /// To a server: retain it. To a client: it was retained.
    pub retain: bool,
    /// The topic name; empty when the alias stands for it.
    pub topic: &'a str,
    /// The packet identifier; left out for QoS 0.
    pub packet_id: u16,
    /// The number that stands for the topic on this connection, not 0.
    pub topic_alias: Option<u16>,
    /// How long the message is still of use, in seconds.
    pub message_expiry_seconds: Option<u32>,
    /// Properties of the message.
    pub properties: Option<&'a Properties>,
    /// The identifiers of the subscriptions that it matched, each 1 to 268,435,455.
    pub subscription_identifiers: &'a [u32],
}

impl PublishHead<'_> {
    fn first_byte(&self) -> u8 {
        let dup = self.dup && self.qos != QoS::AtMostOnce;
        first_byte(dup, self.qos, self.retain)
    }

    /// Returns the length of the properties in bytes, without their length field.
    fn properties_len(&self) -> usize {
        let identifier = |id: &u32| 1 + identifier_len(*id);
        self.topic_alias.map_or(0, |_| 3)
            + self.message_expiry_seconds.map_or(0, |_| 5)
            + self.properties.map_or(0, message_properties_len)
            + self.subscription_identifiers.iter().map(identifier).sum::<usize>()
    }

    /// Returns the length of the variable header in bytes, given that of the properties.
    fn variable_header_len(&self, version: Version, properties: usize) -> usize {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let block = match version {
            Version::V311 => 0,
            Version::V5 => variable_integer_len(properties) + properties,
        };
        text_len(self.topic) + packet_id + block
    }
}

const fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    PacketType::Publish.first_byte() | (dup as u8) << 3 | (qos as u8) << 1 | retain as u8
}

/// Returns the length of a text or binary value of `length` bytes, with its length field.
fn field_len(length: usize) -> usize {
    2 + length.min(usize::from(u16::MAX))
}

fn text_len(text: &str) -> usize {
    field_len(text.floor_char_boundary(usize::from(u16::MAX)))
}

fn identifier_len(identifier: u32) -> usize {
    variable_integer_len(usize::try_from(identifier).unwrap_or(usize::MAX))
}

fn message_properties_len(properties: &Properties) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| 1 + text_len(text));
    let correlation = properties.correlation_data.as_ref();
    let user = |(name, value): &(String, String)| 1 + text_len(name) + text_len(value);
    usize::from(properties.payload_is_utf8.is_some()) * 2
        + text(&properties.content_type)
        + text(&properties.response_topic)
        + correlation.map_or(0, |data| 1 + field_len(data.len()))
        + properties.user.iter().map(user).sum::<usize>()
}

/// Appends the properties of a message that PUBLISH and the will have in common.
pub(crate) fn put_message_properties(
    out: &mut Vec<u8>,
    message_expiry_seconds: Option<u32>,
    properties: Option<&Properties>,
) {
    use PropertyId as P;
    put_u32_property(out, P::MessageExpiryInterval, message_expiry_seconds);
    let Some(properties) = properties else { return };
    let is_utf8 = properties.payload_is_utf8.map(u8::from);
    put_byte_property(out, P::PayloadFormatIndicator, is_utf8);
    put_text_property(out, P::ContentType, properties.content_type.as_deref());
    put_text_property(out, P::ResponseTopic, properties.response_topic.as_deref());
    put_binary_property(out, P::CorrelationData, properties.correlation_data.as_deref());
    for (name, value) in &properties.user {
        put_user_property(out, name, value);
    }
}

fn put_properties(out: &mut Vec<u8>, head: &PublishHead<'_>) {
    put_u16_property(out, PropertyId::TopicAlias, head.topic_alias);
    put_message_properties(out, head.message_expiry_seconds, head.properties);
    for identifier in head.subscription_identifiers {
        out.push(PropertyId::SubscriptionIdentifier as u8);
        put_variable_integer(out, usize::try_from(*identifier).unwrap_or(usize::MAX));
    }
}

/// Returns the whole length in bytes of the PUBLISH that [`encode_publish`] would append.
#[must_use]
pub fn publish_len(version: Version, head: &PublishHead<'_>, payload_len: usize) -> usize {
    let remaining = head.variable_header_len(version, head.properties_len()) + payload_len;
    1 + variable_integer_len(remaining) + remaining
}

/// Appends a PUBLISH.
///
/// It must not be longer than [`MAX_PACKET_BYTES`](crate::codec::MAX_PACKET_BYTES): ask
/// [`publish_len`] where the payload can come near it.
pub fn encode_publish(out: &mut Vec<u8>, version: Version, head: &PublishHead<'_>, payload: &[u8]) {
    let properties = if version == Version::V5 { head.properties_len() } else { 0 };
    let remaining = head.variable_header_len(version, properties) + payload.len();
    out.reserve(5 + remaining);
    out.push(head.first_byte());
    put_variable_integer(out, remaining);
    put_text(out, head.topic);
    if head.qos != QoS::AtMostOnce {
        put_u16(out, head.packet_id);
    }
    if version == Version::V5 {
        put_variable_integer(out, properties);
        if properties > 0 {
            put_properties(out, head);
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a PUBLISH that was decoded, with its properties as they are.
pub(crate) fn encode_received(out: &mut Vec<u8>, version: Version, publish: &Publish<'_>) {
    let block = publish.properties.block().bytes();
    let packet_id = if publish.qos == QoS::AtMostOnce { 0 } else { 2 };
    let properties = match version {
        Version::V311 => 0,
        Version::V5 => variable_integer_len(block.len()) + block.len(),
    };
    let header = field_len(publish.topic.len()) + packet_id + properties;
    out.push(first_byte(publish.dup, publish.qos, publish.retain));
    put_variable_integer(out, header + publish.payload.len());
    put_text(out, publish.topic);
    if packet_id > 0 {
        put_u16(out, publish.packet_id);
    }
    if version == Version::V5 {
        put_variable_integer(out, block.len());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(publish.payload);
}

/// A PUBLISH encoded once for many receivers of one class: same version, QoS, retain flag and
/// properties. Only the packet identifier and the DUP flag differ between them.
#[derive(Clone, Debug)]
pub struct PublishTemplate {
    bytes: Box<[u8]>,
    /// Where the packet identifier is, 0 when there is none.
    packet_id_at: usize,
}

impl PublishTemplate {
    /// Encodes the packet once. The packet identifier and DUP flag of `head` do not matter.
    #[must_use]
    pub fn new(version: Version, head: &PublishHead<'_>, payload: &[u8]) -> Self {
        let head = PublishHead { dup: false, packet_id: 0, ..*head };
        let mut bytes = Vec::with_capacity(publish_len(version, &head, payload.len()));
        encode_publish(&mut bytes, version, &head, payload);
        let packet_id_at = match head.qos {
            QoS::AtMostOnce => 0,
            _ => bytes.len() - payload.len() - head.after_topic_len(version),
        };
        Self { bytes: bytes.into(), packet_id_at }
    }

    /// Appends the packet with `packet_id` and `dup`, which are left out for QoS 0.
    pub fn append(&self, out: &mut Vec<u8>, packet_id: u16, dup: bool) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if self.packet_id_at == 0 {
            return;
        }
        out[start] |= u8::from(dup) << 3;
        let at = start + self.packet_id_at;
        out[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
    }

    /// Returns the whole length of the packet in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl PublishHead<'_> {
    /// Returns the length of the variable header behind the topic, in bytes.
    fn after_topic_len(&self, version: Version) -> usize {
        self.variable_header_len(version, self.properties_len()) - text_len(self.topic)
    }
}
