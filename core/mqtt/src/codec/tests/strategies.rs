//! Random packets. Their texts are leaked, so that packets borrow for ever.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tomte_base::{Properties, QoS};

use crate::codec::*;

pub(super) fn text() -> impl Strategy<Value = &'static str> {
    ".{0,12}".prop_map(|text: String| &*text.replace('\0', "0").leak())
}

pub(super) fn topic() -> impl Strategy<Value = &'static str> {
    "[a-zA-Z0-9/$é ]{1,24}".prop_map(|text: String| &*text.leak())
}

fn filter() -> impl Strategy<Value = &'static str> {
    "[a-z/$+#é ]{1,12}|[$]share/g/[a-z/+#]{1,8}".prop_map(|text: String| &*text.leak())
}

pub(super) fn data() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..200).prop_map(|data| &*data.leak())
}

pub(super) fn packet_id() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

pub(super) fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..3).prop_map(|pairs| {
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    })
}

fn user_properties(version: Version) -> BoxedStrategy<UserProperties<'static>> {
    match version {
        Version::V311 => Just(UserProperties::default()).boxed(),
        Version::V5 => pairs().prop_map(|pairs| (&*pairs.leak()).into()).boxed(),
    }
}

/// A value that MQTT 5 may have and 3.1.1 never has.
fn new_in_5<T: Clone + std::fmt::Debug + 'static>(
    version: Version,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    match version {
        Version::V311 => Just(None).boxed(),
        Version::V5 => of(value).boxed(),
    }
}

pub(super) fn message_properties() -> impl Strategy<Value = Option<Box<Properties>>> {
    let fields = (of(any::<bool>()), of(text()), of(topic()), of(data()), pairs());
    fields.prop_map(|(payload_is_utf8, content_type, response_topic, correlation_data, user)| {
        let properties = Properties {
            payload_is_utf8,
            content_type: content_type.map(str::to_owned),
            response_topic: response_topic.map(str::to_owned),
            correlation_data: correlation_data.map(bytes::Bytes::from_static),
            user,
        };
        (properties != Properties::default()).then(|| Box::new(properties))
    })
}

