use std::time::Duration;

use crate::Time;

/// A rate limit: `capacity` at once, refilled evenly to `capacity` every `period`.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    capacity: u32,
    tokens: f64,
    per_nano: f64,
    filled: Time,
}

impl TokenBucket {
    /// Makes a full bucket that allows `capacity` takings every `period`.
    #[must_use]
    pub fn new(capacity: u32, period: Duration) -> Self {
        let nanos = period.as_nanos().max(1) as f64;
        Self {
            capacity,
            tokens: f64::from(capacity),
            per_nano: f64::from(capacity) / nanos,
            filled: Time::default(),
        }
    }

    /// Takes one token if there is one, and tells whether there was.
    pub fn take(&mut self, now: Time) -> bool {
        let earned = now.since(self.filled).as_nanos() as f64 * self.per_nano;
        self.tokens = (self.tokens + earned).min(f64::from(self.capacity));
        self.filled = self.filled.max(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, Duration::from_secs(1));
        let start = Time::from_millis(1_000);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 10);
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(201)));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_earns_nothing() {
        let mut bucket = TokenBucket::new(1, Duration::from_secs(1));
        assert!(bucket.take(Time::from_millis(5_000)));
        assert!(!bucket.take(Time::from_millis(1_000)));
        assert!(!bucket.take(Time::from_millis(5_000)));
    }
}
