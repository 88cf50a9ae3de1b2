//! What happened over many runs, so that a simulator which tests nothing is found out.

use std::collections::BTreeMap;
use std::fmt;

/// How often each kind of event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn hit(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, n: u64) {
        if n > 0 {
            *self.0.entry(what).or_default() += n;
        }
    }

    /// Adds what happened in another run.
    pub fn merge(&mut self, other: &Coverage) {
        for (what, n) in &other.0 {
            self.add(what, *n);
        }
    }

    /// Returns how often `what` happened.
    #[must_use]
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Returns the events of `wanted` that happened less often than it asks.
    #[must_use]
    pub fn missing<'a>(&self, wanted: &[(&'a str, u64)]) -> Vec<(&'a str, u64, u64)> {
        let short = wanted.iter().filter(|(what, least)| self.get(what) < *least);
        short.map(|(what, least)| (*what, *least, self.get(what))).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, n) in &self.0 {
            writeln!(f, "{n:>10}  {what}")?;
        }
        Ok(())
    }
}
