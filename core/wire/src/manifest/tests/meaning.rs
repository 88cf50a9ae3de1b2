use std::time::Duration;

use tomte_base::{ByteSize, DeviceName, FunctionName, QoS, Source, TopicFilter};
use tomte_route::{Destination, Hold, Overflow};

use super::*;

/// Proves: CFG-2.
#[test]
fn the_example_of_the_design_is_understood() {
    let manifest = parsed(GREENHOUSE);
    assert_eq!(manifest.hub.name, "greenhouse");
    assert_eq!(manifest.devices.len(), 2);
    let regulate = &manifest.functions["regulate"];
    assert_eq!(regulate.runtime, Runtime::Python { minor: Some(11) });
    assert_eq!(
        (regulate.handler.as_str(), regulate.code.as_str()),
        ("app.handler", "functions/regulate")
    );
    assert_eq!((regulate.memory, regulate.timeout), (ByteSize::mib(64), Duration::from_secs(3)));
    assert_eq!((regulate.mode, regulate.priority), (Mode::OnDemand, Priority::Normal));
    assert_eq!(regulate.max_concurrency, 4);
    assert_eq!(regulate.workers, Workers { reserve: Reserve::Auto, max: 4 });
    assert_eq!(regulate.result_topic.as_ref().unwrap().as_str(), "actuators/fan");

    let [hot, to_fan] = manifest.table.routes() else { panic!("two routes") };
    assert_eq!(hot.label, "routes[0] \"hot\"");
    assert_eq!(hot.when.as_ref().unwrap().text(), "payload.celsius > 28");
    assert_eq!(hot.to, Destination::Function(FunctionName::new("regulate").unwrap()));
    let hold = Hold { hold: Duration::from_secs(600), max: 1000, then: Overflow::DropOldest };
    assert_eq!(to_fan.on_unavailable, Some(hold));
}

#[test]
fn an_empty_manifest_is_a_hub_that_delivers_nothing() {
    let manifest = parsed("");
    assert_eq!(manifest.hub.name, "tomte");
    assert_eq!(manifest.limits, Limits::default());
    assert_eq!(manifest.durability, Durability::Process);
    let mqtts = manifest.listeners.mqtts.unwrap();
    assert_eq!((mqtts.bind.to_string().as_str(), mqtts.anonymous), ("0.0.0.0:8883", false));
    assert!(manifest.listeners.mqtt.is_none() && manifest.listeners.http.is_none());
    assert!(manifest.table.routes().is_empty());
}

#[test]
fn a_hub_that_is_only_a_broker_is_one_route() {
    let manifest = parsed("[[routes]]\nfrom = \"device:*\"\ntopic = \"#\"\nto = \"subscribers\"\n");
    assert!(manifest.table.may_publish(&Source::Anonymous, "any/topic"));
}

#[test]
fn listeners_mean_what_they_say() {
    let listeners = |text: &str| parsed(&format!("[listeners]\n{text}")).listeners;
    let plain = "mqtt = { bind = \"127.0.0.1:1883\", anonymous = true }\n";
    let both = listeners(plain);
    assert!(both.mqtts.is_some() && both.mqtt.unwrap().anonymous);
    let only_plain = listeners(&format!("mqtts = false\n{plain}"));
    assert!(only_plain.mqtts.is_none() && only_plain.mqtt.is_some());
    assert!(listeners("mqtts = true").mqtts.is_some());
    let open = listeners("mqtts = { anonymous = \"anywhere\" }").mqtts.unwrap();
    assert_eq!((open.bind.port(), open.anonymous), (8883, true));
    let thin = listeners("mqtt = { bind = \"127.0.0.1:1\", password = true }").mqtt.unwrap();
    assert_eq!((thin.anonymous, thin.password), (false, true));
    let far = "mqtt = { bind = \"0.0.0.0:1\", password = \"anywhere\" }";
    assert!(listeners(far).mqtt.unwrap().password);
    assert!(listeners("mqtts = { password = true }").mqtts.unwrap().password);
    let pages = "origins = [\"https://Dashboard.example\", \"http://localhost:3000\"]";
    assert_eq!(listeners(pages).origins, ["https://dashboard.example", "http://localhost:3000"]);
    let six = listeners("mqtt = { bind = \"[::1]:0\", anonymous = true }").mqtt.unwrap();
    assert!(six.bind.is_ipv6());
    assert_eq!(listeners("http = { bind = \"0.0.0.0:9464\" }").http.unwrap().port(), 9464);
}

