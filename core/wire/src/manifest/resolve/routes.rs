use std::time::Duration;

use tomte_base::{RouteName, TopicFilter};
use tomte_route::condition::ConditionErrorReason;
use tomte_route::{
    Declared, Destination, EndpointError, Hold, Overflow, RouteError, RouteErrorReason, RouteKey,
    RouteSpec, RouteTable, RuleSpec, SourcePattern, TemplateError,
};

use super::context::Context;
use super::limits::{number, overflow};
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::{KeyPath, path};
use crate::manifest::written::{self, OneOrMany};

/// Messages that wait for a device when no number is given.
const DEFAULT_HELD_MESSAGES: u32 = 1_000;

/// Longest time that a message waits for a device.
const MAX_HOLD: Duration = Duration::from_secs(365 * 86_400);

/// Most names that an error lists.
const MAX_LISTED: usize = 20;

/// Reads and compiles the routes. A part that makes no sense is reported and replaced by one that is
/// harmless, so that the rest of the route is checked as well.
pub(super) fn routes(
    written: Vec<written::Route>,
    declared: &Declared,
    context: &mut Context<'_, '_, '_>,
) -> (Vec<RouteSpec>, Option<RouteTable>) {
    let lists: Vec<bool> =
        written.iter().map(|route| matches!(route.from, OneOrMany::Many(_))).collect();
    let specs: Vec<RouteSpec> = written
        .into_iter()
        .enumerate()
        .map(|(index, route)| spec(route, &path(["routes"]).index(index), context))
        .collect();
    match RouteTable::compile(specs.clone(), declared) {
        Ok(table) => (specs, Some(table)),
        Err(errors) => {
            for error in errors {
                let is_list = lists.get(error.index).copied().unwrap_or(false);
                complain(&error, is_list, declared, context);
            }
            (specs, None)
        }
    }
}

fn spec(route: written::Route, key: &KeyPath, context: &mut Context<'_, '_, '_>) -> RouteSpec {
    let to = endpoint(Destination::parse(&route.to), &key.key("to"), context);
    let on_unavailable = route.on_unavailable.map(|hold| self::hold(&hold, key, context));
    RouteSpec {
        name: route.name.and_then(|name| {
            context.accept(RouteName::new(&name), &key.key("name"), "a name such as \"hot\"")
        }),
        from: sources(route.from, &key.key("from"), context),
        topic: context
            .accept(
                TopicFilter::new(&route.topic),
                &key.key("topic"),
                "a topic filter such as \"sensors/+/temperature\" or \"#\"",
            )
            .unwrap_or_else(any_topic),
        when: route.when,
        on_unavailable: on_unavailable.filter(|_| to.is_some()),
        to: to.unwrap_or(Destination::Subscribers),
        allow_cycle: route.allow_cycle,
        rule: RuleSpec { only: route.only, publish_as: route.publish_as, withhold: route.withhold },
    }
}

fn any_topic() -> TopicFilter {
    TopicFilter::new("#").expect("a single # is a topic filter")
}

fn sources(
    from: OneOrMany,
    key: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> Vec<SourcePattern> {
    let mut read = |text: &str, key: &KeyPath| {
        endpoint(SourcePattern::parse(text), key, context).unwrap_or(SourcePattern::AnyDevice)
    };
    match from {
        OneOrMany::One(text) => vec![read(&text, key)],
        OneOrMany::Many(texts) => {
            texts.iter().enumerate().map(|(at, text)| read(text, &key.index(at))).collect()
        }
    }
}

fn endpoint<T>(
    parsed: Result<T, EndpointError>,
    key: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> Option<T> {
    let complaint = |error: &EndpointError| Complaint::new(error).expected(error.allowed());
    parsed.map_err(|error| context.complain(key, complaint(&error))).ok()
}

fn hold(
    written: &written::OnUnavailable,
    route: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> Hold {
    let key = route.key("on_unavailable").key("hold");
    let least = Duration::from_millis(1);
    Hold {
        hold: context.span(Some(&written.hold), least, least..=MAX_HOLD, &key),
        max: number(written.max, DEFAULT_HELD_MESSAGES),
        then: written.then.map_or(Overflow::default(), overflow),
    }
}

/// Says what is wrong with a route, at the place where it stands.
fn complain(
    error: &RouteError,
    from_is_list: bool,
    declared: &Declared,
    context: &mut Context<'_, '_, '_>,
) {
    let route = path(["routes"]).index(error.index);
    let key = match error.key {
        RouteKey::Route => route,
        RouteKey::From(_) if error.reason == RouteErrorReason::NoSource => route.key("from"),
        RouteKey::From(at) if from_is_list => route.key("from").index(at),
        RouteKey::OnUnavailable(Some(inner)) => route.key("on_unavailable").key(inner),
        key => route.key(&key.to_string()),
    };
    let complaint = Complaint::new(&error.reason);
    match &error.reason {
        RouteErrorReason::Condition(condition) => {
            let mut allowed = condition.allowed().unwrap_or_default();
            let is_name = matches!(condition.reason, ConditionErrorReason::UnknownVariable { .. });
            if is_name && error.key == RouteKey::Only {
                allowed.push_str(", receiver");
            }
            let complaint = Complaint::new(&condition.reason)
                .expected(allowed)
                .help(condition.hint().unwrap_or_default());
            context.complain_within(&key, condition.line, condition.column, complaint);
        }
        RouteErrorReason::UndeclaredDevice { name, .. } => {
            let declared = listed(declared.devices.iter().map(ToString::to_string), "device");
            let help = format!("declare it with [devices.{name}]");
            context.complain(&key, complaint.expected(declared).help(help));
        }
        RouteErrorReason::UndeclaredFunction { name, .. } => {
            let declared = listed(declared.functions.keys().map(ToString::to_string), "function");
            let help = format!("declare it with [functions.{name}]");
            context.complain(&key, complaint.expected(declared).help(help));
        }
        RouteErrorReason::Template(error) => {
            let complaint = Complaint::new(error).expected(TemplateError::EXPECTED);
            context.complain(&key, complaint);
        }
        RouteErrorReason::Cycle { .. } => {
            let help = "take one of the routes out, or set allow_cycle = true in one of them if the \
                        circle is meant; limits.max_hops ends it";
            context.complain(&key, complaint.help(help));
        }
        _ => context.complain(&key, complaint),
    }
}

/// Returns the declared names as the forms that a route would use.
fn listed(names: impl Iterator<Item = String>, kind: &str) -> String {
    let all: Vec<String> = names.map(|name| format!("{kind}:{name}")).collect();
    match all.as_slice() {
        [] => format!("a declared {kind}; there is none"),
        [name] => name.clone(),
        names if names.len() <= MAX_LISTED => format!("one of {}", names.join(", ")),
        names => {
            format!("one of {} names: {}, ...", names.len(), names[..MAX_LISTED].join(", "))
        }
    }
}
