//! How much sessions may subscribe to, and how long a record of the journal can become.

use std::time::Duration;

use tomte_base::{ByteSize, MAX_TOPIC_BYTES, Properties};
use tomte_mqtt::codec::{PublishHead, Subscription, Version};

use super::harness::{BOTH, Bed, QOS1, QOS2, encoded_publish, limited, open};
use crate::{Counter, Slot};

/// A filter of `length` bytes that `name` tells from others.
fn long(name: &str, length: usize) -> String {
    format!("{name}/{}", "x".repeat(length - name.len() - 1))
}

fn bed(max_subscription_bytes: u64) -> Bed {
    let bytes = ByteSize(max_subscription_bytes);
    Bed::new(limited(|config| config.limits.max_subscription_bytes = bytes))
}

fn subscribe(bed: &mut Bed, slot: Slot, filter: &str) -> String {
    bed.subscribe(slot, filter, QOS1);
    bed.received(slot).concat()
}

/// What 3.1.1 has for any refusal.
fn refusal(version: Version) -> &'static str {
    match version {
        Version::V5 => "suback [QuotaExceeded]",
        Version::V311 => "suback [UnspecifiedError]",
    }
}

/// Proves a part of: MQT-4.
#[test]
fn the_bytes_of_the_filters_of_a_session_have_a_bound() {
    for version in BOTH {
        let mut bed = bed(1_000);
        let slot = bed.client(version, "c");
        assert_eq!(subscribe(&mut bed, slot, &long("1", 600)), "suback [GrantedQos1]");
        assert_eq!(subscribe(&mut bed, slot, &long("2", 401)), refusal(version));
        assert_eq!(subscribe(&mut bed, slot, &long("2", 400)), "suback [GrantedQos1]");
        assert_eq!(subscribe(&mut bed, slot, "3"), refusal(version));
        assert_eq!(bed.hub.counters().get(Counter::RefusedSubscribe), 2);
        assert_eq!(bed.hub.tree.len(), 2 + bed.hub.config.table.routes().len());
        // One that is there already takes no more room.
        assert_eq!(subscribe(&mut bed, slot, &long("1", 600)), "suback [GrantedQos1]");
        bed.unsubscribe(slot, &[&long("1", 600)]);
        bed.received(slot);
        assert_eq!(subscribe(&mut bed, slot, &long("3", 600)), "suback [GrantedQos1]");
        let other = bed.client(version, "other");
        assert_eq!(subscribe(&mut bed, other, &long("1", 1_000)), "suback [GrantedQos1]");
    }
}

#[test]
fn filters_of_one_packet_and_names_of_groups_count() {
    let mut bed = bed(30);
    let slot = bed.client(Version::V5, "c");
    let filters = ["$share/group/aaaaa", "bbbbbbbbbbbb", "c"];
    let asked: Vec<_> = filters.map(|filter| Subscription::new(filter, QOS1)).into();
    bed.subscribe_to(slot, &asked, None);
    assert_eq!(bed.received(slot), ["suback [GrantedQos1, GrantedQos1, QuotaExceeded]"]);
}

#[test]
fn a_kept_session_has_its_bound_after_a_crash_too() {
    let mut bed = Bed::new(open());
    let slot = bed.connect_kept("c", Version::V5);
    for name in ["1", "2", "3"] {
        bed.subscribe(slot, &long(name, 65_535), QOS1);
    }
    bed.crash(open());
    let slot = bed.connect_kept("c", Version::V5);
    bed.received(slot);
    assert_eq!(subscribe(&mut bed, slot, &long("4", 65_535)), "suback [GrantedQos1]");
    assert_eq!(subscribe(&mut bed, slot, "56789"), "suback [QuotaExceeded]");
    assert_eq!(subscribe(&mut bed, slot, "5678"), "suback [GrantedQos1]");
}

/// A hub whose groups may have two filters of 100 bytes together.
fn bed_for_two_groups() -> Bed {
    Bed::new(limited(|config| config.limits.max_group_bytes = ByteSize(2 * (100 + 14))))
}

