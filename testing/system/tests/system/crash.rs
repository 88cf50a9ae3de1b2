//! `kill -9` at any moment, and start again: what was acknowledged is there.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tomte_testkit::Hub;

use crate::client::{Client, Library};
use crate::manifests::{broker, greenhouse, write_function};

/// Rounds of each test here. More of them are in the simulation, where they are cheap.
const ROUNDS: usize = 5;
/// Messages that a publisher tries to send in a round; it never gets to the end.
const MESSAGES: usize = 20_000;

/// Proves a part of: MQT-2, ALL-9.
#[test]
fn no_acknowledged_message_is_lost_over_kill_9_at_random_moments() {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut hub = Hub::start(&broker()).unwrap();
    for round in 0..ROUNDS {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let after = 1 + (seed >> 16) as usize % 2_000;
        kill_and_compare(&mut hub, round, after);
    }
}

/// Kills the hub after `after` acknowledgements, with more messages on their way.
fn kill_and_compare(hub: &mut Hub, round: usize, after: usize) {
    let filter = format!("crash/{round}");
    let keeper = Client::anonymous(Library::Paho, 4, &format!("keeper-{round}"), hub.mqtt);
    let keeper = keeper.with_kept_session();
    drop(keeper.subscribe(&filter, 1));
    let sender = Client::anonymous(Library::Paho, 4, "sender", hub.mqtt);
    let mut sender = sender.start_publishing_numbers(&filter, MESSAGES, 0);
    for _ in 0..after {
        sender.expect("acknowledged");
    }
    hub.kill9();
    let acknowledged = after + sender.count_until_gone("acknowledged");
    assert!(acknowledged < MESSAGES, "the hub was killed in the middle");
    hub.restart().unwrap();
    let mut back = keeper.start(json!({"do": "nothing"}));
    assert_eq!(back.expect("connected")["session"], true, "the session is there");
    let got: Vec<usize> = (0..acknowledged).map(|_| back.payload().parse().unwrap()).collect();
    let expect: Vec<usize> = (0..acknowledged).collect();
    assert_eq!(got, expect, "round {round}: {acknowledged} were acknowledged");
}

/// Proves a part of: ALL-9.
#[test]
fn configuration_devices_routes_and_retained_messages_outlive_kill_9() {
    let mut hub = Hub::start(&broker()).unwrap();
    let files = hub.device("one").unwrap();
    Client::device(Library::Paho, 5, &files, hub.mqtts).retain("state/door", "open");
    let before: Value = hub.control().get("/v1/deployment").unwrap().json().unwrap();
    hub.kill9();
    hub.restart().unwrap();
    let after: Value = hub.control().get("/v1/deployment").unwrap().json().unwrap();
    assert_eq!(before, after);
    // The certificate from before is still good, and the message still there.
    let mut late = Client::device(Library::MqttJs, 5, &files, hub.mqtts).subscribe("state/#", 1);
    assert_eq!(late.payload(), "open");
}

const SLOW_PY: &str = "
import time

def handler(event, context):
    time.sleep(1)
    return {'celsius': event['celsius']}
";

/// The function sleeps for a second, so that the hub dies while the call runs.
///
/// Proves a part of: ALL-9.
#[test]
fn an_accepted_call_outlives_kill_9() {
    let mut hub = Hub::start_with(&greenhouse("python3.11"), |project| {
        write_function(project, "regulate", "app.py", SLOW_PY)
    })
    .unwrap();
    let files = hub.device("thermometer").unwrap();
    let thermometer = Client::device(Library::Paho, 5, &files, hub.mqtts);
    drop(thermometer.publish("sensors/1/temperature", 1, &[r#"{"celsius": 40}"#]));
    hub.kill9();
    hub.restart().unwrap();
    let files = hub.device("fan").unwrap();
    let mut fan = Client::device(Library::Paho, 5, &files, hub.mqtts).subscribe("actuators/fan", 1);
    assert_eq!(fan.payload(), r#"{"celsius": 40}"#);
}
