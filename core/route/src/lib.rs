//! The manifest's routes, compiled: where messages come from, on which condition, where they go.
//!
//! The table is also the permission table: what no route takes may not be published
//! ([`RouteTable::may_publish`]), and what no route feeds may not be subscribed to
//! ([`RouteTable::may_subscribe`]). Matching topics against many routes at once belongs to the
//! broker's topic tree; this crate decides what a table means and whether it makes sense.
//!
//! Conditions are written in CEL. The `cel` crate reads and evaluates them; the module
//! [`condition`] puts bounds around it, so that no expression and no payload can hold up the hub.

pub mod condition;
mod cycle;
mod endpoint;
mod error;
mod spec;
mod spelling;
mod table;

pub use condition::{Condition, ConditionError, EvaluationError, MessageView};
pub use endpoint::{Destination, EndpointError, SourcePattern};
pub use error::{RouteError, RouteErrorReason, RouteKey};
pub use spec::{Declared, Hold, Overflow, RouteSpec};
pub use spelling::nearest;
pub use table::{MAX_ROUTES, MAX_SOURCES, Route, RouteTable};
