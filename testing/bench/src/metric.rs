//! What a scenario measures and how the values of several runs become one.

use crate::statistics::{median, sorted};

/// What a number says and which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Quantity {
    /// Deliveries or connects per second.
    PerSecond,
    /// Processor time of the broker per delivery or connect, in microseconds.
    CpuMicros,
    /// Median latency in microseconds.
    P50Micros,
    /// 99th percentile of latency in microseconds.
    P99Micros,
    /// Milliseconds.
    Millis,
    /// Mebibytes.
    Mib,
    /// Kibibytes per connection.
    KibEach,
}

impl Quantity {
    /// Returns the heading of the column.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::PerSecond => "per second",
            Self::CpuMicros => "CPU us each",
            Self::P50Micros => "p50 us",
            Self::P99Micros => "p99 us",
            Self::Millis => "ms",
            Self::Mib => "MiB",
            Self::KibEach => "KiB each",
        }
    }
}

/// What the project wants of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So many times the peer's.
    Ratio(Quantity, f64),
    /// This value, whatever the peer's is.
    Value(Quantity, f64),
}

impl Goal {
    /// Returns the quantity that it is about.
    pub(crate) fn quantity(self) -> Quantity {
        match self {
            Self::Ratio(quantity, _) | Self::Value(quantity, _) => quantity,
        }
    }

    /// Writes the goal, and whether the medians of the hub and its peer reach it.
    pub(crate) fn describe(self, hub: Option<f64>, peer: Option<f64>) -> String {
        let (wanted, got, times) = match self {
            Self::Ratio(_, wanted) => (wanted, hub.zip(peer).map(|(hub, peer)| hub / peer), "x"),
            Self::Value(_, wanted) => (wanted, hub, ""),
        };
        let more_is_better = self.quantity() == Quantity::PerSecond;
        let bound = if more_is_better { "at least" } else { "at most" };
        let Some(got) = got else { return format!("{bound} {wanted}{times}") };
        let reached = if more_is_better { got >= wanted } else { got <= wanted };
        let verdict = if reached { "reached" } else { "**not reached**" };
        format!("{bound} {wanted}{times}: {verdict}")
    }
}

/// One measured number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// What it says.
    pub(crate) quantity: Quantity,
    /// Its value.
    pub(crate) value: f64,
}

/// The runs of one contestant in one scenario, for one quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(pub(crate) Vec<f64>);

impl Runs {
    /// Returns the median of the runs.
    pub(crate) fn median(&self) -> f64 {
        median(&self.0)
    }

    /// Writes the median, and least and greatest when there is more than one run.
    pub(crate) fn describe(&self) -> String {
        let sorted = sorted(self.0.clone());
        match (sorted.first(), sorted.last()) {
            (Some(least), Some(greatest)) if sorted.len() > 1 => {
                format!("{} ({}..{})", short(self.median()), short(*least), short(*greatest))
            }
            (Some(only), _) => short(*only),
            _ => "-".to_owned(),
        }
    }
}

/// Writes a number with three digits that matter, thousands with a `k`.
pub(crate) fn short(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{:.2} M", v / 1_000_000.0),
        v if v >= 99_950.0 => format!("{:.0} k", v / 1_000.0),
        v if v >= 9_995.0 => format!("{:.1} k", v / 1_000.0),
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short() {
        for (value, expect) in [
            (0.3, "0.30"),
            (12.34, "12.3"),
            (537.0, "537"),
            (9_994.0, "9994"),
            (37_300.0, "37.3 k"),
            (703_000.0, "703 k"),
            (1_573_000.0, "1.57 M"),
        ] {
            assert_eq!(short(value), expect);
        }
    }

    #[test]
    fn a_goal_says_whether_it_is_reached() {
        let (rate, time) = (Goal::Ratio(Quantity::PerSecond, 3.0), Quantity::P50Micros);
        assert_eq!(rate.describe(Some(6.0), Some(2.0)), "at least 3x: reached");
        assert_eq!(rate.describe(Some(5.0), Some(2.0)), "at least 3x: **not reached**");
        let at_most = Goal::Value(time, 5.0);
        assert_eq!(at_most.describe(Some(5.0), None), "at most 5: reached");
        assert_eq!(at_most.describe(Some(6.0), None), "at most 5: **not reached**");
        assert_eq!(at_most.describe(None, Some(1.0)), "at most 5");
    }

    #[test]
    fn several_runs_show_their_spread() {
        assert_eq!(Runs(vec![3.0, 1.0, 2.0]).describe(), "2.00 (1.00..3.00)");
        assert_eq!(Runs(vec![3.0]).describe(), "3.00");
    }
}
