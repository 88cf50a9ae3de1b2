//! What the system says about a process: processor time and memory.

use std::collections::HashMap;
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

/// Returns the processor time of process `pid`, of those that it started and that live, and of those that
/// they waited for.
///
/// # Errors
/// Fails when the list of processes cannot be read.
pub(crate) fn family_time(pid: u32) -> Result<Duration> {
    let (mut parents, mut ticks) = (HashMap::new(), HashMap::new());
    for process in fs::read_dir("/proc").context("read /proc")?.flatten() {
        let Ok(text) = fs::read_to_string(process.path().join("stat")) else { continue };
        // The name stands in parentheses and may hold anything (proc_pid_stat(5)).
        let Some((start, fields)) = text.rsplit_once(") ") else { continue };
        let id = start.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
        let fields: Vec<i64> = fields.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        if let (Some(id), Some(times)) = (id, fields.get(11..15)) {
            parents.insert(id, u32::try_from(fields[1]).unwrap_or(0));
            ticks.insert(id, times.iter().sum::<i64>());
        }
    }
    let is_family = |id: &u32| {
        let up = std::iter::successors(Some(*id), |id| parents.get(id).copied().filter(|p| *p > 1));
        up.take(parents.len()).any(|id| id == pid)
    };
    let sum: i64 = ticks.iter().filter(|(id, _)| is_family(id)).map(|(_, ticks)| ticks).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(sum as f64 / per_second as f64))
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
    fn the_time_of_a_child_that_lives_and_of_one_that_ended_count() {
        let before = family_time(std::process::id()).unwrap();
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut ended = std::process::Command::new("sh").args(["-c", work]).spawn().unwrap();
        ended.wait().unwrap();
        let after_one = family_time(std::process::id()).unwrap();
        assert!(after_one > before, "{after_one:?}");
        let script = format!("{work}; sleep 60");
        let mut lives = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let began = std::time::Instant::now();
        while family_time(std::process::id()).unwrap() <= after_one {
            assert!(began.elapsed() < Duration::from_secs(30), "the child works in vain");
        }
        lives.kill().unwrap();
        lives.wait().unwrap();
    }

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
