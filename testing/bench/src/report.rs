//! The table: for each scenario and quantity the hub, mosquitto and their ratio.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::broker::Contestant;
use crate::machine;
use crate::metric::{Quantity, Runs, Sample};
use crate::scenario::Scenario;

/// What all runs measured.
#[derive(Default)]
pub(crate) struct Report {
    runs: BTreeMap<(usize, Quantity), BTreeMap<Contestant, Runs>>,
}

impl Report {
    /// Takes in the samples of one run of scenario number `scenario`.
    pub(crate) fn add(&mut self, scenario: usize, contestant: Contestant, samples: &[Sample]) {
        for Sample { quantity, value } in samples {
            let row = self.runs.entry((scenario, *quantity)).or_default();
            row.entry(contestant).or_default().0.push(*value);
        }
    }

    /// Writes the table as Markdown.
    pub(crate) fn table(&self, scenarios: &[Scenario]) -> String {
        let mut text = String::from(
            "| scenario | | hub | mosquitto | ratio | goal |\n|---|---|---|---|---|---|\n",
        );
        let mut previous = None;
        for ((scenario, quantity), row) in &self.runs {
            let title = if previous == Some(*scenario) { "" } else { scenarios[*scenario].title };
            previous = Some(*scenario);
            let describe = |one| row.get(&one).map_or_else(|| "-".to_owned(), Runs::describe);
            let _ = writeln!(
                text,
                "| {title} | {} | {} | {} | {} | {} |",
                quantity.heading(),
                describe(Contestant::Hub),
                describe(Contestant::Mosquitto),
                ratio(row),
                goals(&scenarios[*scenario], *quantity, row)
            );
        }
        text
    }

    /// Writes the page for the documentation; `load` is the load average before the first run.
    pub(crate) fn page(&self, scenarios: &[Scenario], runs: usize, load: &str) -> String {
        format!(
            "<!-- Written by `cargo xtask bench --write`. -->\n# Performance\n\n\
             Measured on {} on {}. The load average before the first run was {load}; with more than 1 \
             on two cores, rates and 99th percentiles say little, ratios and processor times more.\n\n\
             Each number is the median of {runs} runs, least and greatest in parentheses. Hub and \
             mosquitto take turns, each run with a fresh process. The ratio is hub to mosquitto: \
             above 1 is better for rates, below 1 for times and memory.\n\n{}\n{METHOD}",
            machine::describe(),
            machine::today(),
            self.table(scenarios)
        )
    }
}

fn ratio(row: &BTreeMap<Contestant, Runs>) -> String {
    let median = |one| row.get(&one).map(Runs::median);
    match (median(Contestant::Hub), median(Contestant::Mosquitto)) {
        (Some(hub), Some(peer)) if peer > 0.0 => format!("{:.2}", hub / peer),
        _ => "-".to_owned(),
    }
}

fn goals(scenario: &Scenario, quantity: Quantity, row: &BTreeMap<Contestant, Runs>) -> String {
    let median = |one| row.get(&one).map(Runs::median);
    let wanted = scenario.goals.iter().filter(|goal| goal.quantity() == quantity);
    let texts: Vec<String> = wanted
        .map(|goal| goal.describe(median(Contestant::Hub), median(Contestant::Mosquitto)))
        .collect();
    texts.join("; ")
}

const METHOD: &str = "\
## How it is measured

`testing/bench` is one thread with one epoll. Its packets are encoded before the clock starts and
their payload is 128 bytes. It runs on the same machine as the broker, over the loopback interface,
plain TCP, MQTT 3.1.1. Throughput is a closed loop: a bounded number of messages is outstanding, and
the run fails when one of them is lost or comes twice. A window of 1.5 s follows 0.7 s of warm-up.
A run begins when the broker is at rest: after its start the hub asks the interpreters of its
functions for their versions.
Latency is measured at a steady 500 messages per second.

*CPU us each* is the processor time of the broker process, user and system, for one delivery or one
connect. Processes of functions are not in it.
With fan-in at QoS 0 the generator itself needs most of a core, so that the rate says less than the
processor time.

The hub is the release build with its route table and permissions on, and its journal in the mode
that the manifest has by default, `process`. Its subscriber with a kept session makes each QoS 1
message durable before it is acknowledged. The rows that say *after fdatasync* use the mode `power`.
Mosquitto is without persistence in every row, without limits on queues, without logs and with
TCP_NODELAY. Both may have as many messages in flight as a scenario has outstanding.

Over TLS both ask for a client certificate (P-256), and each connect is a full handshake. The memory
of a connection is what the resident memory of the broker grew by; buffers of the kernel are not in
it.

A *goal* is what the project wants of the number; `x` stands for times mosquitto's.

*start* is the time from the start of the process to the first CONNACK, seen from outside; the hub
has a deployment to load. Its memory is the proportional set size of the process.

