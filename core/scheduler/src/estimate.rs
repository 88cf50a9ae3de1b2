use std::time::Duration;

/// What a start is assumed to take until one was seen.
const START_COST_UNSEEN: Duration = Duration::from_millis(100);

/// The least that an estimate says: no worker serves without end in no time.
const LEAST: Duration = Duration::from_micros(1);

/// The most that one observation counts, so that a single one is soon forgotten, and that a call
/// waits for a warm worker.
const MOST: Duration = Duration::from_secs(10);

/// An observation counts for one part in so many, all before it for the rest.
const PARTS: u32 = 8;

/// What the workers of one function are expected to take, from what they took lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimates {
    start: Option<Duration>,
    run: Option<Duration>,
}

impl Estimates {
    /// Notes how long a worker took from the decision to start it until it first asked.
    pub(crate) fn note_start(&mut self, took: Duration) {
        self.start = Some(blend(self.start, took));
    }

    /// Notes how long a worker took from the assignment of a call until it asked again.
    pub(crate) fn note_run(&mut self, took: Duration) {
        self.run = Some(blend(self.run, took));
    }

    /// Returns how long a new worker is expected to take until it asks.
    pub(crate) fn start_cost(&self) -> Duration {
        self.start.unwrap_or(START_COST_UNSEEN)
    }

    /// Returns how many waiting calls `warm` workers are expected to take before one that is started
    /// now could take any. The call at place `k`, counted from 0, is expected to wait for `k + 1` of
    /// `warm` parts of a run. None as long as no run has ended.
    pub(crate) fn served_during_start(&self, warm: u32) -> u32 {
        let Some(run) = self.run else { return 0 };
        let served = self.start_cost().as_nanos() * u128::from(warm) / run.as_nanos();
        u32::try_from(served).unwrap_or(u32::MAX)
    }
}

fn blend(before: Option<Duration>, seen: Duration) -> Duration {
    let seen = seen.clamp(LEAST, MOST);
    before.map_or(seen, |before| before - before / PARTS + seen / PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn estimates(start: Duration, run: Duration) -> Estimates {
        Estimates { start: Some(start), run: Some(run) }
    }

    #[test]
    fn nothing_is_expected_of_warm_workers_before_a_run_has_ended() {
        let mut estimates = Estimates::default();
        estimates.note_start(MS);
        assert_eq!(estimates.served_during_start(1_000), 0);
    }

    #[test]
    fn a_start_that_was_not_seen_is_assumed() {
        let mut estimates = Estimates::default();
        estimates.note_run(10 * MS);
        assert_eq!(estimates.served_during_start(1), 10);
    }

    #[test]
    fn a_wait_as_long_as_the_start_is_the_longest_that_is_worth_it() {
        for (start, run, warm, served) in [
            (100, 100, 1, 1),
            (99, 100, 1, 0),
            (100, 40, 1, 2),
            (100, 2_000, 40, 2),
            (100, 1, 0, 0),
        ] {
            let estimates = estimates(start * MS, run * MS);
            assert_eq!(estimates.served_during_start(warm), served, "{start} {run} {warm}");
        }
    }

    #[test]
    fn one_observation_out_of_line_is_forgotten_soon() {
        let mut estimates = estimates(100 * MS, MS);
        estimates.note_run(Duration::from_secs(86_400));
        assert_eq!(estimates.served_during_start(1), 0);
        (0..40).for_each(|_| estimates.note_run(MS));
        assert!(estimates.served_during_start(1) >= 10, "{estimates:?}");
    }

    #[test]
    fn estimates_stay_within_their_bounds_whatever_was_seen() {
        let mut estimates = Estimates::default();
        for took in [Duration::ZERO, Duration::MAX, Duration::ZERO] {
            for _ in 0..200 {
                estimates.note_start(took);
                estimates.note_run(took);
                let bounds = LEAST..=MOST;
                assert!(bounds.contains(&estimates.start_cost()), "{estimates:?}");
                assert!(bounds.contains(&estimates.run.unwrap()), "{estimates:?}");
                estimates.served_during_start(u32::MAX);
            }
        }
        assert!(estimates.start_cost() < 2 * LEAST, "{estimates:?}");
    }
}
