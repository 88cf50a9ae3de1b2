//! Identities of devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tomte_base::DeviceName;
use tomte_wire::control::{Device, DeviceCredentials, NewDevice};

use super::{Answer, Control, Shared, blocking};
use crate::event::Event;
use crate::problem::{Refusal, chain};

pub(super) async fn devices(State(control): Shared) -> Answer<Json<Vec<Device>>> {
    let records = control.identity.list();
    let mut devices = Vec::new();
    for record in records.into_iter().filter(|record| !record.revoked) {
        devices.push(device(&control, record.name, record.fingerprint, record.expires_ms).await?);
    }
    Ok(Json(devices))
}

pub(super) async fn device(
    control: &Control,
    name: DeviceName,
    fingerprint: String,
    expires_ms: u64,
) -> Answer<Device> {
    let asked = name.clone();
    let view =
        control.inbox.ask(move |hub, _| hub.device(&asked)).await.map_err(Refusal::failed)?;
    let declared = control
        .deployer
        .running()
        .is_some_and(|running| running.manifest.devices.contains_key(&name));
    Ok(Device {
        name: name.to_string(),
        fingerprint,
        expires_ms,
        connected: view.connected,
        declared,
    })
}

pub(super) async fn add_device(
    State(control): Shared,
    Json(new): Json<NewDevice>,
) -> Answer<Json<DeviceCredentials>> {
    let name = DeviceName::new(&new.name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let made = blocking(move || identity.add_device(&asked, std::time::SystemTime::now())).await?;
    let made = made.map_err(|error| {
        Refusal::new(StatusCode::CONFLICT, "device_not_added", chain(&error))
            .help("see `tomte device list`; `tomte device remove` takes an identity away")
    })?;
    let device = device(&control, name, made.fingerprint, made.expires_ms).await?;
    Ok(Json(DeviceCredentials {
        device,
        certificate: made.certificate_pem,
        private_key: made.private_key_pem,
        ca_certificate: made.ca_pem,
        address: control.deployer.device_address(),
    }))
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
        let message = format!("there is no device {name}");
        return Err(Refusal::not_found("unknown_device", message).help("see `tomte device list`"));
    }
    control.inbox.send(Event::Revoke(name));
    Ok(StatusCode::NO_CONTENT)
}
