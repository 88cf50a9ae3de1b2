//! `cargo xtask test`: one build of everything, then every test, then one line that adds it up.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::test_summary::Summary;
use crate::tools;
use crate::workspace::Workspace;

/// Installs what the tests need, builds the workspace once and runs the tests that match `filter`.
///
/// The build covers all targets together, so that the `tomte` binary which the system tests start
/// has the same features as the tests and nothing is compiled twice.
///
/// # Errors
/// Fails when a tool cannot be installed, the build fails, a test fails, or no test was run.
pub(crate) fn run(workspace: &Workspace, filter: &[&str]) -> Result<()> {
    tools::install(workspace)?;
    let build = ["build", "--workspace", "--all-targets"];
    process::run(process::cargo(workspace.root()).args(build))?;
    let summary = run_tests(workspace, filter)?;
    println!("\n{summary}");
    if summary.failed > 0 {
        bail!("{} tests failed", summary.failed);
    }
    if summary.passed == 0 {
        bail!("no test was run");
    }
    Ok(())
}

fn run_tests(workspace: &Workspace, filter: &[&str]) -> Result<Summary> {
    let mut command = process::cargo(workspace.root());
    command.args(["test", "--workspace", "--no-fail-fast", "--"]).args(filter);
    command.env("TOMTE_BIN", workspace.target().join("debug/tomte"));
    command.env("TOMTE_BENCH_BIN", workspace.target().join("debug/tomte-bench"));
    let mut child = command.stdout(Stdio::piped()).spawn().context("start cargo test")?;
    let stdout = child.stdout.take().expect("the output was asked for");
    let mut summary = Summary::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("read what cargo test says")?;
        summary.add_line(&String::from_utf8_lossy(&line));
        std::io::stdout().write_all(&line)?;
        std::io::stdout().write_all(b"\n")?;
    }
    let status = child.wait().context("wait for cargo test")?;
    // A test binary that dies, or does not compile, has no result line of its own.
    if !status.success() && summary.failed == 0 {
        bail!("cargo test ended with {status} and no failed test: a test binary did not run");
    }
    Ok(summary)
}
