//! Wrong manifests and archives: a clear message, and the hub goes on with what it has.

use std::process::Command;

use tomte_testkit::{Hub, Output, peers};

use crate::client::{Client, Library};
use crate::manifests::{LISTENERS, broker, one_function, write_function};

/// Applies `manifest`, which must be refused as invalid, and returns what was said.
fn refuse(hub: &Hub, manifest: &str) -> String {
    hub.write_manifest(manifest).unwrap();
    let output = hub.tomte(&["apply"]).unwrap();
    assert_eq!(output.code, Some(3), "{output:?}");
    output.stderr
}

fn check(hub: &Hub, manifest: &str, expect: &[&str]) {
    let said = refuse(hub, manifest);
    for text in expect {
        assert!(said.contains(text), "{text:?} in {said}");
    }
}

fn still_routes(hub: &Hub) {
    let mut receiver = Client::anonymous(Library::Paho, 5, "r", hub.mqtt).subscribe("a", 1);
    drop(Client::anonymous(Library::Paho, 5, "s", hub.mqtt).publish("a", 1, &["still"]));
    assert_eq!(receiver.payload(), "still");
}

#[test]
fn each_mistake_in_a_manifest_is_named_with_its_place() {
    let hub = Hub::start(&broker()).unwrap();
    let with = |more: &str| format!("[hub]\nname = \"broker\"\n{LISTENERS}\n{more}");
    let route = |rest: &str| with(&format!("[devices.fan]\n[[routes]]\n{rest}\n"));
    check(&hub, &with("[hbu]\nname = \"x\""), &["tomte.toml:", "hbu"]);
    check(&hub, &with("[devices.fan]\n[devices.fan]"), &["tomte.toml:", "fan", "duplicate"]);
    check(
        &hub,
        &route("from = \"device:fan\"\ntopic = \"a\"\nto = \"device:nobody\""),
        &["tomte.toml:", "to", "nobody"],
    );
    check(
        &hub,
        &route(
            "from = \"device:fan\"\ntopic = \"a\"\nwhen = \"payload.x >\"\nto = \"subscribers\"",
        ),
        &["tomte.toml:", "when"],
    );
    check(&hub, &with("[[routes"), &["tomte.toml:"]);
    still_routes(&hub);
}

#[test]
fn a_cycle_of_functions_is_refused() {
    let hub = Hub::start(&broker()).unwrap();
    let manifest = one_function("python3.11", "result_topic = \"again\"")
        + "\n[[routes]]\nfrom = \"function:work\"\ntopic = \"again\"\nto = \"function:work\"\n";
    write_function(&hub.project(), "work", "app.py", "def handler(e, c):\n    return e\n").unwrap();
    check(&hub, &manifest, &["work"]);
    still_routes(&hub);
}

#[test]
fn archives_that_would_do_harm_are_refused() {
    let hub = Hub::start(&broker()).unwrap();
    for (kind, expect) in [("traversal", "outside.py"), ("link", "passwords"), ("zeros", "app.py")]
    {
        let archive = hub.project().join(format!("{kind}.zip"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/make_archive.py");
        let mut make: Command = peers::python();
        let made = Output::of(make.arg(script).arg(kind).arg(&archive)).unwrap();
        assert_eq!(made.code, Some(0), "{made:?}");
        let manifest =
            one_function("python3.11", "").replace("functions/work", &format!("{kind}.zip"));
        hub.write_manifest(&manifest).unwrap();
        let output = hub.tomte(&["apply"]).unwrap();
        assert!(matches!(output.code, Some(3 | 5)), "{kind}: {output:?}");
        assert!(output.stderr.contains(expect), "{kind}: {}", output.stderr);
        assert!(!hub.project().join("../outside.py").exists());
    }
    still_routes(&hub);
}

#[test]
fn code_that_is_not_there_is_named() {
    let hub = Hub::start(&broker()).unwrap();
    check(&hub, &one_function("python3.11", ""), &["functions/work"]);
    still_routes(&hub);
}
