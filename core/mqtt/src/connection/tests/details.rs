//! Reason strings and user properties: who gets them, and what is left out where a packet would be too
//! large.

use super::{connected, limits, v5, with_packet_limit};
use crate::codec::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, ReasonCode, Suback, Unsuback, Version, decode,
};

fn refusal_with_details(user: &[(String, String)]) -> Ack<'_> {
    Ack {
        reason_string: Some("no route takes this topic"),
        user_properties: user.into(),
        ..Ack::with_reason(1, ReasonCode::NotAuthorized)
    }
}

#[test]
fn details_of_an_answer_are_dropped_one_by_one_until_it_fits() {
    let user = [("topic".to_owned(), "a/b".to_owned())];
    let ack = refusal_with_details(&user);
    let no_user = Ack { user_properties: Default::default(), ..ack };
    let bare = Ack::with_reason(1, ReasonCode::NotAuthorized);
    for (limit, expect) in [
        (47, Some(ack)),
        (46, Some(no_user)),
        (34, Some(no_user)),
        (33, Some(bare)),
        (5, Some(bare)),
        (4, None),
    ] {
        let mut out = vec![0xAA];
        let sent = with_packet_limit(limit).encode(&mut out, Packet::Puback(ack));
        assert_eq!(sent, expect.is_some(), "{limit}");
        assert_eq!(out[0], 0xAA);
        match expect {
            Some(expect) => assert_eq!(decode(&out[1..], Version::V5), Ok(Packet::Puback(expect))),
            None => assert_eq!(out.len(), 1),
        }
    }
}

/// Every packet with a reason string: 3.2.2.3.9 and its like up to 3.15.2.2.4.
fn every_packet_with_details(user: &[(String, String)]) -> Vec<Packet<'_>> {
    let (reason_string, user_properties) = (Some("why"), user.into());
    let ack = Ack { packet_id: 1, reason_string, user_properties, ..Ack::default() };
    let mut connack = Connack::default();
    connack.properties.reason_string = reason_string;
    connack.properties.user_properties = user_properties;
    let reasons = vec![ReasonCode::Success];
    vec![
        Packet::Connack(Box::new(connack)),
        Packet::Puback(ack),
        Packet::Pubrec(ack),
        Packet::Pubrel(ack),
        Packet::Pubcomp(ack),
        Packet::Suback(Suback {
            packet_id: 1,
            reason_string,
            user_properties,
            reasons: reasons.clone(),
        }),
        Packet::Unsuback(Unsuback { packet_id: 1, reason_string, user_properties, reasons }),
        Packet::Disconnect(Disconnect { reason_string, user_properties, ..Disconnect::default() }),
        Packet::Auth(Auth { method: Some("m"), reason_string, user_properties, ..Auth::default() }),
    ]
}

/// How many bytes of `packet` fit `limit`; none when it is not sent.
fn sent_within(limit: u32, packet: &Packet<'_>) -> Option<usize> {
    let mut out = Vec::new();
    let sent = with_packet_limit(limit).encode(&mut out, packet.clone());
    assert_eq!(sent, !out.is_empty());
    sent.then_some(out.len())
}

#[test]
fn details_of_every_packet_are_left_out_where_it_would_be_too_large_with_them() {
    let user = [("k".to_owned(), "v".to_owned())];
    for packet in every_packet_with_details(&user) {
        // The lengths with both, without the user properties (7 bytes) and without the reason string
        // (6 bytes) too; some packets need no property length then, nor a reason code.
        let whole = sent_within(u32::MAX, &packet).unwrap();
        let mut sent = Vec::new();
        for limit in 1..=u32::try_from(whole).unwrap() {
            let length = sent_within(limit, &packet);
            assert!(length.is_none_or(|length| length <= limit as usize), "{packet:?}");
            sent.extend(length);
        }
        sent.dedup();
        let [bare, no_user, all] = sent[..] else { panic!("{packet:?}: {sent:?}") };
        assert_eq!((no_user, all), (whole - 7, whole), "{packet:?}");
        assert!((no_user - 8..=no_user - 6).contains(&bare), "{packet:?}: {sent:?}");
    }
}

/// MQTT-3.1.2-29.
#[test]
fn a_client_that_wants_no_details_gets_them_only_where_it_is_allowed() {
    let user = [("k".to_owned(), "v".to_owned())];
    for (wants, packet) in [Some(false), Some(true), None]
        .into_iter()
        .flat_map(|wants| every_packet_with_details(&user).into_iter().map(move |p| (wants, p)))
    {
        let mut connect = v5();
        connect.properties.request_problem_information = wants;
        let connection = connected(limits(), &connect);
        let mut out = Vec::new();
        assert!(connection.encode(&mut out, packet.clone()));
        let allowed = matches!(packet, Packet::Connack(_) | Packet::Disconnect(_));
        let whole = decode(&out, Version::V5) == Ok(packet.clone());
        assert_eq!(whole, allowed || wants != Some(false), "{wants:?} {packet:?}");
        let text = String::from_utf8_lossy(&out).into_owned();
        assert_eq!((text.contains("why"), text.contains("k\0\u{1}v")), (whole, whole));
    }
}

#[test]
fn a_client_of_311_gets_answers_in_its_version() {
    let connection = connected(limits(), &Connect::new(Version::V311, "c"));
    let mut out = Vec::new();
    assert!(connection.encode(&mut out, Packet::Puback(refusal_with_details(&[]))));
    assert_eq!(out, [0x40, 2, 0, 1]);
}
