use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tomte_base::DeviceName;

use crate::files;
use crate::fingerprint::Fingerprint;

/// Fingerprints of earlier certificates that are remembered for each device. Others are refused as
/// unknown instead of removed.
const MAX_EARLIER: usize = 16;
const SUFFIX: &str = ".json";

/// A device that the hub has given a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its name.
    pub name: DeviceName,
    /// The SHA-256 of its certificate, as `4f:1c:...`.
    pub fingerprint: String,
    /// When the certificate expires, in milliseconds since 1970.
    pub expires_ms: u64,
    /// It was removed, and its certificate is refused.
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

/// A record with all that its file says.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: DeviceName,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) valid_from_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) revoked: bool,
    /// Certificates that the device had before this one.
    pub(crate) earlier: Vec<Fingerprint>,
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    name: String,
    fingerprint: String,
    valid_from_ms: u64,
    expires_ms: u64,
    revoked: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<String>,
}

impl Device {
    /// Returns the part that others see.
    pub(crate) fn record(&self) -> DeviceRecord {
        DeviceRecord {
            name: self.name.clone(),
            fingerprint: self.fingerprint.to_string(),
            expires_ms: self.expires_ms,
            revoked: self.revoked,
        }
    }

    /// Returns the fingerprints to remember once this certificate is replaced.
    pub(crate) fn earlier_with_own(&self) -> Vec<Fingerprint> {
        let mut earlier = self.earlier.clone();
        earlier.push(self.fingerprint);
        let excess = earlier.len().saturating_sub(MAX_EARLIER);
        earlier.drain(..excess);
        earlier
    }

    /// Writes the record of a device that has none.
    pub(crate) fn create(&self, folder: &Path) -> io::Result<()> {
        files::create(&path(folder, &self.name), &self.to_text(), files::PUBLIC)
    }

    /// Writes the record in the place of the one that is there.
    pub(crate) fn replace(&self, folder: &Path) -> io::Result<()> {
        files::replace(&path(folder, &self.name), &self.to_text(), files::PUBLIC)
    }

    fn to_text(&self) -> String {
        let file = DeviceFile {
            name: self.name.to_string(),
            fingerprint: self.fingerprint.to_string(),
            valid_from_ms: self.valid_from_ms,
            expires_ms: self.expires_ms,
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
        let fingerprint = |text: &String| {
            Fingerprint::parse(text).ok_or_else(|| format!("{text:?} is not a fingerprint"))
        };
        Ok(Self {
            name: name.clone(),
            fingerprint: fingerprint(&file.fingerprint)?,
            valid_from_ms: file.valid_from_ms,
            expires_ms: file.expires_ms,
            revoked: file.revoked,
            earlier: file.earlier.iter().map(fingerprint).collect::<Result<_, _>>()?,
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
