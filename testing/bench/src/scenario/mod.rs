//! What is measured, one module for each kind of traffic.

mod connections;
mod fan_in;
mod fan_out;
mod function;
mod latency;
mod start;
mod window;

use anyhow::Result;

use crate::broker::{Broker, Contestant, Durability};
use crate::metric::{Goal, Quantity, Sample};
use fan_out::Shape;
use latency::Receiver;

/// How much of each scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough to show that the generator works and the counts add up; the numbers mean nothing.
    Quick,
    /// As published.
    Full,
}

/// One measurement.
pub(crate) struct Scenario {
    /// Short name for `--only`.
    pub(crate) name: &'static str,
    /// What is sent, in words.
    pub(crate) title: &'static str,
    /// Mosquitto can do it too.
    pub(crate) peer: bool,
    /// When the hub acknowledges.
    pub(crate) durability: Durability,
    /// What the project wants of its numbers.
    pub(crate) goals: &'static [Goal],
    /// Runs it against a fresh broker.
    pub(crate) run: fn(&Broker, Effort) -> Result<Vec<Sample>>,
}

impl Scenario {
    /// What most scenarios have in common.
    const USUAL: Self = Self {
        name: "",
        title: "",
        peer: true,
        durability: Durability::Process,
        goals: &[],
        run: |_, _| Ok(Vec::new()),
    };

    /// Tells whether `contestant` can take part.
    pub(crate) fn admits(&self, contestant: Contestant) -> bool {
        self.peer || contestant == Contestant::Hub
    }
}

const fn rate(times: f64) -> Goal {
    Goal::Ratio(Quantity::PerSecond, times)
}

const fn cpu(times: f64) -> Goal {
    Goal::Ratio(Quantity::CpuMicros, times)
}

const LATENCY: &[Goal] =
    &[Goal::Ratio(Quantity::P50Micros, 0.75), Goal::Ratio(Quantity::P99Micros, 0.6)];

