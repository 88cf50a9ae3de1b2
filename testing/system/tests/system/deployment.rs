//! Plan and apply: differences are shown, a change is one step, a bad one changes nothing.

use serde_json::Value;
use tomte_testkit::Hub;

use crate::client::{Client, Library};
use crate::manifests::{LISTENERS, REGULATE_PY, broker, greenhouse, write_function};

fn deployment(hub: &Hub) -> Value {
    hub.control().get("/v1/deployment").unwrap().json().unwrap()
}

#[test]
fn plan_shows_what_apply_then_does() {
    let hub = Hub::start_with(&greenhouse("python3.11"), |project| {
        write_function(project, "regulate", "app.py", REGULATE_PY)
    })
    .unwrap();
    let revision = hub.status().unwrap().revision;
    let changed = greenhouse("python3.11").replace("celsius > 28", "celsius > 35");
    hub.write_manifest(&changed).unwrap();
    let plan = hub.tomte(&["plan"]).unwrap();
    assert_eq!(plan.code, Some(0), "{plan:?}");
    for expect in ["hot", "when", "28", "35"] {
        assert!(plan.stdout.contains(expect), "{expect} in {}", plan.stdout);
    }
    assert_eq!(hub.status().unwrap().revision, revision, "a plan changes nothing");
    hub.apply().unwrap();
    assert!(hub.status().unwrap().revision > revision);
    assert!(deployment(&hub)["manifest"].as_str().unwrap().contains("celsius > 35"));
}

/// Proves: CFG-16.
#[test]
fn a_bad_manifest_leaves_the_old_one_running() {
    let hub = Hub::start(&broker()).unwrap();
    let before = deployment(&hub);
    hub.write_manifest(&broker().replace("subscribers", "device:nobody")).unwrap();
    let apply = hub.tomte(&["apply"]).unwrap();
    assert_eq!(apply.code, Some(3), "{apply:?}");
    assert!(apply.stderr.contains("nobody"), "{}", apply.stderr);
    assert_eq!(deployment(&hub), before);
    let mut receiver = Client::anonymous(Library::Paho, 5, "r", hub.mqtt).subscribe("a", 1);
    drop(Client::anonymous(Library::Paho, 5, "s", hub.mqtt).publish("a", 1, &["still"]));
    assert_eq!(receiver.payload(), "still");
}

/// `flow` goes to the one device and `other` to the other, so that both may subscribe to everything.
fn switched(flow: &str, other: &str) -> String {
    format!(
        r#"
[hub]
name = "switch"
{LISTENERS}
[devices.one]
[devices.two]

[[routes]]
from = "device:*"
topic = "flow"
to = "device:{flow}"

[[routes]]
from = "device:*"
topic = "other"
to = "device:{other}"
"#
    )
}

/// Proves: EVT-3. Proves a part of: EVT-11.
#[test]
fn a_change_of_routes_under_load_loses_nothing_and_misroutes_nothing() {
    const MESSAGES: usize = 3_000;
    let hub = Hub::start(&switched("one", "two")).unwrap();
    let subscribe = |name: &str| {
        let files = hub.device(name).unwrap();
        Client::device(Library::Paho, 5, &files, hub.mqtts).subscribe("#", 1)
    };
    let (mut one, mut two) = (subscribe("one"), subscribe("two"));
    let sender = Client::anonymous(Library::Paho, 5, "sender", hub.mqtt);
    let mut sender = sender.start_publishing_numbers("flow", MESSAGES, 0);
    let mut first: Vec<usize> = (0..100).map(|_| one.payload().parse().unwrap()).collect();
    hub.write_manifest(&switched("two", "one")).unwrap();
    hub.apply().unwrap();
    for _ in 0..MESSAGES {
        sender.expect("acknowledged");
    }
    let switch: usize = two.payload().parse().unwrap();
    let second: Vec<usize> =
        (switch + 1..MESSAGES).map(|_| two.payload().parse().unwrap()).collect();
    first.extend((100..switch).map(|_| one.payload().parse::<usize>().unwrap()));
    assert_eq!(first, (0..switch).collect::<Vec<_>>(), "the first table, in order");
    assert_eq!(second, (switch + 1..MESSAGES).collect::<Vec<_>>(), "the second table, in order");
}
