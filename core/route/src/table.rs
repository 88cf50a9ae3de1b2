use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tomte_base::{DeviceName, FunctionName, RouteName, Source, TopicFilter};

use crate::cycle::find_cycles;
use crate::{
    Attributes, Condition, Declared, Destination, Hold, MessageView, Receiver, RouteError,
    RouteErrorReason, RouteKey, RouteSpec, SourcePattern, TopicTemplate, nearest,
};

/// Most routes of one manifest.
pub const MAX_ROUTES: usize = 1024;

/// Most sources of one route.
pub const MAX_SOURCES: usize = 256;

/// A route that was checked against the rest of the manifest.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its `name` key, or its place when it has none.
    pub name: RouteName,
    /// What people call it: `routes[0] "hot"`, or `routes[0]`.
    pub label: String,
    /// Where messages come from; one that matches is enough.
    pub from: Vec<SourcePattern>,
    /// The topics that are taken.
    pub topic: TopicFilter,
    /// The condition, if any.
    pub when: Option<Condition>,
    /// Where messages go.
    pub to: Destination,
    /// What happens to messages for a device that is not connected.
    pub on_unavailable: Option<Hold>,
    /// A loop of functions through this route is meant.
    pub allow_cycle: bool,
    /// What makes it a message rule.
    pub rule: Rule,
}

/// Who of a route's receivers gets a message, and how.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Who gets it; without it everybody.
    pub only: Option<Condition>,
    /// The topic on which it goes on.
    pub publish_as: Option<TopicTemplate>,
    /// Nobody gets it by a route to subscribers or devices that does not say this too.
    pub withhold: bool,
}

impl Route {
    /// Tells whether messages of `source` are taken, topic and condition aside.
    #[must_use]
    pub fn takes_from(&self, source: &Source) -> bool {
        self.from.iter().any(|pattern| pattern.matches(source))
    }

    /// Tells whether a message of `source` is taken, its topic aside. One whose condition cannot be
    /// told is not.
    #[must_use]
    pub fn takes(&self, source: &Source, message: &MessageView<'_>) -> bool {
        self.takes_from(source)
            && self.when.as_ref().is_none_or(|when| when.evaluate(message) == Ok(true))
    }

    /// Returns the topics on which its messages reach their receivers.
    #[must_use]
    pub fn delivers_on(&self) -> &TopicFilter {
        self.rule.publish_as.as_ref().map_or(&self.topic, TopicTemplate::makes)
    }

    /// Tells what is special about the route, for people.
    #[must_use]
    pub fn describe_rule(&self) -> String {
        let only = self.rule.only.iter().map(|only| format!(", only {}", only.text()));
        let on = self.rule.publish_as.iter().map(|topic| format!(", as {topic}"));
        let withhold = self.rule.withhold.then(|| ", withheld from all others".to_owned());
        only.chain(on).chain(withhold).collect()
    }

    /// Tells whether some message of the route could go to this receiver.
    #[must_use]
    pub fn feeds(&self, subscriber: &Source) -> bool {
        match (&self.to, subscriber) {
            (Destination::Subscribers, _) => true,
            (Destination::Device(name), Source::Device(device)) => name == device,
            _ => false,
        }
    }
}

/// All routes of a manifest, in its order. Never changed: a new deployment brings a new table.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    receivers: Arc<BTreeMap<DeviceName, Receiver>>,
}

