use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tomte_base::{DeviceName, FunctionName, RouteName, TopicFilter, TopicName};

use crate::{Destination, SourcePattern};

/// A route as it was written, before anything is known about the rest of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The name, if it has one.
    pub name: Option<RouteName>,
    /// Where messages come from; one that matches is enough.
    pub from: Vec<SourcePattern>,
    /// The topics that are taken.
    pub topic: TopicFilter,
    /// The condition, a CEL expression.
    pub when: Option<String>,
    /// Where messages go.
    pub to: Destination,
    /// What happens to messages for a device that is not connected.
    pub on_unavailable: Option<Hold>,
    /// A loop of functions through this route is meant; the limit of hops still ends it.
    pub allow_cycle: bool,
    /// What makes it a message rule.
    pub rule: RuleSpec,
}

/// What a route says about who of its receivers gets a message, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// Who gets it, a CEL expression over the message and `receiver`; without it everybody.
    pub only: Option<String>,
    /// The topic on which it goes on, see [`TopicTemplate`](crate::TopicTemplate).
    pub publish_as: Option<String>,
    /// Nobody gets it by a route to subscribers or devices that does not say this too.
    pub withhold: bool,
}

/// How messages wait for a device that is not connected and has no session that keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long a message waits at most.
    pub hold: Duration,
    /// How many messages wait at most.
    pub max: u32,
    /// Which message goes when one more arrives.
    pub then: Overflow,
}

/// Which message a full queue loses. Each loss is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The one that waited longest.
    #[default]
    DropOldest,
    /// The one that arrives.
    DropNewest,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DropOldest => "drop-oldest",
            Self::DropNewest => "drop-newest",
        })
    }
}

/// What routes may name: the devices and functions of the same manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The devices.
    pub devices: BTreeSet<DeviceName>,
    /// The functions, and where the result of each is published.
    pub functions: BTreeMap<FunctionName, Option<TopicName>>,
}
