//! What one receiver got of one publisher, and what is wrong with it.

use std::collections::BTreeSet;

/// Numbers that one receiver got of one publisher, which counts from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The number after the greatest one that came.
    next: u64,
    /// Smaller ones that did not come.
    missing: BTreeSet<u64>,
    /// Numbers that came after a greater one, for the first time.
    pub(crate) reordered: u64,
    /// Numbers that came again.
    pub(crate) doubled: u64,
    pub(crate) delivered: u64,
}

impl Tally {
    pub(crate) fn take(&mut self, number: u64) {
        self.delivered += 1;
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.reordered += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// How many of the first `acknowledged` numbers did not come.
    pub(crate) fn lost(&self, acknowledged: u64) -> u64 {
        let gaps = self.missing.range(..acknowledged).count() as u64;
        gaps + acknowledged.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let mut tally = Tally::default();
        for number in [0, 1, 4, 2, 2, 5] {
            tally.take(number);
        }
        assert_eq!((tally.reordered, tally.doubled, tally.delivered), (1, 1, 6));
        assert_eq!(tally.lost(6), 1, "3");
        assert_eq!(tally.lost(9), 4, "3, 6, 7, 8");
        assert_eq!(tally.lost(3), 0);
    }
}