impl RouteTable {
    /// Checks `specs` against each other and what the manifest declares.
    ///
    /// # Errors
    /// Fails with every [`RouteError`] that was found: names used twice, devices and functions that
    /// are not declared, conditions that do not compile, circles of functions.
    pub fn compile(
        specs: Vec<RouteSpec>,
        declared: &Declared,
    ) -> Result<RouteTable, Vec<RouteError>> {
        if specs.len() > MAX_ROUTES {
            let reason = RouteErrorReason::TooManyRoutes { count: specs.len() };
            return Err(vec![error(MAX_ROUTES, &specs[MAX_ROUTES], RouteKey::Route, reason)]);
        }
        let mut errors = duplicate_names(&specs);
        for (index, spec) in specs.iter().enumerate() {
            let reasons = check_spec(spec, declared);
            errors.extend(reasons.into_iter().map(|(key, why)| error(index, spec, key, why)));
        }
        let cycles = find_cycles(&specs, declared);
        errors.extend(cycles.into_iter().map(|(index, path)| {
            let reason = RouteErrorReason::Cycle { path };
            error(index, &specs[index], RouteKey::To, reason)
        }));
        let mut routes = Vec::with_capacity(specs.len());
        for (index, spec) in specs.into_iter().enumerate() {
            match (compile_condition(&spec), compile_rule(&spec)) {
                (Ok(when), Ok(rule)) => routes.push(route(index, spec, when, rule)),
                (when, rule) => {
                    let when = when.err().map(|reason| (RouteKey::When, reason));
                    let wrong = when.into_iter().chain(rule.err().into_iter().flatten());
                    errors.extend(wrong.map(|(key, reason)| error(index, &spec, key, reason)));
                }
            }
        }
        errors.sort_by_key(|error| error.index);
        if errors.is_empty() { Ok(Self { routes, ..Self::default() }) } else { Err(errors) }
    }

    /// Returns the table with what its rules can know of devices.
    #[must_use]
    pub fn with_attributes(mut self, devices: &BTreeMap<DeviceName, Attributes>) -> Self {
        let receiver = |(name, of): (&DeviceName, _)| (name.clone(), Receiver::new(Some(name), of));
        self.receivers = Arc::new(devices.iter().map(receiver).collect());
        self
    }

    /// Hands `look` what rules see of a device, or of a client without an identity.
    pub fn with_receiver<T>(
        &self,
        device: Option<&DeviceName>,
        look: impl FnOnce(&Receiver) -> T,
    ) -> T {
        match device.map(|name| (name, self.receivers.get(name))) {
            None => look(Receiver::anonymous()),
            Some((_, Some(receiver))) => look(receiver),
            // It has a certificate, and the manifest says nothing of it.
            Some((name, None)) => look(&Receiver::new(Some(name), &Attributes::new())),
        }
    }

    /// Returns the table without routes, under which nothing is delivered.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns the routes in the order of the manifest.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Tells whether some route takes `topic` from `source`, whatever its condition.
    #[must_use]
    pub fn may_publish(&self, source: &Source, topic: &str) -> bool {
        self.routes.iter().any(|route| route.takes_from(source) && route.topic.matches(topic))
    }
}

/// Returns what people call the route at `index`.
pub(crate) fn label(index: usize, name: Option<&RouteName>) -> String {
    match name {
        Some(name) => format!("routes[{index}] \"{name}\""),
        None => format!("routes[{index}]"),
    }
}

fn error(index: usize, spec: &RouteSpec, key: RouteKey, reason: RouteErrorReason) -> RouteError {
    RouteError { index, label: label(index, spec.name.as_ref()), key, reason }
}

fn route(index: usize, spec: RouteSpec, when: Option<Condition>, rule: Rule) -> Route {
    Route {
        label: label(index, spec.name.as_ref()),
        name: spec.name.unwrap_or_else(|| RouteName::of_index(index)),
        from: spec.from,
        topic: spec.topic,
        when,
        to: spec.to,
        on_unavailable: spec.on_unavailable,
        allow_cycle: spec.allow_cycle,
        rule,
    }
}

fn compile_condition(spec: &RouteSpec) -> Result<Option<Condition>, RouteErrorReason> {
    Ok(spec.when.as_deref().map(Condition::compile).transpose()?)
}

fn compile_rule(spec: &RouteSpec) -> Result<Rule, Vec<(RouteKey, RouteErrorReason)>> {
    let only = spec.rule.only.as_deref().map(Condition::compile_for_receiver).transpose();
    let template = |text| TopicTemplate::parse(text, &spec.topic);
    let publish_as = spec.rule.publish_as.as_deref().map(template).transpose();
    match (only, publish_as) {
        (Ok(only), Ok(publish_as)) => Ok(Rule { only, publish_as, withhold: spec.rule.withhold }),
        (only, publish_as) => {
            let only = only.err().map(|error| (RouteKey::Only, error.into()));
            let publish_as = publish_as.err().map(|error| (RouteKey::PublishAs, error.into()));
            Err(only.into_iter().chain(publish_as).collect())
        }
    }
}

