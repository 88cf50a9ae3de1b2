use std::collections::HashMap;

use tomte_base::{DeviceName, FunctionName, RouteName, Source, TopicFilter};

use crate::cycle::find_cycles;
use crate::{
    Condition, Declared, Destination, Hold, RouteError, RouteErrorReason, RouteKey, RouteSpec,
    SourcePattern, nearest,
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
}

impl Route {
    /// Tells whether messages of `source` are taken, topic and condition aside.
    #[must_use]
    pub fn takes_from(&self, source: &Source) -> bool {
        self.from.iter().any(|pattern| pattern.matches(source))
    }

    fn feeds(&self, subscriber: &Source) -> bool {
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
            match compile_condition(&spec) {
                Ok(when) => routes.push(route(index, spec, when)),
                Err(reason) => errors.push(error(index, &spec, RouteKey::When, reason)),
            }
        }
        errors.sort_by_key(|error| error.index);
        if errors.is_empty() { Ok(Self { routes }) } else { Err(errors) }
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

    /// Tells whether some route to subscribers, or to this very device, could ever feed `filter`.
    #[must_use]
    pub fn may_subscribe(&self, subscriber: &Source, filter: &TopicFilter) -> bool {
        self.routes.iter().any(|route| route.feeds(subscriber) && route.topic.overlaps(filter))
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

fn route(index: usize, spec: RouteSpec, when: Option<Condition>) -> Route {
    Route {
        label: label(index, spec.name.as_ref()),
        name: spec.name.unwrap_or_else(|| RouteName::of_index(index)),
        from: spec.from,
        topic: spec.topic,
        when,
        to: spec.to,
        on_unavailable: spec.on_unavailable,
        allow_cycle: spec.allow_cycle,
    }
}

fn compile_condition(spec: &RouteSpec) -> Result<Option<Condition>, RouteErrorReason> {
    Ok(spec.when.as_deref().map(Condition::compile).transpose()?)
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
        Destination::Subscribers => None,
    };
    found.extend(missing.map(|reason| (RouteKey::To, reason)));
    found.extend(spec.on_unavailable.and_then(|hold| check_hold(&hold, &spec.to)));
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

#[cfg(test)]
mod tests;
