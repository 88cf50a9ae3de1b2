//! One case for each way to be malformed, with the error that names it.

use super::{BOTH, bytes, framed, refused};
use crate::codec::DecodeError as E;
use crate::codec::Version::{V5, V311};
use crate::codec::*;

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_there() {
    let limit = E::PacketTooLarge { length: 129, limit: 128 };
    assert_eq!(frame_len(&bytes("30 7F"), 129), Ok(Some(129)));
    assert_eq!(frame_len(&bytes("30 8001"), 131), Ok(Some(131)));
    assert_eq!(frame_len(&bytes("30 7F"), 128), Err(limit));
    assert_eq!(limit.reason(), ReasonCode::PacketTooLarge);
}

#[test]
fn a_frame_that_is_not_there_needs_more_bytes() {
    for written in ["", "10", "10 80", "10 8080", "10 808080"] {
        assert_eq!(frame_len(&bytes(written), 10), Ok(None), "{written}");
        refused(V311, written, E::Truncated);
    }
    assert_eq!(frame_len(&bytes("C000 C0"), 10), Ok(Some(2)));
}

#[test]
fn a_remaining_length_without_end_is_refused() {
    assert_eq!(frame_len(&bytes("10 FFFFFFFF"), u32::MAX), Err(E::RemainingLengthTooLong));
    refused(V5, "10 80808080 00", E::RemainingLengthTooLong);
}

#[test]
fn a_frame_longer_or_shorter_than_it_says_is_refused() {
    refused(V5, "C0 01", E::FrameLength { length: 2 });
    refused(V5, "C0 00 00", E::FrameLength { length: 3 });
}

#[test]
fn version_5_wants_the_shortest_form_of_numbers() {
    refused(V5, "C0 80 00", E::VariableIntegerNotMinimal);
    assert_eq!(decode(&bytes("C0 80 00"), V311), Ok(Packet::Pingreq));
    refused(V5, "40 05 0001 00 8000", E::VariableIntegerNotMinimal);
    refused(V5, "40 08 0001 00 8080808001", E::VariableIntegerTooLong);
    // A CONNECT is judged by the version that it names, whatever the caller thinks.
    refused(V311, "10 8D00 0004'MQTT' 05 02 0000 00 0000", E::VariableIntegerNotMinimal);
    let old = bytes("10 8C00 0004'MQTT' 04 02 0000 0000");
    assert!(matches!(decode(&old, V5), Ok(Packet::Connect(_))), "{:?}", decode(&old, V5));
}

#[test]
fn packet_types_that_do_not_exist_are_refused() {
    for version in BOTH {
        refused(version, "00 00", E::UnknownPacketType { packet_type: 0 });
    }
    refused(V311, "F0 00", E::UnknownPacketType { packet_type: 15 });
}

#[test]
fn wrong_flags_are_refused_in_every_packet_with_fixed_flags() {
    for number in (1..=15).filter(|number| *number != 3) {
        let packet = PacketType::from_number(number).unwrap();
        for flags in (0..16).filter(|flags| Some(*flags) != packet.flags()) {
            let frame = [number << 4 | flags, 0];
            assert_eq!(decode(&frame, V5), Err(E::BadFlags { packet, flags }));
        }
    }
}

#[test]
fn bytes_after_the_last_field_are_refused() {
    let one = E::TrailingBytes { length: 1 };
    for (version, written) in [
        (V311, "40 03 0001 00"),
        (V5, "40 05 0001 00 00 00"),
        (V311, "C0 01 00"),
        (V5, "D0 01 00"),
        (V311, "E0 01 00"),
        (V5, "E0 03 00 00 00"),
        (V5, "F0 07 00 04 150001'm' 00"),
        (V311, "20 03 00 00 00"),
        (V5, "20 04 00 00 00 00"),
        (V311, "B0 03 0001 00"),
        (V311, "10 0D 0004'MQTT' 04 02 0000 0000 00"),
    ] {
        refused(version, written, one);
    }
}

