//! What the hub keeps over `kill -9`, at length: torture in a short form, wills, long queues.

use std::fs;
use std::time::Duration;

use tomte_testkit::Hub;
use tomte_torture::{Settings, Visitor, Will, torture};

use crate::client::PATIENCE;
use crate::manifests::broker;

/// Proves: MQT-2.
#[test]
fn nothing_is_lost_doubled_or_reordered_while_the_hub_is_killed_at_random_moments() {
    let longest_round = Duration::from_millis(600);
    let settings = Settings { rounds: 5, seed: 7, longest_round };
    let report = torture(settings, |_, _| {}).unwrap();
    assert!(report.is_good(), "{report}");
    let acknowledged = report.acknowledged_1 + report.acknowledged_2;
    assert!(acknowledged > 1_000, "too little happened to prove anything: {report}");
}

/// The will of a client that was connected is published when the hub is back, and not again.
///
/// Proves a part of: MQT-2.
#[test]
fn the_will_of_a_connected_client_is_published_once_after_kill_9() {
    let mut hub = Hub::start(&broker()).unwrap();
    let mut watcher = Visitor::connect(hub.mqtt, "watcher", false, None).unwrap();
    watcher.subscribe("gone/#", 1).unwrap();
    watcher.disconnect().unwrap();
    let will = |topic| Some(Will { topic, payload: b"lost" });
    let clean = Visitor::connect(hub.mqtt, "clean", true, will("gone/clean")).unwrap();
    let kept = Visitor::connect(hub.mqtt, "kept", false, will("gone/kept")).unwrap();
    let polite = Visitor::connect(hub.mqtt, "polite", true, will("gone/polite")).unwrap();
    polite.disconnect().unwrap();
    for _ in 0..2 {
        hub.kill9();
        hub.restart().unwrap();
    }
    drop((clean, kept));
    let mut watcher = Visitor::connect(hub.mqtt, "watcher", false, None).unwrap();
    let mut topics = Vec::new();
    watcher
        .receive(Duration::from_secs(1), |topic, _| {
            topics.push(topic.to_owned());
            true
        })
        .unwrap();
    assert_eq!(topics, ["gone/clean", "gone/kept"]);
}

/// Bytes of each message of the long queue; 200 MiB in all.
const LONG_BYTES: usize = 8 << 10;
const LONG_MESSAGES: usize = 25_600;
/// Most that the hub may have in memory with that queue on its disk, in MiB.
const MOST_MEMORY_MIB: u64 = 36;

/// A session that is away keeps its messages on the disk: memory stays small while they come, after
/// `kill -9` and while they are delivered.
///
/// Proves a part of: MQT-2.
#[test]
fn a_queue_of_200_mebibytes_takes_little_memory_and_outlives_kill_9() {
    let manifest = broker().replace(
        "session_messages = 100000\nsession_bytes = \"64MiB\"",
        "session_messages = 1000000\nsession_bytes = \"1GiB\"",
    );
    let mut hub = Hub::start(&manifest).unwrap();
    let mut keeper = Visitor::connect(hub.mqtt, "keeper", false, None).unwrap();
    keeper.subscribe("long", 1).unwrap();
    keeper.disconnect().unwrap();
    let mut sender = Visitor::connect(hub.mqtt, "sender", true, None).unwrap();
    sender.publish_all("long", (0..LONG_MESSAGES).map(payload), 60).unwrap();
    check_memory(&hub, "with the queue on its disk");
    hub.kill9();
    hub.restart().unwrap();
    check_memory(&hub, "after its recovery");

    let mut keeper = Visitor::connect(hub.mqtt, "keeper", false, None).unwrap();
    assert!(keeper.session_present);
    let (mut next, mut out_of_order) = (0, Vec::new());
    keeper
        .receive(PATIENCE, |_, bytes| {
            if bytes != payload(next) {
                out_of_order.push(next);
            }
            next += 1;
            next < LONG_MESSAGES
        })
        .unwrap();
    assert_eq!((next, out_of_order), (LONG_MESSAGES, Vec::new()));
    check_memory(&hub, "after it delivered the queue");
}

fn payload(number: usize) -> Vec<u8> {
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(LONG_BYTES, b'.');
    payload
}

/// Looks at the most memory that the hub had since it started, without the pages of its program,
/// which differ from build to build.
fn check_memory(hub: &Hub, when: &str) {
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let mebibytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
        kib >> 10
    };
    let most = mebibytes("VmHWM:").saturating_sub(mebibytes("RssFile:"));
    assert!(most <= MOST_MEMORY_MIB, "{when}: {most} MiB at most");
}
