//! Debian packages, unpacked into a folder: no root, no system-wide change, no service.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Group;
use crate::process;

/// What the tests start: the peer broker, its command line clients, and what makes system calls fail.
const PACKAGES: [&str; 3] = ["mosquitto", "mosquitto-clients", "strace"];
/// The programs of these packages.
const PROGRAMS: [&str; 4] = ["mosquitto", "mosquitto_pub", "mosquitto_sub", "strace"];

/// Installs the packages, unless the machine has their programs already.
///
/// # Errors
/// Fails when a program is missing and the machine has no apt, or the packages cannot be had.
pub(super) fn install(group: &Group) -> Result<()> {
    if on_this_machine() {
        return Ok(());
    }
    if !process::works("apt-get", &["--version"]) {
        bail!(
            "the tests need {}, and this machine has no apt-get to fetch them with; install them with \
             its own package manager",
            PROGRAMS.join(", ")
        );
    }
    let request = PACKAGES.join(" ");
    group.ensure(&request, unpack).with_context(|| {
        format!("fetch {request}; or install them by hand: apt-get install {request}")
    })
}

fn on_this_machine() -> bool {
    let found = |program: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<_> = std::env::split_paths(&folders).collect();
        folders.push("/usr/sbin".into());
        folders.iter().any(|folder| folder.join(program).is_file())
    };
    PROGRAMS.into_iter().all(found)
}

fn unpack(folder: &Path) -> Result<()> {
    for part in ["state/lists/partial", "cache/archives/partial", "root"] {
        fs::create_dir_all(folder.join(part))?;
    }
    process::output(apt(folder, "apt-get").args(["-q", "update"]))?;
    let plan = ["-q", "--simulate", "--no-install-recommends", "install"];
    let plan = process::output(apt(folder, "apt-get").args(plan).args(PACKAGES))?;
    let names = planned_packages(&plan);
    process::output(apt(folder, "apt-get").args(["-q", "download"]).args(&names))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let mut unpack = process::command("dpkg-deb", folder);
            process::output(unpack.arg("--extract").arg(&path).arg(folder.join("root")))?;
            fs::remove_file(&path)?;
        }
    }
    fs::remove_dir_all(folder.join("state"))?;
    fs::remove_dir_all(folder.join("cache")).context("remove apt's cache")
}

/// Returns an apt command that keeps its lists and cache below `folder`, so that it needs no root.
pub(super) fn apt(folder: &Path, program: &str) -> Command {
    let mut command = process::command(program, folder);
    let option = |name: &str, value: String| format!("{name}={value}");
    let at = |part: &str| folder.join(part).to_string_lossy().into_owned();
    command.arg("-o").arg(option("Dir::State", at("state")));
    command.arg("-o").arg("Dir::State::status=/var/lib/dpkg/status");
    command.arg("-o").arg(option("Dir::Cache", at("cache")));
    command.arg("-o").arg("APT::Sandbox::User=");
    command
}

/// Returns the packages of apt's `Inst NAME (VERSION ...)` lines.
fn planned_packages(plan: &str) -> Vec<&str> {
    plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_apt_names_the_packages_to_fetch() {
        let plan = "Reading package lists...\nInst libcjson1 (1.7.15 Debian [amd64])\n\
                    Inst mosquitto (2.0.11 Debian [amd64])\nConf mosquitto (2.0.11)\n";
        assert_eq!(planned_packages(plan), ["libcjson1", "mosquitto"]);
    }
}
