//! Packets byte for byte. Where the standards draw a figure, it is the one here.

use tomte_base::QoS;

use super::{BOTH, bytes, encoded};
use crate::codec::*;

/// Checks that `written` reads as `packet` and that `packet` writes the same bytes.
#[track_caller]
fn check(version: Version, written: &str, packet: Packet<'_>) {
    let bytes = bytes(written);
    assert_eq!(frame_len(&bytes, u32::MAX), Ok(Some(bytes.len())), "{written}");
    assert_eq!(decode(&bytes, version).as_ref(), Ok(&packet), "{written}");
    assert_eq!(encoded(version, &packet), bytes, "{packet:?}");
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn connect_of_the_figures(version: Version) -> Connect<'static> {
    Connect {
        keep_alive_seconds: 10,
        will: Some(Will { qos: QoS::AtLeastOnce, topic: "w", payload: b"bye", ..Will::default() }),
        username: Some("u"),
        password: Some(&[0, 255]),
        ..Connect::new(version, "id")
    }
}

#[test]
fn connect_is_as_in_figure_3_6_of_version_311() {
    check(
        Version::V311,
        "10 1D 0004'MQTT' 04 CE 000A 0002'id' 0001'w' 0003'bye' 0001'u' 0002 00FF",
        Packet::Connect(Box::new(connect_of_the_figures(Version::V311))),
    );
}

#[test]
fn connect_is_as_in_figure_3_6_of_version_5() {
    let mut connect = connect_of_the_figures(Version::V5);
    connect.properties.session_expiry_seconds = Some(10);
    check(
        Version::V5,
        "10 24 0004'MQTT' 05 CE 000A 05 11 0000000A 0002'id' 00 0001'w' 0003'bye' 0001'u' 0002 00FF",
        Packet::Connect(Box::new(connect)),
    );
}

#[test]
fn a_connect_is_read_in_its_own_version() {
    let mut connect = Connect::new(Version::V5, "");
    let out = encoded(Version::V311, &Packet::Connect(Box::new(connect.clone())));
    assert_eq!(out, bytes("10 0D 0004'MQTT' 05 02 0000 00 0000"));
    let read = decode(&out, Version::V311);
    assert_eq!(read, Ok(Packet::Connect(Box::new(connect.clone()))));

    connect.version = Version::V311;
    let out = encoded(Version::V5, &Packet::Connect(Box::new(connect.clone())));
    assert_eq!(decode(&out, Version::V5), Ok(Packet::Connect(Box::new(connect))));
}

#[test]
fn a_connect_with_every_property_and_a_full_will_is_read() {
    let user = pairs(&[("a", "1"), ("a", "2")]);
    let will_properties = tomte_base::Properties {
        payload_is_utf8: Some(true),
        content_type: Some("t".to_owned()),
        response_topic: Some("r".to_owned()),
        correlation_data: Some(vec![9].into()),
        user: pairs(&[("w", "x")]),
    };
    let connect = Connect {
        clean_start: false,
        will: Some(Will {
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: "t/w",
            payload: b"",
            delay_seconds: 7,
            message_expiry_seconds: Some(8),
            properties: Some(Box::new(will_properties)),
        }),
        properties: ConnectProperties {
            session_expiry_seconds: Some(u32::MAX),
            receive_maximum: Some(20),
            maximum_packet_bytes: Some(1024),
            topic_alias_maximum: Some(10),
            request_response_information: Some(true),
            request_problem_information: Some(false),
            authentication_method: Some("m"),
            authentication_data: Some(b"d"),
            user_properties: user.as_slice().into(),
        },
        ..Connect::new(Version::V5, "c")
    };
    let properties = "2A 11FFFFFFFF 210014 2700000400 22000A 1901 1700 150001'm' 160001'd' \
                      260001'a'0001'1' 260001'a'0001'2'";
    let will = "1F 1800000007 0200000008 0101 030001't' 080001'r' 09000109 260001'w'0001'x'";
    check(
        Version::V5,
        &format!("10 5F 0004'MQTT' 05 34 0000 {properties} 0001'c' {will} 0003't/w' 0000"),
        Packet::Connect(Box::new(connect)),
    );
}

#[test]
fn connack_carries_a_return_code_in_311_and_a_reason_code_in_5() {
    let ok = Connack { session_present: true, ..Connack::default() };
    check(Version::V311, "20 02 01 00", Packet::Connack(Box::new(ok)));
    check(Version::V5, "20 03 01 00 00", Packet::Connack(Box::new(ok)));
    let refusal = Connack::refusal(ReasonCode::NotAuthorized);
    check(Version::V311, "20 02 00 05", Packet::Connack(Box::new(refusal)));
    check(Version::V5, "20 03 00 87 00", Packet::Connack(Box::new(refusal)));
}