With `device -> Python function -> device` the handler returns its event at once.

## Where the time goes

From profiles (`perf record`) of the hub on such a machine, November 2026. They say what limits the
goals that are not reached.

* *Fan-out with 1 outstanding.* 92 % of the hub's processor time is in the kernel, 90 % inside
  send(2): one call for each receiver, TCP over loopback, and waking the reader. The hub's own code
  takes 4 %. A program that does nothing but write 145 bytes to each of 100 sockets with send(2) took
  2.9 us for each (2.8 to 3.0) in an hour in which the hub took 3.2 and mosquitto 4.8: 0.61 times
  mosquitto's, more than the goal. With one io_uring_enter(2) for all 100 it took the same (2.7 to
  3.5, median 2.9): what costs is what the kernel does for each, not entering it. So io_uring was not taken.
* *Latency.* A message wakes the hub, then the receiver; the hub makes three system calls for it:
  wait, receive, send. 68 % of the hub's time is in the kernel, the greatest part in switching
  tasks. 24 % is the hub's own code in many small pieces, the largest 3 %; about a tenth of those
  writes the trace that `tomte why` shows. On a busy machine the scheduler decides: the event loop
  asks for the shortest slices, which took a fifth off its p50 there.
* *Fan-in QoS 1.* On a machine where system calls are dear, 64 % is in the kernel: 34 % sends, 11 %
  writes the journal, and 26 % is the hub's own code. Where they are cheap, mosquitto gains most: it
  makes several for each message and the hub one for many. There 36 % is in the kernel (21 % sends,
  9 % the journal), 15 % allocates memory, and the rest is spread over many functions, the largest 3
  %. The generator needs 0.9 us for each message and could not show 15 times mosquitto's rate there.
  Another allocator (mimalloc) was no faster, and the idle hub took 29 MiB instead of 13.
* *After fdatasync.* The messages of a round wait for the sync of the round before. A quarter of the
  processor time is fdatasync(2), in a thread of its own, and the rate follows the disk: on a machine
  that others use too it was 139 k to 273 k a second from run to run.
* *Devices.* Each has one message in flight, so that each message costs the hub one receive and one
  send. 73 % of its time is in the kernel: 46 % sends, 11 % receives, 6 % waits, 3 % writes the
  journal. Its own code takes 16 %, memory and copying 10 %.
* *Connects.* One connect and subscription is about ten system calls of the hub and two round trips,
  and the client waits for each. On a machine where system calls are dear more than half of the time
  was the client's own and the switching between the two: a broker that needed no time at all would
  have reached 1.9 times mosquitto's rate. On a virtual machine waking an idle processor takes
  longest: with generator and broker on one processor (taskset(1)) both brokers made two to three times as many
  connects as on two (the hub 14 to 15 k a second, mosquitto 14 to 16 k).
* *A hundred connects at a time.* The hub takes 0.6 of mosquitto's processor time for each and sleeps
  more than half of the time: it is done with a connect before the generator has made the next, which
  has to wake it anew. With both on one processor the hub made 20 k a second, mosquitto 21 to 25 k.
  TCP_DEFER_ACCEPT, which saves one of the wakes, brought nothing.

Ratios depend on the machine. On 23 November 2026 the hub of that day ran the same benchmark on a quiet
AMD EPYC of two cores (five runs, load 0.9). There it had, beside mosquitto in the same run: fan-in QoS 0
53x, QoS 1 12.2x, after fdatasync 7.4x; devices 2.6x at 0.38 of the processor time; fan-out 17x and 17x,
QoS 1 20x; with 1 outstanding 0.67 and 0.51 of the processor time; p50 0.90 and 0.92, p99 0.80 and 0.94;
connects 1.2x. System calls cost more there, and mosquitto makes several for each message.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::ALL;

    #[test]
    fn the_ratio_is_of_the_medians() {
        let mut report = Report::default();
        for (contestant, values) in
            [(Contestant::Hub, [10.0, 30.0, 20.0]), (Contestant::Mosquitto, [5.0, 4.0, 6.0])]
        {
            for value in values {
                report.add(0, contestant, &[Sample { quantity: Quantity::PerSecond, value }]);
            }
        }
        let table = report.table(ALL);
        let row = "| per second | 20.0 (10.0..30.0) | 5.00 (4.00..6.00) | 4.00 | at least 20x: **not reached** |";
        assert!(table.contains(row), "{table}");
    }

    #[test]
    fn a_scenario_without_a_peer_has_no_ratio() {
        let mut report = Report::default();
        report.add(0, Contestant::Hub, &[Sample { quantity: Quantity::Millis, value: 3.0 }]);
        assert!(report.table(ALL).contains("| ms | 3.00 | - | - |  |"));
    }
}
