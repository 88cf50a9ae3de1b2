//! What is measured, one module for each kind of traffic.

mod connections;
mod fan_in;
mod fan_out;
mod function;
mod latency;
mod start;
mod window;

use anyhow::Result;

use crate::broker::{Broker, Contestant};
use crate::metric::Sample;

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
    /// Runs it against a fresh broker.
    pub(crate) run: fn(&Broker, Effort) -> Result<Vec<Sample>>,
}

impl Scenario {
    /// Tells whether `contestant` can take part.
    pub(crate) fn admits(&self, contestant: Contestant) -> bool {
        self.peer || contestant == Contestant::Hub
    }
}

/// Every scenario, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "fan-in-0",
        title: "fan-in QoS 0: 10 publishers, 100 outstanding each, 1 subscriber",
        peer: true,
        run: |broker, effort| fan_in::run(broker, effort, fan_in::BURSTS_QOS_0),
    },
    Scenario {
        name: "fan-in-1",
        title: "fan-in QoS 1: 10 publishers, 20 in flight each, 1 subscriber with a kept session",
        peer: true,
        run: |broker, effort| fan_in::run(broker, effort, fan_in::BURSTS_QOS_1),
    },
    Scenario {
        name: "devices",
        title: "devices: 200 publishers, 1 in flight each, QoS 1, 1 subscriber with a kept session",
        peer: true,
        run: |broker, effort| fan_in::run(broker, effort, fan_in::DEVICES),
    },
    Scenario {
        name: "fan-out-100",
        title: "fan-out QoS 0, 1 to 100, 20 outstanding",
        peer: true,
        run: |broker, effort| fan_out::run(broker, effort, 100, 20),
    },
    Scenario {
        name: "fan-out-1000",
        title: "fan-out QoS 0, 1 to 1,000, 20 outstanding",
        peer: true,
        run: |broker, effort| fan_out::run(broker, effort, 1_000, 20),
    },
    Scenario {
        name: "fan-out-100-single",
        title: "fan-out QoS 0, 1 to 100, 1 outstanding",
        peer: true,
        run: |broker, effort| fan_out::run(broker, effort, 100, 1),
    },
    Scenario {
        name: "fan-out-1000-single",
        title: "fan-out QoS 0, 1 to 1,000, 1 outstanding",
        peer: true,
        run: |broker, effort| fan_out::run(broker, effort, 1_000, 1),
    },
    Scenario {
        name: "latency-0",
        title: "latency at 500 messages/s, QoS 0",
        peer: true,
        run: |broker, effort| latency::run(broker, effort, 0),
    },
    Scenario {
        name: "latency-1",
        title: "latency at 500 messages/s, QoS 1",
        peer: true,
        run: |broker, effort| latency::run(broker, effort, 1),
    },
    Scenario {
        name: "connections",
        title: "5,000 connects with one subscription each, one after the other; then idle",
        peer: true,
        run: connections::run,
    },
    Scenario {
        name: "start",
        title: "start: process to first CONNACK; memory (PSS) a second later",
        peer: true,
        run: start::run,
    },
    Scenario {
        name: "function",
        title: "device -> warm Python function -> device at 500 messages/s",
        peer: false,
        run: function::run,
    },
];