fn duplicate_names(specs: &[RouteSpec]) -> Vec<RouteError> {
    let mut first = HashMap::new();
    let mut errors = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let Some(name) = &spec.name else { continue };
        let taken_by = *first.entry(name.clone()).or_insert(index);
        if taken_by != index {
            let first = label(taken_by, Some(name));
            let reason = RouteErrorReason::DuplicateName { name: name.to_string(), first };
            errors.push(error(index, spec, RouteKey::Name, reason));
        }
    }
    errors
}

fn check_spec(spec: &RouteSpec, declared: &Declared) -> Vec<(RouteKey, RouteErrorReason)> {
    let mut found = Vec::new();
    if spec.from.is_empty() {
        found.push((RouteKey::From(0), RouteErrorReason::NoSource));
    }
    if spec.from.len() > MAX_SOURCES {
        let reason = RouteErrorReason::TooManySources { count: spec.from.len() };
        found.push((RouteKey::From(MAX_SOURCES), reason));
    }
    for (at, source) in spec.from.iter().enumerate() {
        let missing = match source {
            SourcePattern::Device(name) => undeclared_device(name, declared),
            SourcePattern::Function(name) => undeclared_function(name, declared),
            _ => None,
        };
        found.extend(missing.map(|reason| (RouteKey::From(at), reason)));
    }
    if spec.topic.starts_with("$share/") {
        found.push((RouteKey::Topic, RouteErrorReason::SharedTopic));
    }
    let missing = match &spec.to {
        Destination::Device(name) => undeclared_device(name, declared),
        Destination::Function(name) => undeclared_function(name, declared),
        Destination::Subscribers | Destination::Nobody => None,
    };
    found.extend(missing.map(|reason| (RouteKey::To, reason)));
    found.extend(spec.on_unavailable.and_then(|hold| check_hold(&hold, &spec.to)));
    let chooses = matches!(spec.to, Destination::Subscribers | Destination::Device(_));
    if spec.rule.only.is_some() && !chooses {
        let reason = RouteErrorReason::NobodyToChoose { to: spec.to.to_string() };
        found.push((RouteKey::Only, reason));
    }
    if spec.rule.publish_as.is_some() && spec.to == Destination::Nobody {
        found.push((RouteKey::PublishAs, RouteErrorReason::NothingGoesOn));
    }
    found
}

fn check_hold(hold: &Hold, to: &Destination) -> Option<(RouteKey, RouteErrorReason)> {
    if !matches!(to, Destination::Device(_)) {
        let reason = RouteErrorReason::NothingToHoldFor { to: to.to_string() };
        return Some((RouteKey::OnUnavailable(None), reason));
    }
    let empty = match (hold.hold.is_zero(), hold.max) {
        (true, _) => "hold",
        (false, 0) => "max",
        _ => return None,
    };
    Some((RouteKey::OnUnavailable(Some(empty)), RouteErrorReason::EmptyHold))
}

fn undeclared_device(name: &DeviceName, declared: &Declared) -> Option<RouteErrorReason> {
    (!declared.devices.contains(name)).then(|| RouteErrorReason::UndeclaredDevice {
        name: name.to_string(),
        nearest: nearest(name.as_str(), declared.devices.iter().map(DeviceName::as_str))
            .map(str::to_owned),
    })
}

fn undeclared_function(name: &FunctionName, declared: &Declared) -> Option<RouteErrorReason> {
    (!declared.functions.contains_key(name)).then(|| RouteErrorReason::UndeclaredFunction {
        name: name.to_string(),
        nearest: nearest(name.as_str(), declared.functions.keys().map(FunctionName::as_str))
            .map(str::to_owned),
    })
}

mod nobody;
#[cfg(test)]
mod tests;

pub use nobody::Feed;
