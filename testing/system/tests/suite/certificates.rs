//! The certificates of the suite, made anew.
//!
//! Those that the suite brings ended in 2025, and a hub has an authority of its own. So a hub makes what
//! the scripts expect in `test/ssl`, under the names that they use: `hub` is its project, whose identity
//! every hub of the tests takes over.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use tomte_testkit::{Forger, Output, Purpose, tomte_binary};

const MANIFEST: &str = "[hub]\nname = \"suite\"\n";
/// Device of the certificate that is good. The adapter has its name in its manifests.
const CLIENT: &str = "client";
/// Device whose certificate is taken back.
const REVOKED: &str = "client-revoked";
const EXPIRED: &str = "client-expired";
/// The only file of the suite that stays: an authority that has signed nothing.
const OTHER_AUTHORITY: &str = "test-alt-ca.crt";
/// When that certificate began and ended.
const LONG_AGO: &str = "-startdate 120820000000Z -enddate 120821000000Z";

/// Fills `folder` with what the scripts take from the suite's folder `installed`.
///
/// # Errors
/// Fails when a file cannot be written, or a program does not do its part.
pub(crate) fn make(installed: &Path, folder: &Path) -> Result<()> {
    let hub = folder.join("hub");
    fs::create_dir_all(&hub)?;
    fs::write(hub.join("tomte.toml"), MANIFEST)?;
    for device in [CLIENT, REVOKED] {
        tomte(&hub, &["device", "add", device, "--out", ".."])?;
    }
    tomte(&hub, &["device", "remove", REVOKED])?;
    let identity = hub.join(".tomte/identity");
    for authority in ["all-ca.crt", "test-root-ca.crt"] {
        fs::copy(identity.join("ca.pem"), folder.join(authority))?;
    }
    fs::copy(installed.join(OTHER_AUTHORITY), folder.join(OTHER_AUTHORITY))?;
    make_expired(&identity, folder)
}

/// Makes a certificate for the device that is known, which ended long ago. A hub makes none that has ended.
fn make_expired(identity: &Path, folder: &Path) -> Result<()> {
    let forger = Forger::of_hub(identity)?;
    let forged = forger.sign(CLIENT, Purpose::Device, LONG_AGO)?;
    fs::copy(forged.certificate, folder.join(format!("{EXPIRED}.crt")))?;
    fs::copy(forged.key, folder.join(format!("{EXPIRED}.key")))?;
    Ok(())
}

fn tomte(project: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(tomte_binary()?);
    command.env_remove("TOMTE_STATE").args(arguments);
    let output = Output::of(command.current_dir(project))?;
    if output.code != Some(0) {
        bail!("{command:?} ended with {:?}: {}", output.code, output.stderr);
    }
    Ok(())
}
