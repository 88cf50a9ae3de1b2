//! The load generator: one thread, one epoll, many connections, no allocation while it measures.
//!
//! A turn waits for readable connections, reads each into one large shared buffer, hands every packet
//! to the caller and writes what was queued, once per connection. It must outrun the brokers that it
//! measures: packets are encoded before, and nothing is decoded beyond its borders.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::epoll;

use crate::packet::{CONNACK, Frame, SUBACK};

/// Size of the shared read buffer, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// Most events that one turn takes.
const EVENTS: usize = 1024;
/// How long a broker may take for one step of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What happens to one received packet: the connection, the packet, and what to answer it with.
pub(crate) type OnFrame<'a> = dyn FnMut(usize, Frame<'_>, &mut Vec<u8>) + 'a;

struct Connection {
    stream: TcpStream,
    /// The start of a packet whose rest has not come yet.
    partial: Vec<u8>,
    outgoing: Vec<u8>,
}

/// All connections of one scenario.
pub(crate) struct Engine {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    /// Connections with something to write.
    dirty: Vec<usize>,
}

impl Engine {
    /// Makes an engine with no connections.
    ///
    /// # Errors
    /// Fails when the system refuses an epoll instance.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("make an epoll")?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            connections: Vec::new(),
            dirty: Vec::new(),
        })
    }

    /// Connects to `address`, sends `connect` and, if any, `subscribe`, and waits for the answers.
    /// Returns the number of the connection.
    ///
    /// # Errors
    /// Fails when the broker refuses the connection or the subscription, or does not answer.
    pub(crate) fn open(
        &mut self,
        address: SocketAddr,
        connect: &[u8],
        subscribe: Option<&[u8]>,
    ) -> Result<usize> {
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE))?;
        handshake(&mut stream, connect, CONNACK)?;
        if let Some(subscribe) = subscribe {
            handshake(&mut stream, subscribe, SUBACK)?;
        }
        stream.set_nonblocking(true)?;
        let number = self.connections.len();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).context("watch a socket")?;
        self.connections.push(Connection { stream, partial: Vec::new(), outgoing: Vec::new() });
        Ok(number)
    }

    /// Queues `bytes` for connection `number`; the next turn or flush writes them.
    pub(crate) fn queue(&mut self, number: usize, bytes: &[u8]) {
        let outgoing = &mut self.connections[number].outgoing;
        if outgoing.is_empty() {
            self.dirty.push(number);
        }
        outgoing.extend_from_slice(bytes);
    }

    /// Writes what is queued, waits at most `wait` for packets, and hands each to `on_frame`.
    ///
    /// # Errors
    /// Fails when the broker closes a connection or a socket breaks.
    pub(crate) fn turn(&mut self, wait: Duration, on_frame: &mut OnFrame<'_>) -> Result<()> {
        self.flush()?;
        // A peer that does not read leaves output behind; look again soon, it sends no event.
        let wait = if self.dirty.is_empty() { wait } else { wait.min(Duration::from_millis(1)) };
        let wait = rustix::event::Timespec {
            tv_sec: i64::try_from(wait.as_secs())?,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for sockets"),
        }
        for index in 0..self.events.len() {
            let number = usize::try_from(self.events[index].data.u64())?;
            self.receive(number, on_frame)?;
        }
        self.flush()
    }

    fn receive(&mut self, number: usize, on_frame: &mut OnFrame<'_>) -> Result<()> {
        let connection = &mut self.connections[number];
        let had_output = !connection.outgoing.is_empty();
        let count = match connection.stream.read(&mut self.buffer) {
            Ok(0) => bail!("the broker closed connection {number}"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("read connection {number}")),
        };
        let arrived = &self.buffer[..count];
        if connection.partial.is_empty() {
            let used = take_frames(number, arrived, &mut connection.outgoing, on_frame);
            connection.partial.extend_from_slice(&arrived[used..]);
        } else {
            connection.partial.extend_from_slice(arrived);
            let partial = std::mem::take(&mut connection.partial);
            let used = take_frames(number, &partial, &mut connection.outgoing, on_frame);
            connection.partial.extend_from_slice(&partial[used..]);
        }
        if !had_output && !connection.outgoing.is_empty() {
            self.dirty.push(number);
        }
        Ok(())
    }

    /// Writes as much of what is queued as the sockets take.
    fn flush(&mut self) -> Result<()> {
        let mut kept = 0;
        for index in 0..self.dirty.len() {
            let number = self.dirty[index];
            let connection = &mut self.connections[number];
            match connection.stream.write(&connection.outgoing) {
                Ok(count) => drop(connection.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).with_context(|| format!("write {number}")),
            }
            if !connection.outgoing.is_empty() {
                self.dirty[kept] = number;
                kept += 1;
            }
        }
        self.dirty.truncate(kept);
        Ok(())
    }
}

/// Sends `request` and waits for the packet `answer`, which must not refuse.
///
/// # Errors
/// Fails when the broker refuses, closes, or sends something else.
pub(crate) fn handshake(
    stream: &mut (impl Read + Write),
    request: &[u8],
    answer: u8,
) -> Result<()> {
    stream.write_all(request)?;
    expect(stream, answer)
}

/// Waits for the packet `answer`, which must not refuse.
///
/// # Errors
/// Fails when the broker refuses, closes, or sends something else.
pub(crate) fn expect(stream: &mut impl Read, answer: u8) -> Result<()> {
    let (mut bytes, mut filled) = ([0; 256], 0);
    loop {
        filled += match stream.read(&mut bytes[filled..])? {
            0 => bail!("the broker closed the connection instead of an answer"),
            count => count,
        };
        let Some((frame, length)) = Frame::split(&bytes[..filled]) else { continue };
        let refused = frame.body.last().is_none_or(|code| *code >= 0x80)
            || (answer == CONNACK && frame.body.get(1) != Some(&0));
        if frame.first != answer || refused || length != filled {
            bail!("the broker refused with {:02x} {:02x?}", frame.first, frame.body);
        }
        return Ok(());
    }
}

fn take_frames(
    number: usize,
    bytes: &[u8],
    answers: &mut Vec<u8>,
    on_frame: &mut OnFrame<'_>,
) -> usize {
    let mut at = 0;
    while let Some((frame, length)) = Frame::split(&bytes[at..]) {
        on_frame(number, frame, answers);
        at += length;
    }
    at
}
