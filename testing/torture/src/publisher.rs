//! A publisher that numbers its messages and goes on with its session after each death of the hub.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::packet::{self, Link, Packet};

/// Messages that are not acknowledged at once, at most.
const WINDOW: usize = 50;
/// The same of a slow publisher, and how long it waits between them.
const SLOW_WINDOW: usize = 10;
const SLOW_TURN: Duration = Duration::from_millis(5);
/// Each of so many messages is a retained one, on a topic of its own.
const RETAINED_EVERY: u64 = 64;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 100;

/// What others see of a publisher.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Messages that were acknowledged: all with smaller numbers.
    pub(crate) acknowledged: AtomicU64,
    /// The greatest number that was sent and acknowledged as a retained message, plus 1.
    pub(crate) retained: AtomicU64,
    /// The greatest number that was sent as a retained message, plus 1.
    pub(crate) retained_sent: AtomicU64,
    /// The hub did not know the session any more.
    pub(crate) sessions_lost: AtomicU64,
    /// Nothing is on its way any more after the wish to stop.
    pub(crate) is_done: AtomicBool,
}

struct InFlight {
    id: u16,
    number: u64,
    retained: bool,
    /// PUBREC came.
    released: bool,
}

pub(crate) struct Publisher {
    name: String,
    qos: u8,
    progress: Arc<Progress>,
    in_flight: VecDeque<InFlight>,
    next: u64,
    next_retained: u64,
    next_id: u16,
    was_connected: bool,
}

impl Publisher {
    pub(crate) fn new(index: usize, qos: u8, progress: Arc<Progress>) -> Self {
        let name = format!("p{index}");
        let in_flight = VecDeque::new();
        let (next, next_retained, next_id, was_connected) = (0, 0, 1, false);
        Self { name, qos, progress, in_flight, next, next_retained, next_id, was_connected }
    }

    /// Publishes until `stop`, then until all is acknowledged; while it is to be `slow`, little at a time.
    pub(crate) fn run(mut self, port: u16, slow: &AtomicBool, stop: &AtomicBool) {
        while !self.progress.is_done.load(Ordering::Acquire) {
            if self.connected(port, slow, stop).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn connected(&mut self, port: u16, slow: &AtomicBool, stop: &AtomicBool) -> io::Result<()> {
        let (mut link, present) = Link::open(port, &self.name, false, None)?;
        if self.was_connected && !present {
            self.progress.sessions_lost.fetch_add(1, Ordering::Relaxed);
        }
        self.was_connected = true;
        self.send_again(&mut link.out);
        loop {
            let stops = stop.load(Ordering::Acquire);
            if stops && self.in_flight.is_empty() {
                packet::disconnect(&mut link.out);
                link.flush()?;
                self.progress.is_done.store(true, Ordering::Release);
                return Ok(());
            }
            let is_slow = slow.load(Ordering::Acquire);
            let window = if is_slow { SLOW_WINDOW } else { WINDOW };
            while !stops && self.in_flight.len() < window {
                self.send_next(&mut link.out);
            }
            link.flush()?;
            if is_slow {
                std::thread::sleep(SLOW_TURN);
            }
            for packet in link.receive()? {
                self.take(&packet, &mut link.out);
            }
        }
    }

    /// What was on its way goes again, in its order (MQTT-4.4.0-1, MQTT-4.6.0-1).
    fn send_again(&self, out: &mut Vec<u8>) {
        for sent in &self.in_flight {
            if sent.released {
                packet::ack(out, 6, sent.id);
            } else {
                self.send(out, sent, true);
            }
        }
    }

    fn send_next(&mut self, out: &mut Vec<u8>) {
        let retained = (self.next + self.next_retained) % RETAINED_EVERY == RETAINED_EVERY - 1;
        let number = if retained { &mut self.next_retained } else { &mut self.next };
        let sent = InFlight { id: self.next_id, number: *number, retained, released: false };
        *number += 1;
        self.next_id = if self.next_id == u16::MAX { 1 } else { self.next_id + 1 };
        if retained {
            self.progress.retained_sent.store(sent.number + 1, Ordering::Release);
        }
        self.send(out, &sent, false);
        self.in_flight.push_back(sent);
    }

    fn send(&self, out: &mut Vec<u8>, sent: &InFlight, dup: bool) {
        let name = &self.name;
        let topic = if sent.retained { format!("state/{name}") } else { format!("t/{name}") };
        let mut payload = sent.number.to_string().into_bytes();
        payload.push(b' ');
        payload.resize(PAYLOAD_BYTES, b'.');
        packet::publish(out, &topic, &payload, (self.qos, sent.id), dup, sent.retained);
    }

    fn take(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        match packet {
            Packet::Puback(id) => self.end(*id),
            Packet::Pubrec(id) => {
                let found = self.in_flight.iter_mut().find(|sent| sent.id == *id);
                if let Some(sent) = found {
                    sent.released = true;
                }
                packet::ack(out, 6, *id);
            }
            Packet::Pubcomp(id) => self.end(*id),
            _ => {}
        }
    }

    fn end(&mut self, id: u16) {
        let Some(at) = self.in_flight.iter().position(|sent| sent.id == id) else { return };
        let Some(sent) = self.in_flight.remove(at) else { return };
        let counter =
            if sent.retained { &self.progress.retained } else { &self.progress.acknowledged };
        // Those before it that are still on their way are not acknowledged.
        let oldest = self.in_flight.iter().filter(|other| other.retained == sent.retained);
        let end = oldest.map(|other| other.number).min().unwrap_or(sent.number + 1);
        counter.fetch_max(end.min(sent.number + 1), Ordering::AcqRel);
    }
}
