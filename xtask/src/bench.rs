//! `cargo xtask bench`: the release build of the hub against mosquitto.

use anyhow::Result;

use crate::process;
use crate::tools;
use crate::workspace::Workspace;

/// Builds `tomte` and `tomte-bench` for release and runs the benchmark with `arguments`.
///
/// # Errors
/// Fails when a build fails, mosquitto cannot be installed, or the benchmark itself fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    tools::install(workspace)?;
    let build = ["build", "--release", "-p", "tomte", "-p", "tomte-bench"];
    process::run(process::cargo(workspace.root()).args(build))?;
    let release = workspace.target().join("release");
    let mut bench = process::command(release.join("tomte-bench"), workspace.root());
    process::run(bench.env("TOMTE_BIN", release.join("tomte")).args(arguments))
}
