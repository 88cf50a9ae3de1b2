//! The manifest's routes, compiled: where messages come from, on which condition, where they go.
//!
//! The table is also the permission table: what no route takes may not be published
//! ([`RouteTable::may_publish`]), and what no route feeds may not be subscribed to
//! ([`RouteTable::feed`]). Matching topics against many routes at once belongs to the
//! broker's topic tree; this crate decides what a table means and whether it makes sense.
//!
//! A route may also be a *message rule* ([`Rule`]): it chooses among the receivers, sends the message
//! on under a second topic, and withholds it from everybody else. A message on its second topic goes
//! to the destination of its route and never through the table again, so no rule can make a circle.
//!
//! Conditions are written in CEL. The `cel` crate reads and evaluates them; the module
//! [`condition`] puts bounds around it, so that no expression and no payload can hold up the hub.

pub mod condition;
mod cycle;
mod endpoint;
mod error;
mod receiver;
mod spec;
mod spelling;
mod table;
mod topic_template;

pub use condition::{Condition, ConditionError, EvaluationError, MessageView};
pub use endpoint::{Destination, EndpointError, SourcePattern};
pub use error::{RouteError, RouteErrorReason, RouteKey};
pub use receiver::{Attribute, Attributes, NAME_KEY, Receiver};
pub use spec::{Declared, Hold, Overflow, RouteSpec, RuleSpec};
pub use spelling::nearest;
pub use table::{Feed, MAX_ROUTES, MAX_SOURCES, Route, RouteTable, Rule};
pub use topic_template::{TemplateError, TopicTemplate};
