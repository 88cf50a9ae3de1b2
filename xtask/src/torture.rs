//! `cargo xtask torture mqtt`: the release build of the hub, killed again and again.

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// Builds `tomte` and `tomte-torture` for release and runs the latter with `arguments`.
///
/// # Errors
/// Fails when a build fails, or the hub broke a promise.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let build = ["build", "--release", "-p", "tomte", "-p", "tomte-torture"];
    process::run(process::cargo(workspace.root()).args(build))?;
    let release = workspace.target().join("release");
    let mut torture = process::command(release.join("tomte-torture"), workspace.root());
    process::run(torture.env("TOMTE_BIN", release.join("tomte")).args(arguments))
}