#[test]
fn connack_has_its_properties_in_the_order_that_mosquitto_sends() {
    let properties = ConnackProperties {
        topic_alias_maximum: Some(10),
        receive_maximum: Some(20),
        ..ConnackProperties::default()
    };
    let connack = Connack { properties, ..Connack::default() };
    check(Version::V5, "20 09 00 00 06 22000A 210014", Packet::Connack(Box::new(connack)));
}

#[test]
fn connack_with_every_property_is_read() {
    let user = pairs(&[("k", "v")]);
    let properties = ConnackProperties {
        session_expiry_seconds: Some(1),
        receive_maximum: Some(2),
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_bytes: Some(3),
        assigned_client_id: Some("i"),
        topic_alias_maximum: Some(4),
        reason_string: Some("s"),
        wildcard_subscription_available: Some(true),
        subscription_identifier_available: Some(false),
        shared_subscription_available: Some(true),
        server_keep_alive_seconds: Some(5),
        response_information: Some("n"),
        server_reference: Some("o"),
        authentication_method: Some("m"),
        authentication_data: Some(b"d"),
        user_properties: user.as_slice().into(),
    };
    let connack = Connack { properties, ..Connack::default() };
    check(
        Version::V5,
        "20 3F 00 00 3C 220004 130005 120001'i' 150001'm' 160001'd' 2500 2700000003 210002 2401 \
         1100000001 2801 2900 2A01 1A0001'n' 1C0001'o' 1F0001's' 260001'k'0001'v'",
        Packet::Connack(Box::new(connack)),
    );
}

#[test]
fn publish_is_as_in_figure_3_9() {
    let figure = |version| {
        let mut out = Vec::new();
        let qos = QoS::AtLeastOnce;
        let head = PublishHead { qos, topic: "a/b", packet_id: 10, ..PublishHead::default() };
        encode_publish(&mut out, version, &head, b"");
        out
    };
    assert_eq!(figure(Version::V311), bytes("32 07 0003'a/b' 000A"));
    assert_eq!(figure(Version::V5), bytes("32 08 0003'a/b' 000A 00"));
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/b",
        packet_id: 10,
        properties: PublishProperties::default(),
        payload: b"",
    };
    check(Version::V311, "32 07 0003'a/b' 000A", Packet::Publish(publish));
    check(Version::V5, "32 08 0003'a/b' 000A 00", Packet::Publish(publish));
}

