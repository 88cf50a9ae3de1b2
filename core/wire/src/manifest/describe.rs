use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{FunctionName, format_duration};
use tomte_deployment::{ChangeKind, Desired, Item, Kind, Plan};
use tomte_route::Route;
use tomte_scheduler::Mode;

use super::meant::{Function, Limits, Listener, Manifest};
use crate::control;

type Fields = BTreeMap<String, String>;

/// Takes a manifest apart for comparison with another. `code` holds the digest of the code of each
/// function; a function without one is compared by the path of its code only.
#[must_use]
pub fn describe(manifest: &Manifest, code: &BTreeMap<FunctionName, String>) -> Desired {
    let mut sections = vec![
        item("hub", Kind::Hub, fields([("name", manifest.hub.name.clone())])),
        item("limits", Kind::Limits, limits(&manifest.limits)),
        item("durability", Kind::Durability, fields([("mode", manifest.durability.to_string())])),
    ];
    sections.splice(1..1, listeners(manifest));
    for (name, device) in &manifest.devices {
        let description = device.description.clone().map(|text| ("description", text));
        let mut fields = fields(description);
        let attributes = device.attributes.iter();
        fields.extend(
            attributes.map(|(name, value)| (format!("attributes.{name}"), value.to_string())),
        );
        sections.push(item(&format!("devices.{name}"), Kind::Device(name.clone()), fields));
    }
    for (name, of) in &manifest.functions {
        let fields = function(of, code.get(name));
        sections.push(item(&format!("functions.{name}"), Kind::Function(name.clone()), fields));
    }
    let written = manifest.routes.iter().zip(manifest.table.routes());
    sections.extend(written.map(|(spec, compiled)| {
        let name = spec.name.as_ref().map(ToString::to_string);
        item(&compiled.label, Kind::Route(name), route(compiled))
    }));
    Desired { sections }
}

/// Returns a plan as the control interface tells it.
#[must_use]
pub fn changes(plan: &Plan) -> Vec<control::Change> {
    let change = |change: &tomte_deployment::Change| control::Change {
        kind: match change.kind {
            ChangeKind::Add => control::ChangeKind::Add,
            ChangeKind::Change => control::ChangeKind::Change,
            ChangeKind::Remove => control::ChangeKind::Remove,
        },
        what: change.what.clone(),
        details: change.details.clone(),
    };
    plan.changes.iter().map(change).collect()
}

fn item(what: &str, kind: Kind, fields: Fields) -> Item {
    Item { what: what.to_owned(), kind, fields }
}

