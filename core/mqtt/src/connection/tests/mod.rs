mod details;

use std::time::Duration;

use tomte_base::{QoS, Time, TopicName};

use super::*;
use crate::codec::{Packet, PublishHead, ReasonCode, Will, decode, encode_publish};

const START: Time = Time::from_millis(1_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limits() -> ConnectionLimits {
    ConnectionLimits { receive_maximum_in: 3, ..ConnectionLimits::default() }
}

/// Returns a connection whose client sent `connect`.
fn connected(limits: ConnectionLimits, connect: &Connect<'_>) -> Connection {
    let mut connection = Connection::new(START, limits);
    connection.on_connect(START, connect).unwrap();
    connection
}

fn v5() -> Connect<'static> {
    Connect::new(Version::V5, "c")
}

fn with_packet_limit(bytes: u32) -> Connection {
    let mut connect = v5();
    connect.properties.maximum_packet_bytes = Some(bytes);
    connected(limits(), &connect)
}

/// Gives the connection a PUBLISH with `topic` and `alias`, and returns the topic that it stands for.
fn receive(
    connection: &mut Connection,
    topic: &str,
    alias: Option<u16>,
) -> Result<String, ProtocolError> {
    let mut out = Vec::new();
    let head = PublishHead { topic, topic_alias: alias, ..PublishHead::default() };
    encode_publish(&mut out, Version::V5, &head, b"");
    let Ok(Packet::Publish(publish)) = decode(&out, Version::V5) else { panic!("no PUBLISH") };
    connection.resolve_alias(&publish).map(|topic| topic.to_string())
}

#[test]
fn a_client_has_until_the_connect_timeout_however_many_bytes_it_drips() {
    let mut connection = Connection::new(START, limits());
    assert_eq!(connection.deadline(), START + seconds(10));
    connection.on_received(START + seconds(9), false, 5_000);
    assert_eq!(connection.deadline(), START + seconds(10));
    assert!(!connection.is_connected());
}

#[test]
fn the_deadline_is_one_and_a_half_keep_alives_after_the_last_packet() {
    for version in [Version::V311, Version::V5] {
        let connect = Connect { keep_alive_seconds: 5, ..Connect::new(version, "c") };
        let mut connection = connected(limits(), &connect);
        assert_eq!(connection.deadline(), START + Duration::from_millis(7_500));
        connection.on_received(START + seconds(3), true, 0);
        assert_eq!(connection.deadline(), START + Duration::from_millis(10_500));
    }
    let longest = Connect { keep_alive_seconds: u16::MAX, ..v5() };
    let deadline = connected(limits(), &longest).deadline();
    assert_eq!(deadline, START + Duration::from_millis(65_535 * 1_500));
}

#[test]
fn a_large_packet_that_comes_slowly_moves_the_deadline_and_single_bytes_do_not() {
    let connect = Connect { keep_alive_seconds: 10, ..v5() };
    let mut connection = connected(limits(), &connect);
    let mut received = |at: u64, is_whole, partial| {
        connection.on_received(START + seconds(at), is_whole, partial);
        connection.deadline()
    };
    let (first, second, third) = (START + seconds(15), START + seconds(18), START + seconds(21));
    assert_eq!(received(1, false, 1), first);
    assert_eq!(received(2, false, 999), first);
    assert_eq!(received(3, false, 1_000), second);
    assert_eq!(received(4, false, 1_999), second);
    // The next packet begins with its first byte.
    assert_eq!(received(6, true, 10), third);
    assert_eq!(received(7, false, 1_009), third);
    assert_eq!(received(8, false, 1_010), START + seconds(23));
}

#[test]
fn a_keep_alive_of_zero_never_ends() {
    let mut connection = connected(limits(), &v5());
    assert_eq!(connection.deadline(), Time::NEVER);
    connection.on_received(START + seconds(1), true, 0);
    assert_eq!(connection.deadline(), Time::NEVER);
}

#[test]
fn a_version_5_client_is_told_the_longest_keep_alive() {
    let limits = ConnectionLimits { keep_alive_max: Some(60), ..limits() };
    for (version, wanted, told, millis) in [
        (Version::V5, 0, Some(60), Some(90_000)),
        (Version::V5, 61, Some(60), Some(90_000)),
        (Version::V5, 60, None, Some(90_000)),
        (Version::V5, 10, None, Some(15_000)),
        (Version::V311, 100, None, Some(150_000)),
        (Version::V311, 0, None, None),
    ] {
        let connect = Connect { keep_alive_seconds: wanted, ..Connect::new(version, "c") };
        let connection = connected(limits, &connect);
        assert_eq!(connection.server_keep_alive(), told, "{version:?} {wanted}");
        assert_eq!(connection.connack_properties().server_keep_alive_seconds, told);
        let deadline = millis.map_or(Time::NEVER, |millis| START + Duration::from_millis(millis));
        assert_eq!(connection.deadline(), deadline, "{version:?} {wanted}");
    }
}