fn group(name: &str) -> String {
    long(&format!("$share/{name}/a"), 100)
}

/// Proves a part of: MQT-4.
#[test]
fn the_bytes_of_all_groups_have_a_bound() {
    for version in BOTH {
        let mut bed = bed_for_two_groups();
        let [first, second] = ["1", "2"].map(|name| bed.client(version, name));
        assert_eq!(subscribe(&mut bed, first, &group("1")), "suback [GrantedQos1]");
        assert_eq!(subscribe(&mut bed, first, &group("2")), "suback [GrantedQos1]");
        for filter in [&group("3"), "$share/g/#"] {
            assert_eq!(subscribe(&mut bed, second, filter), refusal(version));
        }
        assert_eq!(bed.hub.counters().get(Counter::RefusedSubscribe), 2);
        // A member more, or what is no group, is no group more.
        assert_eq!(subscribe(&mut bed, second, &group("2")), "suback [GrantedQos1]");
        assert_eq!(subscribe(&mut bed, second, &long("3", 100)), "suback [GrantedQos1]");
        // A group is there as long as it has a member.
        bed.unsubscribe(first, &[&group("2")]);
        assert_eq!(subscribe(&mut bed, second, &group("3")), refusal(version));
        bed.drop_connection(first);
        assert_eq!(subscribe(&mut bed, second, &group("3")), "suback [GrantedQos1]");
    }
}

#[test]
fn groups_of_kept_sessions_count_after_a_crash_too() {
    let mut bed = bed_for_two_groups();
    let slot = bed.connect_kept("c", Version::V5);
    bed.subscribe(slot, &group("1"), QOS1);
    bed.subscribe(slot, &group("2"), QOS1);
    bed.crash(limited(|config| config.limits.max_group_bytes = ByteSize(2 * (100 + 14))));
    let other = bed.client(Version::V5, "other");
    assert_eq!(subscribe(&mut bed, other, &group("3")), "suback [QuotaExceeded]");
    bed.advance(Duration::from_secs(3_600));
    assert_eq!(subscribe(&mut bed, other, &group("3")), "suback [GrantedQos1]");
}

/// The journal takes no longer one, whatever clients do.
#[test]
fn no_record_is_longer_than_the_limits_say() {
    const MAX_PACKET: u32 = 1 << 20;
    let mut bed = Bed::new(limited(|config| {
        config.limits.max_packet = MAX_PACKET;
        config.limits.max_group_bytes = ByteSize::mib(1);
        config.limits.max_sessions = 6;
    }));
    let mut n_groups = 0;
    for client in 0..5 {
        let slot = bed.connect_kept(&format!("receiver {client}"), Version::V5);
        bed.subscribe(slot, "#", QOS2);
        bed.received(slot);
        for n in 0..4 {
            let filter = format!("$share/{}/#", "x".repeat(60_000 + client * 10 + n));
            n_groups += usize::from(subscribe(&mut bed, slot, &filter).contains("Granted"));
        }
        bed.drop_connection(slot);
    }
    assert_eq!(n_groups, 17);
    let sender = bed.client(Version::V5, "sender");
    let topic = "t".repeat(MAX_TOPIC_BYTES);
    let user = vec![(String::new(), String::new()); (MAX_PACKET as usize - topic.len()) / 5 - 10];
    let properties = Properties { user, ..Properties::default() };
    let head = PublishHead {
        topic: &topic,
        qos: QOS1,
        packet_id: 1,
        properties: Some(&properties),
        ..PublishHead::default()
    };
    let packet = encoded_publish(Version::V5, &head, "");
    assert!(packet.len() <= MAX_PACKET as usize);
    bed.send(sender, &packet);
    assert_eq!(bed.received(sender), ["puback 1 Success"]);
    let longest = bed.log.iter().map(|(_, record)| record.len() as u64).max().unwrap();
    let most = bed.hub.config.limits.largest_record();
    assert!(longest <= most, "{longest} of {most} bytes");
    let properties_and_groups = 8 * properties.user.len() + n_groups * 60_000;
    assert!(longest > properties_and_groups as u64, "{longest} bytes");
}
