//! Throughput, latency, memory and start time, beside a peer in the same run.
fn main() {}
