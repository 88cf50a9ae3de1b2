use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tomte_wire::control::{DeviceCredentials, NewDevice, Status};

use crate::binary::tomte_binary;
use crate::control::Control;
use crate::ports::free_port;
use crate::process::{Output, Process};
use crate::until::until;

/// How long a hub may take to answer after its start.
const START: Duration = Duration::from_secs(20);

/// A hub: the real binary, its project and its state in a temporary folder. Dropping it kills it.
pub struct Hub {
    folder: TempDir,
    process: Process,
    /// The port of the plain MQTT listener, which the manifest calls `{mqtt}`.
    pub mqtt: u16,
    /// The port of the MQTT listener with TLS, which the manifest calls `{mqtts}`.
    pub mqtts: u16,
}

/// The files of a device's identity.
#[derive(Clone, Debug)]
pub struct DeviceFiles {
    /// The device's name.
    pub name: String,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificate of the hub's CA.
    pub ca: PathBuf,
}

impl Hub {
    /// Starts a hub with `manifest`, in which `{mqtt}` and `{mqtts}` stand for free ports, applies it
    /// and waits until it runs.
    ///
    /// # Errors
    /// Fails when the hub does not start, or refuses the manifest.
    pub fn start(manifest: &str) -> Result<Self> {
        Self::start_with(manifest, |_| Ok(()))
    }

    /// Starts a hub as [`Self::start`] does, after `fill` has put functions into the project folder.
    ///
    /// # Errors
    /// Fails when `fill` does, the hub does not start, or refuses the manifest.
    pub fn start_with(manifest: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let hub = Self::boot(manifest, fill)?;
        hub.apply()?;
        Ok(hub)
    }

    /// Starts a hub with a project that is not applied yet.
    ///
    /// # Errors
    /// Fails when `fill` does or the hub does not start.
    pub fn boot(manifest: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tomte-hub-").tempdir()?;
        let (mqtt, mqtts) = (free_port()?, free_port()?);
        let project = folder.path().join("project");
        fs::create_dir(&project)?;
        fill(&project)?;
        let manifest = with_ports(manifest, mqtt, mqtts);
        fs::write(project.join("tomte.toml"), manifest).context("write tomte.toml")?;
        let process = start_process(&project)?;
        let mut hub = Self { folder, process, mqtt, mqtts };
        hub.wait_until_it_answers();
        Ok(hub)
    }

    /// Writes another manifest into the project. It is not applied yet.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn write_manifest(&self, manifest: &str) -> Result<()> {
        let manifest = with_ports(manifest, self.mqtt, self.mqtts);
        fs::write(self.project().join("tomte.toml"), manifest).context("write tomte.toml")
    }

    /// Applies the project with `tomte apply`.
    ///
    /// # Errors
    /// Fails when the hub refuses it; the message has what it says.
    pub fn apply(&self) -> Result<()> {
        let output = self.tomte(&["apply"])?;
        if output.code != Some(0) {
            bail!("tomte apply ended with {:?}: {}{}", output.code, output.stdout, output.stderr);
        }
        Ok(())
    }

    /// Runs `tomte` with `arguments` in the project, to its end.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn tomte(&self, arguments: &[&str]) -> Result<Output> {
        Output::of(tomte(&self.project())?.args(arguments))
    }

    /// Returns a command that runs `tomte` in the project.
    ///
    /// # Errors
    /// Fails when the binary cannot be built.
    pub fn command(&self) -> Result<Command> {
        tomte(&self.project())
    }

    /// Returns the folder of the project.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Returns the folder of the hub's state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.project().join(".tomte")
    }

    /// Returns a client of the control interface.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(&self.state().join("control.sock"))
    }

    /// Returns the hub's status.
    ///
    /// # Errors
    /// Fails when the hub does not answer.
    pub fn status(&self) -> Result<Status> {
        self.control().status()
    }

    /// Returns the process id of the hub.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the hub's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Gives `name` an identity and writes it to files.
    ///
    /// # Errors
    /// Fails when the hub refuses.
    pub fn device(&self, name: &str) -> Result<DeviceFiles> {
        let request = NewDevice { name: name.to_owned() };
        let credentials: DeviceCredentials =
            self.control().post("/v1/devices", &request)?.json()?;
        let folder = self.folder.path().join("identities").join(name);
        fs::create_dir_all(&folder)?;
        let write = |file: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(file);
            fs::write(&path, text)?;
            Ok(path)
        };
        Ok(DeviceFiles {
            name: name.to_owned(),
            certificate: write("device.crt", &credentials.certificate)?,
            key: write("device.key", &credentials.private_key)?,
            ca: write("ca.crt", &credentials.ca_certificate)?,
        })
    }

    /// Kills the hub without a warning. Its workers die with it.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts the hub again on the state that it left behind, and waits until it answers.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.start_again()?;
        self.wait_until_it_answers();
        Ok(())
    }

    /// Kills the hub if it runs and starts it again, without waiting for anything.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.kill9();
        self.process = start_process(&self.project())?;
        Ok(())
    }

    fn wait_until_it_answers(&mut self) {
        let control = self.control();
        let process = &mut self.process;
        until("the hub to answer", START, || {
            if let Ok(status) = process.wait(Duration::ZERO) {
                panic!("the hub ended with {status}: {}", process.written());
            }
            control.status().ok()
        });
    }
}

fn with_ports(manifest: &str, mqtt: u16, mqtts: u16) -> String {
    manifest.replace("{mqtt}", &mqtt.to_string()).replace("{mqtts}", &mqtts.to_string())
}

fn tomte(project: &Path) -> Result<Command> {
    let mut command = Command::new(tomte_binary()?);
    command.current_dir(project).env_remove("TOMTE_STATE").env("NO_COLOR", "1");
    Ok(command)
}

/// A hub that has never run would deploy its project by itself; here that is told.
fn start_process(project: &Path) -> Result<Process> {
    Process::start(tomte(project)?.args(["run", "--no-deploy"]))
}
