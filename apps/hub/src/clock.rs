use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tomte_base::Time;

/// The clock of the process: the wall once, then the monotonic clock, so that it never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began_wall: u64,
    began: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_wall = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        Self { began_wall, began: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.began_wall) + self.began.elapsed()
    }
}
