//! Which property may be where, how often, with which values: table 2-4 of MQTT 5.

use super::{bytes, framed};
use crate::codec::DecodeError as E;
use crate::codec::writer::put_with_length;
use crate::codec::*;

/// The packets by letter: connect C, connack K, publish P, will W, puback 4, pubrec 5, pubrel 6,
/// pubcomp 7, subscribe S, suback 9, unsubscribe U, unsuback B, disconnect D, auth A.
const PLACES: &str = "CKPW4567S9UBDA";

/// Each property with one allowed value and the packets that it may be in.
const TABLE: [(&str, &str); 27] = [
    ("01 01", "PW"),
    ("02 00000001", "PW"),
    ("03 0001'x'", "PW"),
    ("08 0001'x'", "PW"),
    ("09 0001'x'", "PW"),
    ("0B 01", "PS"),
    ("11 00000001", "CKD"),
    ("12 0001'x'", "K"),
    ("13 0001", "K"),
    ("15 0001'x'", "CKA"),
    ("16 0001'x'", "CKA"),
    ("17 01", "C"),
    ("18 00000001", "W"),
    ("19 01", "C"),
    ("1A 0001'x'", "K"),
    ("1C 0001'x'", "KD"),
    ("1F 0001'x'", "K45679BDA"),
    ("21 0001", "CK"),
    ("22 0001", "CK"),
    ("23 0001", "P"),
    ("24 01", "K"),
    ("25 01", "K"),
    ("26 0001'x'0001'y'", "CKPW4567S9UBDA"),
    ("27 00000001", "CK"),
    ("28 01", "K"),
    ("29 01", "K"),
    ("2A 01", "K"),
];

/// Returns a packet of `place` with the properties in `block`.
fn packet_with(place: char, block: &[u8]) -> Vec<u8> {
    let (first, before, after) = match place {
        'C' => (0x10, "0004'MQTT' 05 02 0000", "0000"),
        'K' => (0x20, "00 00", ""),
        'P' => (0x30, "0001't'", ""),
        'W' => (0x10, "0004'MQTT' 05 06 0000 00 0000", "0001't' 0000"),
        '4' => (0x40, "0001 00", ""),
        '5' => (0x50, "0001 00", ""),
        '6' => (0x62, "0001 00", ""),
        '7' => (0x70, "0001 00", ""),
        'S' => (0x82, "0001", "0001'f' 00"),
        '9' => (0x90, "0001", "00"),
        'U' => (0xA2, "0001", "0001'f'"),
        'B' => (0xB0, "0001", "00"),
        'D' => (0xE0, "00", ""),
        'A' => (0xF0, "00", ""),
        _ => panic!("{place} is no place"),
    };
    let mut body = bytes(before);
    put_with_length(&mut body, |out| out.extend_from_slice(block));
    body.extend(bytes(after));
    framed(first, &body)
}

/// Properties that must be there for others to be allowed.
fn needed(place: char, property: &str) -> Vec<u8> {
    let method = place == 'A' || property.starts_with("16");
    if method && !property.starts_with("15") { bytes("15 0001'm'") } else { Vec::new() }
}

fn property_of(id: u8) -> PropertyId {
    let all = TABLE.iter().map(|(property, _)| bytes(property)[0]);
    let index = all.clone().position(|other| other == id).unwrap();
    use PropertyId as P;
    [
        P::PayloadFormatIndicator,
        P::MessageExpiryInterval,
        P::ContentType,
        P::ResponseTopic,
        P::CorrelationData,
        P::SubscriptionIdentifier,
        P::SessionExpiryInterval,
        P::AssignedClientIdentifier,
        P::ServerKeepAlive,
        P::AuthenticationMethod,
        P::AuthenticationData,
        P::RequestProblemInformation,
        P::WillDelayInterval,
        P::RequestResponseInformation,
        P::ResponseInformation,
        P::ServerReference,
        P::ReasonString,
        P::ReceiveMaximum,
        P::TopicAliasMaximum,
        P::TopicAlias,
        P::MaximumQos,
        P::RetainAvailable,
        P::UserProperty,
        P::MaximumPacketSize,
        P::WildcardSubscriptionAvailable,
        P::SubscriptionIdentifierAvailable,
        P::SharedSubscriptionAvailable,
    ][index]
}

#[test]
fn each_property_is_allowed_where_the_table_says_and_nowhere_else() {
    for (written, allowed) in TABLE {
        let property = property_of(bytes(written)[0]);
        for place in PLACES.chars() {
            let block = [bytes(written), needed(place, written)].concat();
            let read = decode(&packet_with(place, &block), Version::V5).map(|_| ());
            let misplaced = Err(E::MisplacedProperty { property });
            let expect = if allowed.contains(place) { Ok(()) } else { misplaced };
            assert_eq!(read, expect, "{property:?} in {place}");
        }
    }
}

#[test]
fn each_property_comes_once_except_user_properties_and_identifiers_of_publish() {
    for (written, allowed) in TABLE {
        let property = property_of(bytes(written)[0]);
        for place in allowed.chars() {
            let block = [bytes(written), needed(place, written), bytes(written)].concat();
            let read = decode(&packet_with(place, &block), Version::V5).map(|_| ());
            let may_repeat = property == PropertyId::UserProperty
                || property == PropertyId::SubscriptionIdentifier && place == 'P';
            let repeated = Err(E::RepeatedProperty { property });
            assert_eq!(read, if may_repeat { Ok(()) } else { repeated }, "{property:?} in {place}");
        }
    }
}

