use bytes::Bytes;
use tomte_base::{Properties, Source};

use super::*;

fn message() -> Message {
    Message {
        id: MessageId(7),
        topic: TopicName::new("a/b").unwrap(),
        payload: Bytes::from_static(b"\x00\xff"),
        qos: QoS::AtLeastOnce,
        retain: true,
        source: Source::Device(DeviceName::new("fan").unwrap()),
        received: Time(9),
        expires: Time::NEVER,
        properties: Some(Box::new(Properties {
            payload_is_utf8: Some(true),
            content_type: Some("text/plain".into()),
            response_topic: None,
            correlation_data: Some(Bytes::from_static(b"c")),
            user: vec![("a".into(), "b".into()), ("a".into(), "c".into())],
        })),
        hops: 3,
        cause: Some(MessageId(6)),
    }
}

fn with_format(payload_is_utf8: Option<bool>) -> Message {
    let properties =
        message().properties.map(|all| Box::new(Properties { payload_is_utf8, ..*all }));
    Message { properties, ..message() }
}

fn will() -> Will {
    Will {
        topic: TopicName::new("gone").unwrap(),
        payload: Bytes::from_static(b"x"),
        qos: QoS::ExactlyOnce,
        retain: true,
        delay_s: 5,
        expiry_s: Some(9),
        properties: message().properties,
    }
}

fn sending(qos: QoS) -> Record {
    Record::Sending { session: 1, packet_id: 65_535, qos, message: MessageId(7), order: 4 }
}

fn records() -> Vec<Record> {
    let filter = TopicFilter::new("a/+").unwrap();
    let options = Subscription::from_bits(0b0010_1101, 5).unwrap();
    let session = Destination::session(1, QoS::AtLeastOnce, false);
    let left = Some(SentAs { packet_id: 65_535, order: 3 });
    let sent = Destination::Session { session: 1, qos: QoS::AtLeastOnce, retain: true, sent: left };
    let call = Destination::Call {
        function: FunctionName::new("f").unwrap(),
        call: CallId(1 << 100),
        route: "hot".into(),
    };
    let hold = Destination::Hold { device: DeviceName::new("fan").unwrap(), until: Time(1) };
    let share = Destination::Share {
        filter: TopicFilter::new("$share/g/a/+").unwrap(),
        session: 9,
        qos: QoS::ExactlyOnce,
        retain: true,
        sent: left,
    };
    vec![
        Record::SessionOpened {
            session: 1,
            owner: Owner::Anonymous,
            client_id: "ä".into(),
            expiry_s: 60,
        },
        Record::SessionLeft { session: 1, ends: Time(5) },
        Record::SessionClosed { session: 1 },
        Record::Subscribed { session: 1, filter: filter.clone(), options },
        Record::Unsubscribed { session: 1, filter },
        Record::Accepted {
            message: message(),
            destinations: vec![session.clone(), call, hold, share.clone(), sent],
        },
        Record::Moved { message: MessageId(7), destination: share },
        Record::Done { message: MessageId(7), destination: session.clone() },
        Record::Retained { message: message() },
        Record::Retained { message: with_format(None) },
        Record::Retained { message: with_format(Some(false)) },
        Record::RetainedCleared { topic: TopicName::new("a").unwrap() },
        Record::Numbers { next_message: MessageId(8), next_session: 2 },
        Record::Superseded { before: LogPosition(3) },
        Record::SessionReturned { session: 1 },
        sending(QoS::AtLeastOnce),
        sending(QoS::ExactlyOnce),
        Record::Released { session: 1, packet_id: 1, message: MessageId(7), order: 5 },
        Record::Completed { session: 1, packet_id: 2 },
        Record::Received { session: 1, packet_id: 3 },
        Record::ReceiveEnded { session: 1, packet_id: 3 },
        Record::AcceptedFrom {
            session: 1,
            packet_id: 3,
            message: message(),
            destinations: vec![session],
        },
        Record::WillKept {
            number: 9,
            session: 1,
            owner: Owner::Device(DeviceName::new("fan").unwrap()),
            due: Some(Time(8)),
            will: will(),
        },
        Record::WillKept {
            number: 9,
            session: 1,
            owner: Owner::Anonymous,
            due: None,
            will: will(),
        },
        Record::WillOver { number: 9 },
        Record::AcceptedWill { number: 9, message: message(), destinations: vec![] },
        Record::AcceptedPart { of: MessageId(6), message: message(), destinations: vec![] },
        Record::AllAccepted { of: MessageId(6), packet: Some((1, 65_535)), will: None },
        Record::AllAccepted { of: MessageId(6), packet: None, will: Some(9) },
        Record::Confirmed {
            message: MessageId(7),
            destinations: vec![Destination::session(1, QoS::AtLeastOnce, false)],
        },
    ]
}

#[test]
fn every_record_reads_back_as_it_was() {
    for record in records() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Ok(record));
    }
}

#[test]
fn the_message_of_a_record_is_read_without_its_destinations() {
    for record in records() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let expect = match record {
            Record::Accepted { message, .. }
            | Record::AcceptedFrom { message, .. }
            | Record::AcceptedWill { message, .. }
            | Record::AcceptedPart { message, .. } => Some(message),
            _ => None,
        };
        assert_eq!(accepted_message(&bytes), expect);
    }
}

#[test]
fn a_record_cut_anywhere_or_too_long_is_refused() {
    for record in records() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(Record::decode(&bytes[..cut]).is_err(), "{record:?} cut at {cut}");
        }
        bytes.push(0);
        assert!(Record::decode(&bytes).is_err(), "{record:?} with one byte more");
    }
}

#[test]
fn a_number_that_no_hub_counts_up_to_is_refused() {
    let check = |session, good| {
        let mut bytes = Vec::new();
        Record::SessionClosed { session }.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes).is_ok(), good, "{session}");
    };
    check(super::fields::MAX_NUMBER, true);
    check(super::fields::MAX_NUMBER + 1, false);
    check(u64::MAX, false);
}
