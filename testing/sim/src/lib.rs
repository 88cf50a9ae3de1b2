//! Whole hubs under one virtual clock, network and disk, from one seed.
//!
//! [`run`] makes a world from a seed: a hub machine driven as the daemon drives it, with the real
//! journal on a disk in memory, clients that speak MQTT in both versions, workers, and faults. An
//! oracle with a plain model of its own watches what goes in and what comes out. The method is told
//! in the README beside the manifest.

mod chaos;
mod checker;
mod client;
mod coverage;
mod crash;
mod durable;
mod host;
mod log;
mod mark;
mod network;
mod oracle;
mod rng;
mod run;
mod settings;
mod sockets;
mod syncer;
mod table;
mod turn;
mod workers;
mod world;

pub use coverage::Coverage;
pub use run::{Failure, Outcome, run};
