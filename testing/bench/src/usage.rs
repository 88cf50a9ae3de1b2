//! What the system says about a process: processor time and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Returns the processor time that process `pid` has used, user and system, all threads.
///
/// # Errors
/// Fails when the process is gone.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1_000 / per_second))
}

/// Returns the resident memory of process `pid` in bytes.
///
/// # Errors
/// Fails when the process is gone.
pub(crate) fn resident_bytes(pid: u32) -> Result<f64> {
    kib_field(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Returns the proportional set size of process `pid` in bytes.
///
/// # Errors
/// Fails when the process is gone.
pub(crate) fn proportional_bytes(pid: u32) -> Result<f64> {
    kib_field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn kib_field(path: &str, field: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(number.with_context(|| format!("{path} has no {field}"))? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000.0);
        assert!(proportional_bytes(pid).unwrap() > 10_000.0);
        let mut sum = 0u64;
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        assert!(processor_time(pid).unwrap() >= Duration::from_millis(10), "{sum}");
    }
}
