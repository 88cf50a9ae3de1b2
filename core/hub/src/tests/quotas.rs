//! How much a session may subscribe to.

use tomte_base::ByteSize;
use tomte_mqtt::codec::{Subscription, Version};

use super::harness::{BOTH, Bed, QOS1, limited, open};
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
