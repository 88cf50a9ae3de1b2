//! Clients of four origins, both versions of MQTT, plain and with certificates.

use tomte_testkit::{DeviceFiles, Hub, Output, Process, peers, until};

use crate::client::{Client, Library, PATIENCE};
use crate::manifests::broker;
use crate::rust_client::RustClient;

/// Publishes through each pair of libraries and versions, over TCP and over TLS.
///
/// Proves a part of: MQT-1, MQT-3, ALL-8.
#[test]
fn every_library_reaches_every_other_in_both_versions_with_and_without_tls() {
    let hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let ends = [(Library::Paho, 4), (Library::Paho, 5), (Library::MqttJs, 4), (Library::MqttJs, 5)];
    for (number, (from, from_version)) in ends.into_iter().enumerate() {
        // Each sender with one receiver of the other library and version is enough to cover all.
        let (to, to_version) = ends[3 - number];
        let plain = Client::anonymous(to, to_version, "receiver", hub.mqtt);
        let secure = Client::device(to, to_version, &two, hub.mqtts);
        let mut receivers = [plain.subscribe("t/+", 1), secure.subscribe("t/+", 1)];
        let sender = Client::device(from, from_version, &one, hub.mqtts);
        let _sender = sender.publish("t/x", 1, &["first", "second"]);
        for receiver in &mut receivers {
            assert_eq!([receiver.payload(), receiver.payload()], ["first", "second"]);
        }
    }
}

/// Proves a part of: MQT-1.
#[test]
fn mosquittos_own_clients_publish_and_subscribe() {
    let hub = Hub::start(&broker()).unwrap();
    let files = hub.device("one").unwrap();
    for version in ["mqttv311", "mqttv5"] {
        // It is retained, so that the subscriber need not be there first: its output is buffered, and
        // nothing tells when it is.
        let mut publisher = mosquitto("mosquitto_pub", &hub, &files);
        publisher.args(["-V", version, "-t", "m/a", "-q", "1", "-r", "-m", version]);
        assert_eq!(Output::of(&mut publisher).unwrap().code, Some(0));
        let mut subscriber = mosquitto("mosquitto_sub", &hub, &files);
        subscriber.args(["-V", version, "-t", "m/#", "-q", "1", "-C", "1", "-W", "20"]);
        let got = Output::of(subscriber.args(["-F", "%t %q %r %p"])).unwrap();
        assert_eq!(got.stdout, format!("m/a 1 1 {version}\n"), "{got:?}");
    }
}

fn mosquitto(program: &str, hub: &Hub, files: &DeviceFiles) -> std::process::Command {
    let mut command = peers::debian(program);
    command.args(["-h", "localhost", "-p", &hub.mqtts.to_string()]);
    command.arg("--cafile").arg(&files.ca);
    command.arg("--cert").arg(&files.certificate).arg("--key").arg(&files.key);
    command
}

/// Proves a part of: MQT-1, MQT-3.
#[test]
fn rumqttc_publishes_and_subscribes_with_and_without_tls() {
    let hub = Hub::start(&broker()).unwrap();
    let files = hub.device("one").unwrap();
    for mut client in
        [RustClient::plain("rust", hub.mqtt), RustClient::secure("rust", hub.mqtts, &files)]
    {
        client.subscribe("r/#");
        client.publish("r/a", "hello", false);
        assert_eq!(client.message(), ("r/a".to_owned(), "hello".to_owned()));
    }
}

#[test]
fn a_retained_message_reaches_who_subscribes_later() {
    let hub = Hub::start(&broker()).unwrap();
    Client::anonymous(Library::Paho, 5, "sender", hub.mqtt).retain("state/door", "open");
    let mut late = Client::anonymous(Library::MqttJs, 5, "late", hub.mqtt).subscribe("state/#", 1);
    let message = late.expect("message");
    assert_eq!((&message["payload"], &message["retain"]), (&"open".into(), &true.into()));
}

#[test]
fn a_kept_session_gets_what_came_while_it_was_away() {
    let hub = Hub::start(&broker()).unwrap();
    for (library, version) in [(Library::Paho, 4), (Library::MqttJs, 5)] {
        let id = format!("away-{version}");
        let client = Client::anonymous(library, version, &id, hub.mqtt).with_kept_session();
        drop(client.subscribe("k/#", 1));
        let sender = Client::anonymous(Library::Paho, 5, "sender", hub.mqtt);
        drop(sender.publish("k/1", 1, &["a", "b"]));
        let mut back = client.start(serde_json::json!({"do": "nothing"}));
        assert_eq!(back.expect("connected")["session"], true, "{library:?}");
        assert_eq!([back.payload(), back.payload()], ["a", "b"], "{library:?}");
    }
}

/// Proves: EVT-9.
#[test]
fn wildcards_choose_exactly_their_topics() {
    let hub = Hub::start(&broker()).unwrap();
    let subscribe = |id: &str, filter: &str| {
        Client::anonymous(Library::Paho, 5, id, hub.mqtt).subscribe(filter, 1)
    };
    let mut one_level = subscribe("plus", "w/+/end");
    let mut all = subscribe("hash", "w/#");
    let sender = Client::anonymous(Library::Paho, 4, "sender", hub.mqtt);
    for topic in ["w", "w/a/end", "w/a/b/end", "w/b/end"] {
        drop(sender.publish(topic, 1, &[topic]));
    }
    assert_eq!([one_level.payload(), one_level.payload()], ["w/a/end", "w/b/end"]);
    let got: Vec<String> = (0..4).map(|_| all.payload()).collect();
    assert_eq!(got, ["w", "w/a/end", "w/a/b/end", "w/b/end"]);
}

/// Proves a part of: MQT-1.
#[test]
fn mosquittos_request_and_its_will_arrive_with_their_properties() {
    let hub = Hub::start(&broker()).unwrap();
    let files = hub.device("one").unwrap();
    let mut server = Client::anonymous(Library::Paho, 5, "server", hub.mqtt)
        .start(serde_json::json!({"do": "answer", "filter": "requests", "qos": 2}));
    server.expect("subscribed");
    let mut request = mosquitto("mosquitto_rr", &hub, &files);
    request.args(["-V", "5", "-q", "2", "-t", "requests", "-e", "answers/1", "-m", "how warm"]);
    let got = Output::of(request.args(["-D", "publish", "correlation-data", "9", "-W", "20"]));
    assert_eq!(got.unwrap().stdout, "answer to how warm\n");

    let mut receiver =
        Client::anonymous(Library::Paho, 5, "receiver", hub.mqtt).subscribe("will", 2);
    let mut dying = mosquitto("mosquitto_sub", &hub, &files);
    dying.args(["-V", "5", "-i", "dying", "-d", "-t", "x", "--will-topic", "will"]);
    dying.args(["--will-payload", "gone", "--will-qos", "2"]);
    dying.args(["-D", "will", "content-type", "text/plain"]);
    let mut dying = Process::start(&mut dying).unwrap();
    // What it says comes in blocks; the hub sees it at once.
    until("its connection", PATIENCE, || {
        hub.status().unwrap().devices["one"].connected.then_some(())
    });
    dying.kill9();
    let will = receiver.expect("message");
    assert_eq!((&will["payload"], &will["qos"]), (&"gone".into(), &2.into()));
    assert_eq!(will["properties"]["content_type"], "text/plain");
}
