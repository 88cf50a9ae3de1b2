use tomte_mqtt::codec::{RetainHandling, Unsubscribe};

use super::*;

fn asked(filter: &str, qos: QoS) -> Subscription<'_> {
    Subscription::new(filter, qos)
}

#[test]
fn retain_handling_decides_which_subscription_gets_retained_messages() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    bed.retain(publisher, "a", "kept");
    let subscriber = bed.client(Version::V5, "s");
    let kept = "publish a kept qos=0 id=0 retain";
    for (handling, first, again) in [
        (RetainHandling::Send, true, true),
        (RetainHandling::SendIfNew, true, false),
        (RetainHandling::DoNotSend, false, false),
    ] {
        let subscription = Subscription { retain_handling: handling, ..asked("a", QOS0) };
        for expect in [first, again] {
            bed.subscribe_to(subscriber, &[subscription], None);
            let words = bed.received(subscriber);
            assert_eq!(words.contains(&kept.to_owned()), expect, "{handling:?}: {words:?}");
        }
        bed.unsubscribe(subscriber, &["a"]);
        bed.received(subscriber);
    }
}

#[test]
fn the_retain_flag_tells_an_old_message_from_a_new_one_unless_the_subscriber_asks_for_it() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let (plain, as_published) = (bed.client(Version::V5, "a"), bed.client(Version::V5, "b"));
    let old = bed.client(Version::V311, "c");
    bed.subscribe_to(plain, &[asked("a", QOS0)], None);
    let subscription = Subscription { retain_as_published: true, ..asked("a", QOS0) };
    bed.subscribe_to(as_published, &[subscription], None);
    bed.subscribe_to(old, &[asked("a", QOS0)], None);
    bed.retain(publisher, "a", "1");
    bed.publish(publisher, "a", "2", QOS0, 0);
    for (slot, first) in [(plain, ""), (as_published, " retain"), (old, "")] {
        let expect = [
            "suback [Success]".to_owned(),
            format!("publish a 1 qos=0 id=0{first}"),
            "publish a 2 qos=0 id=0".to_owned(),
        ];
        assert_eq!(bed.received(slot), expect);
    }
    // Because of a new subscription it has the flag, in both versions.
    let late = bed.client(Version::V311, "d");
    bed.subscribe_to(late, &[asked("a", QOS0)], None);
    assert_eq!(bed.received(late), ["suback [Success]", "publish a 1 qos=0 id=0 retain"]);
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it_and_no_others() {
    let mut bed = Bed::broker();
    let (own, other) = (bed.client(Version::V5, "a"), bed.client(Version::V5, "b"));
    let subscription = Subscription { no_local: true, ..asked("a", QOS0) };
    bed.subscribe_to(own, &[subscription], None);
    bed.publish(own, "a", "own", QOS0, 0);
    bed.publish(other, "a", "other", QOS0, 0);
    assert_eq!(bed.received(own), ["suback [Success]", "publish a other qos=0 id=0"]);
}

/// What a message did not flow by leaves neither its quality of service nor its identifier (3.3.4).
#[test]
fn no_local_on_one_of_two_filters_leaves_the_other() {
    let mut bed = Bed::broker();
    let (own, other) = (bed.client(Version::V5, "a"), bed.client(Version::V5, "b"));
    let no_local = Subscription { no_local: true, retain_as_published: true, ..asked("a", QOS2) };
    bed.subscribe_to(own, &[no_local], Some(7));
    bed.subscribe_to(own, &[asked("+", QOS0)], Some(9));
    bed.received(own);
    bed.publish(own, "a", "own", QOS2, 1);
    assert_eq!(bed.identifiers(own), [("own".to_owned(), 0, vec![9])]);
    bed.publish(other, "a", "other", QOS2, 1);
    let mut found = bed.identifiers(own);
    found[0].2.sort_unstable();
    assert_eq!(found, [("other".to_owned(), 2, vec![7, 9])]);
}

