//! Identities of devices.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tomte_base::DeviceName;
use tomte_identity::{ChangeDeviceError, DeviceRecord, FormerCertificate, Password};
use tomte_wire::control::{
    Device, DeviceCredentials, DevicePassword, NewCertificate, NewDevice, NewPassword,
};

use super::{Answer, Control, Shared, blocking};
use crate::event::Event;
use crate::problem::{Refusal, chain};

pub(super) async fn devices(State(control): Shared) -> Answer<Json<Vec<Device>>> {
    let records = control.identity.list();
    let mut devices = Vec::new();
    for record in records.into_iter().filter(|record| !record.revoked) {
        devices.push(shown(&control, record).await?);
    }
    Ok(Json(devices))
}

async fn shown(control: &Control, record: DeviceRecord) -> Answer<Device> {
    let asked = record.name.clone();
    let view =
        control.inbox.ask(move |hub, _| hub.device(&asked)).await.map_err(Refusal::failed)?;
    let declared = control
        .deployer
        .running()
        .is_some_and(|running| running.manifest.devices.contains_key(&record.name));
    Ok(Device {
        name: record.name.to_string(),
        fingerprint: record.fingerprint,
        expires_ms: record.expires_ms,
        has_password: record.has_password,
        connected: view.connected,
        declared,
    })
}

async fn device(control: &Control, name: &DeviceName) -> Answer<Device> {
    let found = control.identity.list().into_iter().find(|record| record.name == *name);
    shown(control, found.ok_or_else(|| unknown(name))?).await
}

fn unknown(name: &DeviceName) -> Refusal {
    let message = format!("there is no device {name}");
    Refusal::not_found("unknown_device", message).help("see `tomte device list`")
}

pub(super) async fn add_device(
    State(control): Shared,
    Json(new): Json<NewDevice>,
) -> Answer<Json<DeviceCredentials>> {
    let name = DeviceName::new(&new.name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let made = blocking(move || identity.add_device(&asked, SystemTime::now())).await?;
    let made = made.map_err(not_added)?;
    credentials(&control, &name, made).await
}

fn not_added(error: tomte_identity::AddDeviceError) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "device_not_added", chain(&error))
        .help("see `tomte device list`; `tomte device remove` takes an identity away")
}

async fn credentials(
    control: &Control,
    name: &DeviceName,
    made: tomte_identity::DeviceCredentials,
) -> Answer<Json<DeviceCredentials>> {
    Ok(Json(DeviceCredentials {
        device: device(control, name).await?,
        certificate: made.certificate_pem,
        private_key: made.private_key_pem,
        ca_certificate: made.ca_pem,
        address: control.deployer.device_address(),
    }))
}

pub(super) async fn renew_device(
    State(control): Shared,
    Path(name): Path<String>,
    Json(new): Json<NewCertificate>,
) -> Answer<Json<DeviceCredentials>> {
    let name = DeviceName::new(&name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let former = match new.at_once {
        true => FormerCertificate::EndsNow,
        false => FormerCertificate::Overlaps,
    };
    let made = blocking(move || identity.renew_device(&asked, former, SystemTime::now())).await?;
    let made = made.map_err(not_changed)?;
    if new.at_once {
        control.inbox.send(Event::Revoke(name.clone()));
    }
    credentials(&control, &name, made).await
}

fn not_changed(error: ChangeDeviceError) -> Refusal {
    match error {
        ChangeDeviceError::Unknown { name } => unknown(&name),
        other => Refusal::failed(other),
    }
}

pub(super) async fn set_password(
    State(control): Shared,
    Path(name): Path<String>,
    Json(new): Json<NewPassword>,
) -> Answer<Json<DevicePassword>> {
    let name = DeviceName::new(&name).map_err(|error| Refusal::bad("bad_name", error))?;
    let text = new.password.unwrap_or_else(made_password);
    let password =
        Password::new(text.as_str()).map_err(|error| Refusal::bad("bad_password", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    if new.add {
        let now = SystemTime::now();
        let added = blocking(move || identity.add_device_with_password(&asked, &password, now));
        added.await?.map_err(not_added)?;
    } else {
        let set = blocking(move || identity.set_password(&asked, &password));
        set.await?.map_err(not_changed)?;
        // Whoever knows the old one is not to stay.
        control.inbox.send(Event::Revoke(name.clone()));
    }
    Ok(Json(DevicePassword {
        device: device(&control, &name).await?,
        password: text,
        ca_certificate: control.identity.ca_pem().to_owned(),
        addresses: control.deployer.password_addresses(),
    }))
}

fn made_password() -> String {
    let made = Password::generate();
    String::from_utf8(made.reveal().to_vec()).expect("made passwords are letters and digits")
}

pub(super) async fn remove_device(
    State(control): Shared,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let name = DeviceName::new(&name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let removed =
        blocking(move || identity.remove_device(&asked)).await?.map_err(Refusal::failed)?;
    if !removed {
        return Err(unknown(&name));
    }
    control.inbox.send(Event::Revoke(name));
    Ok(StatusCode::NO_CONTENT)
}
