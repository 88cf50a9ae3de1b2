//! The tests of mosquitto's broker, from Debian's source package: scripts, nothing is built.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Group, debian};
use crate::process;

/// The source package, at the version whose tests the list of expected results speaks of.
const SOURCE: &str = "mosquitto";
const VERSION: &str = "2.0.11";
/// SHA-256 of the authors' archive in that package. It says more than a signature of the package
/// list would, so that the list of any Debian mirror will do.
const DIGEST: &str = "7b36a7198bce85cf31b132f5c6ee36dcf5dadf86fb768501eb1e11ce95d4f78a";
/// Where source packages come from: the release that has this version.
const LIST: &str = "deb-src [trusted=yes] http://deb.debian.org/debian bookworm main\n";

/// Downloads the source package and unpacks its folder `test`.
///
/// # Errors
/// Fails when the machine has no apt, or the package cannot be had or is another one.
pub(super) fn install(group: &Group) -> Result<()> {
    group.ensure(&format!("{SOURCE} {VERSION} {DIGEST}"), |folder| {
        if !process::works("apt-get", &["--version"]) {
            bail!(
                "the tests of mosquitto's broker come with apt-get, which is not on this machine"
            );
        }
        unpack(folder).with_context(|| format!("fetch the source package {SOURCE} {VERSION}"))
    })
}

fn unpack(folder: &Path) -> Result<()> {
    for part in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let list = folder.join("sources.list");
    fs::write(&list, LIST)?;
    let apt = || {
        let mut command = debian::apt(folder, "apt-get");
        command.arg("-o").arg(format!("Dir::Etc::SourceList={}", list.display()));
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null", "-q"]);
        command
    };
    process::output(apt().arg("update"))?;
    process::output(apt().args(["source", "--download-only", "--only-source", SOURCE]))?;
    let archive = format!("{SOURCE}_{VERSION}.orig.tar.gz");
    check_digest(folder, &archive)?;
    let mut tar = process::command("tar", folder);
    tar.args(["--extract", "--strip-components=1", "--file", &archive]);
    process::output(tar.arg(format!("{SOURCE}-{VERSION}/test")))?;
    remove_all_but_tests(folder)
}

fn check_digest(folder: &Path, archive: &str) -> Result<()> {
    let digest = process::output(process::command("sha256sum", folder).arg(archive))?;
    if !digest.starts_with(DIGEST) {
        bail!("{archive} has the digest {digest}, not {DIGEST}");
    }
    Ok(())
}

fn remove_all_but_tests(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true if path.ends_with("test") => {}
            true => fs::remove_dir_all(&path)?,
            false => fs::remove_file(&path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_another_digest_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-digest-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("archive"), "not the archive").unwrap();
        let error = check_digest(&folder, "archive").unwrap_err().to_string();
        assert!(error.contains(DIGEST), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
