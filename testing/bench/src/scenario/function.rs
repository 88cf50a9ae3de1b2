//! The main job: a device's message makes a function run, and another device gets what it returns.

use anyhow::Result;

use super::Effort;
use super::latency::{Path, Receiver, steady};
use crate::broker::Broker;
use crate::metric::Sample;

/// Measures the time from one device through a warm Python function to another device. The handler
/// returns its event at once, so that its own time is next to nothing.
///
/// # Errors
/// Fails when the hub refuses a client, breaks a connection, or loses a message.
pub(crate) fn run(broker: &Broker, effort: Effort) -> Result<Vec<Sample>> {
    let (send, receive, receiver) = ("bench/call", "bench/answer", Receiver::Clean);
    steady(broker, effort, Path { send, receive, qos: 1, receiver })
}