#[test]
fn a_packet_identifier_of_zero_is_refused() {
    for first in [0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0] {
        let packet = PacketType::from_number(first >> 4).unwrap();
        refused(V311, &format!("{first:02X} 02 0000"), E::PacketIdZero { packet });
    }
    let packet = PacketType::Publish;
    refused(V311, "32 05 0001'a' 0000", E::PacketIdZero { packet });
    refused(V5, "34 06 0001'a' 0000 00", E::PacketIdZero { packet });
}

#[test]
fn publish_flags_that_contradict_each_other_are_refused() {
    refused(V311, "36 05 0001'a' 0001", E::BadQos);
    refused(V5, "3E 06 0001'a' 0001 00", E::BadQos);
    refused(V311, "38 03 0001'a'", E::DuplicateQos0);
}

#[test]
fn topics_that_are_no_names_are_refused() {
    refused(V311, "30 02 0000", E::EmptyTopic);
    refused(V5, "30 03 0000 00", E::EmptyTopic);
    assert!(decode(&bytes("30 06 0000 03 230001"), V5).is_ok(), "an alias stands for the topic");
    for version in BOTH {
        refused(version, "30 05 0003'a/+'", E::WildcardInTopic);
        refused(version, "30 03 0001'#'", E::WildcardInTopic);
        refused(version, "30 05 0003 610062", E::NullCharacter);
        refused(version, "30 05 0003 2B0023", E::NullCharacter);
        refused(version, "30 03 0002'a'", E::Truncated);
    }
    refused(V5, "30 09 0001'a' 05 080002'a+'", E::WildcardInTopic);
    refused(V5, "30 07 0001'a' 03 080000", E::EmptyTopic);
}

/// MQTT-3.1.2-9, MQTT-3.1.2-17, MQTT-3.1.2-19, and those of 3.1.1.
#[test]
fn a_connect_has_the_fields_that_its_flags_announce_and_no_others() {
    for (level, properties) in [("04", ""), ("05", "00")] {
        let read = |flags: &str, fields: &[&str]| {
            let body = format!("0004'MQTT' {level} {flags} 0000 {properties} 0000");
            let body = format!("{body} {}", fields.join(" "));
            decode(&framed(0x10, &bytes(&body)), V5).map(|_| ())
        };
        let will = format!("{properties} 0001't' 0001'p'");
        let (will, user, password) = (will.as_str(), "0001'u'", "0001'p'");
        for (flags, fields) in [
            ("02", &[][..]),
            ("06", &[will]),
            ("82", &[user]),
            ("C2", &[user, password]),
            ("C6", &[will, user, password]),
        ] {
            assert_eq!(read(flags, fields), Ok(()), "{level} {flags}");
            let more = [fields, &["0001'x'"]].concat();
            assert_eq!(read(flags, &more), Err(E::TrailingBytes { length: 3 }), "{level} {flags}");
            for n in 0..fields.len() {
                assert_eq!(read(flags, &fields[..n]), Err(E::Truncated), "{level} {flags} {n}");
            }
        }
    }
}

#[test]
fn a_connect_of_another_protocol_is_refused() {
    refused(V311, "10 0C 0004'MQTt' 04 02 0000 0000", E::ProtocolName);
    refused(V311, "10 0E 0006'MQIsdp' 03 02 0000 0000", E::ProtocolLevel { level: 3 });
    refused(V311, "10 0C 0004'MQTT' 03 02 0000 0000", E::ProtocolLevel { level: 3 });
    refused(V311, "10 0C 0004'MQTT' 06 02 0000 0000", E::ProtocolLevel { level: 6 });
    assert_eq!(E::ProtocolLevel { level: 6 }.reason(), ReasonCode::UnsupportedProtocolVersion);
}

