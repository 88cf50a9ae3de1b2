//! Shared subscriptions with clients that nobody here wrote, and over `kill -9`.

use std::process::Command;

use serde_json::json;
use tomte_testkit::{Hub, Output, peers};

use crate::client::{Client, Library, Running};
use crate::manifests::broker;

const SHARED: &str = "$share/workers/jobs/#";

fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|number| number.to_string()).collect()
}

/// What is sent with QoS 0 is on its way only as long as the sender lives.
fn publish(hub: &Hub, qos: u8, payloads: &[String]) -> Running {
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let sender = Client::anonymous(Library::Paho, 5, "sender", hub.mqtt);
    sender.publish("jobs/1", qos, &payloads)
}

/// Proves a part of: MQT-1.
#[test]
fn clients_of_two_libraries_and_both_versions_share_the_messages() {
    let hub = Hub::start(&broker()).unwrap();
    let kinds =
        [(Library::Paho, 4), (Library::Paho, 5), (Library::MqttJs, 4), (Library::MqttJs, 5)];
    for qos in [0, 1, 2] {
        let mut members: Vec<_> = kinds
            .iter()
            .map(|(library, version)| {
                let id = format!("{library:?}-{version}-{qos}");
                // A group of its own: the members of the last one may not be gone yet.
                let filter = format!("$share/group-{qos}/jobs/#");
                Client::anonymous(*library, *version, &id, hub.mqtt).subscribe(&filter, qos)
            })
            .collect();
        let _sender = publish(&hub, qos, &numbers(8));
        // All are there and have room, so they take turns in the order in which they joined.
        for (place, member) in members.iter_mut().enumerate() {
            let expect = [place, place + kinds.len()].map(|number| number.to_string());
            assert_eq!([member.payload(), member.payload()], expect, "{:?}", kinds[place]);
        }
    }
}

fn mosquitto_sub(hub: &Hub, id: &str) -> Command {
    let mut command = peers::debian("mosquitto_sub");
    command.args(["-h", "localhost", "-p", &hub.mqtt.to_string(), "-W", "20"]);
    command.args(["-c", "-i", id, "-q", "1", "-t", SHARED]);
    command
}

/// Proves a part of: MQT-1.
#[test]
fn two_mosquitto_sub_that_were_away_share_what_came() {
    let hub = Hub::start(&broker()).unwrap();
    for id in ["one", "two"] {
        let output = Output::of(mosquitto_sub(&hub, id).arg("-E")).unwrap();
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    drop(publish(&hub, 1, &numbers(6)));
    for (id, expect) in [("one", "0\n2\n4\n"), ("two", "1\n3\n5\n")] {
        let output = Output::of(mosquitto_sub(&hub, id).args(["-C", "3"])).unwrap();
        assert_eq!(output.stdout, expect, "{id}: {output:?}");
    }
}

/// Proves a part of: MQT-2, ALL-9.
#[test]
fn what_a_group_was_acknowledged_for_outlives_kill_9_also_when_it_is_passed_on() {
    let mut hub = Hub::start(&broker()).unwrap();
    let members = ["a", "b"].map(|id| {
        let client = Client::anonymous(Library::Paho, 5, id, hub.mqtt).with_kept_session();
        drop(client.subscribe(SHARED, 1));
        client
    });
    drop(publish(&hub, 1, &numbers(40)));
    hub.kill9();
    hub.restart().unwrap();
    // Begins anew: the session that had every second message ends.
    let anew = Client::anonymous(Library::Paho, 5, "a", hub.mqtt);
    anew.start(json!({"do": "nothing"})).expect("connected");
    hub.kill9();
    hub.restart().unwrap();
    let mut back = members[1].start(json!({"do": "nothing"}));
    assert_eq!(back.expect("connected")["session"], true);
    let mut got: Vec<usize> = (0..40).map(|_| back.payload().parse().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}
