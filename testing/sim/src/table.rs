//! The configurations that a run deploys, in a plain form that the oracle can judge by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{
    ByteSize, DeviceName, FunctionName, MilliCpu, Source, TopicFilter, TopicName, topic_matches,
};
use tomte_core_hub::{Config, FunctionConfig, Limits};
use tomte_route::{
    Attributes, Declared, Destination, Hold, Overflow, RouteSpec, RouteTable, SourcePattern,
};
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
    /// A message rule: only these devices among the subscribers.
    only: Option<&'static [&'static str]>,
    /// A message rule: on its second topic, which is its own below `m/`.
    renames: bool,
    /// A message rule: from everybody else.
    withholds: bool,
}

const fn route(from: &'static str, topic: &'static str, over: Option<i64>, to: To) -> Route {
    Route { from, topic, over, to, hold: None, only: None, renames: false, withholds: false }
}

const fn held(from: &'static str, topic: &'static str, to: &'static str, rule: Hold) -> Route {
    Route { hold: Some(rule), ..route(from, topic, None, To::Device(to)) }
}

const fn chosen(from: &'static str, topic: &'static str, only: &'static [&'static str]) -> Route {
    Route { only: Some(only), ..route(from, topic, None, To::Subscribers) }
}

const fn renamed(from: &'static str, topic: &'static str) -> Route {
    Route { renames: true, ..route(from, topic, None, To::Subscribers) }
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
                chosen("device:*", "p/#", &["fan"]),
                renamed("device:*", "s/c"),
                Route { only: Some(&["lamp"]), ..renamed("device:*", "p/#") },
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
                Route { withholds: true, ..chosen("device:*", "s/a", &["fan", "lamp"]) },
                renamed("device:*", "s/+"),
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
    /// Devices that rules chose among the subscribers.
    pub(crate) chosen: Vec<&'static str>,
    /// The same of the copy on its second topic, if there is one.
    pub(crate) second: Option<Box<Decision>>,
}

/// The second topic of a message.
pub(crate) fn second_topic(topic: &str) -> String {
    format!("{SECOND}{topic}")
}

/// What second topics begin with.
pub(crate) const SECOND: &str = "m/";

impl Decision {
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_for_sessions() && self.functions.is_empty() && self.second.is_none()
    }

    /// Tells whether somebody may get it on its own topic.
    pub(crate) fn is_for_sessions(&self) -> bool {
        self.subscribers || !self.devices.is_empty() || !self.chosen.is_empty()
    }

    fn add(&mut self, route: &Route) {
        match (route.to, route.only) {
            (To::Subscribers, Some(only)) => self.chosen.extend(only),
            (To::Subscribers, None) => self.subscribers = true,
            (To::Device(name), _) => self.devices.push((name, route.hold.is_some())),
            (To::Function(name), _) => self.functions.push(name),
        }
    }

    /// Tells whether a session of this owner may get the message.
    pub(crate) fn permits(&self, device: Option<&str>) -> bool {
        self.subscribers
            || self.devices.iter().any(|(name, _)| device == Some(*name))
            || self.chosen.iter().any(|name| device == Some(*name))
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
        let mut matching = Vec::new();
        for route in &self.routes {
            if !topic_matches(route.topic, topic) || !takes_from(route.from, source) {
                continue;
            }
            decision.allowed = true;
            if route.over.is_some_and(|over| value.is_none_or(|value| value <= over)) {
                continue;
            }
            matching.push(route);
        }
        let is_withheld = matching.iter().any(|route| route.withholds);
        let counts = |route: &&&Route| {
            !is_withheld || route.withholds || matches!(route.to, To::Function(_))
        };
        for route in matching.iter().filter(counts) {
            if route.renames {
                decision.second.get_or_insert_default().add(route);
            } else {
                decision.add(route);
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
        let nothing = |name| (DeviceName::new(name).expect("valid"), Attributes::default());
        let attributes = DEVICES.map(nothing).into();
        Config {
            table: table.expect("the tables here are valid").with_attributes(&attributes),
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
        rule: tomte_route::RuleSpec {
            only: route.only.map(|only| format!("receiver.name in {only:?}")),
            publish_as: route.renames.then(|| second_topic("{topic}")),
            withhold: route.withholds,
        },
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
    fn rules_choose_rename_and_withhold() {
        let tables = tables();
        let decision = tables[0].decide(&device("fan"), "p/1", Some(0));
        assert!(decision.permits(Some("fan")) && !decision.permits(Some("lamp")));
        let second = decision.second.unwrap();
        assert!(second.permits(Some("lamp")) && !second.permits(Some("fan")));
        let withheld = tables[2].decide(&device("fan"), "s/a", None);
        assert!(withheld.permits(Some("lamp")) && !withheld.permits(None));
        assert!(withheld.second.is_none(), "the rule that withholds passes over it");
        let both = tables[2].decide(&device("fan"), "s/b", None);
        assert!(both.permits(None) && both.second.unwrap().permits(None));
        assert_eq!(both.functions, ["chain", "double"]);
    }

    #[test]
    fn a_condition_decides_on_the_value() {
        let table = &tables()[0];
        let at = |value| table.decide(&device("fan"), "s/a", value).functions;
        assert_eq!(at(Some(51)), ["double"]);
        assert!(at(Some(50)).is_empty() && at(None).is_empty());
        let decision = table.decide(&device("fan"), "p/1", Some(30));
        assert!(decision.permits(Some("lamp")) && !decision.permits(Some("thermometer")));
        assert!(!decision.permits(None));
    }
}
