//! What the system says about a process: processor time and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Returns the processor time that the threads of process `pid` have used, user and system, to the
/// nanosecond. A thread that has ended counts no more, and worker processes never did.
///
/// # Errors
/// Fails when the process is gone.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).with_context(|| format!("read {folder}"))?;
    let mut nanos = 0;
    for thread in threads.flatten() {
        // Three numbers: time on a processor, time waiting for one, and turns (proc_schedstat).
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanos += first.with_context(|| format!("{folder} has no processor times"))?;
    }
    Ok(Duration::from_nanos(nanos))
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
