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

/// Measures fan-out to `subscribers`, with `outstanding` messages that not all of them have yet.
///
/// # Errors
/// Fails when the broker refuses a client, breaks a connection, or loses a message.
pub(crate) fn run(
    broker: &Broker,
    effort: Effort,
    subscribers: u64,
    outstanding: u64,
) -> Result<Vec<Sample>> {
    let mut traffic = FanOut::open(broker, subscribers, outstanding)?;
    measure(broker, effort, &mut traffic)
}

struct FanOut {
    engine: Engine,
    publisher: usize,
    packet: Vec<u8>,
    subscribers: u64,
    outstanding: u64,
    sent: u64,
    delivered: u64,
}

impl FanOut {
    fn open(broker: &Broker, subscribers: u64, outstanding: u64) -> Result<Self> {
        let mut engine = Engine::new()?;
        let subscribe = packet::subscribe(TOPIC, 0);
        for number in 0..subscribers {
            let connect = packet::connect(&format!("subscriber-{number}"));
            engine.open(broker.address(), &connect, Some(&subscribe))?;
        }
        let publisher = engine.open(broker.address(), &packet::connect("publisher"), None)?;
        let packet = packet::publish(TOPIC, 0, 0, &packet::payload(b""));
        Ok(Self { engine, publisher, packet, subscribers, outstanding, sent: 0, delivered: 0 })
    }
}

impl Loop for FanOut {
    fn turn(&mut self, sending: bool) -> Result<()> {
        let complete = self.delivered / self.subscribers;
        if sending {
            for _ in self.sent - complete..self.outstanding {
                self.engine.queue(self.publisher, &self.packet);
                self.sent += 1;
            }
        }
        let delivered = &mut self.delivered;
        self.engine.turn(Duration::from_millis(20), &mut |_, frame, _| {
            *delivered += u64::from(frame.first >> 4 == 3);
        })
    }

    fn expected(&self) -> u64 {
        self.sent * self.subscribers
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
}
