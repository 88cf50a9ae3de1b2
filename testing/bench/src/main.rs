//! Throughput, latency, memory and start time of the hub beside mosquitto's, in one run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

mod broker;
mod engine;
mod machine;
mod metric;
mod options;
mod packet;
mod report;
mod scenario;
mod statistics;
mod tls;
mod usage;

use std::process::ExitCode;

use anyhow::{Context, Result};
use options::Options;
use report::Report;
use scenario::ALL;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("tomte-bench: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tomte-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    allow_many_files()?;
    let load = machine::load_average();
    let mut report = Report::default();
    for round in 0..options.runs {
        for (number, scenario) in ALL.iter().enumerate() {
            if options.wants(scenario.name) {
                measure(options, round, number, &mut report)?;
            }
        }
    }
    println!("{}", report.table(ALL));
    if let Some(path) = &options.write {
        std::fs::write(path, report.page(ALL, options.runs, &load))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Runs one scenario once for each contestant; who comes first changes from round to round.
fn measure(options: &Options, round: usize, number: usize, report: &mut Report) -> Result<()> {
    let scenario = &ALL[number];
    let mut contestants = options.contestants.clone();
    if round % 2 == 1 {
        contestants.reverse();
    }
    for contestant in contestants.into_iter().filter(|one| scenario.admits(*one)) {
        let place = || format!("{} with {}", scenario.name, contestant.name());
        let broker = contestant.start(scenario.durability).with_context(place)?;
        if options.effort == scenario::Effort::Full {
            broker.settle().with_context(place)?;
        }
        let samples = (scenario.run)(&broker, options.effort).with_context(place)?;
        let values: Vec<String> = samples
            .iter()
            .map(|sample| format!("{} {}", metric::short(sample.value), sample.quantity.heading()))
            .collect();
        eprintln!("run {} {}: {}", round + 1, place(), values.join(", "));
        report.add(number, contestant, &samples);
    }
    Ok(())
}

/// Raises the limit of open files, for us and for the brokers that we start.
fn allow_many_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")
}