#[test]
fn a_second_connect_is_refused() {
    let mut connection = connected(limits(), &v5());
    assert_eq!(connection.on_connect(START, &v5()), Err(ConnectRefusal::SecondConnect));
    assert_eq!(ConnectRefusal::SecondConnect.reason(), ReasonCode::ProtocolError);
}

#[test]
fn a_nameless_client_of_311_needs_a_clean_session() {
    let nameless = |version, clean_start| Connect { clean_start, ..Connect::new(version, "") };
    let connect =
        |connect: &Connect<'_>| Connection::new(START, limits()).on_connect(START, connect);
    assert_eq!(connect(&nameless(Version::V311, false)), Err(ConnectRefusal::NoClientId));
    assert_eq!(connect(&nameless(Version::V311, true)), Ok(()));
    assert_eq!(connect(&nameless(Version::V5, false)), Ok(()));
}

#[test]
fn before_connect_only_a_small_packet_is_read() {
    let limits = ConnectionLimits { max_packet_in: 5_000, max_connect_packet_in: 200, ..limits() };
    assert_eq!(Connection::new(START, limits).max_packet_in(), 200);
    assert_eq!(connected(limits, &v5()).max_packet_in(), 5_000);
    let limits = ConnectionLimits { max_packet_in: 100, ..limits };
    assert_eq!(Connection::new(START, limits).max_packet_in(), 100);
}

#[test]
fn connack_tells_the_limits_that_are_not_the_standards_own() {
    let told = connected(limits(), &v5()).connack_properties();
    assert_eq!(told.receive_maximum, Some(3));
    assert_eq!(told.topic_alias_maximum, Some(10));
    assert_eq!(told.maximum_packet_bytes, Some(1 << 20));
    let none = ConnectionLimits {
        max_packet_in: u32::MAX,
        receive_maximum_in: u16::MAX,
        topic_alias_maximum_in: 0,
        ..limits()
    };
    assert_eq!(connected(none, &v5()).connack_properties(), ConnackProperties::default());
}

#[test]
fn a_server_that_takes_less_says_so_and_refuses_the_rest() {
    let limits =
        ConnectionLimits { maximum_qos: QoS::AtLeastOnce, retain_available: false, ..limits() };
    let mut connection = connected(limits, &v5());
    let told = connection.connack_properties();
    assert_eq!(told.maximum_qos, Some(QoS::AtLeastOnce));
    assert_eq!(told.retain_available, Some(false));
    let mut publish = |qos, retain| {
        let mut out = Vec::new();
        let head = PublishHead { topic: "a", qos, retain, packet_id: 1, ..PublishHead::default() };
        encode_publish(&mut out, Version::V5, &head, b"");
        let Ok(Packet::Publish(publish)) = decode(&out, Version::V5) else { panic!("no PUBLISH") };
        connection.resolve_alias(&publish).map(|_| ()).map_err(|error| error.reason())
    };
    assert_eq!(publish(QoS::AtLeastOnce, false), Ok(()));
    assert_eq!(publish(QoS::ExactlyOnce, false), Err(ReasonCode::QosNotSupported));
    assert_eq!(publish(QoS::AtMostOnce, true), Err(ReasonCode::RetainNotSupported));
    let will = |qos, retain| {
        let will = Will { qos, retain, topic: "w", ..Will::default() };
        let connect = Connect { will: Some(will), ..v5() };
        let refusal = Connection::new(START, limits).on_connect(START, &connect);
        refusal.map_err(|refusal| refusal.reason())
    };
    assert_eq!(will(QoS::AtLeastOnce, false), Ok(()));
    assert_eq!(will(QoS::ExactlyOnce, false), Err(ReasonCode::QosNotSupported));
    assert_eq!(will(QoS::AtMostOnce, true), Err(ReasonCode::RetainNotSupported));
}

#[test]
fn packets_over_the_clients_limit_may_not_be_sent() {
    let connection = with_packet_limit(100);
    assert!(connection.may_send(100));
    assert!(!connection.may_send(101));
    let unlimited = connected(limits(), &v5());
    assert!(unlimited.may_send(crate::codec::MAX_PACKET_BYTES));
    assert!(!unlimited.may_send(crate::codec::MAX_PACKET_BYTES + 1));
}

#[test]
fn the_windows_of_the_client_are_kept() {
    let mut connect = v5();
    assert_eq!(connected(limits(), &connect).receive_maximum_out(), u16::MAX);
    connect.properties.receive_maximum = Some(7);
    assert_eq!(connected(limits(), &connect).receive_maximum_out(), 7);
}

#[test]
fn an_alias_stands_for_the_topic_that_came_with_it_last() {
    let mut connection = connected(limits(), &v5());
    assert_eq!(receive(&mut connection, "plain", None).unwrap(), "plain");
    assert_eq!(receive(&mut connection, "a", Some(1)).unwrap(), "a");
    assert_eq!(receive(&mut connection, "b", Some(10)).unwrap(), "b");
    assert_eq!(receive(&mut connection, "", Some(1)).unwrap(), "a");
    assert_eq!(receive(&mut connection, "c", Some(1)).unwrap(), "c");
    assert_eq!(receive(&mut connection, "", Some(1)).unwrap(), "c");
    assert_eq!(receive(&mut connection, "", Some(10)).unwrap(), "b");
}

