//! Kills a hub at random moments and counts what was lost, doubled or reordered.
//!
//! The hub is the real binary. Publishers number their messages and go on after each death with what
//! was not acknowledged, as the standard asks; receivers keep their sessions, some of them are away
//! half of the time, one of them is rumqttc. What the hub acknowledged must come to every receiver:
//! in the order of its publisher, and once where both sides have QoS 2.
//!
//! `cargo xtask torture mqtt` runs it; a short run is among the system tests.

mod packet;
mod publisher;
mod receiver;
mod report;
mod rng;
mod run;
mod tally;
mod visit;

pub use packet::Will;
pub use report::Report;
pub use run::{Settings, torture};
pub use visit::Visitor;
