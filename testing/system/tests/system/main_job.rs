//! The main job: a device's reading, under a condition, through a function, to another device.

use serde_json::{Value, json};
use tomte_testkit::Hub;

use crate::client::{Client, Library};
use crate::manifests::{REGULATE_JS, REGULATE_PY, greenhouse, write_function};

/// The reading of 21 degrees must lead to nothing; it is sent first, so that its result would come
/// first.
fn check(runtime: &str, file: &str, code: &str, thermometer: Library, fan: Library, version: u8) {
    let hub = Hub::start_with(&greenhouse(runtime), |project| {
        write_function(project, "regulate", file, code)
    })
    .unwrap();
    let fan_files = hub.device("fan").unwrap();
    let mut fan = Client::device(fan, version, &fan_files, hub.mqtts).subscribe("actuators/fan", 1);
    let files = hub.device("thermometer").unwrap();
    let _thermometer = Client::device(thermometer, version, &files, hub.mqtts).publish(
        "sensors/1/temperature",
        1,
        &[r#"{"celsius": 21}"#, r#"{"celsius": 31}"#, r#"{"celsius": 32}"#],
    );
    let mut results: Vec<Value> =
        (0..2).map(|_| serde_json::from_str(&fan.payload()).unwrap()).collect();
    results.sort_by_key(|result| result["celsius"].as_u64());
    let expect =
        |celsius| json!({"fan": "on", "celsius": celsius, "subject": "sensors/1/temperature"});
    assert_eq!(results, [expect(31), expect(32)]);
    let status = hub.status().unwrap();
    assert_eq!(status.functions["regulate"].succeeded, 2, "21 degrees made no call");
}

/// Proves: EVT-1, EVT-5, ALL-1. Proves a part of: EVT-2, CFG-7.
#[test]
fn a_reading_triggers_a_python_function_whose_result_reaches_another_device() {
    check("python3.11", "app.py", REGULATE_PY, Library::Paho, Library::MqttJs, 5);
}

/// Proves a part of: ALL-8.
#[test]
fn a_reading_triggers_a_javascript_function_whose_result_reaches_another_device() {
    check("nodejs20.x", "app.js", REGULATE_JS, Library::MqttJs, Library::Paho, 4);
}

/// Proves a part of: EVT-12.
#[test]
fn a_result_for_a_device_that_is_away_is_held_until_it_returns() {
    let hub = Hub::start_with(&greenhouse("python3.11"), |project| {
        write_function(project, "regulate", "app.py", REGULATE_PY)
    })
    .unwrap();
    let sent = hub
        .tomte(&["send", "sensors/1/temperature", r#"{"celsius": 31}"#, "--as", "thermometer"])
        .unwrap();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let files = hub.device("fan").unwrap();
    let mut fan = Client::device(Library::Paho, 5, &files, hub.mqtts).subscribe("actuators/fan", 1);
    let result: Value = serde_json::from_str(&fan.payload()).unwrap();
    assert_eq!(result["celsius"], 31);
}
