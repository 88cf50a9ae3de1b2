use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::process::Output;

/// How OpenSSL signs. The sections at the end say what a certificate is for.
const CONFIG: &str = "\
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[device]
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
[hub]
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
";

/// An authority that OpenSSL drives: it makes certificates that a hub would not make.
pub struct Forger {
    folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A device, to log in with.
    Device,
    /// A hub, under the name `localhost`.
    Hub,
}

/// A certificate and its private key, in files that go with their [`Forger`].
#[derive(Clone, Debug)]
pub struct Forged {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Forger {
    /// Takes the authority of a hub, whose key was stolen: `identity` is the folder of its identity.
    ///
    /// # Errors
    /// Fails when the folder for the forged files cannot be made.
    pub fn of_hub(identity: &Path) -> Result<Self> {
        // OpenSSL runs in a folder of its own.
        let identity = std::path::absolute(identity)?;
        Self::new(identity.join("ca.pem"), identity.join("ca.key.pem"))
    }

    /// Makes an authority that nobody knows.
    ///
    /// # Errors
    /// Fails when OpenSSL does.
    pub fn made_up() -> Result<Self> {
        let forger = Self::new("ca.crt".into(), "ca.key".into())?;
        forger.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=other -keyout ca.key -out ca.crt")?;
        Ok(forger)
    }

    fn new(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.cnf"), CONFIG)?;
        fs::write(folder.path().join("index.txt"), "")?;
        Ok(Self { folder, certificate, key })
    }

    /// Makes a key and a certificate for `name`, in the place of those that it made before. `validity` are
    /// the options of `openssl ca` that say when it begins and ends.
    ///
    /// # Errors
    /// Fails when OpenSSL does.
    pub fn sign(&self, name: &str, purpose: Purpose, validity: &str) -> Result<Forged> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let section = match purpose {
            Purpose::Device => "device",
            Purpose::Hub => "hub",
        };
        self.openssl(&format!("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout new.key -out new.csr"))?;
        self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -extensions {section} -in new.csr -out new.crt -cert {certificate} -keyfile {key} {validity}"
        ))?;
        let made = |file: &str| self.folder.path().join(file);
        Ok(Forged { certificate: made("new.crt"), key: made("new.key") })
    }

    fn openssl(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        let output =
            Output::of(command.current_dir(self.folder.path()).args(arguments.split(' ')))?;
        if output.code != Some(0) {
            bail!("openssl {arguments} ended with {:?}: {}", output.code, output.stderr);
        }
        Ok(())
    }
}
