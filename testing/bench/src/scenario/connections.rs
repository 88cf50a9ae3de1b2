//! Many clients that connect, subscribe and then say nothing.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::{ClientConnection, Stream};

use super::Effort;
use crate::broker::Broker;
use crate::engine::{Engine, expect, handshake};
use crate::metric::{Quantity, Sample};
use crate::packet;
use crate::usage::{processor_time, resident_bytes};

/// How long a broker may take for one step of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Clients of a storm that connect at the same time.
const WAVE: u32 = 100;

/// Measures `count` sequential connects with a subscription over plain TCP, and the memory that
/// each then holds.
///
/// # Errors
/// Fails when the broker refuses a client.
pub(crate) fn plain(broker: &Broker, effort: Effort, count: u32) -> Result<Vec<Sample>> {
    let mut engine = Engine::new()?;
    measure(
        broker,
        effort,
        count,
        one_by_one(|number| {
            let (connect, subscribe) = packets(number);
            engine.open(broker.address(), &connect, Some(&subscribe)).map(drop)
        }),
    )
}

/// Measures `count` connects with a subscription over plain TCP, a hundred at a time: each sends its
/// CONNECT without waiting for the others, and then its SUBSCRIBE.
///
/// # Errors
/// Fails when the broker refuses a client.
pub(crate) fn storm(broker: &Broker, effort: Effort, count: u32) -> Result<Vec<Sample>> {
    let mut open = Vec::new();
    let wave = |numbers: Range<u32>| {
        let first = open.len();
        for number in numbers.clone() {
            let mut socket = connect_to(broker.address())?;
            socket.write_all(&packets(number).0)?;
            open.push(socket);
        }
        let wave = &mut open[first..];
        for (socket, number) in wave.iter_mut().zip(numbers) {
            expect(socket, packet::CONNACK)?;
            socket.write_all(&packets(number).1)?;
        }
        wave.iter_mut().try_for_each(|socket| expect(socket, packet::SUBACK))
    };
    measure(broker, effort, count, wave)
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
    measure(
        broker,
        effort,
        count,
        one_by_one(|number| {
            let (connect, subscribe) = packets(number);
            let name = "localhost".try_into().context("the name of the server")?;
            let mut session = ClientConnection::new(Arc::clone(&config), name)?;
            let mut socket = connect_to(address)?;
            let mut stream = Stream::new(&mut session, &mut socket);
            handshake(&mut stream, &connect, packet::CONNACK)?;
            handshake(&mut stream, &subscribe, packet::SUBACK)?;
            open.push(socket);
            Ok(())
        }),
    )
}

/// Opens one connection after the other; `connect` opens the one with this number.
fn one_by_one(mut connect: impl FnMut(u32) -> Result<()>) -> impl FnMut(Range<u32>) -> Result<()> {
    move |mut numbers| numbers.try_for_each(&mut connect)
}

/// Opens `count` connections; `connect` opens those with these numbers, at most [`WAVE`] of them.
fn measure(
    broker: &Broker,
    effort: Effort,
    count: u32,
    mut connect: impl FnMut(Range<u32>) -> Result<()>,
) -> Result<Vec<Sample>> {
    let count = if effort == Effort::Quick { 50 } else { count };
    // The first connection makes what all share.
    connect(count..count + 1)?;
    let (memory, cpu) = (resident_bytes(broker.pid())?, processor_time(broker.pid())?);
    let started = Instant::now();
    for first in (0..count).step_by(WAVE as usize) {
        connect(first..count.min(first + WAVE))?;
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

fn connect_to(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(HANDSHAKE))?;
    Ok(socket)
}

fn packets(number: u32) -> (Vec<u8>, Vec<u8>) {
    let connect = packet::connect(&format!("idle-{number}"));
    (connect, packet::subscribe(&format!("bench/idle/{number}"), 0))
}