#[test]
fn overlapping_subscriptions_bring_the_highest_qos_and_all_identifiers() {
    let mut bed = Bed::broker();
    let publisher = bed.client(Version::V5, "p");
    let subscriber = bed.client(Version::V5, "s");
    for (filter, qos, id) in [("a", QOS0, Some(7)), ("+", QOS2, Some(9)), ("#", QOS1, None)] {
        let subscribe = Subscribe {
            packet_id: 1,
            subscription_identifier: id,
            subscriptions: vec![asked(filter, qos)],
            ..Subscribe::default()
        };
        bed.send_packet(subscriber, &Packet::Subscribe(subscribe));
    }
    bed.received(subscriber);
    bed.publish(publisher, "a", "x", QOS2, 1);
    let mut found = bed.identifiers(subscriber);
    assert_eq!(found.len(), 1, "one copy: {found:?}");
    found[0].2.sort_unstable();
    assert_eq!(found, [("x".to_owned(), 2, vec![7, 9])]);

    let old = bed.client(Version::V311, "old");
    bed.subscribe_to(old, &[asked("a", QOS0), asked("#", QOS1)], None);
    bed.received(old);
    bed.publish(publisher, "a", "y", QOS2, 2);
    assert_eq!(bed.received(old), ["publish a y qos=1 id=1"]);
}

#[test]
fn a_subscription_that_is_made_again_replaces_the_old_one_and_loses_nothing() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        bed.retain(publisher, "a", "kept");
        let subscriber = bed.client(version, "s");
        bed.subscribe_to(subscriber, &[asked("a", QOS1)], None);
        bed.publish(publisher, "a", "1", QOS1, 1);
        bed.subscribe_to(subscriber, &[asked("a", QOS0)], None);
        bed.publish(publisher, "a", "2", QOS1, 2);
        let expect = [
            "suback [GrantedQos1]",
            "publish a kept qos=0 id=0 retain",
            "publish a 1 qos=1 id=1",
            "suback [Success]",
            "publish a kept qos=0 id=0 retain",
            "publish a 2 qos=0 id=0",
        ];
        assert_eq!(bed.received(subscriber), expect, "{version:?}");
    }
}

#[test]
fn several_filters_are_answered_together_in_their_order() {
    for version in BOTH {
        // One filter is not granted: no route leads there.
        let mut bed = Bed::new(config(&[R("device:*", "a/#", None, "subscribers")], &[]));
        let slot = bed.client(version, "s");
        let filters =
            [asked("a/1", QOS2), asked("b", QOS1), asked("a/2", QOS0), asked("a/+", QOS1)];
        bed.subscribe_to(slot, &filters, None);
        let refused = if version == Version::V5 { "NotAuthorized" } else { "UnspecifiedError" };
        let expect = format!("suback [GrantedQos2, {refused}, Success, GrantedQos1]");
        assert_eq!(bed.received(slot), [expect]);
        bed.unsubscribe(slot, &["a/2", "nothing", "a/1"]);
        let reasons = match version {
            Version::V5 => "[Success, NoSubscriptionExisted, Success]",
            Version::V311 => "[]",
        };
        assert_eq!(bed.received(slot), [format!("unsuback {reasons}")]);
        bed.publish(slot, "a/1", "x", QOS2, 1);
        assert_eq!(bed.received(slot)[0], "publish a/1 x qos=1 id=1", "by the filter that is left");
    }
}

#[test]
fn answers_have_the_packet_identifier_of_the_question() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let slot = bed.client(version, "s");
        let subscriptions = vec![asked("a", QOS0)];
        let subscribe = Subscribe { packet_id: 513, subscriptions, ..Subscribe::default() };
        bed.send_packet(slot, &Packet::Subscribe(subscribe));
        let unsubscribe =
            Unsubscribe { packet_id: 514, filters: vec!["b"], ..Unsubscribe::default() };
        bed.send_packet(slot, &Packet::Unsubscribe(unsubscribe));
        let mut found = Vec::new();
        bed.each(slot, |packet| match packet {
            Packet::Suback(suback) => found.push(suback.packet_id),
            Packet::Unsuback(unsuback) => found.push(unsuback.packet_id),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, [513, 514]);
    }
}

