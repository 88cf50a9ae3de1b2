//! The files that make a device able to log in.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use tomte_base::DeviceName;
use tomte_hub::StateFolder;
use tomte_identity::{
    AddDeviceError, ChangeDeviceError, DeviceRecord, FormerCertificate, Identity, Password,
};
use tomte_wire::control::{Device, DeviceCredentials, DevicePassword, NewCertificate, NewPassword};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::{MANIFEST, Project};

/// Writes certificate, key and the hub's CA into `folder`; the key for its owner alone.
///
/// # Errors
/// Fails when the folder or a file cannot be written.
pub(crate) fn write(folder: &Path, credentials: &DeviceCredentials) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let name = &credentials.device.name;
    write_one(&folder.join(format!("{name}.key")), &credentials.private_key, 0o600)?;
    write_one(&folder.join(format!("{name}.crt")), &credentials.certificate, 0o644)?;
    write_one(&folder.join("ca.crt"), &credentials.ca_certificate, 0o644)
}

/// Writes the hub's CA into `folder`.
///
/// # Errors
/// Fails when the folder or the file cannot be written.
pub(crate) fn write_ca(folder: &Path, certificate: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    write_one(&folder.join("ca.crt"), certificate, 0o644)
}

fn write_one(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// Makes an identity in the state folder of a hub that is stopped.
///
/// # Errors
/// Fails when the state folder cannot be written, the project has no listener for certificates, or
/// the device has an identity already.
pub(crate) fn issue(
    state: &Path,
    project: &Project,
    name: &DeviceName,
) -> anyhow::Result<DeviceCredentials> {
    let identity = open(state, project)?;
    let made = identity.add_device(name, SystemTime::now());
    let made = made.map_err(|error| not_added(name, error))?;
    credentials(&identity, project, name, made)
}

/// Renews the certificate of a device in the state folder of a hub that is stopped.
///
/// # Errors
/// Fails when the state folder cannot be read or written, or there is no such device.
pub(crate) fn renew(
    state: &Path,
    project: &Project,
    name: &DeviceName,
    new: &NewCertificate,
) -> anyhow::Result<DeviceCredentials> {
    let identity = open(state, project)?;
    let former = match new.at_once {
        true => FormerCertificate::EndsNow,
        false => FormerCertificate::Overlaps,
    };
    let made = identity.renew_device(name, former, SystemTime::now());
    let made = made.map_err(|error| not_changed(name, error))?;
    credentials(&identity, project, name, made)
}

/// Gives a device a password in the state folder of a hub that is stopped.
///
/// # Errors
/// Fails when the state folder cannot be read or written, the device is there and should not be or
/// the other way round, or the password is empty or too long.
pub(crate) fn set_password(
    state: &Path,
    project: &Project,
    name: &DeviceName,
    new: NewPassword,
) -> anyhow::Result<DevicePassword> {
    let identity = open(state, project)?;
    let password = match new.password {
        Some(text) => Password::new(text).map_err(|error| {
            Failure::new(Exit::Usage, error.to_string(), "choose another, or let one be made")
        })?,
        None => Password::generate(),
    };
    if new.add {
        let added = identity.add_device_with_password(name, &password, SystemTime::now());
        added.map_err(|error| not_added(name, error))?;
    } else {
        identity.set_password(name, &password).map_err(|error| not_changed(name, error))?;
    }
    Ok(DevicePassword {
        device: device(&identity, project, name)?,
        password: String::from_utf8_lossy(password.reveal()).into_owned(),
        ca_certificate: identity.ca_pem().to_owned(),
        addresses: project.password_addresses(),
    })
}

fn credentials(
    identity: &Identity,
    project: &Project,
    name: &DeviceName,
    made: tomte_identity::DeviceCredentials,
) -> anyhow::Result<DeviceCredentials> {
    Ok(DeviceCredentials {
        device: device(identity, project, name)?,
        certificate: made.certificate_pem,
        private_key: made.private_key_pem,
        ca_certificate: made.ca_pem,
        address: address(project)?,
    })
}

fn device(identity: &Identity, project: &Project, name: &DeviceName) -> anyhow::Result<Device> {
    let found = identity.list().into_iter().find(|record| record.name == *name);
    Ok(shown(project, found.context("the device was just changed")?))
}

fn not_added(name: &DeviceName, error: AddDeviceError) -> Failure {
    let message = format!("failed to add {name}: {:#}", anyhow::Error::from(error));
    let help = format!("`tomte device remove {name}` takes its identity away first");
    Failure::new(Exit::Refused, message, help)
}

fn not_changed(name: &DeviceName, error: ChangeDeviceError) -> Failure {
    let message = format!("failed to change {name}: {:#}", anyhow::Error::from(error));
    Failure::new(Exit::Refused, message, "see `tomte device list`")
}

/// Lists the devices of a hub that is stopped.
///
/// # Errors
/// Fails when the identities in the state folder cannot be read.
pub(crate) fn list(state: &Path, project: &Project) -> anyhow::Result<Vec<Device>> {
    let records = open(state, project)?.list();
    let devices = records.into_iter().filter(|record| !record.revoked);
    Ok(devices.map(|record| shown(project, record)).collect())
}

/// A device of a hub that is stopped: nothing is connected.
fn shown(project: &Project, record: DeviceRecord) -> Device {
    Device {
        declared: project.declares(&record.name),
        name: record.name.to_string(),
        fingerprint: record.fingerprint,
        expires_ms: record.expires_ms,
        has_password: record.has_password,
        connected: false,
    }
}

/// Takes the identity of a device away in the state folder of a hub that is stopped. Tells whether
/// there was one.
///
/// # Errors
/// Fails when the identities in the state folder cannot be read or written.
pub(crate) fn remove(state: &Path, project: &Project, name: &DeviceName) -> anyhow::Result<bool> {
    let removed = open(state, project)?.remove_device(name);
    removed.with_context(|| format!("failed to remove {name}"))
}

fn open(state: &Path, project: &Project) -> anyhow::Result<Identity> {
    make_private(state)?;
    let folder = StateFolder::new(state).identity();
    Identity::open(&folder, project.hub_name(), SystemTime::now())
        .with_context(|| format!("failed to open the identities in {}", folder.display()))
}

/// Makes the state folder as a hub does: for its owner alone, because it holds keys.
fn make_private(state: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
    made.with_context(|| format!("failed to make the state folder {}", state.display()))
}

/// Returns where devices of this machine will find the hub.
///
/// # Errors
/// Fails when the project has no listener for certificates.
pub(crate) fn address(project: &Project) -> anyhow::Result<String> {
    let listeners = project.listeners();
    let found = listeners.iter().find(|(protocol, _)| *protocol == "mqtts");
    let (_, address) = found.ok_or_else(|| {
        let message =
            format!("{MANIFEST}: listeners.mqtts is off: no certificate would be asked for");
        Failure::new(Exit::Refused, message, "switch it on to let devices log in")
    })?;
    let host = if address.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    };
    Ok(format!("{host}:{}", address.port()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::template::{self, Language};

    #[test]
    fn a_device_gets_an_identity_while_the_hub_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let files = template::project("greenhouse", Language::Python);
        template::write(folder.path(), &files).unwrap();
        let project = Project::read(folder.path()).unwrap();
        let state = folder.path().join(".tomte");
        let fan = DeviceName::new("fan").unwrap();
        let credentials = issue(&state, &project, &fan).unwrap();
        assert!(credentials.device.declared);
        assert_eq!(credentials.address, "localhost:8883");
        assert!(credentials.private_key.contains("PRIVATE KEY"));
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        let again = issue(&state, &project, &fan).unwrap_err();
        assert_eq!(crate::failure::exit_of(&again), Exit::Refused);
        let listed = list(&state, &project).unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str()), (1, "fan"));
        assert!(remove(&state, &project, &fan).unwrap());
        assert!(!remove(&state, &project, &fan).unwrap());
        assert!(list(&state, &project).unwrap().is_empty());
    }
}
