use std::time::Duration;

use tomte_base::Properties;

use super::*;

#[test]
fn a_message_keeps_its_properties_and_the_order_of_user_properties() {
    let mut bed = Bed::broker();
    let (publisher, subscriber) = (bed.client(Version::V5, "p"), bed.client(Version::V5, "s"));
    bed.subscribe(subscriber, "a", QOS0);
    bed.received(subscriber);
    let pairs = [("k", "2"), ("a", "1"), ("k", "1"), ("k", "2")];
    let sent = Properties {
        payload_is_utf8: Some(true),
        content_type: Some("text/x".to_owned()),
        response_topic: Some("answers/\u{feff}here".to_owned()),
        correlation_data: Some(vec![0, 255, 10].into()),
        user: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    let head = PublishHead { topic: "a", properties: Some(&sent), ..PublishHead::default() };
    bed.publish_with(publisher, head, "x");
    let mut n_found = 0;
    bed.each(subscriber, |packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        let found = publish.properties;
        assert_eq!(found.is_utf8(), sent.payload_is_utf8);
        assert_eq!(found.content_type(), sent.content_type.as_deref());
        assert_eq!(found.response_topic(), sent.response_topic.as_deref());
        assert_eq!(found.correlation_data(), sent.correlation_data.as_deref());
        // As they are on the wire, not as the hub copies them.
        assert_eq!(found.user_properties().iter().collect::<Vec<_>>(), pairs);
        n_found += 1;
    });
    assert_eq!(n_found, 1);
}

#[test]
fn message_expiry_counts_down_while_a_message_waits_and_ends_it() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let subscriber = bed.connect_kept("s", Version::V5);
    bed.subscribe(subscriber, "a", QOS1);
    bed.drop_connection(subscriber);
    for (packet_id, expiry) in [(1, 10), (2, 3)] {
        let message_expiry_seconds = Some(expiry);
        let head = PublishHead {
            topic: "a",
            qos: QOS1,
            packet_id,
            message_expiry_seconds,
            ..PublishHead::default()
        };
        bed.publish_with(publisher, head, "x");
    }
    bed.advance(Duration::from_secs(4));
    let subscriber = bed.connect_kept("s", Version::V5);
    let mut left = Vec::new();
    bed.each(subscriber, |packet| {
        if let Packet::Publish(publish) = packet {
            left.push(publish.properties.message_expiry_seconds());
        }
    });
    assert_eq!(left, [Some(6)], "the other one was over");
}

#[test]
fn the_retained_message_of_a_topic_is_the_last_one_and_an_empty_one_clears_it() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let (publisher, live) = (bed.client(version, "p"), bed.client(version, "l"));
        bed.subscribe(live, "a", QOS1);
        bed.received(live);
        let retained = |bed: &mut Bed, expect: &[&str]| {
            let late = bed.client(version, "late");
            bed.subscribe(late, "a", QOS1);
            assert_eq!(&bed.received(late)[1..], expect, "{version:?}");
            bed.drop_connection(late);
        };
        let head = PublishHead {
            topic: "a",
            qos: QOS1,
            packet_id: 1,
            retain: true,
            ..PublishHead::default()
        };
        bed.publish_with(publisher, head, "1");
        retained(&mut bed, &["publish a 1 qos=1 id=1 retain"]);
        // One of QoS 0 takes its place; one without the flag changes nothing, not even when empty.
        bed.retain(publisher, "a", "2");
        bed.publish(publisher, "a", "3", QOS0, 0);
        bed.publish(publisher, "a", "", QOS0, 0);
        retained(&mut bed, &["publish a 2 qos=0 id=0 retain"]);
        // An empty one is passed on, and leaves nothing behind.
        bed.received(live);
        bed.retain(publisher, "a", "");
        assert_eq!(bed.received(live), ["publish a  qos=0 id=0"]);
        retained(&mut bed, &[]);
    }
}

#[test]
fn only_what_is_sent_again_is_marked_as_duplicate() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let subscriber = bed.connect_kept("s", version);
        bed.subscribe(subscriber, "a", QOS1);
        bed.received(subscriber);
        let head = PublishHead {
            topic: "a",
            qos: QOS1,
            packet_id: 1,
            dup: true,
            ..PublishHead::default()
        };
        bed.publish_with(publisher, head, "x");
        assert_eq!(bed.received(subscriber), ["publish a x qos=1 id=1"], "{version:?}");
        // Time alone sends nothing again.
        bed.advance(Duration::from_secs(600));
        assert_eq!(bed.received(subscriber), Vec::<String>::new());
        bed.drop_connection(subscriber);
        let subscriber = bed.connect_kept("s", version);
        let expect = ["connack Success present=true", "publish a x qos=1 id=1 dup"];
        assert_eq!(bed.received(subscriber), expect);
        bed.puback(subscriber, 1);
        bed.drop_connection(subscriber);
        let subscriber = bed.connect_kept("s", version);
        assert_eq!(bed.received(subscriber), ["connack Success present=true"]);
    }
}

#[test]
fn an_acknowledged_identifier_of_qos_1_stands_for_a_new_message_whatever_dup_says() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let (publisher, slot) = (bed.client(version, "p"), bed.client(version, "s"));
        bed.subscribe(slot, "a", QOS0);
        bed.received(slot);
        for dup in [false, true] {
            let head =
                PublishHead { topic: "a", qos: QOS1, packet_id: 5, dup, ..PublishHead::default() };
            bed.publish_with(publisher, head, "x");
        }
        assert_eq!(bed.received(publisher), ["puback 5 Success"; 2]);
        assert_eq!(bed.received(slot), ["publish a x qos=0 id=0"; 2]);
    }
}