#[test]
fn every_limit_can_be_set() {
    let limits = parsed(
        r#"[limits]
        max_packet = "64KiB"
        max_connections = 1
        max_connecting = 17
        max_sessions = 2
        max_subscriptions = 3
        subscription_bytes = "2KiB"
        receive_maximum = 65535
        topic_alias_maximum = 0
        topic_alias_maximum_out = 7
        maximum_qos = 1
        keep_alive_max = "90s"
        connect_timeout = "500ms"
        session_expiry_max = "1h"
        session_messages = 4
        session_bytes = "1MiB"
        session_overflow = "drop-newest"
        queued_bytes = "5MiB"
        queued_deliveries = 6
        output_buffer = "2MiB"
        slow_reader_timeout = "5s"
        retained_messages = 0
        retained_bytes = "3MiB"
        max_hops = 255
        call_payload = "1MiB"
        queued_calls = 5
        queued_call_bytes = "4MiB"
        functions_memory = "512MiB"
        "#,
    )
    .limits;
    let expect = Limits {
        max_packet: ByteSize::kib(64),
        max_connections: 1,
        max_connecting: 17,
        max_sessions: 2,
        max_subscriptions: 3,
        subscription_bytes: ByteSize::kib(2),
        receive_maximum: 65_535,
        topic_alias_maximum: 0,
        topic_alias_maximum_out: 7,
        maximum_qos: QoS::AtLeastOnce,
        keep_alive_max: Some(90),
        connect_timeout: Duration::from_millis(500),
        session_expiry_max: Duration::from_secs(3600),
        session_messages: 4,
        session_bytes: ByteSize::mib(1),
        session_overflow: Overflow::DropNewest,
        queued_bytes: ByteSize::mib(5),
        queued_deliveries: 6,
        output_buffer: ByteSize::mib(2),
        slow_reader_timeout: Duration::from_secs(5),
        retained_messages: 0,
        retained_bytes: ByteSize::mib(3),
        max_hops: 255,
        call_payload: ByteSize::mib(1),
        queued_calls: 5,
        queued_call_bytes: ByteSize::mib(4),
        functions_memory: FunctionsMemory::Fixed(ByteSize::mib(512)),
    };
    assert_eq!(limits, expect);
}

#[test]
fn durability_is_one_of_three() {
    for (word, expect) in
        [("process", Durability::Process), ("power", Durability::Power), ("none", Durability::None)]
    {
        let manifest = parsed(&format!("[durability]\nmode = \"{word}\""));
        assert_eq!((manifest.durability, manifest.durability.to_string().as_str()), (expect, word));
    }
}

#[test]
fn runtimes_are_known_by_their_names_in_the_cloud() {
    let runtime = |name: &str| {
        let text = format!("[functions.f]\nruntime = \"{name}\"\nhandler = \"a.b\"\ncode = \"f\"");
        parse(&text, "").map(|manifest| manifest.functions["f"].runtime).ok()
    };
    assert_eq!(runtime("python3"), Some(Runtime::Python { minor: None }));
    assert_eq!(runtime("python3.8"), Some(Runtime::Python { minor: Some(8) }));
    assert_eq!(runtime("python3.14"), Some(Runtime::Python { minor: Some(14) }));
    assert_eq!(runtime("nodejs"), Some(Runtime::Node { major: None }));
    assert_eq!(runtime("nodejs18.x"), Some(Runtime::Node { major: Some(18) }));
    assert_eq!(runtime("nodejs24.x"), Some(Runtime::Node { major: Some(24) }));
    for name in ["provided", "provided.al2", "provided.al2023"] {
        assert_eq!(runtime(name), Some(Runtime::Provided), "{name}");
    }
    for name in
        ["python3.7", "python3.15", "python2.7", "nodejs19.x", "nodejs20", "java21", "wasm", ""]
    {
        assert_eq!(runtime(name), None, "{name}");
    }
}

#[test]
fn handlers_have_the_form_of_their_runtime() {
    let handler = |runtime: &str, handler: &str| {
        let text = format!("[functions.f]\nruntime = \"{runtime}\"\n{handler}\ncode = \"f\"");
        parse(&text, "").map(|manifest| manifest.functions["f"].handler.clone()).ok()
    };
    for good in ["app.handler", "pkg/app.handler", "pkg.app.handler", "my-app.my_handler", "a.b1"] {
        let key = format!("handler = \"{good}\"");
        assert_eq!(handler("python3", &key).as_deref(), Some(good));
        assert_eq!(handler("nodejs", &key).as_deref(), Some(good));
    }
    for bad in [
        "handler", ".handler", "app.", "app..x", "../app.h", "/app.h", "app.h i", "app.1",
        "app.h-i", "",
    ] {
        assert_eq!(handler("python3", &format!("handler = \"{bad}\"")), None, "{bad}");
    }
    assert_eq!(handler("python3", ""), None);
    assert_eq!(handler("provided", "").as_deref(), Some("bootstrap"));
    assert_eq!(handler("provided", "handler = \"anything\"").as_deref(), Some("anything"));
}

