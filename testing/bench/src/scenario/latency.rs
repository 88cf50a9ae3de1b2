//! A steady rate, far below what the broker can do: how long does one message take?

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Effort;
use crate::broker::Broker;
use crate::engine::Engine;
use crate::metric::{Quantity, Sample};
use crate::packet;
use crate::statistics::{percentile, sorted};
use crate::usage::processor_time;

/// Messages per second.
const RATE: u32 = 500;
/// How long the last messages may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Measures the time from sending to receiving at a steady rate, through subscriptions alone.
///
/// # Errors
/// Fails when the broker refuses a client, breaks a connection, or loses a message.
pub(crate) fn run(
    broker: &Broker,
    effort: Effort,
    qos: u8,
    receiver: Receiver,
) -> Result<Vec<Sample>> {
    let path = Path { send: "bench/latency", receive: "bench/latency", qos, receiver };
    steady(broker, effort, path)
}

/// What becomes of the receiver's messages when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// Nothing is kept.
    Clean,
    /// Its session is kept: the broker answers for each message of QoS 1.
    Kept,
}

/// Where messages go in and come out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    /// The topic that is published on.
    pub(crate) send: &'a str,
    /// The topic that is subscribed to. The time in the payload must come out.
    pub(crate) receive: &'a str,
    /// Quality of service of both.
    pub(crate) qos: u8,
    /// Who receives.
    pub(crate) receiver: Receiver,
}

/// Sends [`RATE`] messages per second along `path` and returns percentiles of the time they take.
///
/// # Errors
/// Fails when the broker refuses a client, breaks a connection, or loses a message.
pub(crate) fn steady(broker: &Broker, effort: Effort, path: Path<'_>) -> Result<Vec<Sample>> {
    let (warm_up, window) = match effort {
        Effort::Quick => (50, 100),
        Effort::Full => (RATE, RATE * 5),
    };
    let mut engine = Engine::new()?;
    let subscribe = packet::subscribe(path.receive, path.qos);
    let connect = match path.receiver {
        Receiver::Clean => packet::connect("receiver"),
        Receiver::Kept => packet::connect_persistent("receiver"),
    };
    engine.open(broker.address(), &connect, Some(&subscribe))?;
    let sender = engine.open(broker.address(), &packet::connect("sender"), None)?;
    let mut pace = Pace { epoch: Instant::now(), sent: 0, micros: Vec::new() };
    pace.send(&mut engine, sender, path, warm_up)?;
    pace.micros.clear();
    let cpu = processor_time(broker.pid())?;
    pace.send(&mut engine, sender, path, window)?;
    let cpu = processor_time(broker.pid())? - cpu;
    let micros = sorted(pace.micros);
    Ok(vec![
        Sample { quantity: Quantity::P50Micros, value: percentile(&micros, 0.50) },
        Sample { quantity: Quantity::P99Micros, value: percentile(&micros, 0.99) },
        Sample {
            quantity: Quantity::CpuMicros,
            value: cpu.as_secs_f64() * 1e6 / f64::from(window),
        },
    ])
}

/// A sender that keeps its pace whatever the receiver does.
struct Pace {
    epoch: Instant,
    sent: u32,
    micros: Vec<f64>,
}

impl Pace {
    /// Sends `count` messages at the rate and waits for all of them.
    fn send(
        &mut self,
        engine: &mut Engine,
        sender: usize,
        path: Path<'_>,
        count: u32,
    ) -> Result<()> {
        let started = Instant::now();
        let (first, before) = (self.sent, self.micros.len());
        while self.micros.len() - before < usize::try_from(count)? {
            let due = started + Duration::from_secs(1) / RATE * (self.sent - first);
            let now = Instant::now();
            if self.sent - first < count && now >= due {
                self.send_one(engine, sender, path)?;
            } else if now > due + DRAIN {
                bail!(
                    "{} of {count} messages were lost",
                    count as usize + before - self.micros.len()
                );
            }
            let wait = if self.sent - first < count { due - now.min(due) } else { DRAIN / 100 };
            self.receive(engine, wait)?;
        }
        Ok(())
    }

    fn send_one(&mut self, engine: &mut Engine, sender: usize, path: Path<'_>) -> Result<()> {
        let at = format!("{:016}", self.epoch.elapsed().as_nanos());
        let id = u16::try_from(self.sent % 60_000)? + 1;
        let payload = packet::payload(format!("{{\"at\":\"{at}\",\"pad\":\"").as_bytes());
        let payload = [&payload[..payload.len() - 2], b"\"}"].concat();
        engine.queue(sender, &packet::publish(path.send, path.qos, id, &payload));
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, engine: &mut Engine, wait: Duration) -> Result<()> {
        let Self { epoch, micros, .. } = self;
        engine.turn(wait, &mut |_, frame, answers| {
            let Some((id, payload)) = packet::as_publish(frame) else { return };
            if id != 0 {
                answers.extend_from_slice(&[packet::PUBACK, 2]);
                answers.extend_from_slice(&id.to_be_bytes());
            }
            if let Some(sent) = sent_at(payload) {
                micros.push((epoch.elapsed().saturating_sub(sent)).as_secs_f64() * 1e6);
            }
        })
    }
}

/// Returns the time in the payload: the 16 digits that come first. A function may have written the
/// JSON anew, with other spaces.
fn sent_at(payload: &[u8]) -> Option<Duration> {
    let start = payload.iter().position(u8::is_ascii_digit)?;
    let digits = std::str::from_utf8(payload.get(start..start + 16)?).ok()?;
    digits.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_in_json_however_it_is_spaced() {
        for payload in
            ["{\"at\":\"0000000000001500\",\"pad\":\"..\"}", "{ \"at\" : \"0000000000001500\" }"]
        {
            assert_eq!(sent_at(payload.as_bytes()), Some(Duration::from_nanos(1_500)));
        }
        assert_eq!(sent_at(b"{}"), None);
    }
}
