//! From what was written to what is meant.

mod attributes;
mod code_path;
mod context;
mod environment;
mod function;
mod limits;
mod listeners;
mod routes;
mod runtime;

use std::collections::BTreeMap;

use tomte_base::{DeviceName, FunctionName, NameError};
use tomte_route::Declared;

use self::context::Context;
use super::diagnostic::{Complaint, Report};
use super::document::Document;
use super::key_path::{KeyPath, path};
use super::meant::{DeviceConfig, Durability, Function, HubConfig, Manifest};
use super::written::{self, DurabilityMode};

/// Most devices of one manifest.
const MAX_DEVICES: usize = 10_000;

/// Most functions of one manifest.
const MAX_FUNCTIONS: usize = 256;

/// Longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1024;

/// Says what `written` means, or reports all that makes no sense.
pub(super) fn manifest(
    written: written::Manifest,
    document: &Document<'_>,
    report: &mut Report<'_>,
) -> Option<Manifest> {
    let mut context = Context::new(document, report);
    let hub = hub(written.hub, &mut context);
    let listeners = listeners::listeners(written.listeners, &mut context);
    let limits = limits::limits(&written.limits, &mut context);
    let devices = devices(written.devices, &mut context);
    let functions = functions(written.functions, &mut context);
    let declared = Declared {
        devices: devices.keys().cloned().collect(),
        functions: functions
            .iter()
            .map(|(name, function)| {
                (name.clone(), function.as_ref().and_then(|function| function.result_topic.clone()))
            })
            .collect(),
    };
    let (routes, table) = routes::routes(written.routes, &declared, &mut context);
    let attributes = devices.iter().map(|(name, device)| (name.clone(), device.attributes.clone()));
    let attributes = attributes.collect();
    let manifest = Manifest {
        hub,
        listeners,
        limits,
        durability: durability(written.durability.mode),
        devices,
        functions: functions.into_iter().filter_map(|(name, of)| Some((name, of?))).collect(),
        routes,
        table: table?.with_attributes(&attributes),
    };
    report.is_empty().then_some(manifest)
}

fn hub(written: written::Hub, context: &mut Context<'_, '_, '_>) -> HubConfig {
    let name = written.name.unwrap_or_else(|| "tomte".to_owned());
    if let Err(error) = DeviceName::new(&name) {
        context.complain(&path(["hub", "name"]), Complaint::new(error));
    }
    HubConfig { name }
}

fn durability(mode: Option<DurabilityMode>) -> Durability {
    match mode {
        Some(DurabilityMode::Process) | None => Durability::Process,
        Some(DurabilityMode::Power) => Durability::Power,
        Some(DurabilityMode::None) => Durability::None,
    }
}

fn devices(
    written: BTreeMap<String, written::Device>,
    context: &mut Context<'_, '_, '_>,
) -> BTreeMap<DeviceName, DeviceConfig> {
    check_count("devices", written.len(), MAX_DEVICES, context);
    let mut devices = BTreeMap::new();
    for (name, device) in written {
        let key = path(["devices", &name]);
        description(device.description.as_deref(), &key, context);
        if let Some(name) = table_name(&name, DeviceName::new(&name), "devices", context) {
            let attributes = attributes::attributes(device.attributes, &key, context);
            devices.insert(name, DeviceConfig { description: device.description, attributes });
        }
    }
    devices
}

/// Returns the functions; none for those that make no sense, so that routes can still name them.
fn functions(
    written: BTreeMap<String, written::Function>,
    context: &mut Context<'_, '_, '_>,
) -> BTreeMap<FunctionName, Option<Function>> {
    check_count("functions", written.len(), MAX_FUNCTIONS, context);
    let mut functions = BTreeMap::new();
    for (name, written) in written {
        if let Some(name) = table_name(&name, FunctionName::new(&name), "functions", context) {
            let function = function::function(&name, written, context);
            functions.insert(name, function);
        }
    }
    functions
}

fn check_count(table: &str, count: usize, most: usize, context: &mut Context<'_, '_, '_>) {
    if count > most {
        let message = format!("{count} {table}, at most {most} are allowed");
        context.complain(&path([table]), Complaint::new(message));
    }
}

fn table_name<N>(
    name: &str,
    checked: Result<N, NameError>,
    table: &str,
    context: &mut Context<'_, '_, '_>,
) -> Option<N> {
    checked
        .map_err(|error| context.complain_about_key(&path([table, name]), Complaint::new(error)))
        .ok()
}

fn description(text: Option<&str>, table: &KeyPath, context: &mut Context<'_, '_, '_>) {
    let length = text.map_or(0, str::len);
    if length > MAX_DESCRIPTION_BYTES {
        let message = format!("{length} bytes, at most {MAX_DESCRIPTION_BYTES} are allowed");
        context.complain(&table.key("description"), Complaint::new(message));
    }
}
