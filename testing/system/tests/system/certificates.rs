//! Certificates that are not good, with OpenSSL's own client; sessions that are taken up again; renewal.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tomte_testkit::{DeviceFiles, Forged, Forger, Hub, Purpose};

use crate::bad_clients::Innocents;
use crate::client::{Client, Library};
use crate::manifests::broker;
use crate::rust_client::RustClient;

/// CONNECT of MQTT 3.1.1, then DISCONNECT.
const HELLO_AND_GOODBYE: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x\xe0\x00";
/// What the other end says when it accepts.
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// Makes a certificate for the device `one`, valid from `start` to `end` (`YYMMDDHHMMSSZ`).
fn forge(forger: &Forger, start: &str, end: &str, ca: &Path) -> DeviceFiles {
    let validity = format!("-startdate {start} -enddate {end}");
    let Forged { certificate, key } = forger.sign("one", Purpose::Device, &validity).unwrap();
    DeviceFiles { name: "one".to_owned(), certificate, key, ca: ca.to_owned() }
}

/// Connects with OpenSSL's client, says hello and goodbye, and returns all that it wrote.
pub(crate) fn s_client(
    hub: &Hub,
    files: Option<&DeviceFiles>,
    ca: &Path,
    more: &[&str],
) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("localhost:{}", hub.mqtts), "-ign_eof"]);
    command.arg("-CAfile").arg(ca).args(more);
    if let Some(files) = files {
        command.arg("-cert").arg(&files.certificate).arg("-key").arg(&files.key);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    // It may end before it has read all.
    let _ = running.stdin.take().unwrap().write_all(HELLO_AND_GOODBYE);
    let output = running.wait_with_output().unwrap();
    [output.stdout, output.stderr].concat()
}

pub(crate) fn is_accepted(said: &[u8]) -> bool {
    said.windows(CONNACK.len()).any(|window| window == CONNACK)
}

pub(crate) fn contains(said: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(said).contains(text)
}

pub(crate) fn refused(hub: &Hub, reason: &str) -> u64 {
    let name = format!("tomte_certificates_refused_total{{reason=\"{reason}\"}}");
    hub.status().unwrap().counters.get(&name).copied().unwrap_or_default()
}

/// Proves a part of: MQT-3, MQT-4.
#[test]
fn certificates_that_are_not_good_are_refused_and_counted_and_others_are_served() {
    let mut hub = Hub::start(&broker()).unwrap();
    let mut innocents = Innocents::connect(&hub);
    let one = hub.device("one").unwrap();
    assert!(is_accepted(&s_client(&hub, Some(&one), &one.ca, &[])));
    let identity = hub.state().join("identity");
    let [past, future, stolen] = [(); 3].map(|()| Forger::of_hub(&identity).unwrap());
    let other = Forger::made_up().unwrap();
    let expired = forge(&past, "200101000000Z", "210101000000Z", &one.ca);
    let early = forge(&future, "400101000000Z", "410101000000Z", &one.ca);
    let unknown = forge(&stolen, "200101000000Z", "400101000000Z", &one.ca);
    let foreign = forge(&other, "200101000000Z", "400101000000Z", &one.ca);
    assert_eq!(hub.tomte(&["device", "remove", "one"]).unwrap().code, Some(0));
    let cases = [
        (Some(&expired), "expired", "certificate expired"),
        (Some(&early), "not_yet_valid", "alert"),
        (Some(&one), "revoked", "certificate revoked"),
        (None, "missing", "certificate required"),
    ];
    for (files, reason, alert) in cases {
        for version in ["-tls1_2", "-tls1_3"] {
            let before = refused(&hub, reason);
            let said = s_client(&hub, files, &one.ca, &[version]);
            assert!(!is_accepted(&said), "{reason}");
            // TLS 1.2 has no alert for a certificate that is missing.
            let alert = if reason == "missing" && version == "-tls1_2" { "alert" } else { alert };
            assert!(contains(&said, alert), "{reason}: {}", String::from_utf8_lossy(&said));
            assert_eq!(refused(&hub, reason), before + 1, "{reason} {version}");
        }
    }
    for files in [&unknown, &foreign] {
        assert!(!is_accepted(&s_client(&hub, Some(files), &one.ca, &[])));
    }
    assert_eq!(refused(&hub, "unknown"), 2);
    innocents.still_talk(&hub);
    let written = hub.process().written();
    assert_eq!(written.matches("kind=\"TLS\"").count(), 1, "one line for a flood: {written}");
}

