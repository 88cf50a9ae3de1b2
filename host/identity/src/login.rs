//! What a device logs in with after it was added: a new certificate, a new password.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tomte_base::DeviceName;

use crate::authority::milliseconds;
use crate::device_record::{Certified, Device};
use crate::identity::DEVICE_LIFE;
use crate::password::{Password, PasswordHash};
use crate::{AddDeviceError, DeviceCredentials, Identity};

/// How long a device may go on with the certificate before a renewal.
const OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What becomes of a device's certificate when it is given another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormerCertificate {
    /// It is good for seven more days, unless it expires before: time to bring the new one to the
    /// device.
    #[default]
    Overlaps,
    /// It is refused at once.
    EndsNow,
}

/// Why what a device logs in with could not be changed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeDeviceError {
    /// There is no such device, or it was removed.
    #[error("there is no device {name}")]
    Unknown {
        /// The name.
        name: DeviceName,
    },
    /// A key or certificate could not be made.
    #[error("make a key and certificate for the device {name}")]
    Generate {
        /// The name.
        name: DeviceName,
        /// Why.
        source: rcgen::Error,
    },
    /// The record could not be written.
    #[error("write the record {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Identity {
    /// Adds a device that logs in with a password and has no certificate.
    ///
    /// # Errors
    /// As [`Identity::add_device`].
    pub fn add_device_with_password(
        &self,
        name: &DeviceName,
        password: &Password,
        now: SystemTime,
    ) -> Result<(), AddDeviceError> {
        let hash = PasswordHash::of(password);
        let _writing = self.writing();
        let before = self.room_for(name, now)?;
        let device = Device {
            name: name.clone(),
            certificate: None,
            former: None,
            password: Some(hash),
            revoked: false,
            earlier: before.as_ref().map_or_else(Vec::new, Device::earlier_with_own),
        };
        self.add(device, before.is_some())
    }

    /// Gives a device a password, in the place of the one that it had.
    ///
    /// # Errors
    /// Fails with [`ChangeDeviceError`] when there is no such device, or its record cannot be
    /// written.
    pub fn set_password(
        &self,
        name: &DeviceName,
        password: &Password,
    ) -> Result<(), ChangeDeviceError> {
        let hash = PasswordHash::of(password);
        let _writing = self.writing();
        let device = Device { password: Some(hash), ..self.known(name)? };
        self.change(device).map_err(|(path, source)| ChangeDeviceError::Write { path, source })
    }

    /// Makes a new key and certificate for a device, valid for 90 days from `now`.
    ///
    /// # Errors
    /// Fails with [`ChangeDeviceError`] when there is no such device, or its record cannot be
    /// written.
    pub fn renew_device(
        &self,
        name: &DeviceName,
        former: FormerCertificate,
        now: SystemTime,
    ) -> Result<DeviceCredentials, ChangeDeviceError> {
        let _writing = self.writing();
        let before = self.known(name)?;
        let (issued, certificate) = self
            .issue(name, DEVICE_LIFE, now)
            .map_err(|source| ChangeDeviceError::Generate { name: name.clone(), source })?;
        let overlapping =
            before.certificate.clone().filter(|_| former == FormerCertificate::Overlaps);
        let device = Device {
            former: overlapping.map(|it| shortened(it, milliseconds(now + OVERLAP))),
            earlier: before.earlier_with_own(),
            certificate: Some(certificate.clone()),
            ..before
        };
        self.change(device).map_err(|(path, source)| ChangeDeviceError::Write { path, source })?;
        Ok(self.credentials(issued, &certificate))
    }

    /// Returns the hash of the password of the device `user`. A client may have made the name up.
    #[must_use]
    pub fn password_hash(&self, user: &str) -> Option<PasswordHash> {
        let name = DeviceName::new(user).ok()?;
        let registry = self.registry();
        let device = registry.get(&name).filter(|device| !device.revoked)?;
        device.password.clone()
    }

    fn known(&self, name: &DeviceName) -> Result<Device, ChangeDeviceError> {
        let found = self.registry().get(name).filter(|device| !device.revoked).cloned();
        found.ok_or_else(|| ChangeDeviceError::Unknown { name: name.clone() })
    }
}

fn shortened(certificate: Certified, longest_ms: u64) -> Certified {
    Certified { expires_ms: certificate.expires_ms.min(longest_ms), ..certificate }
}
