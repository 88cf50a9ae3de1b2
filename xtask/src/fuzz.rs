//! `cargo xtask fuzz [TARGET] [--for 10m] [--merge] [FILE...]`: libFuzzer over the targets of `testing/fuzz`.
//!
//! It works with the compiler that builds everything else: the instrumentation that libFuzzer needs
//! is in it, only the address sanitizer is not. What memory a target takes is counted by the target.
//!
//! New inputs gather in `target/fuzz/found/TARGET`; an input that breaks a promise is written to
//! `target/fuzz/broken/TARGET`. The ones that are kept lie in `testing/fuzz/corpus/TARGET`; `--merge`
//! adds to them what reaches more of the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The targets, in the order in which they run.
const TARGETS: [&str; 5] = ["codec", "differential", "journal", "recovery", "hub"];

/// How long each target runs when nothing is said.
const DEFAULT_SECONDS: u64 = 60;

/// What libFuzzer needs to see: edges, comparisons, and overflow as an error.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
];

/// Longest input, in bytes; longer ones only repeat what shorter ones do.
const LONGEST_INPUT: u32 = 4_096;

/// Longest input that is kept, in bytes.
const LONGEST_KEPT: u32 = 1_024;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    targets: Vec<&'a str>,
    seconds: u64,
    /// Files to run once instead.
    files: Vec<&'a str>,
    /// Reduce what was found to the inputs that cover the same, into the corpus.
    merge: bool,
}

/// Builds the targets and runs them one after the other.
///
/// # Errors
/// Fails when the arguments are not understood, a build fails, or a target finds something.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let request = parse(arguments)?;
    let folder = build(workspace)?;
    for target in request.targets.iter().copied() {
        let program = folder.join(target);
        if request.merge {
            merge(workspace, &program, target)?;
        } else if request.files.is_empty() {
            fuzz(workspace, &program, target, request.seconds)?;
        } else {
            process::run(process::command(&program, workspace.root()).args(&request.files))?;
        }
    }
    Ok(())
}

fn parse<'a>(arguments: &[&'a str]) -> Result<Request<'a>> {
    let (mut targets, mut files) = (Vec::new(), Vec::new());
    let (mut seconds, mut merge) = (DEFAULT_SECONDS, false);
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "--for" => seconds = parse_span(words.next().context("--for needs a time, as 10m")?)?,
            "--merge" => merge = true,
            _ if TARGETS.contains(&word) => targets.push(word),
            _ if word.starts_with('-') => bail!("{word} is not known; there are --for and --merge"),
            _ if Path::new(word).is_file() => files.push(word),
            _ => bail!("{word} is no target ({}) and no file", TARGETS.join(", ")),
        }
    }
    if !files.is_empty() && targets.len() != 1 {
        bail!("a file is for one target: cargo xtask fuzz TARGET FILE");
    }
    if targets.is_empty() {
        targets = TARGETS.to_vec();
    }
    Ok(Request { targets, seconds, files, merge })
}

/// Reads a time in seconds, minutes or hours.
fn parse_span(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let number: u64 =
        digits.parse().with_context(|| format!("{text} is no time, as 90s or 10m"))?;
    match &text[digits.len()..] {
        "" | "s" => Ok(number),
        "m" => Ok(number * 60),
        "h" => Ok(number * 3_600),
        _ => bail!("{text} is no time, as 90s or 10m"),
    }
}

/// Builds all targets and returns the folder with the programs.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let (triple, target) = (triple()?, workspace.target().join("fuzz"));
    let mut cargo = process::cargo(&workspace.path("fuzz"));
    // With a target that is named, build scripts and macros are built without the flags.
    cargo.args(["build", "--release", "--bins", "--target", &triple, "--target-dir"]).arg(&target);
    process::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f")))?;
    Ok(target.join(triple).join("release"))
}

/// Returns the name of the machine that the compiler builds for.
fn triple() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// Returns the folder of the inputs that are kept. Both targets of the codec have the same ones.
fn kept(workspace: &Workspace, target: &str) -> PathBuf {
    let name = if target == "differential" { "codec" } else { target };
    workspace.path("testing/fuzz/corpus").join(name)
}

fn folder(workspace: &Workspace, what: &str, target: &str) -> Result<PathBuf> {
    let folder = workspace.target().join("fuzz").join(what).join(target);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

fn fuzz(workspace: &Workspace, program: &Path, target: &str, seconds: u64) -> Result<()> {
    let broken = folder(workspace, "broken", target)?;
    let mut command = process::command(program, workspace.root());
    command.arg(folder(workspace, "found", target)?).arg(kept(workspace, target));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST_INPUT}"));
    command.arg(format!("-artifact_prefix={}/", broken.display()));
    command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=1024"]);
    println!("fuzz {target}: {seconds} seconds");
    process::run(&mut command)
        .with_context(|| format!("{target} broke a promise; see {}", broken.display()))
}

/// Adds to the corpus what was found and reaches a place in the code that nothing there reaches.
fn merge(workspace: &Workspace, program: &Path, target: &str) -> Result<()> {
    let mut command = process::command(program, workspace.root());
    command.args(["-merge=1", "-use_counters=0"]).arg(format!("-max_len={LONGEST_KEPT}"));
    command.arg(kept(workspace, target)).arg(folder(workspace, "found", target)?);
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_target_all_run_for_a_minute() {
        let request = parse(&[]).unwrap();
        assert_eq!((request.targets.len(), request.seconds), (TARGETS.len(), 60));
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7_200)] {
            assert_eq!(parse(&["codec", "--for", text]).unwrap().seconds, seconds);
        }
        for text in ["m", "10d", "-1", "1mm"] {
            assert!(parse(&["--for", text]).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_target_and_no_file_is_refused_with_the_names() {
        let error = parse(&["journals"]).unwrap_err().to_string();
        assert!(error.contains("journal, recovery"), "{error}");
        assert!(parse(&[file!().trim_start_matches("xtask/")]).is_err(), "a file needs a target");
    }

    #[test]
    fn the_targets_are_those_that_are_built_and_kept() {
        let workspace = Workspace::locate().unwrap();
        let manifest = workspace.read("fuzz/Cargo.toml").unwrap();
        let library = workspace.read("testing/fuzz/src/lib.rs").unwrap();
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            assert!(library.contains(&format!("(\"{target}\", {target})")), "{target}");
            assert!(kept(&workspace, target).is_dir(), "{target} has no corpus");
        }
    }
}
