//! The certificates of the suite, made anew.
//!
//! Those that the suite brings ended in 2025, and a hub has an authority of its own. So a hub makes what
//! the scripts expect in `test/ssl`, under the names that they use: `hub` is its project, whose identity
//! every hub of the tests takes over.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use tomte_testkit::{Output, tomte_binary};

const MANIFEST: &str = "[hub]\nname = \"suite\"\n";
/// Device of the certificate that is good. The adapter has its name in its manifests.
const CLIENT: &str = "client";
/// Device whose certificate is taken back.
const REVOKED: &str = "client-revoked";
const EXPIRED: &str = "client-expired";
/// The only file of the suite that stays: an authority that has signed nothing.
const OTHER_AUTHORITY: &str = "test-alt-ca.crt";
/// How OpenSSL signs as the hub's authority, in the folder `test/ssl`.
const AUTHORITY: &str = "\
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = device
certificate = hub/.tomte/identity/ca.pem
private_key = hub/.tomte/identity/ca.key.pem
[any]
commonName = supplied
[device]
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
";

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
    for authority in ["all-ca.crt", "test-root-ca.crt"] {
        fs::copy(hub.join(".tomte/identity/ca.pem"), folder.join(authority))?;
    }
    fs::copy(installed.join(OTHER_AUTHORITY), folder.join(OTHER_AUTHORITY))?;
    make_expired(folder)
}

/// Makes a certificate for the device that is known, which ended long ago. A hub makes none that has ended.
fn make_expired(folder: &Path) -> Result<()> {
    fs::write(folder.join("ca.cnf"), AUTHORITY)?;
    fs::write(folder.join("index.txt"), "")?;
    let (key, certificate) = (format!("{EXPIRED}.key"), format!("{EXPIRED}.crt"));
    let new_key = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -out expired.csr";
    openssl(folder, &format!("{new_key} -subj /CN={CLIENT} -keyout {key}"))?;
    let times = "-startdate 120820000000Z -enddate 120821000000Z";
    let sign = "ca -batch -notext -config ca.cnf -in expired.csr";
    openssl(folder, &format!("{sign} {times} -out {certificate}"))
}

fn tomte(project: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(tomte_binary()?);
    command.env_remove("TOMTE_STATE").args(arguments);
    succeed(command.current_dir(project))
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    succeed(Command::new("openssl").current_dir(folder).args(arguments.split(' ')))
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = Output::of(command)?;
    if output.code != Some(0) {
        bail!("{command:?} ended with {:?}: {}", output.code, output.stderr);
    }
    Ok(())
}
