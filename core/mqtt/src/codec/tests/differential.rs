//! Our codec beside one that others wrote, `rmqtt-codec`.
//!
//! What they read and write again must mean the same to us, and both must accept the same packets,
//! except where [`they_are_laxer`] and [`they_are_stricter`] say by which clause they differ.

use bytes::BytesMut;
use proptest::prelude::*;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

use super::encoded;
use super::strategies::versioned_packet;
use crate::codec::DecodeError as E;
use crate::codec::*;

/// Lets the other codec read `frame` and write it again, `None` when it refuses.
fn theirs(version: Version, frame: &[u8]) -> Option<Vec<u8>> {
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

/// Tells whether they are known to accept what we refuse with `error`.
fn they_are_laxer(version: Version, error: E) -> bool {
    use PacketType::{Connack, Suback};
    use PropertyId::MaximumQos;
    match error {
        // MQTT-1.5.4-2 and MQTT-3.3.2-2: they check UTF-8 only.
        E::NullCharacter | E::WildcardInTopic => true,
        // MQTT-4.7.3-1, in the topic of a message or a will.
        E::EmptyTopic => true,
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
        // 3.1.2.11.10 and 3.15.2.2.2.
        E::NoAuthenticationMethod => true,
        // 3.2.2.3.4: the maximum is 0 or 1.
        E::BadPropertyValue { property: MaximumQos } => true,
        // MQTT-3.8.3-4.
        E::NoLocalOnShared => true,
        // MQTT-3.8.3-4 of 3.1.1: the upper six bits are reserved.
        E::BadSubscriptionOptions { .. } => version == Version::V311,
        // 3.9.3 of 3.1.1: one return code for each filter, of which there is one.
        E::EmptyPayload { packet: Suback } => version == Version::V311,
        _ => false,
    }
}

/// Tells whether they are known to refuse `packet`, which we accept.
fn they_are_stricter(packet: &Packet<'_>) -> bool {
    match packet {
        // MQTT-3.1.3-8 of 3.1.1 asks for an answer by CONNACK, and MQTT 5 has no such rule: we leave
        // it to the connection.
        Packet::Connect(connect) => connect.client_id.is_empty() && !connect.clean_start,
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
    format!("{packet:?}")
}

/// Takes away a value that means the same as none.
fn forget<T: PartialEq>(property: &mut Option<T>, default: T) {
    property.take_if(|value| *value == default);
}

fn check(version: Version, frame: &[u8]) -> Result<(), TestCaseError> {
    match (decode(frame, version), theirs(version, frame)) {
        // They write an AUTH without content with an empty block, against 3.15.2.2.2.
        (Ok(Packet::Auth(auth)), Some(_)) if auth == Auth::default() => {}
        (Ok(packet), Some(again)) => {
            let read = decode(&again, version).map(meaning);
            prop_assert_eq!(read, Ok(meaning(packet)), "they wrote {:02x?}", again);
        }
        (Ok(packet), None) => prop_assert!(they_are_stricter(&packet), "refused: {:?}", packet),
        (Err(error), Some(_)) => prop_assert!(they_are_laxer(version, error), "{}", error),
        (Err(_), None) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_valid_packet_means_the_same_to_both((version, packet) in versioned_packet()) {
        check(version, &encoded(version, &packet))?;
    }

    #[test]
    fn a_changed_packet_means_the_same_to_both(
        (version, packet) in versioned_packet(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let mut frame = encoded(version, &packet);
        for (index, bit) in changes {
            let at = index.index(frame.len());
            frame[at] ^= 1 << bit;
        }
        // They wait for more where a frame is longer than it is.
        if frame_len(&frame, u32::MAX) == Ok(Some(frame.len())) {
            check(version, &frame)?;
        }
    }
}

/// One packet for each line of [`they_are_laxer`], so that the list holds nothing that is not so.
#[test]
fn each_known_difference_is_real() {
    use Version::{V5, V311};
    for (version, written) in [
        (V311, "A2 05 0001 0001 00"),
        (V311, "30 03 0001'#'"),
        (V5, "30 03 0000 00"),
        (V311, "10 10 0004'MQTT' 04 06 0000 0000 0000 0000"),
        (V311, "38 03 0001'a'"),
        (V311, "C0 01 00"),
        (V5, "90 05 0001 8000 00"),
        (V311, "10 0E 0006'MQIsdp' 03 02 0000 0000"),
        (V311, "10 0D 0004'MQTT' 03 02 0000 0001'a'"),
        (V5, "10 0E 0004'MQTT' 05 22 0000 00 0001'a'"),
        (V5, "10 0E 0004'MQTT' 05 0A 0000 00 0001'a'"),
        (V311, "10 10 0004'MQTT' 04 42 0000 0001'a' 0001'p'"),
        (V311, "20 02 01 05"),
        (V311, "20 02 00 06"),
        (V5, "F0 02 18 00"),
        (V5, "20 05 00 00 02 2402"),
        (V5, "82 11 0001 00 000B'$share/g/ab' 04"),
        (V311, "82 06 0001 0001'a' 04"),
        (V311, "90 02 0001"),
    ] {
        let frame = super::bytes(written);
        let error = decode(&frame, version).expect_err(written);
        assert!(they_are_laxer(version, error), "{written}: {error}");
        assert!(theirs(version, &frame).is_some(), "{written}: they refuse it too");
    }
}
