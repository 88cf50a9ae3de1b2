//! A message that a rule sends on under a second topic: wherever a crash tears the journal, all of
//! what it became arrives, once.

use tomte_base::QoS;
use tomte_mqtt::codec::{Connect, PublishHead, ReasonCode, Version, Will};
use tomte_route::{RouteSpec, RuleSpec};

use super::harness::{Bed, R, Step, config_of, spec};
use crate::{CloseReason, Config, Record, Slot};

/// Two rules with second topics beside a route that keeps the first one.
fn three_topics() -> Config {
    let all = R("device:*", "#", None, "subscribers");
    let renamed = |publish_as: &str| {
        let rule = RuleSpec { publish_as: Some(publish_as.to_owned()), ..RuleSpec::default() };
        RouteSpec { rule, ..spec(&R("device:*", "a", None, "subscribers")) }
    };
    config_of(vec![spec(&all), renamed("b"), renamed("c")], &[])
}

/// Only a second topic is kept for somebody; who gets the first one is there or not.
fn second_topic_only() -> Config {
    let rule = RuleSpec { publish_as: Some("b".to_owned()), ..RuleSpec::default() };
    let renamed = RouteSpec { rule, ..spec(&R("device:*", "a", None, "subscribers")) };
    config_of(vec![renamed], &[])
}

fn publish(bed: &mut Bed, slot: Slot, dup: bool) {
    let head =
        PublishHead { topic: "a", qos: QoS::ExactlyOnce, packet_id: 7, dup, ..Default::default() };
    bed.publish_with(slot, head, "1");
}

/// A sender and a receiver of everything whose sessions are kept.
fn pair(config: Config) -> (Bed, Slot, Slot) {
    let mut bed = Bed::new(config);
    let receiver = bed.connect_kept("r", Version::V5);
    bed.subscribe(receiver, "#", QoS::ExactlyOnce);
    let sender = bed.connect_kept("s", Version::V5);
    bed.received(receiver);
    bed.received(sender);
    (bed, sender, receiver)
}

/// The topics of what the receiver got, in order; after a crash it answers nothing, so that each comes
/// again on the next connection.
fn topics(words: &[String]) -> Vec<String> {
    let topic = |word: &String| Some(word.strip_prefix("publish ")?.split(' ').next()?.to_owned());
    let mut topics: Vec<String> = words.iter().filter_map(topic).collect();
    topics.sort();
    topics
}

/// Starts from the records up to each end in turn; then the sender sends again what it never heard of.
fn check_torn(
    log: &[(tomte_base::LogPosition, Vec<u8>)],
    start: usize,
    config: fn() -> Config,
    expect: &[&str],
) {
    for end in start..=log.len() {
        let mut torn = Bed::new(config());
        torn.log = log[..end].to_vec();
        torn.crash(config());
        let receiver = torn.connect_kept("r", Version::V5);
        let mut words = torn.received(receiver);
        let sender = torn.connect_kept("s", Version::V5);
        publish(&mut torn, sender, true);
        assert_eq!(torn.received(sender)[1..], ["pubrec 7 Success"], "torn at {end}");
        words.extend(torn.received(receiver));
        assert_eq!(topics(&words), expect, "torn at {end} of {start}..={}", log.len());
    }
}

#[test]
fn wherever_a_crash_tears_the_journal_each_copy_comes_once() {
    let (mut bed, sender, _) = pair(three_topics());
    let start = bed.log.len();
    publish(&mut bed, sender, false);
    assert!(bed.log.len() > start + 5, "there is something to tear");
    check_torn(&bed.log, start, three_topics, &["a", "b", "c"]);
    let (mut bed, sender, _) = pair(second_topic_only());
    let start = bed.log.len();
    publish(&mut bed, sender, false);
    check_torn(&bed.log, start, second_topic_only, &["b"]);
}

