use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use tomte_base::DeviceName;

use crate::IdentityRefusal;
use crate::device_record::{DamagedRecord, Device, Devices};
use crate::fingerprint::Fingerprint;

/// The devices in memory, found by name and by the certificate that they present.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<DeviceName, Device>,
    names: HashMap<Fingerprint, DeviceName>,
    damaged: Vec<DamagedRecord>,
}

impl Registry {
    pub(crate) fn new((devices, damaged): Devices) -> Self {
        let mut registry = Self { damaged, ..Self::default() };
        for device in devices.into_values() {
            registry.put(device);
        }
        registry
    }

    /// Adds a device, or puts it in the place of the one with its name.
    pub(crate) fn put(&mut self, device: Device) {
        let current = device.certificates().map(|it| &it.fingerprint);
        for fingerprint in device.earlier.iter().chain(current) {
            self.names.insert(*fingerprint, device.name.clone());
        }
        self.devices.insert(device.name.clone(), device);
    }

    /// As `put`, after the record was written to `path`.
    pub(crate) fn put_written(&mut self, device: Device, path: &Path) {
        self.damaged.retain(|damaged| damaged.path != path);
        self.put(device);
    }

    pub(crate) fn get(&self, name: &DeviceName) -> Option<&Device> {
        self.devices.get(name)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    pub(crate) fn damaged(&self) -> &[DamagedRecord] {
        &self.damaged
    }

    /// Returns the devices that could log in by these records in a way that they cannot by `newer`: with
    /// a certificate that is gone, or with a password that is another one.
    pub(crate) fn shut_out_by(&self, newer: &Self) -> Vec<DeviceName> {
        let before = self.devices.values().filter(|device| !device.revoked);
        let keeps_all = |device: &Device| {
            let after = newer.get(&device.name).filter(|after| !after.revoked);
            after.is_some_and(|after| device.keeps_its_logins_as(after))
        };
        before.filter(|device| !keeps_all(device)).map(|device| device.name.clone()).collect()
    }

    /// Returns the device whose certificate this is, if it is good at `now_ms`.
    pub(crate) fn device_of(
        &self,
        certificate: &CertificateDer<'_>,
        now_ms: u64,
    ) -> Result<DeviceName, IdentityRefusal> {
        let fingerprint = Fingerprint::of(certificate);
        let name = self.names.get(&fingerprint).ok_or(IdentityRefusal::NoName)?;
        let device = self.devices.get(name).ok_or(IdentityRefusal::NoName)?;
        let certified = device.certificates().find(|it| it.fingerprint == fingerprint);
        let Some(certified) = certified.filter(|_| !device.revoked) else {
            return Err(IdentityRefusal::Revoked);
        };
        if now_ms < certified.valid_from_ms {
            return Err(IdentityRefusal::NotYetValid);
        }
        if now_ms > certified.expires_ms {
            return Err(IdentityRefusal::Expired);
        }
        Ok(device.name.clone())
    }
}