/// Every scenario, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "fan-in-0",
        title: "fan-in QoS 0: 10 publishers, 100 outstanding each, 1 subscriber",
        goals: &[rate(20.0)],
        run: |broker, effort| fan_in::run(broker, effort, fan_in::BURSTS_QOS_0),
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-in-1",
        title: "fan-in QoS 1: 10 publishers, 20 in flight each, 1 subscriber with a kept session",
        goals: &[rate(15.0)],
        run: |broker, effort| fan_in::run(broker, effort, fan_in::BURSTS_QOS_1),
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-in-1-power",
        title: "the same, acknowledged after fdatasync",
        goals: &[rate(3.0)],
        run: |broker, effort| fan_in::run(broker, effort, fan_in::BURSTS_QOS_1),
        durability: Durability::Power,
        ..Scenario::USUAL
    },
    Scenario {
        name: "devices",
        title: "devices: 200 publishers, 1 in flight each, QoS 1, 1 subscriber with a kept session",
        goals: &[rate(2.3), cpu(0.4)],
        run: |broker, effort| fan_in::run(broker, effort, fan_in::DEVICES),
        ..Scenario::USUAL
    },
    Scenario {
        name: "devices-power",
        title: "the same, acknowledged after fdatasync",
        goals: &[],
        run: |broker, effort| fan_in::run(broker, effort, fan_in::DEVICES),
        durability: Durability::Power,
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-out-100",
        title: "fan-out QoS 0, 1 to 100, 20 outstanding",
        goals: &[rate(12.0)],
        run: |broker, effort| {
            let shape = Shape { subscribers: 100, outstanding: 20, qos: 0 };
            fan_out::run(broker, effort, shape)
        },
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-out-1000",
        title: "fan-out QoS 0, 1 to 1,000, 20 outstanding",
        goals: &[rate(12.0)],
        run: |broker, effort| {
            let shape = Shape { subscribers: 1_000, outstanding: 20, qos: 0 };
            fan_out::run(broker, effort, shape)
        },
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-out-100-qos-1",
        title: "fan-out QoS 1, 1 to 100, 20 outstanding",
        goals: &[rate(12.0)],
        run: |broker, effort| {
            let shape = Shape { subscribers: 100, outstanding: 20, qos: 1 };
            fan_out::run(broker, effort, shape)
        },
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-out-100-single",
        title: "fan-out QoS 0, 1 to 100, 1 outstanding",
        goals: &[cpu(0.55)],
        run: |broker, effort| {
            let shape = Shape { subscribers: 100, outstanding: 1, qos: 0 };
            fan_out::run(broker, effort, shape)
        },
        ..Scenario::USUAL
    },
    Scenario {
        name: "fan-out-1000-single",
        title: "fan-out QoS 0, 1 to 1,000, 1 outstanding",
        goals: &[cpu(0.55)],
        run: |broker, effort| {
            let shape = Shape { subscribers: 1_000, outstanding: 1, qos: 0 };
            fan_out::run(broker, effort, shape)
        },
        ..Scenario::USUAL
    },
    Scenario {
        name: "latency-0",
        title: "latency at 500 messages/s, QoS 0",
        goals: LATENCY,
        run: |broker, effort| latency::run(broker, effort, 0, Receiver::Clean),
        ..Scenario::USUAL
    },
    Scenario {
        name: "latency-1",
        title: "latency at 500 messages/s, QoS 1",
        goals: LATENCY,
        run: |broker, effort| latency::run(broker, effort, 1, Receiver::Clean),
        ..Scenario::USUAL
    },
    Scenario {
        name: "latency-1-kept",
        title: "latency at 500 messages/s, QoS 1 to a kept session",
        goals: &[],
        run: |broker, effort| latency::run(broker, effort, 1, Receiver::Kept),
        ..Scenario::USUAL
    },
    Scenario {
        name: "latency-1-power",
        title: "the same, acknowledged after fdatasync",
        goals: &[],
        run: |broker, effort| latency::run(broker, effort, 1, Receiver::Kept),
        durability: Durability::Power,
        ..Scenario::USUAL
    },
    Scenario {
        name: "connections",
        title: "5,000 connects with one subscription each, one after the other; then idle",
        goals: &[rate(2.0), Goal::Value(Quantity::KibEach, 2.0)],
        run: |broker, effort| connections::plain(broker, effort, 5_000),
        ..Scenario::USUAL
    },
    Scenario {
        name: "connections-10k",
        title: "10,000 of them",
        goals: &[rate(2.0), Goal::Value(Quantity::KibEach, 2.0)],
        run: |broker, effort| connections::plain(broker, effort, 10_000),
        ..Scenario::USUAL
    },
    Scenario {
        name: "connect-storm",
        title: "5,000 connects with one subscription each, a hundred at a time",
        goals: &[rate(2.0)],
        run: |broker, effort| connections::storm(broker, effort, 5_000),
        ..Scenario::USUAL
    },
    Scenario {
        name: "connections-tls",
        title: "2,000 over TLS with client certificates",
        goals: &[Goal::Value(Quantity::KibEach, 16.0)],
        run: |broker, effort| connections::tls(broker, effort, 2_000),
        ..Scenario::USUAL
    },
    Scenario {
        name: "start",
        title: "start: process to first CONNACK; memory (PSS) at rest",
        goals: &[Goal::Value(Quantity::Millis, 300.0), Goal::Value(Quantity::Mib, 15.0)],
        run: start::run,
        ..Scenario::USUAL
    },
    Scenario {
        name: "function",
        title: "device -> warm Python function -> device at 500 messages/s",
        goals: &[
            Goal::Value(Quantity::P50Micros, 1_000.0),
            Goal::Value(Quantity::P99Micros, 5_000.0),
        ],
        run: function::run,
        peer: false,
        ..Scenario::USUAL
    },
];
