//! Chores of the workspace: tests, checks, generated files.
//!
//! Started as `cargo xtask VERB`. Whatever has a branch in it is here and not in a shell script, so
//! that it is the same on every machine.
#![expect(clippy::print_stdout, reason = "a command line tool speaks on its standard output")]

mod bench;
mod capabilities;
mod check;
mod fuzz;
mod generate;
mod process;
mod statements;
mod test;
mod test_summary;
mod tidy;
mod tools;
mod torture;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask VERB

  check           format, lints, cargo deny and tidy; changes nothing
  tidy            layers, descriptions, names in ARCHITECTURE.md, capabilities, statements of MQTT
  test [FILTER]   installs what the tests need, then runs every test (or those that match)
  install-tools   installs what the tests need, below target/test-tools
  bench [ARG...]  builds and runs the benchmark; arguments go to tomte-bench
  torture mqtt [--rounds 100] [--seed N]
                  kills a hub at random moments and counts what was lost, doubled or reordered
  fuzz [TARGET...] [--for 10m] [--merge] [FILE...]
                  runs libFuzzer over the targets of testing/fuzz, or a target over files
  capabilities    writes docs/capabilities.md anew from docs/capabilities.toml and the tests
  generate        writes docs/reference/generated anew: schema, commands, counters, statements
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let workspace = Workspace::locate()?;
    match words {
        ["check"] => check::run(&workspace),
        ["tidy"] => tidy::run(&workspace),
        ["test", filter @ ..] => test::run(&workspace, filter),
        ["install-tools"] => tools::install(&workspace),
        ["torture", arguments @ ..] => torture::run(&workspace, arguments),
        ["bench", arguments @ ..] => bench::run(&workspace, arguments),
        ["fuzz", arguments @ ..] => fuzz::run(&workspace, arguments),
        ["capabilities"] => capabilities::write(&workspace),
        ["generate"] => generate::run(&workspace),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [verb, ..] => bail!("{verb:?} is no verb with these arguments\n\n{HELP}"),
    }
}