#[test]
fn a_message_that_is_sent_again_after_all_were_written_is_known() {
    let (mut bed, sender, receiver) = pair(three_topics());
    publish(&mut bed, sender, false);
    assert_eq!(topics(&bed.received(receiver)), ["a", "b", "c"]);
    bed.drop_connection(sender);
    let sender = bed.connect_kept("s", Version::V5);
    publish(&mut bed, sender, true);
    assert_eq!(bed.received(sender)[1..], ["pubrec 7 Success"]);
    assert!(bed.received(receiver).is_empty());
    assert!(bed.hub.wholes.is_empty() && bed.hub.parts.is_empty());
}

#[test]
fn what_makes_a_failed_commit_good_brings_all_copies_or_none() {
    let (mut bed, sender, _) = pair(three_topics());
    bed.disk_full = true;
    publish(&mut bed, sender, false);
    bed.disk_full = false;
    let start = bed.log.len();
    bed.connect_kept("other", Version::V5);
    let records: Vec<_> =
        bed.log[start..].iter().map(|(_, r)| Record::decode(r).unwrap()).collect();
    let is_end = |record: &Record| matches!(record, Record::AllAccepted { packet: Some(_), .. });
    assert!(records.iter().any(is_end), "{records:?}");
    check_torn(&bed.log, start, three_topics, &["a", "b", "c"]);
}

/// The result of a sync that began before the failure says nothing of what was lost.
#[test]
fn a_sync_that_is_told_late_does_not_let_copies_that_were_lost_pass_for_safe() {
    let (mut bed, sender, _) = pair(three_topics());
    bed.disk_full = true;
    publish(&mut bed, sender, false);
    bed.tell_sync_late();
    bed.disk_full = false;
    let start = bed.log.len();
    bed.connect_kept("other", Version::V5);
    check_torn(&bed.log, start, three_topics, &["a", "b", "c"]);
}

#[test]
fn a_copy_is_kept_after_the_others_are_done_and_old_segments_went() {
    let mut config = three_topics();
    config.limits.journal_compact_above = tomte_base::ByteSize(1);
    let (mut bed, sender, receiver) = pair(config);
    publish(&mut bed, sender, false);
    // The receiver has the copies under b and c, which came first, to their end.
    for packet_id in [1, 2] {
        bed.step(receiver, Step::Pubrec, packet_id, ReasonCode::Success);
        bed.step(receiver, Step::Pubcomp, packet_id, ReasonCode::Success);
    }
    bed.step(sender, Step::Pubrel, 7, ReasonCode::Success);
    bed.hub.on_rolled();
    bed.publish(sender, "x", "2", QoS::AtLeastOnce, 8);
    bed.publish(sender, "x", "3", QoS::AtLeastOnce, 9);
    let dropped = bed.effects.iter().filter_map(|effect| match effect {
        crate::Effect::DropJournal(before) => Some(*before),
        _ => None,
    });
    let before = dropped.max().expect("the first segment goes");
    bed.log.retain(|(position, _)| *position >= before);
    bed.crash(three_topics());
    let receiver = bed.connect_kept("r", Version::V5);
    assert_eq!(topics(&bed.received(receiver)), ["a", "x", "x"]);
}

/// The will of a client becomes two messages; a torn commit neither loses nor doubles them.
#[test]
fn a_will_with_a_second_topic_comes_once_wherever_a_crash_tears_the_journal() {
    let mut bed = Bed::new(three_topics());
    let receiver = bed.connect_kept("r", Version::V5);
    bed.subscribe(receiver, "#", QoS::ExactlyOnce);
    bed.drop_connection(receiver);
    let mut connect = Connect::new(Version::V5, "dying");
    let qos = QoS::ExactlyOnce;
    connect.will = Some(Will { qos, topic: "a", payload: b"1", ..Will::default() });
    let slot = bed.connect_with(&connect);
    let start = bed.log.len();
    bed.hub.on_closed(bed.now, slot, &CloseReason::Lost);
    bed.turn();
    assert!(bed.log.len() > start + 3, "there is something to tear");
    for end in start..=bed.log.len() {
        let mut torn = Bed::new(three_topics());
        torn.log = bed.log[..end].to_vec();
        torn.crash(three_topics());
        let receiver = torn.connect_kept("r", Version::V5);
        assert_eq!(topics(&torn.received(receiver)), ["a", "b", "c"], "torn at {end}");
    }
}
