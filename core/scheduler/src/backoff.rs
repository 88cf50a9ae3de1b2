use tomte_base::Time;

use crate::{RESTART_BACKOFF_FIRST, RESTART_BACKOFF_MAX, STEADY_AFTER};

/// Holds back a function whose workers die early, longer each time.
///
/// Workers that were started together and die of one cause count as one death: a worker counts only
/// when it was started after the last death that counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
    failed_starts: u32,
    last_death: Time,
    until: Time,
}

impl Backoff {
    /// Returns the moment before which no worker is to be started.
    pub(crate) fn until(&self) -> Time {
        self.until
    }

    /// Returns how many starts in a row failed.
    pub(crate) fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    /// Notes that a worker died before it was ready, and returns how many starts in a row failed.
    pub(crate) fn start_failed(&mut self, started: Time, now: Time) -> u32 {
        if self.count_death(started, now) {
            self.failed_starts = self.failed_starts.saturating_add(1);
        }
        self.failed_starts
    }

    /// Notes that a worker that was ready died unasked.
    pub(crate) fn died(&mut self, started: Time, now: Time) {
        self.count_death(started, now);
    }

    /// Notes that a worker got ready: the next failed start is the first again.
    pub(crate) fn started(&mut self) {
        self.failed_starts = 0;
    }

    /// Notes that a worker finished a call: the function works.
    pub(crate) fn worked(&mut self) {
        *self = Self::default();
    }

    fn count_death(&mut self, started: Time, now: Time) -> bool {
        if self.deaths > 0 && started < self.last_death {
            return false;
        }
        if now.since(started) >= STEADY_AFTER {
            self.deaths = 0;
        }
        let pause = RESTART_BACKOFF_FIRST.saturating_mul(1 << self.deaths.min(20));
        self.deaths = self.deaths.saturating_add(1);
        self.last_death = now;
        self.until = now + pause.min(RESTART_BACKOFF_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        let (mut backoff, mut now) = (Backoff::default(), Time::from_millis(1_000));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            backoff.start_failed(now, now);
            pauses.push(backoff.until().since(now).as_millis());
            now = backoff.until();
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[10..], [60_000, 60_000]);
    }

    #[test]
    fn workers_that_die_together_count_once() {
        let (mut backoff, started) = (Backoff::default(), Time::from_millis(1));
        for millis in [50, 51, 52] {
            assert_eq!(backoff.start_failed(started, Time::from_millis(millis)), 1);
        }
        assert_eq!(backoff.until(), Time::from_millis(150));
    }

    #[test]
    fn a_worker_that_lived_long_dies_for_a_new_reason() {
        let mut backoff = Backoff::default();
        for millis in [0, 100, 300] {
            backoff.died(Time::from_millis(millis), Time::from_millis(millis));
        }
        let death = Time::from_millis(1_000) + STEADY_AFTER;
        backoff.died(Time::from_millis(1_000), death);
        assert_eq!(backoff.until(), death + RESTART_BACKOFF_FIRST);
    }
}