/// Proves: CFG-10.
#[test]
fn functions_keep_all_that_is_said_about_them() {
    let keys = r#"
        memory = "256MiB"
        timeout = "1h"
        mode = "pinned"
        max_concurrency = 32
        priority = "urgent"
        workers = { reserve = 1 }
        idle_timeout = "30s"
        environment = { A = "1", B_2 = "two" }
        description = "of use"
    "#;
    let manifest = parsed(&function(keys));
    let of = &manifest.functions["f"];
    assert_eq!((of.memory, of.timeout), (ByteSize::mib(256), Duration::from_secs(3600)));
    assert_eq!((of.mode, of.priority, of.max_concurrency), (Mode::Pinned, Priority::Urgent, 32));
    assert_eq!(of.workers, Workers { reserve: Reserve::Fixed(1), max: 1 });
    assert_eq!(of.idle_timeout, Duration::from_secs(30));
    assert_eq!(of.environment["B_2"], "two");
    assert_eq!(of.description.as_deref(), Some("of use"));
}

#[test]
fn bounds_of_functions_hold_at_the_bound() {
    let accepted = |keys: &str| complaints(&function(keys)).is_empty();
    assert!(accepted("memory = \"16MiB\"") && !accepted("memory = \"15MiB\""));
    assert!(accepted("memory = \"10GiB\"") && !accepted("memory = \"11GiB\""));
    assert!(accepted("timeout = \"1ms\"") && !accepted("timeout = \"0s\""));
    assert!(accepted("timeout = \"15m\"") && !accepted("timeout = \"901s\""));
    assert!(accepted("mode = \"pinned\"\ntimeout = \"7d\""));
    assert!(accepted("max_concurrency = 1") && !accepted("max_concurrency = 0"));
    assert!(accepted("max_concurrency = 10_000") && !accepted("max_concurrency = 10_001"));
    assert!(accepted("workers = { reserve = 4, max = 4 }"));
    assert!(!accepted("workers = { reserve = 5, max = 4 }"));
    let environment =
        |bytes: usize| format!("environment = {{ A = \"{}\" }}", "x".repeat(bytes - 1));
    assert!(accepted(&environment(4096)) && !accepted(&environment(4097)));
    let description = |bytes: usize| format!("description = \"{}\"", "x".repeat(bytes));
    assert!(accepted(&description(1024)) && !accepted(&description(1025)));
}

#[test]
fn the_number_of_functions_is_bounded() {
    let functions = |count: usize| -> String {
        let one = |n| format!("[functions.f{n}]\nruntime = \"provided\"\ncode = \"f\"\n");
        (0..count).map(one).collect()
    };
    assert!(complaints(&functions(256)).is_empty());
    assert_eq!(complaints(&functions(257)), ["functions: 257 functions, at most 256 are allowed"]);
}

#[test]
fn the_length_of_a_manifest_is_bounded() {
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert!(complaints(&comment(MAX_MANIFEST_BYTES)).is_empty());
    assert_eq!(
        complaints(&comment(MAX_MANIFEST_BYTES + 1)),
        [": the file has 1048577 bytes, at most 1048576 are allowed"]
    );
}

#[test]
fn message_rules_and_attributes_mean_what_they_say() {
    let manifest = parsed(
        r#"
        [devices.fan]
        attributes = { codes = ["A", "B"], floor = 2, share = 0.5, armed = true }
        [[routes]]
        from = "device:*"
        topic = "order/+"
        to = "subscribers"
        only = "levels[1] in receiver.codes"
        publish_as = "run/{levels[1]}"
        withhold = true
        "#,
    );
    let fan = manifest.devices.values().next().unwrap();
    let told: Vec<String> =
        fan.attributes.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(told, ["armed true", "codes [\"A\", \"B\"]", "floor 2", "share 0.5"]);
    let [route] = manifest.table.routes() else { panic!("one route") };
    assert_eq!(route.rule.only.as_ref().unwrap().text(), "levels[1] in receiver.codes");
    assert_eq!(route.rule.publish_as.as_ref().unwrap().makes().as_str(), "run/+");
    assert!(route.rule.withhold);
    let lamp = Source::Device(DeviceName::new("lamp").unwrap());
    assert!(manifest.table.may_subscribe(&lamp, &TopicFilter::new("run/x").unwrap()));
    assert!(!manifest.table.may_subscribe(&lamp, &TopicFilter::new("order/x").unwrap()));
}
