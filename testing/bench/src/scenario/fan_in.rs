//! Many publishers, one subscriber.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::window::{Loop, measure};
use crate::broker::Broker;
use crate::engine::Engine;
use crate::metric::Sample;
use crate::packet;

/// Who sends how much at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    publishers: usize,
    /// Messages that one publisher may have sent and not yet seen delivered and acknowledged.
    in_flight: usize,
    qos: u8,
}

/// Ten publishers with bursts of a hundred.
pub(crate) const BURSTS_QOS_0: Shape = Shape { publishers: 10, in_flight: 100, qos: 0 };
/// Ten publishers with twenty in flight.
pub(crate) const BURSTS_QOS_1: Shape = Shape { publishers: 10, in_flight: 20, qos: 1 };
/// Two hundred publishers that wait for each acknowledgement.
pub(crate) const DEVICES: Shape = Shape { publishers: 200, in_flight: 1, qos: 1 };

/// Measures fan-in of the given shape.
///
/// # Errors
/// Fails when the broker refuses a client, breaks a connection, or loses a message.
pub(crate) fn run(broker: &Broker, effort: Effort, shape: Shape) -> Result<Vec<Sample>> {
    let mut traffic = FanIn::open(broker, shape)?;
    measure(broker, effort, &mut traffic)
}

struct FanIn {
    engine: Engine,
    qos: u8,
    publishers: Vec<Publisher>,
    counts: Counts,
}

/// One publisher: its packets, encoded once for all in a ring, and its place in it.
struct Publisher {
    connection: usize,
    ring: Vec<u8>,
    packet_bytes: usize,
    in_flight: usize,
    next: usize,
    sent: u64,
}

/// What came back, by publisher.
struct Counts {
    delivered: Vec<u64>,
    acknowledged: Vec<u64>,
    total: u64,
}

impl FanIn {
    fn open(broker: &Broker, shape: Shape) -> Result<Self> {
        let mut engine = Engine::new()?;
        let connect = match shape.qos {
            0 => packet::connect("subscriber"),
            _ => packet::connect_persistent("subscriber"),
        };
        let subscribe = packet::subscribe("bench/in/#", shape.qos);
        engine.open(broker.address(), &connect, Some(&subscribe))?;
        let open = |number| Publisher::open(&mut engine, broker, shape, number);
        let publishers = (0..shape.publishers).map(open).collect::<Result<Vec<_>>>()?;
        let counts = Counts {
            delivered: vec![0; shape.publishers],
            acknowledged: vec![0; shape.publishers],
            total: 0,
        };
        Ok(Self { engine, qos: shape.qos, publishers, counts })
    }
}

impl Publisher {
    fn open(engine: &mut Engine, broker: &Broker, shape: Shape, number: usize) -> Result<Self> {
        let connect = packet::connect(&format!("publisher-{number}"));
        let connection = engine.open(broker.address(), &connect, None)?;
        let topic = format!("bench/in/{number:04}");
        let payload = packet::payload(&u16::try_from(number)?.to_be_bytes());
        let packets: Vec<Vec<u8>> = (0..shape.in_flight)
            .map(|slot| Ok(packet::publish(&topic, shape.qos, u16::try_from(slot + 1)?, &payload)))
            .collect::<Result<_>>()?;
        Ok(Self {
            connection,
            packet_bytes: packets[0].len(),
            ring: packets.concat(),
            in_flight: shape.in_flight,
            next: 0,
            sent: 0,
        })
    }

    /// Queues as many packets as `room` allows, in runs that are contiguous in the ring.
    fn send(&mut self, engine: &mut Engine, mut room: usize) {
        while room > 0 {
            let run = room.min(self.in_flight - self.next);
            let bytes = self.next * self.packet_bytes..(self.next + run) * self.packet_bytes;
            engine.queue(self.connection, &self.ring[bytes]);
            self.next = (self.next + run) % self.in_flight;
            self.sent += run as u64;
            room -= run;
        }
    }
}

impl Loop for FanIn {
    fn turn(&mut self, sending: bool) -> Result<()> {
        for (number, publisher) in self.publishers.iter_mut().enumerate() {
            let done = match self.qos {
                0 => self.counts.delivered[number],
                _ => self.counts.delivered[number].min(self.counts.acknowledged[number]),
            };
            let open = usize::try_from(publisher.sent - done)?;
            // Half a ring at least, so that a burst stays a burst.
            let room = publisher.in_flight.saturating_sub(open);
            if sending && room * 2 >= publisher.in_flight {
                publisher.send(&mut self.engine, room);
            }
        }
        let counts = &mut self.counts;
        self.engine.turn(Duration::from_millis(20), &mut |connection, frame, answers| {
            if let Some((id, payload)) = packet::as_publish(frame) {
                counts.delivered[usize::from(u16::from_be_bytes([payload[0], payload[1]]))] += 1;
                counts.total += 1;
                if id != 0 {
                    answers.extend_from_slice(&[packet::PUBACK, 2]);
                    answers.extend_from_slice(&id.to_be_bytes());
                }
            } else if frame.first == packet::PUBACK {
                // Connection 0 is the subscriber.
                counts.acknowledged[connection - 1] += 1;
            }
        })
    }

    fn expected(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.sent).sum()
    }

    fn delivered(&self) -> u64 {
        self.counts.total
    }
}
