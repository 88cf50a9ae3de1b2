//! Long runs: `cargo run --release -p tomte-sim -- --seeds 100000 [--from N] [--minutes M]`.

#![expect(clippy::print_stdout, reason = "the verdict is the output of this program")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tomte_sim::{Coverage, run};

struct Arguments {
    seeds: u64,
    from: u64,
    minutes: Option<u64>,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 1_000, from: 1, minutes: None };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().and_then(|value| value.parse().ok());
        let value: u64 = value.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--seeds" => arguments.seeds = value,
            "--from" => arguments.from = value,
            "--minutes" => arguments.minutes = Some(value),
            _ => return Err(format!("unknown: {name}; known: --seeds, --from, --minutes")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(why) => {
            println!("failed to read the arguments: {why}");
            return ExitCode::from(2);
        }
    };
    // A panic of the hub is told with its seed; its own message only disturbs.
    std::panic::set_hook(Box::new(|_| {}));
    let (start, mut coverage, mut steps, mut failed) =
        (Instant::now(), Coverage::default(), 0, Vec::new());
    let limit = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let mut n_runs = 0;
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        if limit.is_some_and(|limit| start.elapsed() > limit) {
            break;
        }
        let outcome = run(seed);
        n_runs += 1;
        steps += outcome.steps;
        coverage.merge(&outcome.coverage);
        if let Some(failure) = outcome.failure {
            println!("seed {}: {}", failure.seed, failure.what);
            failed.push(failure.seed);
        }
    }
    print!("{coverage}");
    let seconds = start.elapsed().as_secs_f64();
    println!("{n_runs} seeds, {steps} steps, {seconds:.1} s, {} failed {failed:?}", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}
