use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use tomte_base::FunctionName;
use tomte_deployment::plan;

use super::*;

fn code(digest: &str) -> BTreeMap<FunctionName, String> {
    BTreeMap::from([(FunctionName::new("regulate").unwrap(), digest.repeat(64))])
}

fn check(old: &str, new: &str, expect: Expect) {
    let old = describe(&parsed(old), &code("a"));
    let plan = plan(&describe(&parsed(new), &code("a")), Some(&old));
    expect.assert_eq(&plan.to_string());
}

#[test]
fn the_same_manifest_in_other_words_changes_nothing() {
    let reworded = GREENHOUSE
        .replace("memory = \"64MiB\"", "memory = \"65536KiB\"")
        .replace("priority = \"normal\"\n", "")
        .replace("from = \"device:thermometer\"", "from = [\"device:thermometer\"]")
        .replace("\"functions/regulate\"", "\"./functions/regulate/\"");
    assert_ne!(reworded, GREENHOUSE);
    check(GREENHOUSE, &reworded, expect![[r#""#]]);
}

#[test]
fn changes_are_told_key_by_key() {
    let changed = GREENHOUSE
        .replace("memory = \"64MiB\"", "memory = \"128MiB\"")
        .replace("> 28", "> 30")
        .replace("[devices.fan]", "[devices.fan]\n[devices.lamp]")
        .replace("[hub]", "[listeners]\nmqtts = { bind = \"0.0.0.0:18883\" }\n[hub]");
    check(
        GREENHOUSE,
        &changed,
        expect![[r#"
        ~ listeners.mqtts
            bind: 0.0.0.0:8883 -> 0.0.0.0:18883
        + devices.lamp
        ~ functions.regulate
            memory: 64MiB -> 128MiB
        ~ routes[0] "hot"
            when: payload.celsius > 28 -> payload.celsius > 30
    "#]],
    );
}

#[test]
fn a_first_deployment_adds_all() {
    let plan = plan(&describe(&parsed(GREENHOUSE), &code("a")), None);
    expect![[r#"
        + hub
            name: greenhouse
        + listeners.mqtts
            anonymous: false
            bind: 0.0.0.0:8883
            password: false
        + limits
            call_payload: 6MiB
            connect_timeout: 10s
            functions_memory: auto
            max_connecting: 1000
            max_connections: 10000
            max_hops: 16
            max_packet: 1MiB
            max_sessions: 20000
            max_subscriptions: 1000
            maximum_qos: 2
            output_buffer: 1MiB
            queued_bytes: 1GiB
            queued_call_bytes: 64MiB
            queued_calls: 100000
            queued_deliveries: 500000
            receive_maximum: 64
            retained_bytes: 16MiB
            retained_messages: 10000
            session_bytes: 8MiB
            session_expiry_max: 7d
            session_messages: 1000
            session_overflow: drop-oldest
            slow_reader_timeout: 1m
            subscription_bytes: 256KiB
            topic_alias_maximum: 16
            topic_alias_maximum_out: 16
        + durability
            mode: process
        + devices.fan
        + devices.thermometer
        + functions.regulate
            code: aaaaaaaaaaaa...
            handler: app.handler
            idle_timeout: 5m
            max_concurrency: 4
            memory: 64MiB
            mode: on-demand
            priority: normal
            result_topic: actuators/fan
            runtime: python3.11
            timeout: 3s
            workers.max: 4
            workers.reserve: auto
        + routes[0] "hot"
            from: device:thermometer
            to: function:regulate
            topic: sensors/+/temperature
            when: payload.celsius > 28
        + routes[1]
            from: function:regulate
            on_unavailable: hold 10m, max 1000, then drop-oldest
            to: device:fan
            topic: actuators/fan
    "#]]
    .assert_eq(&plan.to_string());
}

#[test]
fn new_code_is_a_change_though_the_manifest_is_the_same() {
    let manifest = parsed(GREENHOUSE);
    let plan = plan(&describe(&manifest, &code("b")), Some(&describe(&manifest, &code("a"))));
    expect![[r#"
        ~ functions.regulate
            code: aaaaaaaaaaaa... -> bbbbbbbbbbbb...
    "#]]
    .assert_eq(&plan.to_string());
    let told = changes(&plan);
    assert_eq!(told[0].what, "functions.regulate");
    assert_eq!(told[0].kind, crate::control::ChangeKind::Change);
}

#[test]
fn a_route_that_becomes_a_message_rule_is_told_key_by_key() {
    let broker = "[devices.fan]\n[[routes]]\nfrom = \"device:*\"\ntopic = \"order/+\"\nto = \"subscribers\"\n";
    let rule = broker.replace("[devices.fan]", "[devices.fan]\nattributes = { codes = [\"A\"] }")
        + "only = \"levels[1] in receiver.codes\"\npublish_as = \"run/{levels[1]}\"\nwithhold = true\n";
    check(
        broker,
        &rule,
        expect![[r#"
        ~ devices.fan
            attributes.codes: none -> ["A"]
        ~ routes[0]
            only: none -> levels[1] in receiver.codes
            publish_as: none -> run/{levels[1]}
            withhold: none -> true
    "#]],
    );
}
