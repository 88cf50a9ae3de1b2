//! The state of the whole hub: for people, and as metrics.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tomte_base::DeviceName;
use tomte_core_hub::Counter;
use tomte_wire::control::{DeviceStatus, FunctionStatus, Status};

use super::{Answer, Shared};
use crate::problem::Refusal;

pub(super) async fn status(State(control): Shared) -> Answer<Json<Status>> {
    let running = control.deployer.running();
    let manifest = running.as_ref().map(|running| &running.manifest);
    let names: Vec<DeviceName> =
        manifest.map(|m| m.devices.keys().cloned().collect()).unwrap_or_default();
    let look = move |hub: &mut tomte_core_hub::Hub, _| {
        let devices: BTreeMap<String, DeviceStatus> = names
            .into_iter()
            .map(|name| {
                let view = hub.device(&name);
                (
                    name.to_string(),
                    DeviceStatus { connected: view.connected, queued: view.queued as u64 },
                )
            })
            .collect();
        (hub.view(), counters(hub), devices, function_numbers(hub))
    };
    let (view, counters, devices, numbers) =
        control.inbox.ask(look).await.map_err(Refusal::failed)?;
    let mut functions = BTreeMap::new();
    for (name, function) in manifest.iter().flat_map(|manifest| &manifest.functions) {
        let mut status = numbers.get(name.as_str()).cloned().unwrap_or_default();
        status.runtime = function.runtime_name.clone();
        let code = running.as_ref().and_then(|running| running.stored.code.get(name.as_str()));
        status.code = code.cloned().unwrap_or_default();
        functions.insert(name.to_string(), status);
    }
    Ok(Json(Status {
        name: manifest.map_or_else(|| "tomte".to_owned(), |manifest| manifest.hub.name.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: u64::try_from(control.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        revision: running.as_ref().map(|running| running.stored.revision.0),
        listeners: control.deployer.addresses(),
        connections: view.connections as u64,
        sessions: view.sessions as u64,
        retained: view.retained as u64,
        queued_messages: view.queued as u64,
        functions,
        devices,
        counters,
        journal_bytes: folder_bytes(&control.journal_folder),
        memory_bytes: resident_bytes(),
        warnings: control.warnings.iter().cloned().chain(control.deployer.warnings()).collect(),
    }))
}

fn counters(hub: &tomte_core_hub::Hub) -> BTreeMap<String, u64> {
    let counted = Counter::ALL
        .iter()
        .map(|counter| (counter.name().to_owned(), hub.counters().get(*counter)));
    counted.collect()
}

fn function_numbers(hub: &tomte_core_hub::Hub) -> BTreeMap<String, FunctionStatus> {
    let mut numbers: BTreeMap<String, FunctionStatus> = BTreeMap::new();
    for (name, ended) in hub.ended_calls() {
        let status = numbers.entry(name.to_string()).or_default();
        (status.succeeded, status.failed) = (ended.succeeded, ended.failed);
    }
    for call in hub.scheduler().queued() {
        numbers.entry(call.function.to_string()).or_default().queued += 1;
    }
    for call in hub.scheduler().running() {
        numbers.entry(call.function.to_string()).or_default().running += 1;
    }
    for worker in hub.scheduler().workers() {
        let idle = worker.state == tomte_scheduler::WorkerState::Idle;
        numbers.entry(worker.function.to_string()).or_default().idle_workers += u64::from(idle);
    }
    numbers
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

pub(super) async fn metrics(State(control): Shared) -> Answer<Response> {
    let look = |hub: &mut tomte_core_hub::Hub, _| (hub.view(), counters(hub));
    let (view, counters) = control.inbox.ask(look).await.map_err(Refusal::failed)?;
    let mut text = Vec::new();
    for (name, value) in counters {
        let _a_vector_takes_all = writeln!(text, "{name} {value}");
    }
    let gauges = [
        ("tomte_connections", view.connections as u64),
        ("tomte_sessions", view.sessions as u64),
        ("tomte_retained_messages", view.retained as u64),
        ("tomte_queued_messages", view.queued as u64),
        ("tomte_journal_bytes", folder_bytes(&control.journal_folder)),
        ("process_resident_memory_bytes", resident_bytes()),
    ];
    for (name, value) in gauges {
        let _a_vector_takes_all = writeln!(text, "{name} {value}");
    }
    let kind = [(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text).into_response())
}
