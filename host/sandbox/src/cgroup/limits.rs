//! Which limits are written to which files.

use super::Version;
use crate::spec::WorkerSpec;

/// Length of the period over which processor time is counted, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// Smallest share of a period that kernels accept, in microseconds.
const MIN_CPU_QUOTA_US: u64 = 1_000;

/// Whether the launcher sits in the group that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launcher {
    /// It does, so it needs room for itself, and must not be slowed down.
    Inside,
    Outside,
}

/// Returns the limit of processes: those of ours do not count.
fn process_limit(spec: &WorkerSpec, launcher: Launcher) -> String {
    let ours = match launcher {
        Launcher::Inside => 2,
        Launcher::Outside => 1,
    };
    (u64::from(spec.max_processes) + ours).to_string()
}

/// Returns controller, file, value, and whether a kernel without the file is an error.
pub(super) fn limits(
    version: Version,
    spec: &WorkerSpec,
    launcher: Launcher,
) -> Vec<(&'static str, &'static str, String, bool)> {
    let memory = spec.memory.to_string();
    let processes = process_limit(spec, launcher);
    let quota = (u64::from(spec.cpu_millis) * CPU_PERIOD_US / 1000).max(MIN_CPU_QUOTA_US);
    let mut limits = match version {
        Version::One => vec![
            ("memory", "memory.limit_in_bytes", memory.clone(), true),
            ("memory", "memory.memsw.limit_in_bytes", memory, false),
            ("pids", "pids.max", processes, true),
        ],
        Version::Two => vec![
            ("memory", "memory.max", memory, true),
            ("memory", "memory.swap.max", "0".into(), false),
            ("memory", "memory.oom.group", "1".into(), false),
            ("pids", "pids.max", processes, true),
        ],
    };
    match version {
        _ if spec.cpu_millis == 0 || launcher == Launcher::Inside => {}
        Version::One => {
            limits.push(("cpu", "cpu.cfs_period_us", CPU_PERIOD_US.to_string(), true));
            limits.push(("cpu", "cpu.cfs_quota_us", quota.to_string(), true));
        }
        Version::Two => limits.push(("cpu", "cpu.max", format!("{quota} {CPU_PERIOD_US}"), true)),
    }
    limits
}
