//! Our codec beside one that others wrote, `rmqtt-codec`.
//!
//! What they read and write again must mean the same to us, and both must accept the same packets,
//! except where [`they_are_laxer`] and [`they_are_stricter`] say by which clause they differ.
//!
//! The fuzz target `differential` compiles this file too, so it names the crate from outside.

use bytes::BytesMut;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};
use tomte_base::Properties;
use tomte_mqtt::codec::DecodeError as E;
use tomte_mqtt::codec::{
    Auth, DecodeError, Packet, PacketType, PropertyId, Version, connect_version, decode,
};

/// Lets the other codec read `frame` and write it again, `None` when it refuses.
pub(crate) fn theirs(version: Version, frame: &[u8]) -> Option<Vec<u8>> {
    let mut input = BytesMut::from(frame);
    let mut output = BytesMut::new();
    match version {
        Version::V311 => {
            let (packet, _) = v3::Codec::default().decode(&mut input).ok()??;
            v3::Codec::default().encode(packet, &mut output).ok()?;
        }
        Version::V5 => {
            let (packet, _) = v5::Codec::default().decode(&mut input).ok()??;
            v5::Codec::default().encode(packet, &mut output).ok()?;
        }
    }
    Some(output.to_vec())
}

/// Tells whether they are known to accept `frame`, which we refuse with `error`.
pub(crate) fn they_are_laxer(version: Version, frame: &[u8], error: DecodeError) -> bool {
    use PacketType::{Connack, Suback, Unsuback};
    use PropertyId::{MaximumPacketSize, MaximumQos};
    match error {
        // MQTT-1.5.4-2 and MQTT-3.3.2-2: they check UTF-8 only.
        E::NullCharacter | E::WildcardInTopic => true,
        // MQTT-4.7.3-1, in the topic of a message or a will, and in a filter of version 5.
        E::EmptyTopic => true,
        E::EmptyFilter => version == Version::V5,
        // MQTT-3.3.1-2.
        E::DuplicateQos0 => true,
        // 2.1.4: they read no further than the fields of CONNECT, pings and the old DISCONNECT.
        E::TrailingBytes { .. } => true,
        // MQTT-1.5.5-1.
        E::VariableIntegerNotMinimal => true,
        // MQTT-3.1.2-1: they speak version 3.1 as well, under either protocol name.
        E::ProtocolLevel { level: 3 } => version == Version::V311,
        // MQTT-3.1.2-11 and MQTT-3.1.2-13.
        E::WillFlagsWithoutWill => true,
        // MQTT-3.1.2-22 of 3.1.1.
        E::PasswordWithoutUserName => true,
        // MQTT-3.2.2-6; MQTT-3.2.2-4 of 3.1.1.
        E::SessionPresentOnRefusal => true,
        // 3.2.2.3 of 3.1.1: return codes above 5 are reserved.
        E::BadReasonCode { packet: Connack, .. } => version == Version::V311,
        // 3.15.2.1: AUTH leaves out the length of its properties together with its code only.
        E::Truncated => frame.len() == 3 && frame[0] == 0xF0,
        // 3.1.2.11.10 and 3.15.2.2.2.
        E::NoAuthenticationMethod => true,
        // 3.2.2.3.4: the maximum is 0 or 1; 3.2.2.3.6: it is not 0.
        E::BadPropertyValue { property: MaximumQos | MaximumPacketSize } => true,
        // MQTT-3.8.3-4.
        E::NoLocalOnShared => true,
        // MQTT-3.8.3-4 of 3.1.1: the upper six bits are reserved.
        E::BadSubscriptionOptions { .. } => version == Version::V311,
        // 3.9.3 and 3.11.3: one code for each filter, of which there is one.
        E::EmptyPayload { packet: Suback | Unsuback } => true,
        _ => false,
    }
}

/// Tells whether they are known to refuse `packet`, which we accept.
fn they_are_stricter(packet: &Packet<'_>) -> bool {
    match packet {
        // MQTT-3.1.3-8 of 3.1.1 asks for an answer by CONNACK, and MQTT 5 has no such rule: we leave
        // it to the connection.
        Packet::Connect(connect) if connect.client_id.is_empty() && !connect.clean_start => true,
        // 3.3.2.3.3 and 3.1.3.2.4 know no least expiry: a message may be over at once.
        Packet::Connect(connect) => {
            connect.will.as_ref().is_some_and(|will| will.message_expiry_seconds == Some(0))
        }
        Packet::Publish(publish) => publish.properties.message_expiry_seconds() == Some(0),
        _ => false,
    }
}

/// Writes down what `packet` means: properties with default values are as good as none, and their
/// order does not matter.
fn meaning(packet: Packet<'_>) -> String {
    let mut packet = packet;
    match &mut packet {
        Packet::Connect(connect) => {
            let properties = &mut connect.properties;
            forget(&mut properties.session_expiry_seconds, 0);
            forget(&mut properties.receive_maximum, u16::MAX);
            forget(&mut properties.topic_alias_maximum, 0);
            forget(&mut properties.request_problem_information, true);
            forget(&mut properties.request_response_information, false);
            if let Some(will) = &mut connect.will {
                // They leave out a payload format of 0, against MQTT-3.3.2-4.
                will.properties.iter_mut().for_each(|of| forget(&mut of.payload_is_utf8, false));
                will.properties.take_if(|properties| **properties == Properties::default());
            }
        }
        Packet::Connack(connack) => {
            let properties = &mut connack.properties;
            forget(&mut properties.receive_maximum, u16::MAX);
            forget(&mut properties.topic_alias_maximum, 0);
            forget(&mut properties.retain_available, true);
            forget(&mut properties.wildcard_subscription_available, true);
            forget(&mut properties.subscription_identifier_available, true);
            forget(&mut properties.shared_subscription_available, true);
        }
        _ => {}
    }
    // The same in PUBLISH.
    format!("{packet:?}").replace("is_utf8: Some(false)", "is_utf8: None")
}

/// Takes away a value that means the same as none.
fn forget<T: PartialEq>(property: &mut Option<T>, default: T) {
    property.take_if(|value| *value == default);
}

/// Says how the two codecs differ over `frame`, one whole packet; `None` where they agree or where
/// the difference is a known one.
pub(crate) fn unknown_difference(version: Version, frame: &[u8]) -> Option<String> {
    let version = connect_version(frame).unwrap_or(version);
    match (decode(frame, version), theirs(version, frame)) {
        // They write an AUTH without content with an empty block, against 3.15.2.2.2.
        (Ok(Packet::Auth(auth)), Some(_)) if auth == Auth::default() => None,
        (Ok(packet), Some(again)) => {
            let (ours, read) = (meaning(packet), decode(&again, version).map(meaning));
            (read.as_ref() != Ok(&ours))
                .then(|| format!("we read {ours}; they wrote {again:02x?}, which is {read:?}"))
        }
        (Ok(packet), None) => {
            (!they_are_stricter(&packet)).then(|| format!("they refuse {packet:?}"))
        }
        (Err(error), Some(_)) => (!they_are_laxer(version, frame, error))
            .then(|| format!("they accept it; we say: {error}")),
        (Err(_), None) => None,
    }
}