#[test]
fn aliases_that_mean_nothing_are_refused() {
    let mut connection = connected(limits(), &v5());
    let check = |result: Result<String, ProtocolError>, error: ProtocolError, reason| {
        assert_eq!(error.reason(), reason);
        assert_eq!(result, Err(error));
    };
    check(
        receive(&mut connection, "a", Some(11)),
        ProtocolError::AliasTooLarge { alias: 11, maximum: 10 },
        ReasonCode::TopicAliasInvalid,
    );
    check(
        receive(&mut connection, "", Some(4)),
        ProtocolError::UnknownAlias { alias: 4 },
        ReasonCode::ProtocolError,
    );
    let deep = "/".repeat(tomte_base::MAX_TOPIC_LEVELS);
    let error = receive(&mut connection, &deep, Some(4)).unwrap_err();
    assert_eq!(error.reason(), ReasonCode::TopicNameInvalid);
}

#[test]
fn a_client_may_not_send_a_subscription_identifier() {
    let mut connection = connected(limits(), &v5());
    let mut out = Vec::new();
    let head = PublishHead { topic: "a", subscription_identifiers: &[1], ..PublishHead::default() };
    encode_publish(&mut out, Version::V5, &head, b"");
    let Ok(Packet::Publish(publish)) = decode(&out, Version::V5) else { panic!("no PUBLISH") };
    assert_eq!(
        connection.resolve_alias(&publish),
        Err(ProtocolError::SubscriptionIdentifierFromClient)
    );
}

fn client_with_aliases(maximum: u16) -> Connection {
    let mut connect = v5();
    connect.properties.topic_alias_maximum = Some(maximum);
    connected(limits(), &connect)
}

fn long(number: usize) -> TopicName {
    TopicName::new(&format!("greenhouse/north/sensor/{number}")).unwrap()
}

#[test]
fn a_long_topic_is_sent_once_and_then_by_its_alias() {
    let mut connection = client_with_aliases(10);
    assert_eq!(connection.alias_out(&long(1)), (Some(1), true));
    assert_eq!(connection.alias_out(&long(2)), (Some(2), true));
    assert_eq!(connection.alias_out(&long(1)), (Some(1), false));
    assert_eq!(connection.alias_out(&TopicName::new("a/b").unwrap()), (None, true));
}

#[test]
fn clients_that_take_no_aliases_get_none() {
    for mut connection in
        [connected(limits(), &v5()), connected(limits(), &Connect::new(Version::V311, "c"))]
    {
        assert_eq!(connection.alias_out(&long(1)), (None, true));
    }
}

#[test]
fn a_client_always_knows_what_an_alias_stands_for() {
    for maximum in [1, 2, 5, 100] {
        let mut connection = client_with_aliases(maximum);
        let bound = maximum.min(ConnectionLimits::default().topic_alias_maximum_out);
        let mut client = std::collections::HashMap::new();
        let mut saved = 0;
        for step in 0..1_000 {
            // One busy topic among many rare ones.
            let topic = if step % 2 == 0 { long(0) } else { long(step % 50) };
            let (alias, with_topic) = connection.alias_out(&topic);
            let Some(alias) = alias else {
                assert!(with_topic);
                continue;
            };
            assert!((1..=bound).contains(&alias));
            if with_topic {
                client.insert(alias, topic.clone());
            } else {
                saved += 1;
            }
            assert_eq!(client.get(&alias), Some(&topic));
        }
        assert!(saved >= 480, "{saved} of 1000 were sent by alias alone with {maximum}");
    }
}

#[test]
fn a_version_5_client_may_not_send_past_its_window() {
    let mut connection = connected(limits(), &v5());
    for _ in 0..3 {
        assert_eq!(connection.on_publish(QoS::AtLeastOnce), Ok(()));
        assert_eq!(connection.on_publish(QoS::AtMostOnce), Ok(()));
    }
    let exceeded = ProtocolError::ReceiveMaximumExceeded { maximum: 3 };
    assert_eq!(exceeded.reason(), ReasonCode::ReceiveMaximumExceeded);
    assert_eq!(connection.on_publish(QoS::ExactlyOnce), Err(exceeded));
    connection.on_publish_done();
    assert_eq!(connection.on_publish(QoS::ExactlyOnce), Ok(()));
    assert_eq!(connection.open_publishes(), 3);
}

#[test]
fn a_client_of_311_does_not_know_the_window_and_is_only_counted() {
    let mut connection = connected(limits(), &Connect::new(Version::V311, "c"));
    for open in 1..=10 {
        assert_eq!(connection.on_publish(QoS::AtLeastOnce), Ok(()));
        assert_eq!(connection.open_publishes(), open);
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 80, "{} bytes", size_of::<Connection>());
}
