//! Devices without certificates: a name and a password.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tomte_testkit::{DeviceFiles, Hub};

use crate::client::{Client, Library, PATIENCE};

const NOT_AUTHORIZED_5: u8 = 0x87;
const RATE_EXCEEDED_5: u8 = 0x9f;
const NOT_AUTHORIZED_311: u8 = 5;

/// Two listeners that take passwords; what devices say reaches everybody, what others say nobody.
const MANIFEST: &str = r##"
[hub]
name = "thin"

[listeners]
mqtt = { bind = "127.0.0.1:{mqtt}", password = true }
mqtts = { bind = "127.0.0.1:{mqtts}", password = true }

[devices.button]
[devices.lamp]

[[routes]]
from = "device:*"
topic = "#"
to = "subscribers"
"##;

/// Adds the device `button` and returns its password.
fn add_button(hub: &Hub) -> String {
    let added = hub.tomte(&["device", "add", "button", "--password", "-o", "json"]).unwrap();
    assert_eq!(added.code, Some(0), "{added:?}");
    let added: Value = serde_json::from_str(&added.stdout).unwrap();
    added["password"].as_str().unwrap().to_owned()
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A CONNECT packet with a user and a password.
fn connect(version: u8, user: &str, password: &str) -> Vec<u8> {
    let properties: &[u8] = if version == 5 { &[0] } else { &[] };
    let body = [
        &string("MQTT")[..],
        &[version, 0xc2, 0, 0],
        properties,
        &string("raw"),
        &string(user),
        &string(password),
    ]
    .concat();
    [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// Connects and returns the code of the CONNACK.
fn code_of(hub: &Hub, packet: &[u8]) -> u8 {
    let mut stream = TcpStream::connect(("127.0.0.1", hub.mqtt)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(packet).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack[0], 0x20, "{connack:x?}");
    connack[3]
}

/// Proves a part of: MQT-1, MQT-3.
#[test]
fn a_thin_device_logs_in_with_its_password_plain_and_over_tls() {
    let hub = Hub::start(MANIFEST).unwrap();
    let password = add_button(&hub);
    let lamp = hub.device("lamp").unwrap();
    let mut receiver = Client::device(Library::Paho, 5, &lamp, hub.mqtts).subscribe("pressed/#", 1);
    for library in [Library::Paho, Library::MqttJs, Library::Aiomqtt, Library::Gmqtt] {
        for version in [4, 5] {
            let topic = format!("pressed/{version}/{library:?}");
            let task = json!({
                "do": "publish", "topic": topic, "qos": 1, "payloads": ["x"],
                "user": "button", "password": password,
            });
            // It is the user that says who this is, not the client identifier.
            let client = Client::anonymous(library, version, "lamp", hub.mqtt);
            client.start(task).expect("acknowledged");
            assert_eq!(receiver.expect("message")["topic"], topic);
        }
    }
    let tls = hub.tomte(&["device", "password", "button", "-o", "json"]).unwrap();
    let tls: Value = serde_json::from_str(&tls.stdout).unwrap();
    let mut publish = tomte_testkit::peers::debian("mosquitto_pub");
    publish.args(["-h", "localhost", "-p", &hub.mqtts.to_string(), "-q", "1", "-t", "pressed/tls"]);
    publish.args(["-u", "button", "-P", tls["password"].as_str().unwrap(), "-m", "x"]);
    let sent = tomte_testkit::Output::of(publish.arg("--cafile").arg(&lamp.ca)).unwrap();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert_eq!(receiver.expect("message")["topic"], "pressed/tls");
}

#[test]
fn a_wrong_name_or_password_or_none_is_refused_with_the_code_of_the_version() {
    let hub = Hub::start(MANIFEST).unwrap();
    let password = add_button(&hub);
    let anonymous = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x";
    assert_eq!(code_of(&hub, anonymous), NOT_AUTHORIZED_311);
    for (user, password) in [("button", "wrong"), ("lamp", &password), ("a/b", &password)] {
        assert_eq!(code_of(&hub, &connect(5, user, password)), NOT_AUTHORIZED_5, "{user}");
        assert_eq!(code_of(&hub, &connect(4, user, password)), NOT_AUTHORIZED_311, "{user}");
    }
    assert_eq!(code_of(&hub, &connect(5, "button", &password)), 0);
    let counters = hub.status().unwrap().counters;
    assert_eq!(counters["tomte_refusals_total{what=\"password\"}"], 6);
}

/// Proves a part of: MQT-4.
#[test]
fn a_flood_of_wrong_passwords_is_refused_unchecked_while_others_are_served() {
    let hub = Hub::start(MANIFEST).unwrap();
    add_button(&hub);
    let lamp = hub.device("lamp").unwrap();
    let lamp = Client::device(Library::Paho, 5, &lamp, hub.mqtts);
    let mut receiver = lamp.subscribe("still/here", 1);
    let codes: Vec<u8> = (0..200).map(|_| code_of(&hub, &connect(5, "button", "wrong"))).collect();
    let unchecked = codes.iter().filter(|code| **code == RATE_EXCEEDED_5).count();
    let checked = codes.iter().filter(|code| **code == NOT_AUTHORIZED_5).count();
    assert_eq!(unchecked + checked, 200, "{codes:x?}");
    // Ten at once, and one more for each six seconds that this takes on a slow machine.
    assert!((10..=30).contains(&checked), "{checked}");
    let sender = Client { id: "lamp-2".to_owned(), ..lamp };
    drop(sender.publish("still/here", 1, &["yes"]));
    assert_eq!(receiver.payload(), "yes");
    let counters = hub.status().unwrap().counters;
    let counted = counters["tomte_refusals_total{what=\"password_rate\"}"];
    assert_eq!(counted, u64::try_from(unchecked).unwrap());
}

/// Hashing takes as long as thousands of messages: it must not be done where those are handled.
#[test]
fn messages_do_not_wait_for_passwords_that_are_checked() {
    let hub = Hub::start(MANIFEST).unwrap();
    let lamp = hub.device("lamp").unwrap();
    let lamp = Client::device(Library::Paho, 5, &lamp, hub.mqtts);
    let mut receiver = lamp.subscribe("fast", 1);
    let sender = Client { id: "lamp-2".to_owned(), ..lamp };
    let mut streams: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", hub.mqtt)).unwrap();
            stream.write_all(&connect(5, "button", "wrong")).unwrap();
            stream
        })
        .collect();
    drop(sender.publish("fast", 1, &["yes"]));
    assert_eq!(receiver.payload(), "yes");
    // Half of them leave before their answer.
    streams.truncate(4);
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        assert_eq!(connack[3], NOT_AUTHORIZED_5);
    }
}

