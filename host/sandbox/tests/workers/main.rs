//! Real workers on this machine. Where it does not permit them, a test says so and passes.

#![expect(clippy::unwrap_used, reason = "a failed preparation is a failed test")]

mod escape;
mod guests;
mod isolation;
mod latency;
mod lifecycle;
mod limits;
mod mock_hub;
mod network;
mod support;
mod unprivileged;
