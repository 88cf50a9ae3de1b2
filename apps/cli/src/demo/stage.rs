//! Sets the demo up: a folder, a hub in it, the devices around it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::thread;

use anyhow::Context as _;
use tempfile::TempDir;
use toml::{Table, Value};
use tomte_wire::control::{DeviceCredentials, NewDevice};

use super::cast::{CAST, Part, Role};
use super::device::{Report, WORD};
use crate::control::Control;
use crate::hub_process::{ChildProcess, start_hub};
use crate::identity_files;
use crate::project::MANIFEST;
use crate::template;

/// Everything that runs; it ends when this value goes, the devices first, the folder last.
pub(crate) struct Stage {
    cast: Vec<&'static Role>,
    devices: Vec<ChildProcess>,
    hub: ChildProcess,
    folder: TempDir,
}

impl Stage {
    /// Makes the folder and starts the hub, without the functions named in `without`.
    ///
    /// # Errors
    /// Fails when the folder cannot be made or the hub does not start; what the hub wrote is part
    /// of the error.
    pub(crate) fn with_hub(without: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tomte-demo-").tempdir();
        let folder = folder.context("failed to make a temporary folder")?;
        template::write(folder.path(), &template::greenhouse())?;
        let cast = adapt_manifest(&folder.path().join(MANIFEST), without)?;
        let log = fs::File::create(folder.path().join("hub.log"))?;
        let state = folder.path().join(".tomte");
        let started = start_hub(&state, Some(folder.path()), Stdio::from(log));
        let (hub, _) = started.with_context(|| words_of_hub(folder.path()))?;
        Ok(Self { cast, devices: Vec::new(), hub, folder })
    }

    /// Returns the control interface of the hub.
    pub(crate) fn control(&self) -> anyhow::Result<Control> {
        Control::of(&self.folder.path().join(".tomte"))
    }

    /// Says in words who takes part.
    pub(crate) fn describe(&self) -> String {
        let sensors = self.cast.iter().filter(|role| matches!(role.part, Part::Sensor(_))).count();
        let actuators = self.cast.len() - sensors;
        format!("a hub, {sensors} sensors and {actuators} actuators, each a process of its own")
    }

    /// Gives each device an identity and starts it as a process; `tell` hears what they report.
    ///
    /// # Errors
    /// Fails when the hub refuses an identity or a process cannot be started.
    pub(crate) fn start_devices(
        &mut self,
        tell: impl Fn(Report) + Clone + Send + 'static,
    ) -> anyhow::Result<()> {
        let control = self.control()?;
        for role in &self.cast {
            let new = NewDevice { name: role.name.to_owned() };
            let credentials: DeviceCredentials = control.post("/v1/devices", &new)?;
            let folder = self.folder.path().join("devices").join(role.name);
            identity_files::write(&folder, &credentials)?;
            let mut device = ChildProcess::start(role.name, |command| {
                command.args([WORD, role.name, "--address", &credentials.address]);
                command.arg("--folder").arg(&folder).stdout(Stdio::piped())
            })?;
            if let Some(output) = device.take_stdout() {
                let tell = tell.clone();
                thread::spawn(move || read_reports(output, tell));
            }
            self.devices.push(device);
        }
        Ok(())
    }

    /// Fails when a process ended that should still run.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(end) = self.hub.ended() {
            anyhow::bail!("the hub ended by itself ({end}){}", words_of_hub(self.folder.path()));
        }
        for (device, role) in self.devices.iter_mut().zip(&self.cast) {
            if let Some(end) = device.ended() {
                anyhow::bail!("the device {} ended by itself ({end})", role.name);
            }
        }
        Ok(())
    }

    /// Ends the devices.
    pub(crate) fn stop_devices(&mut self) {
        self.devices.iter().for_each(ChildProcess::ask_to_end);
        self.devices.clear();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop_devices();
        self.hub.stop();
    }
}

fn read_reports(output: ChildStdout, tell: impl Fn(Report)) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(report) = serde_json::from_str(&line) {
            tell(report);
        }
    }
}

/// Returns the last lines of the hub's log, to be shown with an error.
fn words_of_hub(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("hub.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() { String::new() } else { format!("; it wrote:\n  {}", last.join("\n  ")) }
}

/// Lets the hub listen on free ports of this machine alone, and leaves functions out whose
/// interpreter is missing, with their routes. Returns the devices that still have a part.
fn adapt_manifest(path: &Path, without: &[&str]) -> anyhow::Result<Vec<&'static Role>> {
    let text = fs::read_to_string(path)?;
    let mut manifest: Table = text.parse().context("the example's manifest is no TOML")?;
    leave_out(&mut manifest, without);
    listen_on_free_ports(&mut manifest);
    fs::write(path, manifest.to_string())
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(CAST.iter().filter(|role| has_part(&manifest, role)).collect())
}

/// Tells whether a route leads from or to a device.
fn has_part(manifest: &Table, role: &Role) -> bool {
    let device = format!("device:{}", role.name);
    let names = |route: &Value| {
        ["from", "to"].iter().any(|key| route.get(key).and_then(Value::as_str) == Some(&device))
    };
    manifest.get("routes").and_then(Value::as_array).is_some_and(|routes| routes.iter().any(names))
}

fn leave_out(manifest: &mut Table, functions: &[&str]) {
    let leads_away = |route: &Value| {
        let names = |key: &str, function: &str| {
            route.get(key).and_then(Value::as_str) == Some(&format!("function:{function}"))
        };
        functions.iter().any(|function| names("from", function) || names("to", function))
    };
    if let Some(Value::Table(table)) = manifest.get_mut("functions") {
        table.retain(|name, _| !functions.contains(&name));
    }
    if let Some(Value::Array(routes)) = manifest.get_mut("routes") {
        routes.retain(|route| !leads_away(route));
    }
}

fn listen_on_free_ports(manifest: &mut Table) {
    let bind =
        |address: &str| Value::Table(Table::from_iter([("bind".to_owned(), address.into())]));
    let listeners = Table::from_iter([("mqtts".to_owned(), bind("127.0.0.1:0"))]);
    manifest.insert("listeners".to_owned(), Value::Table(listeners));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greenhouse() -> Table {
        template::greenhouse()[0].text.parse().unwrap()
    }

    #[test]
    fn a_function_is_left_out_with_its_routes() {
        let mut manifest = greenhouse();
        leave_out(&mut manifest, &["daylight"]);
        assert!(!manifest.to_string().contains("function:daylight"));
        assert_eq!(manifest["functions"].as_table().unwrap().len(), 1);
        assert_eq!(manifest["routes"].as_array().unwrap().len(), 3);
        let playing = CAST.iter().filter(|role| has_part(&manifest, role));
        let playing: Vec<&str> = playing.map(|role| role.name).collect();
        assert_eq!(playing, ["fan", "thermometer", "hygrometer"]);
    }

    #[test]
    fn every_device_of_the_cast_is_declared() {
        let manifest = greenhouse();
        let devices = manifest["devices"].as_table().unwrap();
        assert_eq!(devices.len(), CAST.len());
        assert!(CAST.iter().all(|role| devices.contains_key(role.name)));
    }
}
