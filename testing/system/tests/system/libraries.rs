//! Six libraries of other people, each with the features that it has, over TLS with certificates of
//! the hub's own authority.

use serde_json::{Value, json};
use tomte_testkit::{DeviceFiles, Hub};

use crate::client::{Client, Library};
use crate::manifests::broker;

/// A hub and the identities of two devices.
struct Site {
    hub: Hub,
    one: DeviceFiles,
    two: DeviceFiles,
}

impl Site {
    fn start() -> Self {
        let hub = Hub::start(&broker()).unwrap();
        let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
        Self { hub, one, two }
    }

    fn one(&self, library: Library, version: u8) -> Client {
        Client::device(library, version, &self.one, self.hub.mqtts)
    }

    fn two(&self, library: Library, version: u8) -> Client {
        Client::device(library, version, &self.two, self.hub.mqtts)
    }
}

/// Each library with the next one, so that all send and all receive.
fn pairs() -> impl Iterator<Item = (Library, Library)> {
    let next = Library::ALL.into_iter().cycle().skip(1);
    Library::ALL.into_iter().zip(next)
}

/// Proves: ALL-8. Proves a part of: MQT-1, MQT-3.
#[test]
fn every_library_sends_and_receives_with_each_quality_of_service_in_both_versions() {
    let site = Site::start();
    for library in Library::ALL {
        for version in [4, 5] {
            for qos in 0..=library.best_qos() {
                let topic = format!("q/{version}/{qos}/{library:?}");
                let mut receiver = site.two(library, version).subscribe(&topic, qos);
                let _sender = site.one(library, version).publish(&topic, qos, &["first", "second"]);
                for payload in ["first", "second"] {
                    let message = receiver.expect("message");
                    let got = (&message["payload"], &message["qos"]);
                    assert_eq!(got, (&payload.into(), &qos.into()), "{library:?} {version}");
                }
            }
        }
    }
}

/// Proves a part of: MQT-1.
#[test]
fn every_library_retains_and_is_sent_what_was_retained() {
    let site = Site::start();
    for (from, to) in pairs() {
        for version in [4, 5] {
            let topic = format!("state/{version}/{from:?}");
            site.one(from, version).retain(&topic, "open");
            let message = site.two(to, version).subscribe(&topic, 1).expect("message");
            let got = (&message["payload"], &message["retain"]);
            assert_eq!(got, (&"open".into(), &true.into()), "{from:?} to {to:?}, {version}");
        }
    }
}

/// Proves a part of: MQT-1.
#[test]
fn every_library_finds_its_session_and_what_came_while_it_was_away() {
    let site = Site::start();
    for library in Library::ALL {
        for version in [4, 5] {
            let topic = format!("k/{version}/{library:?}");
            let client = site.two(library, version).with_kept_session();
            let client = Client { id: topic.clone(), ..client };
            drop(client.subscribe(&topic, 1));
            drop(site.one(Library::Paho, 5).publish(&topic, 1, &["a", "b"]));
            let mut back = client.start(json!({"do": "nothing"}));
            let session = back.expect("connected")["session"].clone();
            // aiomqtt does not tell.
            assert!(session == true || session.is_null(), "{library:?} {version}: {session}");
            assert_eq!([back.payload(), back.payload()], ["a", "b"], "{library:?} {version}");
        }
    }
}

/// The client is killed, so that it says no goodbye.
///
/// Proves a part of: MQT-1.
#[test]
fn the_will_of_every_library_is_published_when_it_is_killed() {
    let site = Site::start();
    let mut receiver = site.two(Library::Paho, 5).subscribe("will/#", 1);
    for library in Library::ALL {
        for version in [4, 5] {
            let topic = format!("will/{version}/{library:?}");
            let will = json!({
                "topic": topic, "payload": "gone", "qos": 1, "delay_s": 1,
                "properties": {"content_type": "text/plain"},
            });
            let mut client =
                site.one(library, version).start(json!({"do": "nothing", "will": will}));
            client.expect("connected");
            drop(client);
            let message = receiver.expect("message");
            assert_eq!((&message["topic"], &message["payload"]), (&topic.into(), &"gone".into()));
            let content_type = &message["properties"]["content_type"];
            let expected = if version == 5 { "text/plain".into() } else { Value::Null };
            assert_eq!(*content_type, expected, "{library:?} {version}");
        }
    }
}

/// Proves a part of: MQT-1.
#[test]
fn the_properties_of_version_5_go_from_every_library_to_the_next() {
    let site = Site::start();
    for (from, to) in pairs() {
        let topic = format!("p/{from:?}");
        let more = json!({"subscription_id": 77});
        let mut receiver = site.two(to, 5).subscribe_with(&topic, 1, more);
        let mut sent = json!({
            "content_type": "text/plain",
            "response_topic": "answers/here",
            "correlation": "number 5",
            "expiry_s": 3600,
            "user": [["colour", "green"], ["size", "large"]],
        });
        let task = json!({
            "do": "publish", "topic": topic, "qos": 1, "payloads": ["x"], "properties": sent
        });
        site.one(from, 5).start(task).expect("acknowledged");
        let mut got = receiver.expect("message")["properties"].take();
        let left = got["expiry_s"].take().as_u64().unwrap();
        assert!((3500..=3600).contains(&left), "{from:?} to {to:?}: {left} s left");
        sent["expiry_s"].take();
        sent["subscription_ids"] = json!([77]);
        assert_eq!(got, sent, "{from:?} to {to:?}");
    }
}

/// Proves a part of: MQT-1.
#[test]
fn every_library_answers_a_request_of_the_next() {
    let site = Site::start();
    for (server, asker) in pairs() {
        let (requests, answers) = (format!("requests/{server:?}"), format!("answers/{server:?}"));
        let mut server = site.two(server, 5);
        server.id = "server".to_owned();
        let mut answering = server.start(json!({"do": "answer", "filter": requests, "qos": 1}));
        answering.expect("subscribed");
        let mut asker = site.one(asker, 5);
        let mut waiting = asker.subscribe(&answers, 1);
        asker.id = "asker".to_owned();
        let properties = json!({"response_topic": answers, "correlation": "number 9"});
        let _asking = asker.start(json!({
            "do": "publish", "topic": requests, "qos": 1, "payloads": ["how warm"],
            "properties": properties,
        }));
        let answer = waiting.expect("message");
        assert_eq!(answer["payload"], "answer to how warm", "{server:?}");
        assert_eq!(answer["properties"]["correlation"], "number 9", "{server:?}");
    }
}

/// What the AWS SDKs offer on port 443, where an AWS endpoint tells MQTT from HTTP by it, with
/// certificates of devices.
///
/// Proves: MQT-3.
#[test]
fn clients_that_ask_for_a_protocol_by_alpn_are_served() {
    let site = Site::start();
    let all =
        [Library::Paho, Library::MqttJs, Library::Aiomqtt, Library::AwsPython, Library::AwsNode];
    for library in all {
        for protocol in ["x-amzn-mqtt-ca", "mqtt"] {
            let topic = format!("alpn/{protocol}/{library:?}");
            let alpn = json!({"alpn": protocol});
            let mut receiver = site.two(library, 5).subscribe_with(&topic, 1, alpn);
            drop(site.one(Library::Paho, 5).publish(&topic, 1, &["yes"]));
            assert_eq!(receiver.payload(), "yes", "{library:?} {protocol}");
        }
    }
}