fn reason(version: Version, packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<ReasonCode> = ReasonCode::all()
        .filter(|code| code.is_allowed_in(packet))
        .filter(|code| match (version, packet) {
            (Version::V5, _) => true,
            (_, PacketType::Suback) => (*code as u8) < 3 || *code == ReasonCode::UnspecifiedError,
            (_, PacketType::Connack) => code.connect_return_code().reason() == *code,
            (Version::V311, _) => *code == ReasonCode::Success,
        })
        .collect();
    prop::sample::select(allowed)
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let properties = match version {
        Version::V311 => Just(None).boxed(),
        Version::V5 => message_properties().boxed(),
    };
    let numbers = (new_in_5(version, any::<u32>()), new_in_5(version, any::<u32>()));
    (qos(), any::<bool>(), topic(), data(), numbers, properties).prop_map(
        |(qos, retain, topic, payload, (delay, message_expiry_seconds), properties)| Will {
            qos,
            retain,
            topic,
            payload,
            delay_seconds: delay.unwrap_or(0),
            message_expiry_seconds,
            properties,
        },
    )
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let numbers = (of(any::<u32>()), of(1u16..), of(1u32..), of(any::<u16>()));
    let flags = (of(any::<bool>()), of(any::<bool>()));
    let authentication = of((text(), of(data())));
    (numbers, flags, authentication, user_properties(Version::V5)).prop_map(
        |(numbers, flags, authentication, user_properties)| ConnectProperties {
            session_expiry_seconds: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_bytes: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: flags.0,
            request_problem_information: flags.1,
            authentication_method: authentication.map(|(method, _)| method),
            authentication_data: authentication.and_then(|(_, data)| data),
            user_properties,
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let properties = match version {
        Version::V311 => Just(ConnectProperties::default()).boxed(),
        Version::V5 => connect_properties().boxed(),
    };
    let base = (any::<bool>(), any::<u16>(), text());
    (base, of(will(version)), of(text()), of(data()), properties).prop_map(
        move |((clean_start, keep_alive_seconds, client_id), will, username, data, properties)| {
            let password = data.filter(|_| version == Version::V5 || username.is_some());
            Packet::Connect(Box::new(Connect {
                version,
                clean_start,
                keep_alive_seconds,
                client_id,
                will,
                username,
                password,
                properties,
            }))
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnackProperties<'static>> {
    let numbers = (of(any::<u32>()), of(1u16..), of(1u32..), of(any::<u16>()), of(any::<u16>()));
    let flags = prop::array::uniform5(of(any::<bool>()));
    let texts = prop::array::uniform4(of(text()));
    let authentication = of((text(), of(data())));
    (numbers, flags, texts, authentication, user_properties(Version::V5)).prop_map(
        |(numbers, flags, texts, authentication, user_properties)| ConnackProperties {
            session_expiry_seconds: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_bytes: numbers.2,
            topic_alias_maximum: numbers.3,
            server_keep_alive_seconds: numbers.4,
            maximum_qos: flags[0].map(|high| if high { QoS::AtLeastOnce } else { QoS::AtMostOnce }),
            retain_available: flags[1],
            wildcard_subscription_available: flags[2],
            subscription_identifier_available: flags[3],
            shared_subscription_available: flags[4],
            assigned_client_id: texts[0],
            reason_string: texts[1],
            response_information: texts[2],
            server_reference: texts[3],
            authentication_method: authentication.map(|(method, _)| method),
            authentication_data: authentication.and_then(|(_, data)| data),
            user_properties,
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let properties = match version {
        Version::V311 => Just(ConnackProperties::default()).boxed(),
        Version::V5 => connack_properties().boxed(),
    };
    (any::<bool>(), reason(version, PacketType::Connack), properties).prop_map(
        |(present, reason, properties)| {
            let session_present = present && !reason.is_failure();
            Packet::Connack(Box::new(Connack { session_present, reason, properties }))
        },
    )
}

fn ack(version: Version, packet: PacketType) -> impl Strategy<Value = Ack<'static>> {
    let reason_string = new_in_5(version, text());
    (packet_id(), reason(version, packet), reason_string, user_properties(version)).prop_map(
        |(packet_id, reason, reason_string, user_properties)| Ack {
            packet_id,
            reason,
            reason_string,
            user_properties,
        },
    )
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription<'static>> {
    use RetainHandling::{DoNotSend, Send, SendIfNew};
    let handling = prop::sample::select(&[Send, SendIfNew, DoNotSend][..]);
    (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V311 => Subscription::new(filter, qos),
            Version::V5 => {
                let no_local = no_local && !filter.starts_with("$share/");
                Subscription { filter, qos, no_local, retain_as_published, retain_handling }
            }
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let identifier = new_in_5(version, 1u32..=268_435_455);
    let subscriptions = vec(subscription(version), 1..4);
    (packet_id(), identifier, user_properties(version), subscriptions).prop_map(
        |(packet_id, subscription_identifier, user_properties, subscriptions)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                subscription_identifier,
                user_properties,
                subscriptions,
            })
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reasons = vec(reason(version, PacketType::Suback), 1..4);
    let details = (new_in_5(version, text()), user_properties(version));
    (packet_id(), details, reasons).prop_map(
        |(packet_id, (reason_string, user_properties), reasons)| {
            Packet::Suback(Suback { packet_id, reason_string, user_properties, reasons })
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (packet_id(), user_properties(version), vec(filter(), 1..4)).prop_map(
        |(packet_id, user_properties, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, user_properties, filters })
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let count = if version == Version::V5 { 1..4 } else { 0..1 };
    let reasons = vec(reason(version, PacketType::Unsuback), count);
    let details = (new_in_5(version, text()), user_properties(version));
    (packet_id(), details, reasons).prop_map(
        |(packet_id, (reason_string, user_properties), reasons)| {
            Packet::Unsuback(Unsuback { packet_id, reason_string, user_properties, reasons })
        },
    )
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let texts = (new_in_5(version, text()), new_in_5(version, text()));
    let expiry = new_in_5(version, any::<u32>());
    (reason(version, PacketType::Disconnect), expiry, texts, user_properties(version)).prop_map(
        |(reason, session_expiry_seconds, (reason_string, server_reference), user_properties)| {
            Packet::Disconnect(Disconnect {
                reason,
                session_expiry_seconds,
                reason_string,
                server_reference,
                user_properties,
            })
        },
    )
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    let reason = reason(Version::V5, PacketType::Auth);
    (reason, text(), of(data()), of(text()), user_properties(Version::V5)).prop_map(
        |(reason, method, data, reason_string, user_properties)| {
            let method = Some(method);
            Packet::Auth(Auth { reason, method, data, reason_string, user_properties })
        },
    )
}

/// The fields of a PUBLISH that a [`PublishHead`] and a payload can express.
pub(super) fn publish_head(
    version: Version,
) -> impl Strategy<Value = (PublishHead<'static>, &'static [u8])> {
    let flags = (any::<bool>(), qos(), any::<bool>());
    let numbers = (packet_id(), new_in_5(version, 1u16..), new_in_5(version, any::<u32>()));
    let properties = match version {
        Version::V311 => Just(None).boxed(),
        Version::V5 => message_properties().boxed(),
    };
    let identifiers = vec(1u32..=268_435_455, 0..3);
    (flags, topic(), numbers, properties, identifiers, data()).prop_map(
        move |((dup, qos, retain), topic, (packet_id, alias, expiry), properties, ids, payload)| {
            let properties: Option<&'static Properties> = properties.map(|p| &*Box::leak(p));
            let ids: &'static [u32] = if version == Version::V5 { ids.leak() } else { &[] };
            let head = PublishHead {
                dup: dup && qos != QoS::AtMostOnce,
                qos,
                retain,
                topic,
                packet_id: if qos == QoS::AtMostOnce { 0 } else { packet_id },
                topic_alias: alias,
                message_expiry_seconds: expiry,
                properties,
                subscription_identifiers: ids,
            };
            (head, payload)
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet<'static>> {
    publish_head(version).prop_map(move |(head, payload)| {
        let mut out = Vec::new();
        encode_publish(&mut out, version, &head, payload);
        decode(out.leak(), version).expect("an encoded PUBLISH is well formed")
    })
}

/// A random packet that `version` can express whole.
pub(super) fn packet(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let old = prop_oneof![
        connect(version),
        connack(version),
        publish(version),
        ack(version, PacketType::Puback).prop_map(Packet::Puback),
        ack(version, PacketType::Pubrec).prop_map(Packet::Pubrec),
        ack(version, PacketType::Pubrel).prop_map(Packet::Pubrel),
        ack(version, PacketType::Pubcomp).prop_map(Packet::Pubcomp),
        subscribe(version),
        suback(version),
    ];
    let rest = prop_oneof![
        unsubscribe(version),
        unsuback(version),
        Just(Packet::Pingreq),
        Just(Packet::Pingresp),
        disconnect(version),
    ];
    match version {
        Version::V311 => prop_oneof![9 => old, 5 => rest].boxed(),
        Version::V5 => prop_oneof![9 => old, 5 => rest, 1 => auth()].boxed(),
    }
}

pub(super) fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&super::BOTH[..])
}

/// A version with a packet of it.
pub(super) fn versioned_packet() -> impl Strategy<Value = (Version, Packet<'static>)> {
    version().prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
}
