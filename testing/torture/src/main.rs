//! `tomte-torture mqtt [--rounds N] [--seed N]`: prints a line for every tenth round and one at the
//! end; the exit code is 0 when every promise was kept.
#![expect(clippy::print_stdout, reason = "a command line tool speaks on its standard output")]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tomte_torture::{Settings, torture};

const HELP: &str = "Usage: tomte-torture mqtt [--rounds 100] [--seed N]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tomte-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let settings = settings(std::env::args().skip(1))?;
    println!("seed {}, {} rounds", settings.seed, settings.rounds);
    let report = torture(settings, |round, how| {
        if round % 10 == 0 {
            println!("round {round}: {how}");
        }
    })?;
    println!("{report}");
    Ok(report.is_good())
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<Settings> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    let seed = u64::from(now.subsec_nanos());
    let mut settings = Settings { rounds: 100, seed, longest_round: Duration::from_millis(800) };
    if arguments.next().as_deref() != Some("mqtt") {
        bail!("{HELP}");
    }
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let value = value.parse().with_context(|| format!("{name} {value}: no number"))?;
        match name.as_str() {
            "--rounds" => settings.rounds = value,
            "--seed" => settings.seed = value,
            _ => bail!("{name} is no option\n{HELP}"),
        }
    }
    Ok(settings)
}
