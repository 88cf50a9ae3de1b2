use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tomte_base::DeviceName;

use crate::authority::{Authority, Issued, milliseconds, valid_from};
use crate::device_record::{self, Certified, DamagedRecord, Device, DeviceRecord};
use crate::fingerprint::Fingerprint;
use crate::machine_names::machine_names;
use crate::open::{self, OpenIdentityError};
use crate::registry::Registry;
use crate::server::{self, Listening, ServerCertificate, WithoutCertificate};
use crate::verifier;

const DEVICES: &str = "devices";

/// How long the certificate of a device is valid, unless it is said.
pub(crate) const DEVICE_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What a device needs to log in. The private key is nowhere else.
#[derive(Clone)]
pub struct DeviceCredentials {
    /// The device's certificate.
    pub certificate_pem: String,
    /// The private key of the certificate.
    pub private_key_pem: String,
    /// The certificate of the hub's authority, to know the hub by.
    pub ca_pem: String,
    /// The SHA-256 of the device's certificate, as `4f:1c:...`.
    pub fingerprint: String,
    /// When the device's certificate expires, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl std::fmt::Debug for DeviceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceCredentials")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Why a device could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddDeviceError {
    /// There is a device with this name.
    #[error("the device {name} exists already, with certificate {fingerprint}; remove it first")]
    Exists {
        /// The name.
        name: DeviceName,
        /// The certificate it has, "none" where it has only a password, or "unknown" when another
        /// process has just added it.
        fingerprint: String,
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

/// Why the removal of a device could not be written down. It holds until the hub starts again.
#[derive(Debug, thiserror::Error)]
#[error("write the record {path}")]
pub struct RemoveDeviceError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Why the device records could not be read.
#[derive(Debug, thiserror::Error)]
#[error("read the device records in {folder}")]
pub struct ReadDevicesError {
    /// The folder.
    pub folder: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Why a certificate stands for no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefusal {
    /// Another authority has signed it, or none.
    #[error("the certificate was not made by this hub")]
    UnknownIssuer,
    /// Its time is over.
    #[error("the certificate has expired; remove the device and add it again")]
    Expired,
    /// Its time has not begun: the hub's clock, or the one when it was made, is wrong.
    #[error("the certificate is not valid yet; is the hub's clock right?")]
    NotYetValid,
    /// The device was removed, or has a newer certificate.
    #[error("the device was removed")]
    Revoked,
    /// The hub's authority has made it, and no device record names it.
    #[error("no device has this certificate")]
    NoName,
}

/// The hub's certificate authority, its own certificate, and its devices.
pub struct Identity {
    folder: PathBuf,
    hub_name: String,
    authority: Authority,
    certificate: Arc<ServerCertificate>,
    registry: Arc<RwLock<Registry>>,
    /// Held while the files change, so that they and the registry say the same.
    writing: Mutex<()>,
    chain: Arc<dyn ClientCertVerifier>,
    strict: Listening,
    open: Listening,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Identity {
    /// Opens the identities in `folder`; on first use makes the folder, the authority and the hub's
    /// own certificate, which is renewed here when a third of its life is left.
    ///
    /// # Errors
    /// Fails with [`OpenIdentityError`] when a file cannot be read, written or understood. A device
    /// record that cannot be is no error: see [`Identity::damaged_records`].
    pub fn open(folder: &Path, hub_name: &str, now: SystemTime) -> Result<Self, OpenIdentityError> {
        let devices = folder.join(DEVICES);
        fs::create_dir_all(&devices)
            .map_err(|source| OpenIdentityError::Write { path: devices.clone(), source })?;
        let authority = open::open_authority(folder, hub_name, now)?;
        let names = machine_names(hub_name);
        let server = open::open_server(folder, &authority, hub_name, &names, now)?;
        let records = device_record::read_all(&devices)
            .map_err(|source| OpenIdentityError::Read { path: devices, source })?;
        let registry = Arc::new(RwLock::new(Registry::new(records)));
        let chain = |clients| {
            server::chain_verifier(authority.certificate(), clients)
                .map_err(|source| OpenIdentityError::Verifier { source })
        };
        let strict_chain = chain(WithoutCertificate::Refuse)?;
        let listening = |chain| {
            Listening::new(chain, &registry).map_err(|source| OpenIdentityError::Tls { source })
        };
        Ok(Self {
            folder: folder.to_owned(),
            hub_name: hub_name.to_owned(),
            strict: listening(Arc::clone(&strict_chain))?,
            open: listening(chain(WithoutCertificate::Allow)?)?,
            chain: strict_chain,
            certificate: Arc::new(ServerCertificate::new(server)),
            authority,
            registry,
            writing: Mutex::new(()),
        })
    }

    /// Makes a key and a certificate for a new device, valid for 90 days from `now`.
    ///
    /// # Errors
    /// Fails with [`AddDeviceError`] when there is a device with this name that was not removed and
    /// has not expired, or its record cannot be written.
    pub fn add_device(
        &self,
        name: &DeviceName,
        now: SystemTime,
    ) -> Result<DeviceCredentials, AddDeviceError> {
        self.add_device_for(name, DEVICE_LIFE, now)
    }

    /// As [`Identity::add_device`], valid for `life`.
    ///
    /// # Errors
    /// As [`Identity::add_device`].
    pub fn add_device_for(
        &self,
        name: &DeviceName,
        life: Duration,
        now: SystemTime,
    ) -> Result<DeviceCredentials, AddDeviceError> {
        let _writing = self.writing();
        let before = self.room_for(name, now)?;
        let (issued, certificate) = self
            .issue(name, life, now)
            .map_err(|source| AddDeviceError::Generate { name: name.clone(), source })?;
        let device = Device {
            name: name.clone(),
            certificate: Some(certificate.clone()),
            former: None,
            password: None,
            revoked: false,
            earlier: before.as_ref().map_or_else(Vec::new, Device::earlier_with_own),
        };
        self.add(device, before.is_some())?;
        Ok(self.credentials(issued, &certificate))
    }

    /// Returns what is left of a device of this name that was removed or has expired.
    pub(crate) fn room_for(
        &self,
        name: &DeviceName,
        now: SystemTime,
    ) -> Result<Option<Device>, AddDeviceError> {
        let before = self.registry().get(name).cloned();
        match before.as_ref().filter(|device| device.is_usable(milliseconds(now))) {
            None => Ok(before),
            Some(device) => {
                let certificate = device.certificate.as_ref();
                let fingerprint = certificate.map(|it| it.fingerprint.to_string());
                let fingerprint = fingerprint.unwrap_or_else(|| "none".to_owned());
                Err(AddDeviceError::Exists { name: name.clone(), fingerprint })
            }
        }
    }

    /// Makes a key and a certificate; nothing is written.
    pub(crate) fn issue(
        &self,
        name: &DeviceName,
        life: Duration,
        now: SystemTime,
    ) -> Result<(Issued, Certified), rcgen::Error> {
        let issued = self.authority.issue_device(name, life, now)?;
        let certificate = Certified {
            fingerprint: Fingerprint::of(&issued.certificate),
            valid_from_ms: milliseconds(valid_from(now)),
            expires_ms: milliseconds(now + life),
        };
        Ok((issued, certificate))
    }

    pub(crate) fn credentials(&self, issued: Issued, certificate: &Certified) -> DeviceCredentials {
        DeviceCredentials {
            certificate_pem: issued.certificate_pem,
            private_key_pem: issued.private_key_pem,
            ca_pem: self.authority.pem().to_owned(),
            fingerprint: certificate.fingerprint.to_string(),
            expires_ms: certificate.expires_ms,
        }
    }

    /// Writes the record of a new device and lets it in.
    pub(crate) fn add(&self, device: Device, replaces: bool) -> Result<(), AddDeviceError> {
        self.write_new(&device, replaces)?;
        let path = device_record::path(&self.folder.join(DEVICES), &device.name);
        self.registry_mut().put_written(device, &path);
        Ok(())
    }

    /// Writes the record of a device that is there, in a changed form, and goes by it.
    pub(crate) fn change(&self, device: Device) -> Result<(), (PathBuf, io::Error)> {
        let folder = self.folder.join(DEVICES);
        let written = device.replace(&folder);
        written.map_err(|source| (device_record::path(&folder, &device.name), source))?;
        self.registry_mut().put(device);
        Ok(())
    }

    /// Removes a device: from now on its certificate is refused. Tells whether there was one. Live
    /// connections are the caller's to close; [`Identity::device_of`] tells which.
    ///
    /// # Errors
    /// Fails with [`RemoveDeviceError`] when the record cannot be written; the certificate is refused
    /// all the same, until the hub starts again.
    pub fn remove_device(&self, name: &DeviceName) -> Result<bool, RemoveDeviceError> {
        let _writing = self.writing();
        let Some(device) = self.registry().get(name).filter(|device| !device.revoked).cloned()
        else {
            return Ok(false);
        };
        let device = Device { revoked: true, ..device };
        self.registry_mut().put(device.clone());
        let folder = self.folder.join(DEVICES);
        match device.replace(&folder) {
            Ok(()) => Ok(true),
            Err(source) => {
                Err(RemoveDeviceError { path: device_record::path(&folder, name), source })
            }
        }
    }

    /// Returns all devices, removed ones included, by name.
    #[must_use]
    pub fn list(&self) -> Vec<DeviceRecord> {
        self.registry().devices().map(Device::record).collect()
    }

    /// Returns the record files that could not be understood when they were last read. Their devices
    /// are refused.
    #[must_use]
    pub fn damaged_records(&self) -> Vec<DamagedRecord> {
        self.registry().damaged().to_vec()
    }

    /// Reads the device records again, after another process has changed them. Returns the devices that
    /// lost what they may have logged in with; their live connections are the caller's to close.
    ///
    /// # Errors
    /// Fails with [`ReadDevicesError`] when the folder cannot be read; nothing has changed then.
    pub fn reload(&self) -> Result<Vec<DeviceName>, ReadDevicesError> {
        let _writing = self.writing();
        let folder = self.folder.join(DEVICES);
        let records = device_record::read_all(&folder)
            .map_err(|source| ReadDevicesError { folder, source })?;
        let newer = Registry::new(records);
        let mut registry = self.registry_mut();
        let shut_out = registry.shut_out_by(&newer);
        *registry = newer;
        Ok(shut_out)
    }

    /// Takes the hub's own certificate from its file, and renews it first when a third of its life is
    /// left, the machine has new addresses, or the file is gone or not good. Listeners use it from the
    /// next handshake on. Tells whether it is another one than before. To be called once a day.
    ///
    /// # Errors
    /// Fails with [`OpenIdentityError`] when the new one cannot be made or written; the old one stays.
    pub fn renew_server(&self, now: SystemTime) -> Result<bool, OpenIdentityError> {
        let _writing = self.writing();
        let names = machine_names(&self.hub_name);
        let server = open::open_server(&self.folder, &self.authority, &self.hub_name, &names, now)?;
        Ok(self.certificate.replace(server))
    }

    /// Tells whether the file of the authority still holds the authority that the hub goes by: another
    /// one takes a restart.
    ///
    /// # Errors
    /// Fails with [`OpenIdentityError`] when the file cannot be read.
    pub fn is_authority_current(&self) -> Result<bool, OpenIdentityError> {
        open::authority_certificate(&self.folder)
            .map(|found| found.as_deref() == Some(self.ca_pem()))
    }

    /// Returns when the hub's own certificate expires, in milliseconds since 1970.
    #[must_use]
    pub fn server_expires_ms(&self) -> u64 {
        milliseconds(self.certificate.expires())
    }

    /// Returns the certificate of the hub's authority, for clients to know the hub by.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Returns the TLS side of a listener that lets in devices only.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server_config_for(WithoutCertificate::Refuse)
    }

    /// Returns the TLS side of a listener. A certificate that is presented must be good either way.
    #[must_use]
    pub fn server_config_for(&self, clients: WithoutCertificate) -> Arc<ServerConfig> {
        let listening = match clients {
            WithoutCertificate::Refuse => &self.strict,
            WithoutCertificate::Allow => &self.open,
        };
        listening.config(&self.certificate)
    }

    /// Returns the device that presented `peer_certificate`, by the clock of the system. To be asked
    /// for every connection, resumed ones too, and again for live ones after a removal.
    ///
    /// # Errors
    /// Fails with [`IdentityRefusal`] when it stands for no device now.
    pub fn device_of(
        &self,
        peer_certificate: &CertificateDer<'_>,
    ) -> Result<DeviceName, IdentityRefusal> {
        self.device_of_at(peer_certificate, SystemTime::now())
    }

    /// As [`Identity::device_of`], at the moment `now`.
    ///
    /// # Errors
    /// As [`Identity::device_of`].
    pub fn device_of_at(
        &self,
        peer_certificate: &CertificateDer<'_>,
        now: SystemTime,
    ) -> Result<DeviceName, IdentityRefusal> {
        // A fingerprint that is in the registry belongs to a certificate that the hub has made, byte
        // for byte. The chain only tells why an unknown one is refused.
        let found = self.registry().device_of(peer_certificate, milliseconds(now));
        if found != Err(IdentityRefusal::NoName) {
            return found;
        }
        let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        match self.chain.verify_client_cert(peer_certificate, &[], time) {
            Ok(_) => Err(IdentityRefusal::NoName),
            Err(error) => Err(verifier::refusal_of(&error)),
        }
    }

    fn write_new(&self, device: &Device, replaces: bool) -> Result<(), AddDeviceError> {
        let folder = self.folder.join(DEVICES);
        // A record that nobody can read must not keep its name for ever.
        let path = device_record::path(&folder, &device.name);
        let replaces = replaces || self.registry().damaged().iter().any(|it| it.path == path);
        let written = if replaces { device.replace(&folder) } else { device.create(&folder) };
        written.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => AddDeviceError::Exists {
                name: device.name.clone(),
                fingerprint: "unknown".to_owned(),
            },
            _ => AddDeviceError::Write { path, source },
        })
    }

    /// Held while a record changes.
    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the devices of the identities in `folder` without opening them: needs no private key, makes
/// nothing, and works while a hub runs and while none does.
///
/// # Errors
/// Fails with [`ReadDevicesError`] when the folder cannot be read. Where there is none, there are no
/// devices.
pub fn list_devices(
    folder: &Path,
) -> Result<(Vec<DeviceRecord>, Vec<DamagedRecord>), ReadDevicesError> {
    let folder = folder.join(DEVICES);
    match device_record::read_all(&folder) {
        Ok((devices, damaged)) => Ok((devices.values().map(Device::record).collect(), damaged)),
        Err(source) => Err(ReadDevicesError { folder, source }),
    }
}
