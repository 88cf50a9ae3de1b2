//! Desired against installed: what a deployment would change, and what each change disturbs.
//!
//! [`plan`] compares two configurations that were taken apart into [`Item`]s of plain text and
//! returns the differences in the order of the manifest. It decides nothing about how a change is
//! carried out; it only says, as [`Effect`]s, what must be touched: new workers for a function, a
//! listener bound anew, a session closed. Whatever has no effect named keeps running untouched.
//!
//! A deployment is applied as a whole or not at all, so the order of changes is for readers.

mod item;
mod order;
mod pairs;
mod plan;

pub use item::{Desired, Item, Kind};
pub use plan::{Change, ChangeKind, Effect, Plan, plan};
