//! The configurations that a run deploys, in a plain form that the oracle can judge by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{
    ByteSize, DeviceName, FunctionName, MilliCpu, Source, TopicFilter, TopicName, topic_matches,
};
use tomte_core_hub::{Config, FunctionConfig, Limits};
use tomte_route::{Declared, Destination, Hold, Overflow, RouteSpec, RouteTable, SourcePattern};
use tomte_scheduler::{FunctionLimits, Mode, Priority};

pub(crate) const DEVICES: [&str; 3] = ["thermometer", "fan", "lamp"];

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Subscribers,
    Device(&'static str),
    Function(&'static str),
}

/// One route in short form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    from: &'static str,
    topic: &'static str,
    /// The condition `payload.v > over`.
    over: Option<i64>,
    to: To,
    hold: Option<Hold>,
}

const fn route(from: &'static str, topic: &'static str, over: Option<i64>, to: To) -> Route {
    Route { from, topic, over, to, hold: None }
}

const fn held(from: &'static str, topic: &'static str, to: &'static str, rule: Hold) -> Route {
    Route { from, topic, over: None, to: To::Device(to), hold: Some(rule) }
}

/// A function and the topic of its results.
pub(crate) type Function = (&'static str, &'static str, &'static str);

/// A configuration.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) routes: Vec<Route>,
    /// Name, topic of its results, version.
    pub(crate) functions: Vec<Function>,
}

const fn hold(seconds: u64, max: u32, then: Overflow) -> Hold {
    Hold { hold: Duration::from_secs(seconds), max, then }
}

const LONG: Hold = hold(100_000, 1_000, Overflow::DropOldest);
const SHORT: Hold = hold(20, 4, Overflow::DropNewest);

/// All configurations of a run. The last one lets everything through, for the last look.
pub(crate) fn tables() -> Vec<Table> {
    use To::{Device, Function, Subscribers};
    let double = ("double", "r/double", "1");
    let chain = ("chain", "r/chain", "1");
    let echo = ("echo", "r/loop", "1");
    vec![
        Table {
            routes: vec![
                route("device:*", "s/#", None, Subscribers),
                route("device:*", "s/+", Some(50), Function("double")),
                route("function:double", "r/double", None, Function("chain")),
                route("function:*", "r/#", None, Subscribers),
                held("device:lamp", "cmd/#", "fan", LONG),
                held("device:*", "cmd/+", "fan", LONG),
                route("device:*", "p/#", Some(20), Device("lamp")),
                route("device:*", "p/#", Some(60), Subscribers),
                route("device:*", "loop", None, Function("echo")),
                route("function:echo", "r/loop", None, Function("echo")),
            ],
            functions: vec![double, chain, echo],
        },
        Table {
            routes: vec![
                route("device:thermometer", "s/#", None, Subscribers),
                route("anonymous", "s/+", None, Subscribers),
                route("device:*", "s/a", Some(30), Function("double")),
                route("function:double", "r/#", None, Device("fan")),
                held("device:*", "cmd/#", "fan", SHORT),
                held("device:*", "cmd/x", "lamp", SHORT),
                route("device:*", "p/+", None, Device("thermometer")),
            ],
            functions: vec![("double", "r/double", "2")],
        },
        Table {
            routes: vec![
                route("device:*", "#", None, Subscribers),
                route("function:*", "#", None, Subscribers),
                route("device:*", "s/b", None, Function("chain")),
                route("device:*", "s/b", None, Function("double")),
                held("device:*", "cmd/#", "fan", LONG),
            ],
            functions: vec![double, chain],
        },
        Table {
            routes: vec![
                route("device:*", "#", None, Subscribers),
                route("function:*", "#", None, Subscribers),
            ],
            functions: vec![double, chain, echo],
        },
    ]
}

/// Where the routes send one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Some route takes the topic from this source.
    pub(crate) allowed: bool,
    pub(crate) subscribers: bool,
    /// Devices, and whether the message is held while they are away.
    pub(crate) devices: Vec<(&'static str, bool)>,
    pub(crate) functions: Vec<&'static str>,
}

impl Decision {
    pub(crate) fn is_empty(&self) -> bool {
        !self.subscribers && self.devices.is_empty() && self.functions.is_empty()
    }

    /// Tells whether a session of this owner may get the message.
    pub(crate) fn permits(&self, device: Option<&str>) -> bool {
        self.subscribers || self.devices.iter().any(|(name, _)| device == Some(*name))
    }
}

