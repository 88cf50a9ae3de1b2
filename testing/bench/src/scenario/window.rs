//! Warm-up, measured window, drain: the frame around every closed loop.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Effort;
use crate::broker::Broker;
use crate::metric::{Quantity, Sample};
use crate::usage::processor_time;

/// How long the last messages may take to arrive before they count as lost.
const DRAIN: Duration = Duration::from_secs(10);

/// A closed loop that can be turned.
pub(crate) trait Loop {
    /// Sends what the bound allows when `sending`, and takes in what has arrived.
    ///
    /// # Errors
    /// Fails when the broker breaks a connection.
    fn turn(&mut self, sending: bool) -> Result<()>;

    /// Returns the deliveries that the messages sent so far must lead to.
    fn expected(&self) -> u64;

    /// Returns the deliveries so far.
    fn delivered(&self) -> u64;
}

/// Runs `traffic` and returns deliveries per second and processor time per delivery.
///
/// # Errors
/// Fails when the broker breaks a connection, or loses or invents a message.
pub(crate) fn measure(
    broker: &Broker,
    effort: Effort,
    traffic: &mut impl Loop,
) -> Result<Vec<Sample>> {
    let (warm_up, window) = match effort {
        Effort::Quick => (Duration::from_millis(50), Duration::from_millis(200)),
        Effort::Full => (Duration::from_millis(700), Duration::from_millis(1_500)),
    };
    turn_for(traffic, warm_up)?;
    let before = (traffic.delivered(), processor_time(broker.pid())?);
    let elapsed = turn_for(traffic, window)?;
    let after = (traffic.delivered(), processor_time(broker.pid())?);
    drain(traffic)?;
    let deliveries = (after.0 - before.0) as f64;
    let cpu_micros = (after.1 - before.1).as_secs_f64() * 1e6;
    Ok(vec![
        Sample { quantity: Quantity::PerSecond, value: deliveries / elapsed.as_secs_f64() },
        Sample { quantity: Quantity::CpuMicros, value: cpu_micros / deliveries },
    ])
}

fn turn_for(traffic: &mut impl Loop, span: Duration) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let elapsed = started.elapsed();
        if elapsed >= span {
            return Ok(elapsed);
        }
        traffic.turn(true)?;
    }
}

/// Waits until everything that was sent has arrived: nothing lost, nothing twice.
pub(crate) fn drain(traffic: &mut impl Loop) -> Result<()> {
    let started = Instant::now();
    while traffic.delivered() < traffic.expected() {
        if started.elapsed() > DRAIN {
            bail!(
                "{} of {} deliveries were lost",
                traffic.expected() - traffic.delivered(),
                traffic.expected()
            );
        }
        traffic.turn(false)?;
    }
    if traffic.delivered() > traffic.expected() {
        bail!("{} deliveries for {} messages", traffic.delivered(), traffic.expected());
    }
    if traffic.expected() == 0 {
        bail!("no message was sent");
    }
    Ok(())
}
