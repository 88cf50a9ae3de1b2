//! SIGHUP: identity files that somebody has changed count, and no connection is closed that may stay.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tomte_testkit::{Control, DeviceFiles, Forger, Hub, Process, Purpose, tomte_binary, until};

use crate::certificates::{is_accepted, refused, s_client};
use crate::client::{Client, Library, PATIENCE};
use crate::manifests::broker;
use crate::rust_client::RustClient;

/// What the hub's log says once it has read the files.
const DONE: &str = "the identity files were read again";

fn hang_up(hub: &mut Hub) {
    hub.process().signal(Signal::HUP).unwrap();
    hub.process().line_with(DONE, PATIENCE).unwrap();
}

/// Returns serial number and end of the certificate that the hub shows to the next client.
fn shown_certificate(hub: &Hub, files: &DeviceFiles) -> String {
    let said = s_client(hub, Some(files), &files.ca, &[]);
    assert!(is_accepted(&said));
    let said = String::from_utf8_lossy(&said);
    let from = said.find("-----BEGIN CERTIFICATE-----").expect("s_client prints it");
    let mut x509 = Command::new("openssl");
    x509.args(["x509", "-noout", "-serial", "-enddate"]);
    let mut x509 = x509.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    x509.stdin.take().unwrap().write_all(&said.as_bytes()[from..]).unwrap();
    let output = x509.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Puts a certificate into the hub's file that the hub's authority has signed.
fn put_certificate(hub: &Hub, validity: &str) {
    let identity = hub.state().join("identity");
    let made = Forger::of_hub(&identity).unwrap();
    let made = made.sign("localhost", Purpose::Hub, validity).unwrap();
    let both = [fs::read(made.certificate).unwrap(), fs::read(made.key).unwrap()].concat();
    fs::write(identity.join("server.pem"), both).unwrap();
}

/// The daily look at the certificate goes the same way as this one.
///
/// Proves a part of: MQT-3.
#[test]
fn a_new_certificate_of_the_hub_is_shown_to_the_next_client_and_closes_no_connection() {
    let mut hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let mut talker = RustClient::secure("talker", hub.mqtts, &one);
    talker.subscribe("t");
    let python = Client::device(Library::Paho, 4, &two, hub.mqtts);
    let node = Client { library: Library::MqttJs, id: "node".to_owned(), ..python.clone() };
    let browser = Client { id: "browser".to_owned(), ..python.clone() }.over_websocket();
    let mut listeners = [python, node, browser].map(|client| client.subscribe("t", 1));
    let mut talk = |text: &str| {
        talker.publish("t", text, false);
        assert_eq!(talker.message().1, text);
        for listener in &mut listeners {
            assert_eq!(listener.payload(), text);
        }
    };
    talk("before");
    let mut shown = vec![shown_certificate(&hub, &one)];

    // Less than a third of its life is left, so that the hub makes a new one.
    put_certificate(&hub, "-days 20");
    hang_up(&mut hub);
    talk("renewed");
    shown.push(shown_certificate(&hub, &one));

    fs::remove_file(hub.state().join("identity/server.pem")).unwrap();
    hang_up(&mut hub);
    talk("lost and made anew");
    shown.push(shown_certificate(&hub, &one));

    hang_up(&mut hub);
    talk("the same");
    assert_eq!(shown_certificate(&hub, &one), shown[2]);
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), 3, "one certificate after the other: {shown:#?}");
    assert_eq!(hub.status().unwrap().connections, 4, "none was closed, and none came again");
}

/// As after the restore of a backup, or when another machine keeps the records.
///
/// Proves a part of: MQT-3.
#[test]
fn a_record_that_says_revoked_ends_the_connection_of_its_device_and_of_no_other() {
    let mut hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let mut first = Client::device(Library::Paho, 5, &one, hub.mqtts).subscribe("x", 1);
    let mut second = RustClient::secure("two", hub.mqtts, &two);
    second.subscribe("x");
    let record = hub.state().join("identity/devices/one.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"revoked\": false", "\"revoked\": true")).unwrap();
    assert!(is_accepted(&s_client(&hub, Some(&one), &one.ca, &[])), "nothing was read yet");

    hang_up(&mut hub);
    first.expect("disconnected");
    assert!(!is_accepted(&s_client(&hub, Some(&one), &one.ca, &[])));
    assert_eq!(refused(&hub, "revoked"), 1);
    second.publish("x", "still here", false);
    assert_eq!(second.message().1, "still here");

    fs::write(&record, text).unwrap();
    hang_up(&mut hub);
    assert!(is_accepted(&s_client(&hub, Some(&one), &one.ca, &[])), "the record is good again");
}

