//! The last events of a run, for people.

use std::collections::VecDeque;
use std::fmt;

use tomte_base::Time;

/// Events that are kept.
const KEPT: usize = 400;

/// The last events of a run, with the moment of each.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: VecDeque<(Time, String)>,
    /// Nothing is written down: long runs have no reader until one fails.
    pub(crate) muted: bool,
}

impl Log {
    pub(crate) fn tell(&mut self, now: Time, line: impl FnOnce() -> String) {
        if self.muted {
            return;
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back((now, line()));
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (time, line) in &self.lines {
            let micros = time.0 / 1_000 % 100_000_000_000;
            writeln!(f, "{:>6}.{:06}  {line}", micros / 1_000_000, micros % 1_000_000)?;
        }
        Ok(())
    }
}
