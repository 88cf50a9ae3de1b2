//! How a PUBLISH gets into the buffer of a connection: encoded once for many receivers or for one,
//! with a topic alias where the client takes them, and never larger than the client allows.

use std::time::Duration;

use tomte_base::{QoS, Time, TopicName};
use tomte_mqtt::codec::{self, PublishHead, PublishTemplate, Version};

use crate::connection::Connection;
use crate::fan_out::Incoming;
use crate::session::Delivery;

/// Receivers of one class from which on the packet is encoded once and copied.
const TEMPLATE_FROM: usize = 2;

/// Most bytes that an alias adds to a packet: the property, and one more byte in each of the two
/// length fields.
const ALIAS_BYTES: usize = 5;

/// Encodes one message for many receivers.
pub(crate) struct Encoder<'a> {
    incoming: &'a Incoming<'a>,
    topic: &'a TopicName,
    expiry_s: Option<u32>,
    n_receivers: usize,
    templates: [Option<PublishTemplate>; 12],
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(
        now: Time,
        incoming: &'a Incoming<'a>,
        topic: &'a TopicName,
        n_receivers: usize,
    ) -> Self {
        let expiry_s = remaining_seconds(now, incoming.expires);
        Self { incoming, topic, expiry_s, n_receivers, templates: [const { None }; 12] }
    }

    /// Appends the message for one client. Tells whether it did: not when the packet is larger than
    /// the client allows (MQTT-3.1.2-24).
    pub(crate) fn append(
        &mut self,
        connection: &mut Connection,
        (qos, retain): (QoS, bool),
        packet_id: u16,
        ids: &[u32],
    ) -> bool {
        let payload = self.incoming.payload;
        let head = PublishHead {
            dup: false,
            qos,
            retain,
            topic: self.incoming.topic,
            packet_id,
            topic_alias: None,
            message_expiry_seconds: self.expiry_s,
            properties: self.incoming.properties,
            subscription_identifiers: ids,
        };
        let alone = self.n_receivers < TEMPLATE_FROM || !ids.is_empty();
        if alone || connection.mqtt.takes_aliases() {
            return append_alone(connection, self.topic, head, payload);
        }
        let version = connection.mqtt.version();
        let class =
            usize::from(version == Version::V5) * 6 + qos as usize * 2 + usize::from(retain);
        let template = self.templates[class]
            .get_or_insert_with(|| PublishTemplate::new(version, &head, payload));
        let fits = connection.mqtt.may_send(template.len());
        if fits {
            template.append(&mut connection.out, packet_id, false);
        }
        fits
    }
}

/// Appends a PUBLISH that is encoded for this client alone. Tells whether it did.
fn append_alone(
    connection: &mut Connection,
    topic: &TopicName,
    head: PublishHead<'_>,
    payload: &[u8],
) -> bool {
    let mqtt = &mut connection.mqtt;
    let (version, length) =
        (mqtt.version(), codec::publish_len(mqtt.version(), &head, payload.len()));
    // A client learns an alias only from a packet that is sent: one that might not fit gets none.
    let (alias, with_topic) = match mqtt.may_send(length + ALIAS_BYTES) {
        true => mqtt.alias_out(topic),
        false => (None, true),
    };
    if !mqtt.may_send(length) {
        return false;
    }
    let topic = if with_topic { head.topic } else { "" };
    let head = PublishHead { topic, topic_alias: alias, ..head };
    codec::encode_publish(&mut connection.out, version, &head, payload);
    true
}

/// Appends a delivery from what the session keeps. Tells whether it did: not when the packet is
/// larger than the client allows.
pub(crate) fn append_kept(
    now: Time,
    connection: &mut Connection,
    delivery: &Delivery,
    packet_id: u16,
    dup: bool,
) -> bool {
    let message = &delivery.message;
    let head = PublishHead {
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: &message.topic,
        packet_id,
        topic_alias: None,
        message_expiry_seconds: remaining_seconds(now, message.expires),
        properties: message.properties.as_deref(),
        subscription_identifiers: delivery.subscription_ids.as_deref().unwrap_or_default(),
    };
    append_alone(connection, &message.topic, head, &message.payload)
}

/// Returns what is left of a message's time in seconds, a begun one counted whole; none when it has
/// no end. *Source*: MQTT-3.3.2-6.
fn remaining_seconds(now: Time, expires: Time) -> Option<u32> {
    let seconds = |left: Duration| left.as_secs() + u64::from(left.subsec_nanos() > 0);
    (expires != Time::NEVER).then(|| u32::try_from(seconds(expires - now)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_second_of_a_messages_time_counts_whole() {
        let now = Time::from_millis(1_000_000);
        let left = |millis| remaining_seconds(now, now + Duration::from_millis(millis));
        assert_eq!(left(10_000), Some(10));
        assert_eq!(left(9_999), Some(10));
        assert_eq!(left(9_000), Some(9));
        assert_eq!(left(1), Some(1));
        assert_eq!(remaining_seconds(now, Time::NEVER), None);
    }
}
