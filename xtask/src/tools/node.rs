//! npm packages, in a folder of their own, as their lock file pins them.

use std::fs;

use anyhow::{Context, Result, bail};

use super::Group;
use crate::process;
use crate::workspace::Workspace;

const FOLDER: &str = "testing/testkit/peers";

/// Installs the packages of the lock file, without running their install scripts.
///
/// # Errors
/// Fails when there is no Node.js with npm, or a package is missing.
pub(super) fn install(group: &Group, workspace: &Workspace) -> Result<()> {
    let manifest = workspace.read(&format!("{FOLDER}/package.json"))?;
    let lock = workspace.read(&format!("{FOLDER}/package-lock.json"))?;
    group.ensure(&format!("{manifest}{lock}"), |folder| {
        if !process::works("npm", &["--version"]) {
            bail!("the tests need Node.js with npm and there is no npm on the path; install it");
        }
        fs::write(folder.join("package.json"), &manifest)?;
        fs::write(folder.join("package-lock.json"), &lock)?;
        let mut npm = process::command("npm", folder);
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        process::output(&mut npm).map(drop).context("install npm packages")
    })
}
