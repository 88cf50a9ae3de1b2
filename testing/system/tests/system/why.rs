//! `tomte why`, `tomte send` and the counters: nothing happens in silence.

use serde_json::Value;
use tomte_testkit::Hub;

use crate::client::{Client, Library};
use crate::manifests::{REGULATE_PY, greenhouse, write_function};

fn hub() -> Hub {
    Hub::start_with(&greenhouse("python3.11"), |project| {
        write_function(project, "regulate", "app.py", REGULATE_PY)
    })
    .unwrap()
}

fn why(hub: &Hub, arguments: &[&str]) -> Value {
    let output = hub.tomte(&[&["-o", "json", "why"], arguments].concat()).unwrap();
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn hops(why: &Value) -> Vec<(String, String)> {
    let text = |hop: &Value, key: &str| hop[key].as_str().unwrap_or_default().to_owned();
    let hops = why["hops"].as_array().unwrap();
    hops.iter().map(|hop| (text(hop, "kind"), text(hop, "verdict"))).collect()
}

/// Proves a part of: WHY-1.
#[test]
fn why_shows_every_hop_of_a_message_that_was_sent() {
    let hub = hub();
    let files = hub.device("fan").unwrap();
    let _fan = Client::device(Library::Paho, 5, &files, hub.mqtts).subscribe("actuators/fan", 1);
    let reading = ["sensors/1/temperature", r#"{"celsius": 31}"#, "--as", "thermometer"];
    let sent = hub.tomte(&[&["send"], reading.as_slice()].concat()).unwrap();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let why = why(&hub, &["sensors/1/temperature", "--as", "thermometer"]);
    assert!(why["message"].is_u64(), "{why}");
    let kinds: Vec<String> = hops(&why).into_iter().map(|(kind, _)| kind).collect();
    for expect in ["route", "function", "delivery"] {
        assert!(kinds.iter().any(|kind| kind == expect), "{expect} in {kinds:?}");
    }
}

/// Proves: EVT-8. Proves a part of: WHY-1.
#[test]
fn why_tells_which_condition_kept_a_message_back() {
    let hub = hub();
    let reading = ["sensors/1/temperature", r#"{"celsius": 21}"#, "--as", "thermometer"];
    let sent = hub.tomte(&[&["send"], reading.as_slice()].concat()).unwrap();
    assert_eq!(sent.code, Some(8), "the message reached nobody: {sent:?}");
    let why = why(&hub, &["sensors/1/temperature", "--as", "thermometer"]);
    let route = hops(&why).into_iter().find(|(kind, _)| kind == "route");
    assert_eq!(route.unwrap().1, "not matched", "{why}");
}

/// Proves: EVT-8.
#[test]
fn a_message_without_a_route_is_refused_and_counted() {
    let hub = hub();
    let files = hub.device("thermometer").unwrap();
    let thermometer = Client::device(Library::Paho, 5, &files, hub.mqtts);
    let mut sender = thermometer.start_publishing("no/such/topic", 1, &["x"]);
    let code = sender.expect("acknowledged")["code"].as_u64().unwrap();
    assert_eq!(code, 0x87, "not authorized");
    let counters = hub.status().unwrap().counters;
    let counted = counters.iter().any(|(name, count)| name.contains("no_route") && *count > 0);
    assert!(counted, "{counters:?}");
}
