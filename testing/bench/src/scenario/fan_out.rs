//! One publisher, many subscribers.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::window::{Loop, measure};
use crate::broker::Broker;
use crate::engine::Engine;
use crate::metric::Sample;
use crate::packet;

const TOPIC: &str = "bench/out";

/// How a message is spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Who gets each message.
    pub(crate) subscribers: u64,
    /// Messages that not all of them have yet.
    pub(crate) outstanding: u64,
    /// Quality of service of the publisher and the subscriptions.
    pub(crate) qos: u8,
}

/// Measures fan-out of the given shape.
///
/// # Errors
/// Fails when the broker refuses a client, breaks a connection, or loses a message.
pub(crate) fn run(broker: &Broker, effort: Effort, shape: Shape) -> Result<Vec<Sample>> {
    let mut traffic = FanOut::open(broker, shape)?;
    measure(broker, effort, &mut traffic)
}

struct FanOut {
    engine: Engine,
    publisher: usize,
    /// One packet for each message that may be outstanding, with packet identifiers of their own.
    packets: Vec<Vec<u8>>,
    shape: Shape,
    sent: u64,
    acknowledged: u64,
    delivered: u64,
}

impl FanOut {
    fn open(broker: &Broker, shape: Shape) -> Result<Self> {
        let mut engine = Engine::new()?;
        let subscribe = packet::subscribe(TOPIC, shape.qos);
        for number in 0..shape.subscribers {
            let connect = packet::connect(&format!("subscriber-{number}"));
            engine.open(broker.address(), &connect, Some(&subscribe))?;
        }
        let publisher = engine.open(broker.address(), &packet::connect("publisher"), None)?;
        let payload = packet::payload(b"");
        let packets = (0..shape.outstanding)
            .map(|slot| Ok(packet::publish(TOPIC, shape.qos, u16::try_from(slot + 1)?, &payload)))
            .collect::<Result<_>>()?;
        Ok(Self { engine, publisher, packets, shape, sent: 0, acknowledged: 0, delivered: 0 })
    }

    /// Returns the messages that all subscribers have, and that the broker has acknowledged.
    fn complete(&self) -> u64 {
        let delivered = self.delivered / self.shape.subscribers;
        if self.shape.qos == 0 { delivered } else { delivered.min(self.acknowledged) }
    }
}

impl Loop for FanOut {
    fn turn(&mut self, sending: bool) -> Result<()> {
        if sending {
            for _ in self.sent - self.complete()..self.shape.outstanding {
                let slot = usize::try_from(self.sent % self.shape.outstanding)?;
                self.engine.queue(self.publisher, &self.packets[slot]);
                self.sent += 1;
            }
        }
        let (delivered, acknowledged) = (&mut self.delivered, &mut self.acknowledged);
        self.engine.turn(Duration::from_millis(20), &mut |_, frame, answers| {
            let Some((id, _)) = packet::as_publish(frame) else {
                *acknowledged += u64::from(frame.first == packet::PUBACK);
                return;
            };
            *delivered += 1;
            if id != 0 {
                answers.extend_from_slice(&[packet::PUBACK, 2]);
                answers.extend_from_slice(&id.to_be_bytes());
            }
        })
    }

    fn expected(&self) -> u64 {
        self.sent * self.shape.subscribers
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
}
