//! Machines that lack something: a port, an interpreter, room on the disk.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tomte_testkit::{Control, Hub, Output, Process, free_port, tomte_binary, until};
use tomte_wire::control::Status;

use crate::client::{Client, Library};
use crate::manifests::{broker, one_function, write_function};
use crate::raw_client;

#[test]
fn a_port_that_is_taken_is_named_and_the_old_listeners_stay() {
    let hub = Hub::start(&broker()).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    hub.write_manifest(&broker().replace("{mqtt}", &port)).unwrap();
    let output = hub.tomte(&["apply"]).unwrap();
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains(&port), "{}", output.stderr);
    let mut receiver = Client::anonymous(Library::Paho, 5, "r", hub.mqtt).subscribe("a", 1);
    drop(Client::anonymous(Library::Paho, 5, "s", hub.mqtt).publish("a", 1, &["still"]));
    assert_eq!(receiver.payload(), "still");
}

/// The hub's path has no interpreter. A machine without python3 in the usual places cannot be had
/// here, so the manifest asks for a runtime that no machine has.
#[test]
fn a_runtime_without_its_interpreter_is_refused_by_name() {
    let hub = Hub::start(&broker()).unwrap();
    write_function(&hub.project(), "work", "app.py", "def handler(e, c):\n    return e\n").unwrap();
    hub.write_manifest(&one_function("python3.99", "")).unwrap();
    let output = hub.tomte(&["apply"]).unwrap();
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("python3"), "{}", output.stderr);
}

/// A hub whose state is on a disk of 8 MiB, in a mount namespace of its own.
struct SmallDisk {
    _folder: TempDir,
    _hub: Process,
    /// The state folder as it is seen from outside of the namespace.
    state: PathBuf,
    control: Control,
    port: u16,
}

impl SmallDisk {
    /// Starts the hub and applies the manifest.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        let state = project.join(".tomte");
        fs::create_dir_all(&state).unwrap();
        let port = free_port().unwrap();
        let manifest = broker().replace("{mqtt}", &port.to_string()).replace("{mqtts}", "0");
        fs::write(project.join("tomte.toml"), manifest).unwrap();
        let hub = start_on_small_disk(&project, &state);
        let state = PathBuf::from(format!("/proc/{}/root{}", hub.pid(), state.display()));
        let control = Control::new(&state.join("control.sock"));
        until("the hub to answer", Duration::from_secs(20), || control.status().ok());
        apply(&project, &state);
        Self { _folder: folder, _hub: hub, state, control, port }
    }

    /// Writes a file until the disk takes no byte more, and returns it.
    fn fill(&self) -> PathBuf {
        let path = self.state.join("filler");
        let mut filler = fs::File::create(&path).unwrap();
        for size in [1 << 16, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

/// Proves a part of: MQT-2.
#[test]
fn a_full_disk_stops_acknowledgements_and_nothing_acknowledged_is_lost() {
    let disk = SmallDisk::start();
    let keeper = Client::anonymous(Library::Paho, 4, "keeper", disk.port).with_kept_session();
    drop(keeper.subscribe("full", 1));
    let sender = Client::anonymous(Library::Paho, 4, "sender", disk.port);
    let mut running = sender.start_publishing_numbers("full", 300, 60_000);
    let acknowledged = running.count_until_gone("acknowledged");
    assert!(acknowledged > 0 && acknowledged < 300, "{acknowledged} of 18 MB were acknowledged");
    let status: Status = disk.control.status().unwrap();
    assert!(status.queued_messages >= acknowledged as u64, "{status:?}");
}

/// Proves a part of: MQT-2.
#[test]
fn while_a_disk_is_full_clients_of_mqtt_5_are_told_and_qos_0_goes_on_until_there_is_room() {
    let disk = SmallDisk::start();
    let keeper = Client::anonymous(Library::Paho, 5, "keeper", disk.port).with_kept_session();
    drop(keeper.subscribe("full", 1));
    let mut sender = raw_client::connected_to(disk.port, 5, "sender");
    let mut reason = |id: u16| {
        let message = raw_client::publish(5, "full", &[b'x'; 9_000], 1, id);
        sender.write_all(&message).unwrap();
        raw_client::puback_reason(&raw_client::read_packet(&mut sender), id)
    };
    assert_eq!(reason(1), 0);
    let filler = disk.fill();
    for id in 2..5 {
        assert_eq!(reason(id), 0x97, "quota exceeded");
    }
    raw_client::qos_0_goes_through(disk.port);
    let counters = disk.control.status().unwrap().counters;
    assert!(counters["tomte_journal_failures_total"] >= 1);
    assert_eq!(counters["tomte_refusals_total{what=\"not_stored\"}"], 3);
    fs::remove_file(filler).unwrap();
    // The hub sees that when it tries the disk again.
    let mut id = 4;
    until("the hub to take messages again", Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(50));
        id += 1;
        (reason(id) == 0).then_some(())
    });
    for id in id + 1..id + 4 {
        assert_eq!(reason(id), 0, "there is room again");
    }
}

fn start_on_small_disk(project: &Path, state: &Path) -> Process {
    let mut command = Command::new("unshare");
    let is_root = rustix::process::geteuid().is_root();
    command.args(if is_root { &["-m"][..] } else { &["-Urm"][..] });
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs \"$1\" && cd \"$2\" && exec \"$3\" run --no-deploy";
    command.args(["sh", "-c", script, "sh"]).arg(state).arg(project);
    Process::start(command.arg(tomte_binary().unwrap())).unwrap()
}

fn apply(project: &Path, state: &Path) {
    let mut command = Command::new(tomte_binary().unwrap());
    command.current_dir(project).arg("--state").arg(state).arg("apply");
    let output = Output::of(&mut command).unwrap();
    assert_eq!(output.code, Some(0), "{output:?}");
}
