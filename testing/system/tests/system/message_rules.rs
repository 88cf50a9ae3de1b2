//! The manifest of the guide "Message rules" with real devices, each with its certificate.

use serde_json::{Value, json};
use tomte_testkit::{DeviceFiles, Hub, Output, Process, peers};

use crate::client::{Client, Library, PATIENCE, Running};
use crate::manifests::LISTENERS;

const EXAMPLE: &str = include_str!("../../../../examples/message-rules/tomte.toml");
const GUIDE: &str = include_str!("../../../../docs/guides/message-rules.md");
/// The devices that subscribe; the console sends.
const DEVICES: [&str; 5] = ["pump-1", "pump-2", "lamp-1", "lamp-2", "siren"];

/// The hub of the guide, and what identifies its devices.
struct Waterworks {
    hub: Hub,
    console: DeviceFiles,
    devices: Vec<DeviceFiles>,
}

impl Waterworks {
    fn start() -> Self {
        let hub = Hub::start(&format!("{LISTENERS}{EXAMPLE}")).unwrap();
        let console = hub.device("console").unwrap();
        let devices = DEVICES.iter().map(|name| hub.device(name).unwrap()).collect();
        Self { hub, console, devices }
    }

    /// Each device subscribes to everything, with two libraries and both versions of MQTT.
    fn subscribe(&self) -> Vec<Running> {
        let kinds = [(Library::Paho, 5), (Library::MqttJs, 4)].into_iter().cycle();
        let ends = self.devices.iter().zip(kinds);
        ends.map(|(files, (library, version))| {
            Client::device(library, version, files, self.hub.mqtts).subscribe("#", 1)
        })
        .collect()
    }

    fn publish(&self, topic: &str, payload: &str) {
        let console = Client::device(Library::Paho, 5, &self.console, self.hub.mqtts);
        drop(console.publish(topic, 1, &[payload]));
    }