#[test]
fn unsubscribe_compares_filters_by_character_and_is_always_answered() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let (publisher, slot) = (bed.client(version, "p"), bed.client(version, "s"));
        bed.subscribe_to(slot, &[asked("a/+", QOS0)], None);
        bed.received(slot);
        // It matches the same topics, and is another filter.
        for (filter, is_there) in [("a/b", true), ("a/#", true), ("A/+", true), ("a/+", false)] {
            bed.unsubscribe(slot, &[filter]);
            bed.publish(publisher, "a/b", "x", QOS0, 0);
            let words = bed.received(slot);
            assert!(words[0].starts_with("unsuback"), "{words:?}");
            assert_eq!(words.len() > 1, is_there, "{filter}: {words:?}");
        }
    }
}

#[test]
fn unsubscribe_stops_new_messages_and_completes_those_on_their_way() {
    for version in BOTH {
        let mut bed = Bed::broker();
        let publisher = bed.client(Version::V5, "p");
        let subscriber = bed.connect_kept("s", version);
        bed.subscribe(subscriber, "a", QOS2);
        bed.publish(publisher, "a", "1", QOS2, 1);
        bed.publish(publisher, "a", "2", QOS1, 2);
        bed.received(subscriber);
        bed.unsubscribe(subscriber, &["a"]);
        bed.publish(publisher, "a", "3", QOS2, 3);
        let answer = if version == Version::V5 { "unsuback [Success]" } else { "unsuback []" };
        assert_eq!(bed.received(subscriber), [answer]);
        bed.drop_connection(subscriber);
        let subscriber = bed.connect_kept("s", version);
        let expect = [
            "connack Success present=true",
            "publish a 1 qos=2 id=1 dup",
            "publish a 2 qos=1 id=2 dup",
        ];
        assert_eq!(bed.received(subscriber), expect, "{version:?}");
    }
}

#[test]
fn topics_are_compared_as_they_are_without_normalization() {
    let mut bed = Bed::broker();
    let (publisher, slot) = (bed.client(Version::V5, "p"), bed.client(Version::V5, "s"));
    // One letter, and a letter with a mark that looks the same; a slash too many; another case; the
    // mark that begins some files.
    let filters = ["\u{e4}", "a/b", "a", "x"].map(|filter| asked(filter, QOS0));
    bed.subscribe_to(slot, &filters, None);
    bed.received(slot);
    for topic in ["a\u{308}", "a//b", "/a/b", "A", "\u{feff}x"] {
        bed.publish(publisher, topic, "other", QOS0, 0);
    }
    assert_eq!(bed.received(slot), Vec::<String>::new());
    bed.publish(publisher, "\u{e4}", "same", QOS0, 0);
    assert_eq!(bed.received(slot), ["publish \u{e4} same qos=0 id=0"]);
}

#[test]
fn a_suback_leaves_its_reason_string_out_where_the_client_could_not_take_it() {
    let mut bed = Bed::new(config(&[R("device:*", "a/#", None, "subscribers")], &[]));
    let mut narrow = Connect::new(Version::V5, "s");
    narrow.properties.maximum_packet_bytes = Some(40);
    for (limit, is_there) in [(40, false), (1_000, true)] {
        narrow.properties.maximum_packet_bytes = Some(limit);
        let slot = bed.connect_with(&narrow);
        bed.received(slot);
        bed.subscribe(slot, "b", QOS0);
        bed.each(slot, |packet| {
            let Packet::Suback(suback) = packet else { panic!("{packet:?}") };
            assert_eq!(suback.reason_string.is_some(), is_there);
        });
    }
}