#[test]
fn each_property_that_ends_early_is_refused() {
    for (written, allowed) in TABLE {
        let whole = bytes(written);
        let place = allowed.chars().next().unwrap();
        for length in 1..whole.len() {
            let read = decode(&packet_with(place, &whole[..length]), Version::V5).map(|_| ());
            assert_eq!(read, Err(E::Truncated), "{written} cut at {length}");
        }
    }
}

#[test]
fn identifiers_that_do_not_exist_are_refused() {
    let known: Vec<u8> = TABLE.iter().map(|(written, _)| bytes(written)[0]).collect();
    for id in (0..=255).filter(|id| !known.contains(id)) {
        let read = decode(&packet_with('P', &[id, 0, 0, 0, 0]), Version::V5).map(|_| ());
        assert_eq!(read, Err(E::UnknownProperty { id }));
    }
}

/// Reads a packet of `place` with the property as it is written.
fn read_one(place: char, written: &[u8]) -> Result<(), E> {
    let all: String = written.iter().map(|byte| format!("{byte:02X}")).collect();
    let block = [written.to_vec(), needed(place, &all)].concat();
    decode(&packet_with(place, &block), Version::V5).map(|_| ())
}

/// Where a property is allowed.
fn places_of(id: u8) -> std::str::Chars<'static> {
    TABLE.iter().find(|(written, _)| bytes(written)[0] == id).unwrap().1.chars()
}

/// 3.1.2.11.6, 3.1.2.11.7, 3.1.3.2.3, 3.2.2.3.4, 3.2.2.3.5, 3.2.2.3.11 to 3.2.2.3.13, 3.3.2.3.2.
#[test]
fn flags_are_0_or_1_in_every_packet() {
    for id in [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A] {
        let bad = E::BadPropertyValue { property: property_of(id) };
        assert_eq!(bad.reason(), ReasonCode::ProtocolError);
        for place in places_of(id) {
            for value in 0..=255 {
                let expect = if value < 2 { Ok(()) } else { Err(bad) };
                assert_eq!(read_one(place, &[id, value]), expect, "{id:#04x} {value} in {place}");
            }
        }
    }
}

/// 3.1.2.11.3, 3.1.2.11.4, 3.2.2.3.3, 3.2.2.3.6, 3.3.2.3.8, 3.3.4, 3.8.2.1.2.
#[test]
fn numbers_that_may_not_be_zero_are_refused_in_every_packet() {
    for (zero, one, reason) in [
        ("21 0000", "21 0001", ReasonCode::ProtocolError),
        ("27 00000000", "27 00000001", ReasonCode::ProtocolError),
        ("0B 00", "0B 01", ReasonCode::ProtocolError),
        ("23 0000", "23 0001", ReasonCode::TopicAliasInvalid),
    ] {
        for place in places_of(bytes(zero)[0]) {
            let refused = read_one(place, &bytes(zero)).map_err(|error| error.reason());
            assert_eq!(refused, Err(reason), "{zero} in {place}");
            assert_eq!(read_one(place, &bytes(one)), Ok(()), "{one} in {place}");
        }
    }
    for may_be_zero in ["02 00000000", "11 00000000", "13 0000", "18 00000000", "22 0000"] {
        for place in places_of(bytes(may_be_zero)[0]) {
            assert_eq!(read_one(place, &bytes(may_be_zero)), Ok(()), "{may_be_zero} in {place}");
        }
    }
    assert_eq!(read_one('S', &bytes("0B FFFFFF7F")), Ok(()), "the largest identifier");
}

/// MQTT-1.5.4-1, MQTT-1.5.4-2, MQTT-1.5.7-1.
#[test]
fn every_text_of_a_property_is_utf_8_without_u_0000_in_every_packet() {
    let texts = ["03", "08", "12", "15", "1A", "1C", "1F"].map(|id| (bytes(id), vec![]));
    let pairs = [(bytes("26"), bytes("0001'v'")), (bytes("26 0001'k'"), vec![])];
    for (before, after) in texts.into_iter().chain(pairs) {
        for place in places_of(before[0]) {
            for (text, error) in [
                ("0002 EDA0", E::InvalidUtf8),
                ("0001 80", E::InvalidUtf8),
                ("0002 C0AF", E::InvalidUtf8),
                ("0003 EDA080", E::InvalidUtf8),
                ("0004 F4908080", E::InvalidUtf8),
                ("0001 00", E::NullCharacter),
                ("0003 610062", E::NullCharacter),
            ] {
                let written = [&before[..], &bytes(text), &after].concat();
                assert_eq!(read_one(place, &written), Err(error), "{written:02x?} in {place}");
                assert_eq!(error.reason(), ReasonCode::MalformedPacket);
            }
            // The mark that begins some files is a character like others (MQTT-1.5.4-3).
            let written = [&before[..], &bytes("0003 EFBBBF"), &after].concat();
            assert_eq!(read_one(place, &written), Ok(()), "{written:02x?} in {place}");
        }
    }
}

/// MQTT-3.3.2-14, and the same for a will.
#[test]
fn a_response_topic_is_a_topic_name_in_every_packet() {
    for place in places_of(0x08) {
        for (topic, error) in [
            ("0003'a/+'", E::WildcardInTopic),
            ("0001'#'", E::WildcardInTopic),
            ("0000", E::EmptyTopic),
        ] {
            let written = [bytes("08"), bytes(topic)].concat();
            assert_eq!(read_one(place, &written), Err(error), "{topic} in {place}");
        }
    }
}

#[test]
fn a_property_length_past_the_packet_is_refused() {
    let frame = framed(0x30, &bytes("0001't' 05 0101"));
    assert_eq!(decode(&frame, Version::V5), Err(E::Truncated));
}