/// Files that nobody can read leave the hub as it was, and it says what is wrong.
#[test]
fn a_reload_with_bad_files_is_told_and_harms_nobody_else() {
    let mut hub = Hub::start(&broker()).unwrap();
    let (one, two) = (hub.device("one").unwrap(), hub.device("two").unwrap());
    let mut stays = RustClient::secure("two", hub.mqtts, &two);
    stays.subscribe("x");
    let identity = hub.state().join("identity");
    fs::write(identity.join("devices/one.json"), "{").unwrap();
    fs::write(identity.join("ca.pem"), "another authority").unwrap();
    hub.process().signal(Signal::HUP).unwrap();
    hub.process().line_with("ca.pem was changed", PATIENCE).unwrap();
    hub.process().line_with("devices/one.json", PATIENCE).unwrap();
    hub.process().line_with(DONE, PATIENCE).unwrap();
    assert!(!is_accepted(&s_client(&hub, Some(&one), &one.ca, &[])));
    assert!(is_accepted(&s_client(&hub, Some(&two), &two.ca, &[])));
    stays.publish("x", "still here", false);
    assert_eq!(stays.message().1, "still here");
}

/// A hub that was started by another program, by its process id. Ends it when it goes.
struct Started {
    starter: Process,
    hub: Pid,
    control: Control,
}

impl Started {
    /// Starts a hub by `command`, whose last argument is a script that ends by starting `"$TOMTE" run`.
    fn by(command: &mut Command, project: &Path) -> Self {
        fs::write(
            project.join("tomte.toml"),
            "[hub]\nname = \"hangup\"\n[listeners]\nmqtts = { bind = \"127.0.0.1:0\" }\n",
        )
        .unwrap();
        command
            .current_dir(project)
            .env("TOMTE", tomte_binary().unwrap())
            .env_remove("TOMTE_STATE");
        let starter = Process::start(command).unwrap();
        let control = Control::new(&project.join(".tomte/control.sock"));
        let status = until("the hub to answer", PATIENCE, || control.status().ok());
        let hub = Pid::from_raw(status.pid.try_into().unwrap()).unwrap();
        Self { starter, hub, control }
    }

    fn is_there(&self) -> bool {
        test_kill_process(self.hub).is_ok()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = kill_process(self.hub, Signal::KILL);
        }
    }
}

/// Runs `script` in a terminal of its own, which is gone when that is killed.
fn in_terminal(script: &str) -> Command {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", script, "/dev/null"]);
    command
}

fn wait_for_log(project: &Path, text: &str) {
    let log = project.join("hub.log");
    until(text, PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains(text)).then_some(())
    });
}

#[test]
fn a_hub_without_a_terminal_reads_its_files_again_with_nohup_too() {
    let project = tempfile::tempdir().unwrap();
    let script = "exec nohup \"$TOMTE\" run 2> hub.log";
    let hub = Started::by(Command::new("sh").args(["-c", script]), project.path());
    for _ in 0..2 {
        fs::write(project.path().join("hub.log"), "").unwrap();
        kill_process(hub.hub, Signal::HUP).unwrap();
        wait_for_log(project.path(), DONE);
    }
    hub.control.status().unwrap();
}

#[test]
fn a_hub_stops_in_order_when_the_terminal_that_it_was_started_in_goes_away() {
    let project = tempfile::tempdir().unwrap();
    let mut hub = Started::by(&mut in_terminal("exec \"$TOMTE\" run 2> hub.log"), project.path());
    kill_process(hub.hub, Signal::HUP).unwrap();
    wait_for_log(project.path(), DONE);
    hub.starter.kill9();
    wait_for_log(project.path(), "stopping");
    let socket = project.path().join(".tomte/control.sock");
    until("the hub to stop", PATIENCE, || (!socket.exists()).then_some(()));
}

#[test]
fn a_hub_that_was_told_to_ignore_hangups_outlives_its_terminal() {
    let project = tempfile::tempdir().unwrap();
    let script = "trap '' HUP; exec \"$TOMTE\" run 2> hub.log";
    let mut hub = Started::by(&mut in_terminal(script), project.path());
    hub.starter.kill9();
    wait_for_log(project.path(), DONE);
    hub.control.status().unwrap();
}
