use std::time::Duration;

use tomte_base::ByteSize;

/// Pause before a function whose worker died early is tried again. Each further death doubles it.
pub const RESTART_BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest pause between two tries to start a worker of one function.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Failed starts in a row after which the calls that wait for the function fail too.
pub const MAX_START_FAILURES: u32 = 5;

/// A worker that lived this long died for a new reason: the pause starts again at its first value.
pub const STEADY_AFTER: Duration = Duration::from_secs(30);

/// Blocked functions that are looked at for room in one decision, best first. Those behind them are
/// reached when these have been served.
pub(crate) const CLAIMS_LOOKED_AT: usize = 64;

/// The bounds of a [`Scheduler`](crate::Scheduler).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerLimits {
    /// Calls that wait, of all functions together.
    pub max_queued_calls: u32,
    /// Payload of the calls that wait, of all functions together.
    pub max_queued_bytes: ByteSize,
    /// Time for a worker to ask for its first call, and for its next one after it answered.
    pub start_timeout: Duration,
    /// Time for a worker to exit after [`StopWorker`](crate::Effect::StopWorker). After it the
    /// effect is sent again, and again each time this long after the last: whoever performs it
    /// should then kill without asking.
    pub stop_grace: Duration,
    /// Choices in favour of others after which a passed-over call comes next.
    pub max_passes: u32,
    /// Time after which a call that was passed over at least once comes next.
    pub max_passed_time: Duration,
}

impl Default for SchedulerLimits {
    fn default() -> Self {
        Self {
            max_queued_calls: 100_000,
            max_queued_bytes: ByteSize::mib(64),
            start_timeout: Duration::from_secs(30),
            stop_grace: Duration::from_secs(5),
            max_passes: 32,
            max_passed_time: Duration::from_secs(5),
        }
    }
}

/// How long something may be passed over before it comes next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) passes: u32,
    pub(crate) time: Duration,
}

impl Patience {
    /// Tells whether who was passed over `passes` times in `waited` comes next.
    pub(crate) fn is_over(self, passes: u64, waited: Duration) -> bool {
        passes >= u64::from(self.passes.max(1)) || (passes > 0 && waited >= self.time)
    }
}

impl SchedulerLimits {
    pub(crate) fn patience(&self) -> Patience {
        Patience { passes: self.max_passes, time: self.max_passed_time }
    }
}
