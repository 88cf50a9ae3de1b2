//! Checks the form of a manifest against its own JSON Schema: unknown keys, missing keys, types,
//! allowed words, ranges. Serde would stop at the first; this reports all.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tomte_route::nearest;

use super::diagnostic::{Complaint, Report};
use super::document::Document;
use super::key_path::{KeyPath, path};
use super::schema::json_schema;

pub(super) fn check(document: &Document<'_>, report: &mut Report<'_>) {
    let schema = json_schema();
    check_table(&schema, document.root().get_ref(), 0..0, &path([]), report);
}

fn check_value(
    schema: &Json,
    value: &Spanned<DeValue<'_>>,
    key: &KeyPath,
    report: &mut Report<'_>,
) {
    let Some(schema) = alternative(schema, value.get_ref()) else {
        let message = format!("this is {}", kind_of(value.get_ref()).with_article());
        report.add(value.span(), key, Complaint::new(message).expected(expected(schema)));
        return;
    };
    match value.get_ref() {
        DeValue::Table(table) => check_table(schema, table, value.span(), key, report),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                check_value(&schema["items"], item, &key.index(at), report);
            }
        }
        DeValue::String(text) => check_word(schema, text, value, key, report),
        DeValue::Integer(_) => check_range(schema, value, key, report),
        _ => {}
    }
}

fn check_table(
    schema: &Json,
    table: &DeTable<'_>,
    span: std::ops::Range<usize>,
    path: &KeyPath,
    report: &mut Report<'_>,
) {
    let properties = schema["properties"].as_object();
    let names = || properties.into_iter().flat_map(|keys| keys.keys().map(String::as_str));
    for (key, value) in table.iter() {
        let name: &str = key.get_ref();
        let known = properties.and_then(|keys| keys.get(name));
        match known.or_else(|| free_keys(schema)) {
            Some(schema) => check_value(schema, value, &path.key(name), report),
            None => {
                let complaint = Complaint::new(format!("there is no key {name:?} here"))
                    .expected(one_of(names()))
                    .did_you_mean(nearest(name, names()));
                report.add(key.span(), path, complaint);
            }
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
    for name in required.filter(|name| !table.contains_key(*name)) {
        let schema = &schema["properties"][name];
        let complaint =
            Complaint::new(format!("the key {name:?} is missing")).expected(expected(schema));
        report.add(span.clone(), path, complaint);
    }
}

/// Returns the schema of keys that the writer chooses, such as the names of devices.
fn free_keys(schema: &Json) -> Option<&Json> {
    Some(&schema["additionalProperties"]).filter(|free| free.is_object())
}

/// Returns the schema, or the one of its alternatives, that has the type of `value`.
fn alternative<'s>(schema: &'s Json, value: &DeValue<'_>) -> Option<&'s Json> {
    let kind = kind_of(value);
    match alternatives(schema) {
        Some(all) => all.iter().find_map(|schema| alternative(schema, value)),
        None => {
            let of_words = kind.name == "string" && !words(schema).is_empty();
            (of_words || schema["type"].as_str() == Some(kind.name)).then_some(schema)
        }
    }
}

fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    // Words with an explanation each are alternatives of one type; they are compared as a list.
    let is_word = |schema: &Json| schema.get("const").is_some();
    schema["anyOf"]
        .as_array()
        .or_else(|| schema["oneOf"].as_array().filter(|all| !all.iter().all(is_word)))
}

fn check_word(
    schema: &Json,
    text: &str,
    value: &Spanned<DeValue<'_>>,
    key: &KeyPath,
    report: &mut Report<'_>,
) {
    let words = words(schema);
    if words.is_empty() || words.contains(&text) {
        return;
    }
    let complaint = Complaint::new(format!("{text:?} is not known here"))
        .expected(one_of(words.iter().map(|word| format!("{word:?}"))))
        .did_you_mean(nearest(text, words));
    report.add(value.span(), key, complaint);
}

fn check_range(
    schema: &Json,
    value: &Spanned<DeValue<'_>>,
    key: &KeyPath,
    report: &mut Report<'_>,
) {
    let Some(integer) = value.get_ref().as_integer() else { return };
    let number = i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix());
    let minimum = schema["minimum"].as_i64().unwrap_or(i64::MIN);
    let maximum = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    if !number.as_ref().is_ok_and(|number| (minimum..=maximum).contains(number)) {
        let message = format!("{} is out of range", integer.as_str());
        report.add(value.span(), key, Complaint::new(message).expected(expected(schema)));
    }
}

/// Returns the words that a text may be, none when it may be any.
fn words(schema: &Json) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let explained = schema["oneOf"].as_array().into_iter().flatten();
    let explained = explained.filter_map(|schema| schema["const"].as_str());
    let single = schema["const"].as_str();
    listed.chain(explained).chain(single).collect()
}

/// Returns in words what `schema` asks for.
fn expected(schema: &Json) -> String {
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    if let Some(all) = alternatives(schema) {
        return all.iter().map(expected).collect::<Vec<_>>().join(", or ");
    }
    let words = words(schema);
    if !words.is_empty() {
        return one_of(words.iter().map(|word| format!("{word:?}")));
    }
    match (schema["type"].as_str(), schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        (Some("integer"), Some(minimum), Some(maximum)) => {
            format!("a whole number from {minimum} to {maximum}")
        }
        (Some(name), ..) => Kind { name }.with_article(),
        (None, ..) => String::new(),
    }
}

fn one_of(words: impl Iterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<String> = words.map(|word| word.as_ref().to_owned()).collect();
    match words.as_slice() {
        [] => "no key at all".to_owned(),
        [word] => word.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// A type, as JSON Schema names it.
struct Kind<'a> {
    name: &'a str,
}

fn kind_of(value: &DeValue<'_>) -> Kind<'static> {
    let name = match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    };
    Kind { name }
}

impl Kind<'_> {
    fn with_article(&self) -> String {
        match self.name {
            "string" => "a text in quotes",
            "integer" => "a whole number",
            "number" => "a number with a fraction",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a table",
            other => return format!("a {other}"),
        }
        .to_owned()
    }
}