#[test]
fn a_new_password_ends_the_connection_that_used_the_old_one() {
    let hub = Hub::start(MANIFEST).unwrap();
    let old = add_button(&hub);
    let login = json!({"user": "button", "password": old});
    let client = Client::anonymous(Library::Paho, 5, "b", hub.mqtt);
    let mut running = client.subscribe_with("x", 0, login);
    let mut set = hub.command().unwrap();
    set.args(["device", "password", "button", "--stdin"]);
    set.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut set = set.spawn().unwrap();
    set.stdin.take().unwrap().write_all(b"open sesame\n").unwrap();
    assert!(set.wait().unwrap().success());
    running.expect("disconnected");
    assert_eq!(code_of(&hub, &connect(5, "button", &old)), NOT_AUTHORIZED_5);
    assert_eq!(code_of(&hub, &connect(5, "button", "open sesame")), 0);
}

#[test]
fn a_password_is_neither_in_the_state_nor_in_what_the_hub_writes() {
    let mut hub = Hub::start(MANIFEST).unwrap();
    let password = add_button(&hub);
    let wrong = "a-wrong-password";
    assert_eq!(code_of(&hub, &connect(5, "button", &password)), 0);
    assert_eq!(code_of(&hub, &connect(5, "button", wrong)), NOT_AUTHORIZED_5);
    let line = hub.process().line_with("the user or the password is wrong", PATIENCE).unwrap();
    assert!(!line.contains(wrong), "{line}");
    for secret in [password.as_str(), wrong] {
        assert!(!hub.process().written().contains(secret));
        assert_eq!(files_with(&hub.state(), secret.as_bytes()), Vec::<String>::new());
    }
}

fn files_with(folder: &Path, secret: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, secret));
        } else if path.is_file() {
            let content = fs::read(&path).unwrap();
            if content.windows(secret.len()).any(|window| window == secret) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_removed_device_cannot_log_in_with_its_password() {
    let hub = Hub::start(MANIFEST).unwrap();
    let password = add_button(&hub);
    assert_eq!(hub.tomte(&["device", "remove", "button"]).unwrap().code, Some(0));
    let started = Instant::now();
    assert_eq!(code_of(&hub, &connect(5, "button", &password)), NOT_AUTHORIZED_5);
    assert!(started.elapsed() < PATIENCE);
}

/// The certificate says who it is; the user beside it is not looked at, as the AWS SDKs send their own
/// name there.
#[test]
fn a_certificate_counts_more_than_a_user_beside_it() {
    let hub = Hub::start(MANIFEST).unwrap();
    let lamp: DeviceFiles = hub.device("lamp").unwrap();
    let client = Client::device(Library::MqttJs, 5, &lamp, hub.mqtts);
    let login = json!({"user": "button", "password": "whatever"});
    let _running = client.subscribe_with("x", 0, login);
    let devices = hub.status().unwrap().devices;
    assert!(devices["lamp"].connected && !devices["button"].connected);
}