#[test]
fn a_message_that_the_client_refuses_is_not_sent_again() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let subscriber = bed.connect_kept("s", Version::V5);
    bed.subscribe(subscriber, "a", QOS2);
    bed.publish(publisher, "a", "1", QOS1, 1);
    bed.publish(publisher, "a", "2", QOS2, 2);
    let refused = |id| Ack::with_reason(id, ReasonCode::NotAuthorized);
    bed.send_packet(subscriber, &Packet::Puback(refused(1)));
    bed.send_packet(subscriber, &Packet::Pubrec(refused(2)));
    bed.drop_connection(subscriber);
    let subscriber = bed.connect_kept("s", Version::V5);
    assert_eq!(bed.received(subscriber), ["connack Success present=true"]);
}

#[test]
fn a_full_window_delays_nothing_but_messages_of_qos_1_and_2() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let mut narrow = Connect::new(Version::V5, "s");
    narrow.properties.receive_maximum = Some(1);
    let slot = bed.connect_with(&narrow);
    bed.subscribe(slot, "a", QOS1);
    bed.received(slot);
    for (packet_id, payload) in [(1, "1"), (2, "2")] {
        bed.publish(publisher, "a", payload, QOS1, packet_id);
    }
    bed.publish(publisher, "a", "zero", QOS0, 0);
    bed.subscribe(slot, "b", QOS1);
    bed.send_packet(slot, &Packet::Pingreq);
    bed.publish(slot, "c", "own", QOS2, 9);
    let expect = [
        "publish a 1 qos=1 id=1",
        "publish a zero qos=0 id=0",
        "suback [GrantedQos1]",
        "Pingresp",
        "pubrec 9 Success",
    ];
    assert_eq!(bed.received(slot), expect);
    bed.puback(slot, 1);
    assert_eq!(bed.received(slot), ["publish a 2 qos=1 id=2"]);
}

#[test]
fn an_alias_means_nothing_on_the_next_connection() {
    let mut bed = Bed::broker();
    let publish = |bed: &mut Bed, slot, topic| {
        let head = PublishHead { topic, topic_alias: Some(3), ..PublishHead::default() };
        bed.publish_with(slot, head, "x");
    };
    let slot = bed.connect_kept("p", Version::V5);
    publish(&mut bed, slot, "a");
    publish(&mut bed, slot, "");
    assert!(!bed.is_closed(slot));
    bed.drop_connection(slot);
    let slot = bed.connect_kept("p", Version::V5);
    publish(&mut bed, slot, "");
    assert!(bed.is_breach(slot));
}

#[test]
fn every_alias_up_to_the_maximum_is_accepted() {
    let mut bed = Bed::broker();
    let (slot, subscriber) = (bed.client(Version::V5, "p"), bed.client(Version::V5, "s"));
    bed.subscribe(subscriber, "#", QOS0);
    bed.received(subscriber);
    let maximum = bed.hub.config().limits.topic_alias_maximum;
    for alias in 1..=maximum {
        let topic = format!("t/{alias}");
        for topic in [&topic[..], ""] {
            let head = PublishHead { topic, topic_alias: Some(alias), ..PublishHead::default() };
            bed.publish_with(slot, head, "x");
        }
        let expect = format!("publish t/{alias} x qos=0 id=0");
        assert_eq!(bed.received(subscriber), [&expect[..]; 2]);
    }
    assert!(!bed.is_closed(slot));
}

#[test]
fn a_publish_that_is_not_permitted_is_acknowledged_in_311() {
    let mut bed = Bed::new(config(&[R("device:*", "a/#", None, "subscribers")], &[]));
    let (old, new) = (bed.client(Version::V311, "o"), bed.client(Version::V5, "n"));
    let watcher = bed.client(Version::V5, "w");
    bed.subscribe(watcher, "a/#", QOS0);
    bed.received(watcher);
    for slot in [old, new] {
        bed.publish(slot, "b", "x", QOS1, 1);
        bed.publish(slot, "b", "x", QOS2, 2);
    }
    assert_eq!(bed.received(old), ["puback 1 Success", "pubrec 2 Success"]);
    assert_eq!(bed.received(new), ["puback 1 NotAuthorized", "pubrec 2 NotAuthorized"]);
    assert!(bed.received(watcher).is_empty() && !bed.is_closed(old));
}

#[test]
fn a_message_on_its_way_does_not_expire() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let subscriber = bed.connect_kept("s", Version::V5);
    bed.subscribe(subscriber, "a", QOS2);
    bed.received(subscriber);
    let message_expiry_seconds = Some(2);
    let (topic, qos, packet_id) = ("a", QOS2, 1);
    let head =
        PublishHead { topic, qos, packet_id, message_expiry_seconds, ..PublishHead::default() };
    bed.publish_with(publisher, head, "x");
    assert_eq!(bed.received(subscriber), ["publish a x qos=2 id=1"]);
    bed.drop_connection(subscriber);
    bed.advance(Duration::from_secs(10));
    let subscriber = bed.connect_kept("s", Version::V5);
    let expect = ["connack Success present=true", "publish a x qos=2 id=1 dup"];
    assert_eq!(bed.received(subscriber), expect);
    // The publisher's side goes on as well.
    bed.received(publisher);
    bed.send_packet(publisher, &Packet::Pubrel(Ack::success(1)));
    assert_eq!(bed.received(publisher), ["pubcomp 1 Success"]);
}