    /// Sends an order with a user property, as the guide shows it.
    fn order(&self, key: Option<&str>) {
        let mut command = peers::debian("mosquitto_pub");
        command.args(["-V", "mqttv5", "-h", "localhost", "-p", &self.hub.mqtts.to_string()]);
        command.arg("--cafile").arg(&self.console.ca);
        command.arg("--cert").arg(&self.console.certificate).arg("--key").arg(&self.console.key);
        command.args(["-q", "1", "-t", "order/flush", "-m", r#"{"seconds": 3}"#]);
        if let Some(key) = key {
            command.args(["-D", "publish", "user-property", "order_key", key]);
        }
        let output = Output::of(&mut command).unwrap();
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// Publishes something that all get, and returns the topics that each device got before it.
    fn topics_until_now(&self, devices: &mut [Running], marker: &str) -> Vec<Vec<String>> {
        let topic = format!("news/{marker}");
        let sent = self.hub.tomte(&["send", &topic, "for all", "--as", "console"]).unwrap();
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let until_marker = |device: &mut Running| {
            let topics = std::iter::repeat_with(|| {
                device.expect("message")["topic"].as_str().unwrap().to_owned()
            });
            topics.take_while(|got| *got != topic).collect()
        };
        devices.iter_mut().map(until_marker).collect()
    }
}

/// The devices with these names got one message on `topic`, the others none.
fn got(names: &[&str], topic: &str) -> Vec<Vec<String>> {
    let one = |name: &&str| match names.contains(name) {
        true => vec![topic.to_owned()],
        false => Vec::new(),
    };
    DEVICES.iter().map(one).collect()
}

/// Proves: MSG-1.
#[test]
fn of_five_subscribers_two_get_the_message_on_the_second_topic_and_three_nothing() {
    let works = Waterworks::start();
    let mut devices = works.subscribe();
    works.publish("sensors/boiler/temperature", r#"{"celsius": 80}"#);
    let seen = works.topics_until_now(&mut devices, "1");
    assert_eq!(seen, got(&["lamp-1", "siren"], "alarm/boiler"));
    // The rule does not apply to this one.
    works.publish("sensors/boiler/temperature", r#"{"celsius": 20}"#);
    let seen = works.topics_until_now(&mut devices, "2");
    assert_eq!(seen, got(&DEVICES, "sensors/boiler/temperature"));
}

/// Proves: MSG-2.
#[test]
fn the_same_payload_with_another_code_in_a_level_goes_to_other_devices() {
    let works = Waterworks::start();
    let mut devices = works.subscribe();
    for (code, names) in [
        ("north", &["pump-1", "lamp-1"][..]),
        ("south", &["pump-2", "lamp-2"]),
        ("water", &["pump-1", "pump-2"]),
        ("nowhere", &[]),
    ] {
        works.publish(&format!("notice/{code}"), "the same");
        let seen = works.topics_until_now(&mut devices, code);
        assert_eq!(seen, got(names, &format!("noticed/{code}")), "{code}");
    }
}

/// Proves: MSG-3.
#[test]
fn a_wrong_identifier_reaches_nobody_and_the_right_one_makes_the_device_run_the_function() {
    let works = Waterworks::start();
    let mut devices = works.subscribe();
    for (marker, key) in [("1", Some("c0ffee-9")), ("2", Some("")), ("3", None)] {
        works.order(key);
        let seen = works.topics_until_now(&mut devices, marker);
        assert_eq!(seen, got(&[], ""), "{key:?}");
    }
    let why = works.hub.tomte(&["-o", "json", "why", "order/flush", "--as", "console"]).unwrap();
    let why: Value = serde_json::from_str(&why.stdout).unwrap();
    let hops = why["hops"].as_array().unwrap().iter();
    let withheld: Vec<_> = hops.filter(|hop| hop["verdict"] == "withheld").collect();
    assert_eq!(withheld.len(), DEVICES.len(), "{why}");
    drop(devices);
    let mut pumps: Vec<Process> =
        works.devices[..2].iter().map(|files| pump(&works, files)).collect();
    let console = Client::device(Library::MqttJs, 5, &works.console, works.hub.mqtts);
    let console = Client { id: "watching".to_owned(), ..console };
    let mut done = console.subscribe("done/+", 1);
    works.order(Some("c0ffee-2"));
    let answer = done.expect("message");
    assert_eq!(answer["topic"], "done/flush");
    let result: Value = serde_json::from_str(answer["payload"].as_str().unwrap()).unwrap();
    assert_eq!(result, json!({"device": "pump-2", "flushed_for": 3}));
    let ran: Value = serde_json::from_str(&pumps[1].next_line(PATIENCE).unwrap()).unwrap();
    assert_eq!((&ran["event"], &ran["function"]), (&json!("ran"), &json!("flush")));
    // The other pump runs its next order first: the one for its neighbour never came.
    works.order(Some("c0ffee-1"));
    let ran: Value = serde_json::from_str(&pumps[0].next_line(PATIENCE).unwrap()).unwrap();
    assert_eq!(ran["result"]["device"], "pump-1");
    let answer = done.expect("message")["payload"].as_str().unwrap().to_owned();
    assert!(answer.contains("pump-1"), "one answer for each order: {answer}");
}

/// A device that runs functions on order.
fn pump(works: &Waterworks, files: &DeviceFiles) -> Process {
    let options = json!({
        "client": files.name, "host": "localhost", "port": works.hub.mqtts,
        "tls": {"ca": files.ca, "certificate": files.certificate, "key": files.key},
    });
    let mut command = peers::python();
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ordered_device.py"));
    let mut pump = Process::start(command.arg(options.to_string())).unwrap();
    let line = pump.next_line(PATIENCE).unwrap();
    assert!(line.contains("subscribed"), "{line}");
    pump
}

/// What the guide shows is what the tests here run.
#[test]
fn every_manifest_of_the_guide_stands_in_the_example() {
    let blocks: Vec<&str> = GUIDE.split("```toml\n").skip(1).collect();
    assert!(blocks.len() >= 4, "the guide has lost its manifests");
    for block in blocks {
        let block = block.split("```").next().unwrap();
        assert!(EXAMPLE.contains(block), "not in the example:\n{block}");
    }
}