#[test]
fn the_steps_after_publish_have_two_bytes_unless_there_is_more_to_say() {
    type Wrap = fn(Ack<'static>) -> Packet<'static>;
    let steps: [(&str, Wrap); 4] = [
        ("40", Packet::Puback),
        ("50", Packet::Pubrec),
        ("62", Packet::Pubrel),
        ("70", Packet::Pubcomp),
    ];
    for (first, packet) in steps {
        for version in BOTH {
            check(version, &format!("{first} 02 000A"), packet(Ack::success(10)));
        }
    }
    for (first, packet) in &steps[..2] {
        let refused = Ack::with_reason(10, ReasonCode::QuotaExceeded);
        check(Version::V5, &format!("{first} 03 000A 97"), packet(refused));
    }
    for (first, packet) in &steps[2..] {
        let ack = Ack {
            reason_string: Some("why"),
            ..Ack::with_reason(10, ReasonCode::PacketIdentifierNotFound)
        };
        check(Version::V5, &format!("{first} 0A 000A 92 06 1F0003'why'"), packet(ack));
    }
}

#[test]
fn an_ack_with_an_empty_property_block_is_read_as_one_without() {
    let read = decode(&[0x40, 4, 0, 10, 0x10, 0], Version::V5);
    let expect = Ack::with_reason(10, ReasonCode::NoMatchingSubscribers);
    assert_eq!(read, Ok(Packet::Puback(expect)));
}

#[test]
fn subscribe_is_as_in_figure_3_23() {
    let subscriptions = || {
        vec![Subscription::new("a/b", QoS::AtLeastOnce), Subscription::new("c/d", QoS::ExactlyOnce)]
    };
    let subscribe =
        Subscribe { packet_id: 10, subscriptions: subscriptions(), ..Subscribe::default() };
    let figure = Packet::Subscribe(subscribe);
    check(Version::V311, "82 0E 000A 0003'a/b'01 0003'c/d'02", figure.clone());
    check(Version::V5, "82 0F 000A 00 0003'a/b'01 0003'c/d'02", figure);
}

#[test]
fn subscribe_carries_options_and_an_identifier() {
    let subscription = Subscription {
        filter: "#",
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let subscribe = Subscribe {
        packet_id: 1,
        subscription_identifier: Some(268_435_455),
        subscriptions: vec![subscription],
        ..Subscribe::default()
    };
    check(Version::V5, "82 0C 0001 05 0BFFFFFF7F 0001'#'2E", Packet::Subscribe(subscribe));
}

#[test]
fn suback_is_as_in_figure_3_26_and_has_one_failure_code_in_311() {
    let reasons = vec![ReasonCode::Success, ReasonCode::GrantedQos2, ReasonCode::UnspecifiedError];
    let suback = Suback { packet_id: 10, reasons, ..Suback::default() };
    check(Version::V311, "90 05 000A 00 02 80", Packet::Suback(suback.clone()));
    check(Version::V5, "90 06 000A 00 00 02 80", Packet::Suback(suback.clone()));

    let reasons = vec![ReasonCode::NotAuthorized];
    let suback = Packet::Suback(Suback { reasons, ..suback });
    assert_eq!(encoded(Version::V311, &suback), bytes("90 03 000A 80"));
    check(Version::V5, "90 04 000A 00 87", suback);
}

#[test]
fn unsubscribe_is_as_in_figure_3_30_and_unsuback_has_codes_in_5_only() {
    let unsubscribe =
        Unsubscribe { packet_id: 10, filters: vec!["a/b", "c/d"], ..Unsubscribe::default() };
    let figure = Packet::Unsubscribe(unsubscribe);
    check(Version::V311, "A2 0C 000A 0003'a/b' 0003'c/d'", figure.clone());
    check(Version::V5, "A2 0D 000A 00 0003'a/b' 0003'c/d'", figure);

    let bare = Unsuback { packet_id: 10, ..Unsuback::default() };
    check(Version::V311, "B0 02 000A", Packet::Unsuback(bare.clone()));
    let reasons = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    check(Version::V5, "B0 05 000A 00 00 11", Packet::Unsuback(Unsuback { reasons, ..bare }));
}

#[test]
fn pings_are_two_bytes() {
    for version in BOTH {
        check(version, "C0 00", Packet::Pingreq);
        check(version, "D0 00", Packet::Pingresp);
    }
}

#[test]
fn disconnect_is_as_in_figure_3_24_of_version_5() {
    let expiry = Disconnect { session_expiry_seconds: Some(0), ..Disconnect::default() };
    check(Version::V5, "E0 07 00 05 1100000000", Packet::Disconnect(expiry));
    let with_will = Disconnect::with_reason(ReasonCode::DisconnectWithWill);
    check(Version::V5, "E0 01 04", Packet::Disconnect(with_will));
    let moved = Disconnect {
        reason_string: Some("moved"),
        server_reference: Some("b:1"),
        ..Disconnect::with_reason(ReasonCode::ServerMoved)
    };
    check(Version::V5, "E0 10 9D 0E 1F0005'moved' 1C0003'b:1'", Packet::Disconnect(moved));
    for version in BOTH {
        check(version, "E0 00", Packet::Disconnect(Disconnect::default()));
    }
}

#[test]
fn auth_names_a_method_unless_it_is_empty() {
    check(Version::V5, "F0 00", Packet::Auth(Auth::default()));
    let auth = Auth {
        reason: ReasonCode::ContinueAuthentication,
        method: Some("SCRAM"),
        data: Some(b"\x01\x02"),
        ..Auth::default()
    };
    check(Version::V5, "F0 0F 18 0D 150005'SCRAM' 160002 0102", Packet::Auth(auth));
}

#[test]
fn texts_are_utf_8_as_in_figure_1_1() {
    // "A" followed by U+2A6D4, the example of 1.5.3 in 3.1.1.
    let unsubscribe =
        Unsubscribe { packet_id: 1, filters: vec!["A\u{2A6D4}"], ..Default::default() };
    check(Version::V311, "A2 09 0001 0005 41F0AA9B94", Packet::Unsubscribe(unsubscribe));
}

#[test]
fn a_text_of_the_greatest_length_is_read_and_a_longer_one_is_cut_at_a_character() {
    let longest = "x".repeat(65_535);
    let subscribe = |filter| {
        Packet::Unsubscribe(Unsubscribe {
            packet_id: 1,
            filters: vec![filter],
            ..Default::default()
        })
    };
    let out = encoded(Version::V5, &subscribe(&longest));
    assert_eq!(decode(&out, Version::V5), Ok(subscribe(&longest)));

    let too_long = "x".repeat(65_534) + "é";
    assert!(!is_representable(&too_long) && is_representable(&longest));
    let out = encoded(Version::V5, &subscribe(&too_long));
    assert_eq!(decode(&out, Version::V5), Ok(subscribe(&longest[1..])));
}

#[test]
fn the_remaining_length_is_as_in_table_2_4() {
    let cases: [(usize, &str); 8] = [
        (0, "00"),
        (127, "7F"),
        (128, "8001"),
        (16_383, "FF7F"),
        (16_384, "808001"),
        (2_097_151, "FFFF7F"),
        (2_097_152, "80808001"),
        (268_435_455, "FFFFFF7F"),
    ];
    for (value, written) in cases {
        let mut out = Vec::new();
        crate::codec::writer::put_variable_integer(&mut out, value);
        assert_eq!(out, bytes(written), "{value}");
        assert_eq!(out.len(), crate::codec::writer::variable_integer_len(value));
        let whole = frame_len(&bytes(&format!("30{written}")), u32::MAX);
        assert_eq!(whole, Ok(Some(1 + out.len() + value)));
    }
}
