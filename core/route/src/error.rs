use std::fmt;

use crate::ConditionError;
use crate::TemplateError;
use crate::endpoint::did_you_mean;
use crate::table::{MAX_ROUTES, MAX_SOURCES};

/// The key of a route that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKey {
    /// The route as a whole.
    Route,
    /// `name`.
    Name,
    /// `from`, or one element of the list.
    From(usize),
    /// `topic`.
    Topic,
    /// `when`.
    When,
    /// `to`.
    To,
    /// `only`.
    Only,
    /// `publish_as`.
    PublishAs,
    /// `on_unavailable`, or a key in it.
    OnUnavailable(Option<&'static str>),
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route => Ok(()),
            Self::Name => f.write_str("name"),
            Self::From(_) => f.write_str("from"),
            Self::Topic => f.write_str("topic"),
            Self::When => f.write_str("when"),
            Self::To => f.write_str("to"),
            Self::Only => f.write_str("only"),
            Self::PublishAs => f.write_str("publish_as"),
            Self::OnUnavailable(None) => f.write_str("on_unavailable"),
            Self::OnUnavailable(Some(key)) => write!(f, "on_unavailable.{key}"),
        }
    }
}

/// Why a route is refused: which one, which key of it, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{label}: {key}{}{reason}", if *.key == RouteKey::Route { "" } else { ": " })]
pub struct RouteError {
    /// The route's place in the manifest.
    pub index: usize,
    /// The route as the manifest's reader knows it: `routes[0] "hot"`.
    pub label: String,
    /// The key that is wrong.
    pub key: RouteKey,
    /// What is wrong with it.
    pub reason: RouteErrorReason,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteErrorReason {
    /// Two routes have one name.
    #[error("the name {name:?} is taken by {first}")]
    DuplicateName {
        /// The name.
        name: String,
        /// The label of the route that has it.
        first: String,
    },
    /// The route names a device that the manifest does not declare.
    #[error("no device {name:?} is declared{}", did_you_mean(.nearest.as_deref()))]
    UndeclaredDevice {
        /// The name.
        name: String,
        /// The declared name that was probably meant.
        nearest: Option<String>,
    },
    /// The route names a function that the manifest does not declare.
    #[error("no function {name:?} is declared{}", did_you_mean(.nearest.as_deref()))]
    UndeclaredFunction {
        /// The name.
        name: String,
        /// The declared name that was probably meant.
        nearest: Option<String>,
    },
    /// The condition is no condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// The second topic is none.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// What goes to nobody goes on under no topic.
    #[error("what goes to nobody does not go on under a second topic")]
    NothingGoesOn,
    /// A function is not one of many receivers.
    #[error("chooses among subscribers or devices, this route goes to {to}; use when")]
    NobodyToChoose {
        /// Where the route goes.
        to: String,
    },
    /// Functions call each other in a circle.
    #[error("messages would go round in a circle: {}", .path.join(" -> "))]
    Cycle {
        /// The functions and, between them, the routes that lead from one to the next.
        path: Vec<String>,
    },
    /// The route takes messages from nowhere.
    #[error("the list of sources is empty")]
    NoSource,
    /// The list of sources is too long.
    #[error("{count} sources, at most {MAX_SOURCES} are allowed")]
    TooManySources {
        /// How many there are.
        count: usize,
    },
    /// There are too many routes.
    #[error("{count} routes, at most {MAX_ROUTES} are allowed")]
    TooManyRoutes {
        /// How many there are.
        count: usize,
    },
    /// Shared subscriptions are for clients.
    #[error("a route cannot share a topic; write the filter without $share/<group>/")]
    SharedTopic,
    /// Only a device can be unavailable.
    #[error("only messages to a device can be held, this route goes to {to}")]
    NothingToHoldFor {
        /// Where the route goes.
        to: String,
    },
    /// A hold that holds nothing.
    #[error("must not be zero")]
    EmptyHold,
}