#[test]
fn connect_flags_that_contradict_each_other_are_refused() {
    let connect = |level: &str, flags: &str| format!("10 0C 0004'MQTT' {level} {flags} 0000 0000");
    for level in ["04", "05"] {
        refused(V5, &connect(level, "03"), E::ReservedConnectFlag);
        refused(V5, &connect(level, "0A"), E::WillFlagsWithoutWill);
        refused(V5, &connect(level, "22"), E::WillFlagsWithoutWill);
        refused(V5, &connect(level, "1E"), E::BadWillQos);
    }
    refused(V5, &connect("04", "42"), E::PasswordWithoutUserName);
    let password_alone = bytes("10 10 0004'MQTT' 05 42 0000 00 0000 0001'p'");
    assert!(decode(&password_alone, V5).is_ok());
}

#[test]
fn a_will_needs_a_topic_name() {
    refused(V311, "10 10 0004'MQTT' 04 06 0000 0000 0000 0000", E::EmptyTopic);
    refused(V311, "10 11 0004'MQTT' 04 06 0000 0000 0001'#' 0000", E::WildcardInTopic);
    refused(V311, "10 0F 0004'MQTT' 04 06 0000 0000 0001'w'", E::Truncated);
}

#[test]
fn the_version_of_a_broken_connect_can_still_be_told() {
    assert_eq!(connect_version(&bytes("10 0C 0004'MQTT' 05 03 0000 0000")), Some(V5));
    assert_eq!(connect_version(&bytes("10 0C 0004'MQTT' 04 03")), Some(V311));
    for no in ["", "10", "10 0C 0004'MQTT'", "10 0C 0004'MQTT' 06", "C0 00", "10 0C 0009'MQTT' 05"]
    {
        assert_eq!(connect_version(&bytes(no)), None, "{no}");
    }
}

#[test]
fn a_connack_that_contradicts_itself_is_refused() {
    refused(V311, "20 02 02 00", E::ReservedConnackFlag);
    refused(V311, "20 02 01 05", E::SessionPresentOnRefusal);
    refused(V5, "20 03 01 87 00", E::SessionPresentOnRefusal);
    let packet = PacketType::Connack;
    refused(V311, "20 02 00 06", E::BadReasonCode { packet, code: 6 });
    refused(V5, "20 03 00 05 00", E::BadReasonCode { packet, code: 5 });
}

#[test]
fn requests_without_filters_are_refused() {
    for (packet, v311, v5) in [
        (PacketType::Subscribe, "82 02 0001", "82 03 0001 00"),
        (PacketType::Unsubscribe, "A2 02 0001", "A2 03 0001 00"),
    ] {
        refused(V311, v311, E::EmptyPayload { packet });
        refused(V5, v5, E::EmptyPayload { packet });
    }
    refused(V5, "90 03 0001 00", E::EmptyPayload { packet: PacketType::Suback });
    refused(V5, "B0 03 0001 00", E::EmptyPayload { packet: PacketType::Unsuback });
}

#[test]
fn filters_that_are_empty_are_refused() {
    refused(V311, "82 09 0001 0001'a'00 0000 00", E::EmptyFilter);
    refused(V5, "A2 08 0001 00 0001'a' 0000", E::EmptyFilter);
}

#[test]
fn subscription_options_outside_their_range_are_refused() {
    for options in (0u8..=255).filter(|options| *options > 2) {
        let written = format!("82 06 0001 0001'a' {options:02X}");
        refused(V311, &written, E::BadSubscriptionOptions { options });
    }
    for options in 0u8..=255 {
        let good = options & 0xC0 == 0 && options & 3 != 3 && options & 0x30 != 0x30;
        let written = format!("82 07 0001 00 0001'a' {options:02X}");
        assert_eq!(decode(&bytes(&written), V5).is_ok(), good, "{options:#010b}");
    }
    refused(V5, "82 10 0001 00 000A'$share/g/a' 04", E::NoLocalOnShared);
}

