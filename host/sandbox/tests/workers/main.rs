//! Real workers on this machine. Where it does not permit them, a test says so and passes.

mod lifecycle;
mod support;
