use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tomte_base::DeviceName;

use crate::files;
use crate::fingerprint::Fingerprint;
use crate::password::PasswordHash;

/// Fingerprints of earlier certificates that are remembered for each device. Others are refused as
/// unknown instead of removed.
const MAX_EARLIER: usize = 16;
const SUFFIX: &str = ".json";

/// A device that the hub has given a certificate or a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its name.
    pub name: DeviceName,
    /// The SHA-256 of its certificate, as `4f:1c:...`; none for a device that has only a password.
    pub fingerprint: Option<String>,
    /// When the certificate expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// It may log in with a password.
    pub has_password: bool,
    /// It was removed; its certificate and its password are refused.
    pub revoked: bool,
}

/// A file that should be a device record and cannot be read. Its device is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// A certificate as the records know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certified {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) valid_from_ms: u64,
    pub(crate) expires_ms: u64,
}

/// A record with all that its file says.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: DeviceName,
    pub(crate) certificate: Option<Certified>,
    /// The certificate before a renewal, while the device may still use it.
    pub(crate) former: Option<Certified>,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) revoked: bool,
    /// Certificates that the device had before these.
    pub(crate) earlier: Vec<Fingerprint>,
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_from_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<CertificateFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    revoked: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<String>,
}

/// A former certificate in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFile {
    fingerprint: String,
    valid_from_ms: u64,
    expires_ms: u64,
}

impl CertificateFile {
    fn of(certified: &Certified) -> Self {
        let Certified { fingerprint, valid_from_ms, expires_ms } = *certified;
        Self { fingerprint: fingerprint.to_string(), valid_from_ms, expires_ms }
    }

    fn read(self) -> Result<Certified, String> {
        let Self { fingerprint, valid_from_ms, expires_ms } = self;
        Ok(Certified { fingerprint: read_fingerprint(&fingerprint)?, valid_from_ms, expires_ms })
    }
}

fn read_fingerprint(text: &str) -> Result<Fingerprint, String> {
    Fingerprint::parse(text).ok_or_else(|| format!("{text:?} is not a fingerprint"))
}

impl Device {
    /// Returns the part that others see.
    pub(crate) fn record(&self) -> DeviceRecord {
        let certificate = self.certificate.as_ref();
        DeviceRecord {
            name: self.name.clone(),
            fingerprint: certificate.map(|it| it.fingerprint.to_string()),
            expires_ms: certificate.map(|it| it.expires_ms),
            has_password: self.password.is_some(),
            revoked: self.revoked,
        }
    }

    /// Tells whether it can log in at `now_ms`.
    pub(crate) fn is_usable(&self, now_ms: u64) -> bool {
        let certified = self.certificate.as_ref().is_some_and(|it| now_ms <= it.expires_ms);
        !self.revoked && (certified || self.password.is_some())
    }

    /// Returns the certificates that it may log in with.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certified> {
        self.certificate.iter().chain(&self.former)
    }

    /// Tells whether whoever logged in by this record could log in by `newer` with the same.
    pub(crate) fn keeps_its_logins_as(&self, newer: &Self) -> bool {
        let is_kept =
            |old: &Certified| newer.certificates().any(|it| it.fingerprint == old.fingerprint);
        self.certificates().all(is_kept)
            && (self.password.is_none() || self.password == newer.password)
    }

    /// Returns the fingerprints to remember once its certificates are replaced.
    pub(crate) fn earlier_with_own(&self) -> Vec<Fingerprint> {
        let own = self.former.iter().chain(&self.certificate).map(|it| it.fingerprint);
        let mut earlier: Vec<_> = self.earlier.iter().copied().chain(own).collect();
        let excess = earlier.len().saturating_sub(MAX_EARLIER);
        earlier.drain(..excess);
        earlier
    }

    /// Writes the record of a device that has none.
    pub(crate) fn create(&self, folder: &Path) -> io::Result<()> {
        files::create(&path(folder, &self.name), &self.to_text(), files::SECRET)
    }

    /// Writes the record in the place of the one that is there.
    pub(crate) fn replace(&self, folder: &Path) -> io::Result<()> {
        files::replace(&path(folder, &self.name), &self.to_text(), files::SECRET)
    }

    fn to_text(&self) -> String {
        let file = DeviceFile {
            name: self.name.to_string(),
            fingerprint: self.certificate.as_ref().map(|it| it.fingerprint.to_string()),
            valid_from_ms: self.certificate.as_ref().map(|it| it.valid_from_ms),
            expires_ms: self.certificate.as_ref().map(|it| it.expires_ms),
            former: self.former.as_ref().map(CertificateFile::of),
            password: self.password.as_ref().map(ToString::to_string),
            revoked: self.revoked,
            earlier: self.earlier.iter().map(ToString::to_string).collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("plain fields are always JSON");
        text.push('\n');
        text
    }

    fn from_text(name: &DeviceName, text: &str) -> Result<Self, String> {
        let file: DeviceFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.name != name.as_str() {
            return Err(format!("it is about the device {:?}", file.name));
        }
        let certificate = match (file.fingerprint, file.valid_from_ms, file.expires_ms) {
            (None, None, None) => None,
            (Some(fingerprint), Some(valid_from_ms), Some(expires_ms)) => {
                Some(CertificateFile { fingerprint, valid_from_ms, expires_ms }.read()?)
            }
            _ => return Err("fingerprint, valid_from_ms and expires_ms go together".to_owned()),
        };
        if certificate.is_none() && file.password.is_none() {
            return Err("it has neither a certificate nor a password".to_owned());
        }
        let password = file.password.map(|text| text.parse()).transpose();
        let earlier = file.earlier.iter().map(|text| read_fingerprint(text));
        Ok(Self {
            name: name.clone(),
            certificate,
            former: file.former.map(CertificateFile::read).transpose()?,
            password: password.map_err(|error| format!("the password: {error}"))?,
            revoked: file.revoked,
            earlier: earlier.collect::<Result<_, _>>()?,
        })
    }
}

/// Returns the file of the record of `name`.
pub(crate) fn path(folder: &Path, name: &DeviceName) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

/// All devices by name, and the files that could not be read.
pub(crate) type Devices = (BTreeMap<DeviceName, Device>, Vec<DamagedRecord>);

/// Reads all records of `folder`; none when it is not there.
pub(crate) fn read_all(folder: &Path) -> io::Result<Devices> {
    let (mut devices, mut damaged) = (BTreeMap::new(), Vec::new());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((devices, damaged)),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
            continue;
        };
        // Records that are being written have names that no device can have.
        let Ok(name) = DeviceName::new(name) else { continue };
        match read_one(&entry.path(), &name) {
            Ok(device) => drop(devices.insert(name, device)),
            Err(what) => damaged.push(DamagedRecord { path: entry.path(), what }),
        }
    }
    damaged.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((devices, damaged))
}

fn read_one(path: &Path, name: &DeviceName) -> Result<Device, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    Device::from_text(name, &text)
}
