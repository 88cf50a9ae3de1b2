//! Many clients that connect, subscribe and then say nothing.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::{ClientConnection, Stream};

use super::Effort;
use crate::broker::Broker;
use crate::engine::{Engine, handshake};
use crate::metric::{Quantity, Sample};
use crate::packet;
use crate::usage::{processor_time, resident_bytes};

/// How long a broker may take for one step of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Measures `count` sequential connects with a subscription over plain TCP, and the memory that
/// each then holds.
///
/// # Errors
/// Fails when the broker refuses a client.
pub(crate) fn plain(broker: &Broker, effort: Effort, count: u32) -> Result<Vec<Sample>> {
    let mut engine = Engine::new()?;
    measure(broker, effort, count, |number| {
        let (connect, subscribe) = packets(number);
        engine.open(broker.address(), &connect, Some(&subscribe)).map(drop)
    })
}

/// Measures the same over TLS, with a client certificate and a full handshake each time.
///
/// # Errors
/// Fails when the broker refuses a client.
pub(crate) fn tls(broker: &Broker, effort: Effort, count: u32) -> Result<Vec<Sample>> {
    let (address, config) = broker.tls();
    let mut fresh = (*config).clone();
    fresh.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(fresh);
    let mut open = Vec::new();
    measure(broker, effort, count, |number| {
        let (connect, subscribe) = packets(number);
        let name = "localhost".try_into().context("the name of the server")?;
        let mut session = ClientConnection::new(Arc::clone(&config), name)?;
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE))?;
        let mut stream = Stream::new(&mut session, &mut socket);
        handshake(&mut stream, &connect, packet::CONNACK)?;
        handshake(&mut stream, &subscribe, packet::SUBACK)?;
        open.push(socket);
        Ok(())
    })
}

/// Opens one connection after the other; `connect` opens the one with this number.
fn measure(
    broker: &Broker,
    effort: Effort,
    count: u32,
    mut connect: impl FnMut(u32) -> Result<()>,
) -> Result<Vec<Sample>> {
    let count = if effort == Effort::Quick { 50 } else { count };
    // The first connection makes what all share.
    connect(count)?;
    let (memory, cpu) = (resident_bytes(broker.pid())?, processor_time(broker.pid())?);
    let started = Instant::now();
    for number in 0..count {
        connect(number)?;
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

fn packets(number: u32) -> (Vec<u8>, Vec<u8>) {
    let connect = packet::connect(&format!("idle-{number}"));
    (connect, packet::subscribe(&format!("bench/idle/{number}"), 0))
}