#[test]
fn reason_codes_outside_their_packet_are_refused() {
    // The tables of 3.2.2.2, 3.4.2.1 to 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1; 0x8C in
    // DISCONNECT comes from 2.4.
    let published = "00 10 80 83 87 90 91 97 99";
    let tables: [(u8, &str, &str, &str); 9] = [
        (0x20, "00", "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F", "00"),
        (0x40, "0001", published, "00"),
        (0x50, "0001", published, "00"),
        (0x62, "0001", "00 92", "00"),
        (0x70, "0001", "00 92", "00"),
        (0x90, "0001 00", "00 01 02 80 83 87 8F 91 97 9E A1 A2", ""),
        (0xB0, "0001 00", "00 11 80 83 87 8F 91", ""),
        (
            0xE0,
            "",
            "00 04 80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D 9E 9F A0 \
             A1 A2",
            "00",
        ),
        (0xF0, "", "00 18 19", "04 150001'm'"),
    ];
    for (first, before, allowed, after) in tables {
        let allowed = bytes(allowed);
        for code in 0..=255 {
            let body = [bytes(before), vec![code], bytes(after)].concat();
            let read = decode(&framed(first, &body), V5).map(|_| ());
            let packet = PacketType::from_number(first >> 4).unwrap();
            let bad = Err(E::BadReasonCode { packet, code });
            let expect = if allowed.contains(&code) { Ok(()) } else { bad };
            assert_eq!(read, expect, "{packet} {code:#04x}");
        }
    }
}

#[test]
fn a_suback_of_311_has_four_codes() {
    for code in 0..=255 {
        let accepted = decode(&[0x90, 3, 0, 1, code], V311).is_ok();
        assert_eq!(accepted, matches!(code, 0..=2 | 0x80), "{code:#04x}");
    }
}

#[test]
fn authentication_data_needs_a_method() {
    let missing = E::NoAuthenticationMethod;
    refused(V5, "10 11 0004'MQTT' 05 02 0000 04 160001'd' 0000", missing);
    refused(V5, "F0 02 18 00", missing);
    refused(V5, "F0 01 18", E::Truncated);
}

#[test]
fn errors_say_what_is_wrong_and_by_which_clause() {
    let check = |error: E, text: &str| assert_eq!(error.to_string(), text);
    check(
        E::BadFlags { packet: PacketType::Pubrel, flags: 0 },
        "the flags of PUBREL are 0b0000 (MQTT-2.1.3-1)",
    );
    check(
        E::PacketTooLarge { length: 9, limit: 8 },
        "the packet has 9 bytes, at most 8 are allowed (MQTT-3.2.2-15)",
    );
    check(
        E::BadReasonCode { packet: PacketType::Auth, code: 1 },
        "the reason code 0x01 does not belong in AUTH (2.4)",
    );
}

#[test]
fn each_error_has_the_reason_code_that_the_standard_names() {
    use PropertyId::{TopicAlias, UserProperty};
    let cases = [
        (E::InvalidUtf8, ReasonCode::MalformedPacket),
        (E::Truncated, ReasonCode::MalformedPacket),
        (E::BadQos, ReasonCode::MalformedPacket),
        (E::MisplacedProperty { property: UserProperty }, ReasonCode::MalformedPacket),
        (E::UnknownProperty { id: 4 }, ReasonCode::MalformedPacket),
        (E::RepeatedProperty { property: TopicAlias }, ReasonCode::ProtocolError),
        (E::EmptyTopic, ReasonCode::ProtocolError),
        (E::NoLocalOnShared, ReasonCode::ProtocolError),
        (E::EmptyFilter, ReasonCode::MalformedPacket),
        (E::WildcardInTopic, ReasonCode::ProtocolError),
        (E::PacketIdZero { packet: PacketType::Publish }, ReasonCode::ProtocolError),
        (E::PacketIdZero { packet: PacketType::Subscribe }, ReasonCode::MalformedPacket),
        (E::BadSubscriptionOptions { options: 0b11 }, ReasonCode::ProtocolError),
        (E::BadSubscriptionOptions { options: 0b11_0000 }, ReasonCode::ProtocolError),
        (E::BadSubscriptionOptions { options: 0b0100_0001 }, ReasonCode::MalformedPacket),
        (E::TopicAliasZero, ReasonCode::TopicAliasInvalid),
    ];
    for (error, reason) in cases {
        assert_eq!(error.reason(), reason, "{error}");
    }
}
