use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::*;

fn described(text: &str) -> tomte_deployment::Desired {
    describe(&parsed(text), &BTreeMap::new())
}

/// Takes the `#` away from settings that are switched off.
fn all_settings() -> String {
    let setting = |line: &str| line.len() > 1 && line.starts_with('#') && !line.starts_with("# ");
    let uncomment = |line: &str| match setting(line) {
        true => line[1..].to_owned(),
        false => line.to_owned(),
    };
    DEFAULT_TOML.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_manifest_says_nothing_but_the_defaults() {
    assert_eq!(described(DEFAULT_TOML), described(""));
}

#[test]
fn the_settings_of_the_default_manifest_that_are_off_can_be_switched_on() {
    let manifest = parsed(&all_settings());
    assert_eq!((manifest.devices.len(), manifest.functions.len()), (2, 1));
    assert_eq!(manifest.table.routes().len(), 3);
}

#[test]
fn the_defaults_that_the_default_manifest_claims_for_functions_and_holds_are_true() {
    let short = r#"
        [devices.thermometer]
        description = "at the north wall"
        attributes = { codes = ["A7", "B2"], order_key = "c0ffee" }
        [devices.fan]
        [functions.regulate]
        runtime = "python3.11"
        handler = "app.handler"
        code = "functions/regulate"
        result_topic = "actuators/fan"
        description = "keeps the greenhouse below 28 degrees"
        environment = { THRESHOLD = "28" }
        [listeners]
        mqtt = { bind = "127.0.0.1:1883", anonymous = true }
        http = { bind = "127.0.0.1:9464" }
        [limits]
        keep_alive_max = "10m"
        [[routes]]
        name = "hot"
        from = "device:thermometer"
        topic = "sensors/+/temperature"
        when = "payload.celsius > 28"
        to = "function:regulate"
        [[routes]]
        from = "function:regulate"
        topic = "actuators/fan"
        to = "device:fan"
        on_unavailable = { hold = "10m" }
        [[routes]]
        from = "device:*"
        topic = "orders/+/#"
        to = "subscribers"
        only = "levels[1] in receiver.codes"
        publish_as = "alarm/{levels[1]}"
        withhold = true
    "#;
    assert_eq!(described(&all_settings()), described(short));
}

#[test]
fn the_default_manifest_names_every_key() {
    let written: Json =
        serde_json::to_value(all_settings().parse::<toml::Table>().unwrap()).unwrap();
    let mut keys = BTreeSet::new();
    collect_keys(&written, &mut keys);
    let mut missing = Vec::new();
    each_property(&json_schema(), &mut |name, _| {
        if !keys.contains(name) {
            missing.push(name.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

fn collect_keys(value: &Json, keys: &mut BTreeSet<String>) {
    match value {
        Json::Object(table) => table.iter().for_each(|(key, value)| {
            keys.insert(key.clone());
            collect_keys(value, keys);
        }),
        Json::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}

fn each_property(schema: &Json, see: &mut impl FnMut(&str, &Json)) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            see(name, schema);
        }
    }
    match schema {
        Json::Object(keys) => keys.values().for_each(|inner| each_property(inner, see)),
        Json::Array(items) => items.iter().for_each(|inner| each_property(inner, see)),
        _ => {}
    }
}

#[test]
fn the_schema_explains_every_key_and_allows_no_other() {
    let schema = json_schema();
    let mut seen = 0;
    each_property(&schema, &mut |name, property| {
        seen += 1;
        let text = property["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{name} has no description: {property}");
    });
    assert!(seen > 50, "{seen}");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["functions"]["additionalProperties"]["additionalProperties"],
        false
    );
    let text = schema.to_string();
    assert!(!text.contains("\"null\"") && !text.contains("$ref"), "{text}");
}

/// The walk over the schema and serde must agree on what is allowed.
#[test]
fn numbers_in_the_schema_have_ranges() {
    each_property(&json_schema(), &mut |name, property| {
        if property["type"] == "integer" {
            assert!(property["minimum"].is_i64() && property["maximum"].is_i64(), "{name}");
        }
    });
}
