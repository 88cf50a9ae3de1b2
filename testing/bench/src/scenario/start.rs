//! From nothing to a broker that answers, and what it holds when nobody asks.

use anyhow::Result;

use super::Effort;
use crate::broker::Broker;
use crate::metric::{Quantity, Sample};
use crate::usage::proportional_bytes;

/// Reports the time that the broker took to its first CONNACK, and its idle memory.
///
/// # Errors
/// Fails when the broker is gone.
pub(crate) fn run(broker: &Broker, _: Effort) -> Result<Vec<Sample>> {
    let memory = proportional_bytes(broker.pid())? / 1024.0 / 1024.0;
    Ok(vec![
        Sample { quantity: Quantity::Millis, value: broker.ready_after().as_secs_f64() * 1e3 },
        Sample { quantity: Quantity::Mib, value: memory },
    ])
}