fn takes_from(pattern: &str, source: &Source) -> bool {
    match (pattern, source) {
        ("device:*", Source::Device(_) | Source::Anonymous)
        | ("function:*", Source::Function(_))
        | ("anonymous", Source::Anonymous) => true,
        (pattern, Source::Device(name)) => pattern == format!("device:{name}"),
        (pattern, Source::Function(name)) => pattern == format!("function:{name}"),
        _ => false,
    }
}

impl Table {
    /// Judges one message by the plain meaning of the routes.
    pub(crate) fn decide(&self, source: &Source, topic: &str, value: Option<i64>) -> Decision {
        let mut decision = Decision::default();
        for route in &self.routes {
            if !topic_matches(route.topic, topic) || !takes_from(route.from, source) {
                continue;
            }
            decision.allowed = true;
            if route.over.is_some_and(|over| value.is_none_or(|value| value <= over)) {
                continue;
            }
            match route.to {
                To::Subscribers => decision.subscribers = true,
                To::Device(name) => decision.devices.push((name, route.hold.is_some())),
                To::Function(name) => decision.functions.push(name),
            }
        }
        decision
    }

    pub(crate) fn result_topic(&self, function: &str) -> Option<&'static str> {
        self.functions.iter().find(|(name, ..)| *name == function).map(|(_, topic, _)| *topic)
    }

    /// The same as the hub wants it.
    pub(crate) fn config(&self, limits: &Limits) -> Config {
        let name = |name: &str| FunctionName::new(name).expect("the names here are valid");
        let topic = |topic: &str| TopicName::new(topic).expect("the topics here are valid");
        let declared = Declared {
            devices: DEVICES.map(|name| DeviceName::new(name).expect("valid")).into(),
            functions: self.functions.iter().map(|f| (name(f.0), Some(topic(f.1)))).collect(),
        };
        let functions: BTreeMap<_, _> = self
            .functions
            .iter()
            .map(|f| {
                let limits = function_limits(name(f.0), f.2);
                (name(f.0), FunctionConfig { limits, result_topic: Some(topic(f.1)) })
            })
            .collect();
        let table = RouteTable::compile(self.routes.iter().map(spec).collect(), &declared);
        Config {
            table: table.expect("the tables here are valid"),
            functions,
            limits: limits.clone(),
        }
    }
}

fn spec(route: &Route) -> RouteSpec {
    let to = match route.to {
        To::Subscribers => "subscribers".to_owned(),
        To::Device(name) => format!("device:{name}"),
        To::Function(name) => format!("function:{name}"),
    };
    RouteSpec {
        name: None,
        from: vec![SourcePattern::parse(route.from).expect("valid")],
        topic: TopicFilter::new(route.topic).expect("valid"),
        when: route.over.map(|over| format!("payload.v > {over}")),
        to: Destination::parse(&to).expect("valid"),
        on_unavailable: route.hold,
        allow_cycle: true,
        rule: tomte_route::RuleSpec::default(),
    }
}

fn function_limits(name: FunctionName, version: &str) -> FunctionLimits {
    FunctionLimits {
        name,
        memory: ByteSize::mib(64),
        cpu: MilliCpu(0),
        timeout: Duration::from_secs(3),
        mode: Mode::OnDemand,
        max_concurrency: 2,
        max_workers: 3,
        reserve: 0,
        priority: Priority::Normal,
        idle_timeout: Duration::from_secs(10),
        max_queue: 60,
        version: version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Source {
        Source::Device(DeviceName::new(name).unwrap())
    }

    #[test]
    fn the_plain_judgement_agrees_with_the_compiled_routes_on_who_may_publish() {
        let sources = [device("fan"), device("lamp"), device("thermometer"), Source::Anonymous];
        for table in tables() {
            let config = table.config(&Limits::default());
            for source in &sources {
                for topic in
                    ["s/a", "s/a/b", "cmd/x", "cmd/x/y", "p/1", "loop", "r/double", "other"]
                {
                    let decision = table.decide(source, topic, Some(100));
                    let expect = config.table.may_publish(source, topic);
                    assert_eq!(decision.allowed, expect, "{source} on {topic}");
                }
            }
        }
    }

    #[test]
    fn a_condition_decides_on_the_value() {
        let table = &tables()[0];
        let at = |value| table.decide(&device("fan"), "s/a", value).functions;
        assert_eq!(at(Some(51)), ["double"]);
        assert!(at(Some(50)).is_empty() && at(None).is_empty());
        let decision = table.decide(&device("fan"), "p/1", Some(30));
        assert!(decision.permits(Some("lamp")) && !decision.permits(Some("fan")));
        assert!(!decision.permits(None));
    }
}