/// Proves a part of: MQT-3.
#[test]
fn a_session_of_tls_is_taken_up_again_until_the_device_is_removed() {
    let hub = Hub::start(&broker()).unwrap();
    let one = hub.device("one").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let ticket = folder.path().join(version);
        let ticket = ticket.to_str().unwrap();
        let first = s_client(&hub, Some(&one), &one.ca, &[version, "-sess_out", ticket]);
        assert!(is_accepted(&first) && contains(&first, "New, TLSv"));
        let again = s_client(&hub, Some(&one), &one.ca, &[version, "-sess_in", ticket]);
        assert!(is_accepted(&again));
        assert!(contains(&again, "Reused, TLSv"), "{}", String::from_utf8_lossy(&again));
    }
    assert_eq!(hub.tomte(&["device", "remove", "one"]).unwrap().code, Some(0));
    for version in ["-tls1_2", "-tls1_3"] {
        let ticket = folder.path().join(version);
        let options = [version, "-sess_in", ticket.to_str().unwrap()];
        assert!(!is_accepted(&s_client(&hub, Some(&one), &one.ca, &options)));
    }
    assert_eq!(refused(&hub, "revoked"), 2);
}

/// The certificate tells who a client is, and the client identifier names only its session.
///
/// Proves a part of: MQT-3.
#[test]
fn a_client_identifier_of_another_device_makes_nobody_that_device() {
    let hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let honest = Client::device(Library::Paho, 5, &one, hub.mqtts);
    let _honest = honest.subscribe("x", 1);
    let imposter =
        Client { id: "one".to_owned(), ..Client::device(Library::Paho, 5, &two, hub.mqtts) };
    let mut imposter = imposter.start(json!({"do": "nothing"}));
    imposter.expect("connected");
    let status = hub.status().unwrap();
    assert!(status.devices["one"].connected && status.devices["two"].connected);
    assert_eq!(status.sessions, 2, "neither took the session of the other");
}

/// Proves a part of: MQT-3.
#[test]
fn a_device_goes_over_to_its_renewed_certificate_without_a_gap() {
    let hub = Hub::start(&broker()).unwrap();
    let old = hub.device("one").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let renew = |more: &[&str]| {
        let out = folder.path().to_str().unwrap();
        let arguments = [&["device", "renew", "one", "--out", out], more].concat();
        assert_eq!(hub.tomte(&arguments).unwrap().code, Some(0));
        DeviceFiles {
            name: "one".to_owned(),
            certificate: folder.path().join("one.crt"),
            key: folder.path().join("one.key"),
            ca: folder.path().join("ca.crt"),
        }
    };
    let mut receiver = Client::device(Library::Paho, 5, &old, hub.mqtts).subscribe("x", 1);
    let new = renew(&[]);
    for (files, id) in [(&old, "old"), (&new, "new")] {
        let client = Client::device(Library::MqttJs, 5, files, hub.mqtts);
        let client = Client { id: id.to_owned(), ..client };
        drop(client.publish("x", 1, &[id]));
        assert_eq!(receiver.payload(), id);
    }
    let newest = renew(&["--now"]);
    receiver.expect("disconnected");
    assert!(!is_accepted(&s_client(&hub, Some(&old), &old.ca, &[])));
    assert!(is_accepted(&s_client(&hub, Some(&newest), &newest.ca, &[])));
}

/// Proves a part of: MQT-3.
#[test]
fn a_device_that_is_removed_loses_its_connections_at_once_and_others_keep_theirs() {
    let hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let connect = |version, id: &str| {
        let client = Client::device(Library::Paho, version, &one, hub.mqtts);
        Client { id: id.to_owned(), ..client }.subscribe("x", 1)
    };
    let mut removed = [connect(4, "old"), connect(5, "new")];
    let mut stays = RustClient::secure("two", hub.mqtts, &two);
    stays.subscribe("x");
    assert_eq!(hub.tomte(&["device", "remove", "one"]).unwrap().code, Some(0));
    for client in &mut removed {
        client.expect("disconnected");
    }
    stays.publish("x", "still here", false);
    assert_eq!(stays.message().1, "still here");
    assert_eq!(hub.status().unwrap().connections, 1);
}
