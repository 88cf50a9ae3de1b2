//! What came of the demo, in numbers.

use std::collections::HashMap;

use serde::Serialize;
use tomte_wire::control::{Flow, FlowEvent};

use super::device::Report;
use crate::exit::Exit;
use crate::moments::span_us;
use crate::paint::{Paint, Tint};

/// Counts while the demo runs.
#[derive(Default)]
pub(crate) struct Tally {
    readings: u64,
    messages: u64,
    calls: u64,
    failed_calls: u64,
    deliveries: u64,
    lost: u64,
    sent_at: HashMap<String, u64>,
    /// Times from reading to actuator, in microseconds.
    ways_us: Vec<u64>,
}

/// The result of the demo.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    readings: u64,
    messages: u64,
    calls: u64,
    failed_calls: u64,
    deliveries: u64,
    lost: u64,
    reached: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
}

impl Tally {
    /// Counts what happened in the hub.
    pub(crate) fn flow(&mut self, event: &FlowEvent) {
        match &event.what {
            Flow::Published { .. } => self.messages += 1,
            Flow::Dropped { .. } => self.lost += 1,
            Flow::Hop { hop, .. } => match (hop.kind.as_str(), hop.bad) {
                ("function", bad) => {
                    self.calls += 1;
                    self.failed_calls += u64::from(bad);
                }
                ("delivery", false) if hop.verdict == "acknowledged" => self.deliveries += 1,
                // A reading that no condition lets through is not lost.
                ("admission", _) => {}
                (_, true) => self.lost += 1,
                _ => {}
            },
            _ => {}
        }
    }

    /// Counts what a device told.
    pub(crate) fn report(&mut self, report: Report) {
        match report {
            Report::Ready => {}
            Report::Sent { reading, at_us } => {
                self.readings += 1;
                self.sent_at.insert(reading, at_us);
            }
            Report::Received { reading, at_us } => {
                if let Some(sent_us) = self.sent_at.remove(&reading) {
                    self.ways_us.push(at_us.saturating_sub(sent_us));
                }
            }
        }
    }

    /// Returns the result.
    pub(crate) fn summary(mut self) -> Summary {
        self.ways_us.sort_unstable();
        Summary {
            readings: self.readings,
            messages: self.messages,
            calls: self.calls,
            failed_calls: self.failed_calls,
            deliveries: self.deliveries,
            lost: self.lost,
            reached: self.ways_us.len() as u64,
            p50_us: percentile(&self.ways_us, 50),
            p99_us: percentile(&self.ways_us, 99),
        }
    }
}

/// Returns the smallest value that `percent` of the sorted values do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Summary {
    /// Returns how the demo ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self { reached: 0, .. } => Exit::Nowhere,
            Self { failed_calls: 1.., .. } => Exit::Failed,
            _ => Exit::Ok,
        }
    }

    /// Returns the result for people.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let time = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), span_us);
        let bad = |count: u64, what: &str| {
            let text = format!("{count} {what}");
            if count > 0 { paint.apply(Tint::Bad, &text) } else { text }
        };
        let verdict = match self.exit() {
            Exit::Ok => paint.apply(Tint::Good, "The greenhouse works."),
            Exit::Nowhere => paint.apply(Tint::Bad, "No reading reached an actuator."),
            _ => paint.apply(Tint::Bad, "Some calls failed; their reasons are above."),
        };
        let name = |text| paint.apply(Tint::Name, text);
        [
            verdict,
            format!("  {}  {} readings, {} messages in all", name("published"), self.readings, self.messages),
            format!("  {}      {} of functions, {}", name("calls"), self.calls, bad(self.failed_calls, "failed")),
            format!("  {}  {} to actuators, {}", name("delivered"), self.deliveries, bad(self.lost, "lost")),
            format!(
                "  {}      {} of {} readings led to a command; p50 {}, p99 {}, from sensor to actuator",
                name("times"),
                self.reached,
                self.readings,
                time(self.p50_us),
                time(self.p99_us)
            ),
        ]
        .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn sent(reading: &str, at_us: u64) -> Report {
        Report::Sent { reading: reading.to_owned(), at_us }
    }

    fn received(reading: &str, at_us: u64) -> Report {
        Report::Received { reading: reading.to_owned(), at_us }
    }

    #[test]
    fn the_way_of_a_reading_is_measured_once() {
        let mut tally = Tally::default();
        for report in [sent("a", 100), sent("b", 100), received("a", 1_600), received("a", 9_000)] {
            tally.report(report);
        }
        let summary = tally.summary();
        assert_eq!((summary.readings, summary.reached), (2, 1));
        assert_eq!(summary.p50_us, Some(1_500));
        assert_eq!(summary.exit(), Exit::Ok);
        expect![[r#"
            The greenhouse works.
              published  2 readings, 0 messages in all
              calls      0 of functions, 0 failed
              delivered  0 to actuators, 0 lost
              times      1 of 2 readings led to a command; p50 1.5 ms, p99 1.5 ms, from sensor to actuator"#]]
        .assert_eq(&summary.render(Paint::plain()));
    }

    #[test]
    fn a_demo_in_which_nothing_arrives_fails() {
        assert_eq!(Tally::default().summary().exit(), Exit::Nowhere);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 50), Some(50));
        assert_eq!(percentile(&values, 99), Some(99));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }
}