fn fields(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn listeners(manifest: &Manifest) -> Vec<Item> {
    let listeners = &manifest.listeners;
    let mqtt = |name: &str, listener: Option<Listener>| {
        listener.map(|Listener { bind, anonymous, password }| {
            let mut fields = fields([
                ("bind", bind.to_string()),
                ("anonymous", anonymous.to_string()),
                ("password", password.to_string()),
            ]);
            if !listeners.origins.is_empty() {
                fields.insert("origins".to_owned(), listeners.origins.join(", "));
            }
            item(&format!("listeners.{name}"), Kind::Listener(name.to_owned()), fields)
        })
    };
    let http = listeners.http.map(|bind| {
        let fields = fields([("bind", bind.to_string())]);
        item("listeners.http", Kind::Listener("http".to_owned()), fields)
    });
    let mqtts = mqtt("mqtts", listeners.mqtts);
    mqtts.into_iter().chain(mqtt("mqtt", listeners.mqtt)).chain(http).collect()
}

fn limits(limits: &Limits) -> Fields {
    let keep_alive = |seconds: u16| format_duration(Duration::from_secs(seconds.into()));
    let mut described = fields([
        ("max_packet", limits.max_packet.to_string()),
        ("max_connections", limits.max_connections.to_string()),
        ("max_connecting", limits.max_connecting.to_string()),
        ("max_sessions", limits.max_sessions.to_string()),
        ("max_subscriptions", limits.max_subscriptions.to_string()),
        ("subscription_bytes", limits.subscription_bytes.to_string()),
        ("receive_maximum", limits.receive_maximum.to_string()),
        ("topic_alias_maximum", limits.topic_alias_maximum.to_string()),
        ("topic_alias_maximum_out", limits.topic_alias_maximum_out.to_string()),
        ("maximum_qos", (limits.maximum_qos as u8).to_string()),
        ("connect_timeout", format_duration(limits.connect_timeout)),
        ("session_expiry_max", format_duration(limits.session_expiry_max)),
        ("session_messages", limits.session_messages.to_string()),
        ("session_bytes", limits.session_bytes.to_string()),
        ("session_overflow", limits.session_overflow.to_string()),
        ("queued_bytes", limits.queued_bytes.to_string()),
        ("queued_deliveries", limits.queued_deliveries.to_string()),
        ("output_buffer", limits.output_buffer.to_string()),
        ("slow_reader_timeout", format_duration(limits.slow_reader_timeout)),
        ("retained_messages", limits.retained_messages.to_string()),
        ("retained_bytes", limits.retained_bytes.to_string()),
        ("max_hops", limits.max_hops.to_string()),
        ("call_payload", limits.call_payload.to_string()),
        ("queued_calls", limits.queued_calls.to_string()),
        ("queued_call_bytes", limits.queued_call_bytes.to_string()),
        ("functions_memory", limits.functions_memory.to_string()),
    ]);
    described.extend(fields(limits.keep_alive_max.map(|s| ("keep_alive_max", keep_alive(s)))));
    described
}

fn function(function: &Function, digest: Option<&String>) -> Fields {
    let mode = match function.mode {
        Mode::OnDemand => "on-demand",
        Mode::Pinned => "pinned",
    };
    let mut described = fields([
        ("runtime", function.runtime_name.clone()),
        ("handler", function.handler.clone()),
        ("code", digest.unwrap_or(&function.code).clone()),
        ("memory", function.memory.to_string()),
        ("timeout", format_duration(function.timeout)),
        ("mode", mode.to_owned()),
        ("max_concurrency", function.max_concurrency.to_string()),
        ("priority", function.priority.to_string()),
        ("workers.reserve", function.workers.reserve.to_string()),
        ("workers.max", function.workers.max.to_string()),
        ("idle_timeout", format_duration(function.idle_timeout)),
    ]);
    let topic = function.result_topic.as_ref().map(|topic| ("result_topic", topic.to_string()));
    let text = function.description.clone().map(|text| ("description", text));
    described.extend(fields(topic.into_iter().chain(text)));
    let environment = function.environment.iter();
    described
        .extend(environment.map(|(name, value)| (format!("environment.{name}"), value.clone())));
    described
}

fn route(route: &Route) -> Fields {
    let from: Vec<String> = route.from.iter().map(ToString::to_string).collect();
    let when = route.when.as_ref().map(|when| ("when", when.text().to_owned()));
    let hold = route.on_unavailable.as_ref().map(|hold| {
        let span = format_duration(hold.hold);
        ("on_unavailable", format!("hold {span}, max {}, then {}", hold.max, hold.then))
    });
    let cycle = route.allow_cycle.then(|| ("allow_cycle", "true".to_owned()));
    let only = route.rule.only.as_ref().map(|only| ("only", only.text().to_owned()));
    let publish_as = route.rule.publish_as.as_ref().map(|to| ("publish_as", to.to_string()));
    let withhold = route.rule.withhold.then(|| ("withhold", "true".to_owned()));
    let rule = only.into_iter().chain(publish_as).chain(withhold);
    let always = [
        ("from", from.join(", ")),
        ("topic", route.topic.to_string()),
        ("to", route.to.to_string()),
    ];
    fields(always.into_iter().chain(when).chain(rule).chain(hold).chain(cycle))
}
