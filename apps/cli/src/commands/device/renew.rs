use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tomte_wire::control::{DeviceCredentials, NewCertificate};

use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::identity_files;
use crate::project::relative_to_here;

/// Give a device a new certificate and key; the old ones are good for a week
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte device renew thermometer")]
pub(super) struct Renew {
    /// The device
    name: String,
    /// The old certificate is refused at once, and the device's connection ends
    #[arg(long)]
    now: bool,
    /// Where to write the files, in the place of those there [default: devices/NAME in the project]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What was made.
#[derive(Serialize)]
struct Renewed {
    name: String,
    folder: PathBuf,
    fingerprint: Option<String>,
    expires_ms: Option<u64>,
    at_once: bool,
}

impl Renew {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let name = super::device_name(&self.name)?;
        let new = NewCertificate { at_once: self.now };
        let folder = self.out.clone().unwrap_or_else(|| {
            context.project_folder().unwrap_or_default().join("devices").join(&self.name)
        });
        let control = context.control()?;
        let credentials: DeviceCredentials = if control.answers() {
            control.post(&format!("/v1/devices/{}/certificate", query_value(&self.name)), &new)?
        } else {
            identity_files::renew(&context.state()?, &context.project()?, &name, &new)?
        };
        identity_files::write(&folder, &credentials)?;
        let renewed = Renewed {
            name: self.name,
            folder: relative_to_here(&folder),
            fingerprint: credentials.device.fingerprint,
            expires_ms: credentials.device.expires_ms,
            at_once: self.now,
        };
        context.screen.show(&renewed, |renewed, _| render(renewed))?;
        Ok(Exit::Ok)
    }
}

fn render(Renewed { name, folder, at_once, .. }: &Renewed) -> String {
    let old = match at_once {
        true => "the old ones are refused from now on",
        false => "the old ones are good for a week more; copy the new ones to the device",
    };
    format!("{name} has a new certificate and key in {}; {old}", folder.display())
}
