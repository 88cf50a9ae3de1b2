//! Many clients that connect, subscribe and then say nothing.

use std::time::Instant;

use anyhow::Result;

use super::Effort;
use crate::broker::Broker;
use crate::engine::Engine;
use crate::metric::{Quantity, Sample};
use crate::packet;
use crate::usage::{processor_time, resident_bytes};

/// Measures sequential connects with a subscription, and the memory that each then holds.
///
/// # Errors
/// Fails when the broker refuses a client.
pub(crate) fn run(broker: &Broker, effort: Effort) -> Result<Vec<Sample>> {
    let count: u32 = match effort {
        Effort::Quick => 50,
        Effort::Full => 5_000,
    };
    let mut engine = Engine::new()?;
    // The first connection makes what all share.
    open(&mut engine, broker, count)?;
    let (memory, cpu) = (resident_bytes(broker.pid())?, processor_time(broker.pid())?);
    let started = Instant::now();
    for number in 0..count {
        open(&mut engine, broker, number)?;
    }
    let elapsed = started.elapsed();
    let cpu = processor_time(broker.pid())? - cpu;
    let grown = resident_bytes(broker.pid())? - memory;
    let each = f64::from(count);
    Ok(vec![
        Sample { quantity: Quantity::PerSecond, value: each / elapsed.as_secs_f64() },
        Sample { quantity: Quantity::CpuMicros, value: cpu.as_secs_f64() * 1e6 / each },
        Sample { quantity: Quantity::KibEach, value: grown / each / 1024.0 },
    ])
}

fn open(engine: &mut Engine, broker: &Broker, number: u32) -> Result<()> {
    let connect = packet::connect(&format!("idle-{number}"));
    let subscribe = packet::subscribe(&format!("bench/idle/{number}"), 0);
    engine.open(broker.address(), &connect, Some(&subscribe)).map(drop)
}
