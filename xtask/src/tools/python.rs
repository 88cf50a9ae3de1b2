//! Python packages, in a virtual environment of their own.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Group;
use crate::process;

/// The pinned packages of the system tests.
pub(super) const REQUIREMENTS: &str = "testing/testkit/peers/requirements.txt";

/// Installs `requirements`, lines of `name==version`, into the group's virtual environment.
///
/// # Errors
/// Fails when there is no Python 3, it cannot make virtual environments, or a package is missing.
pub(super) fn install(group: &Group, requirements: &str) -> Result<()> {
    group.ensure(requirements, |folder| {
        if !process::works("python3", &["--version"]) {
            bail!("the tests need Python 3 and there is no python3 on the path; install it");
        }
        make_environment(folder)?;
        let mut pip = process::command(folder.join("bin/python"), folder);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]);
        process::run(pip.args(requirements.split_whitespace())).context("install Python packages")
    })
}

fn make_environment(folder: &Path) -> Result<()> {
    let mut make = process::command("python3", folder);
    process::output(make.args(["-m", "venv", "."]))
        .map(drop)
        .context("make a virtual environment; on Debian it needs the package python3-venv")
}
