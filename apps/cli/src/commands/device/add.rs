use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tomte_base::DeviceName;
use tomte_wire::control::{DeviceCredentials, NewDevice, NewPassword, RouteStatus};

use super::password::{give, read_password};
use super::paste_lines::{self, Login, PasteLines};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::identity_files;
use crate::paint::{Paint, Tint};
use crate::project::relative_to_here;

/// Give a device an identity: a certificate and a key, or a password, and lines to try them
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tomte device add thermometer\n  tomte device add button --password"
)]
pub(super) struct Add {
    /// The name of the device, as routes write it after `device:`
    name: String,
    /// Where to write the files [default: devices/NAME in the project]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Make a password instead, for a device that cannot do TLS with certificates
    #[arg(long)]
    password: bool,
    /// Read that password from standard input instead of making one
    #[arg(long, requires = "password")]
    stdin: bool,
}

/// What was made.
#[derive(Serialize)]
struct Added {
    name: String,
    folder: PathBuf,
    address: String,
    declared: bool,
    #[serde(flatten)]
    lines: PasteLines,
}

impl Add {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let name = super::device_name(&self.name)?;
        let folder = self.folder(context);
        if self.password {
            let password = self.stdin.then(read_password).transpose()?;
            return give(context, &name, NewPassword { password, add: true }, folder);
        }
        refuse_to_overwrite(&folder, &self.name)?;
        let (mut credentials, routes) = issue(context, &name)?;
        if credentials.address.is_empty() {
            // A hub without deployment listens nowhere; the manifest says where it will.
            credentials.address = identity_files::address(&context.project()?)?;
        }
        identity_files::write(&folder, &credentials)?;
        let shown = relative_to_here(&folder);
        let lines = paste_lines::of(
            &self.name,
            &Login::Files(shown.clone()),
            &credentials.address,
            &routes,
        );
        let DeviceCredentials { device, address, .. } = credentials;
        let added =
            Added { name: device.name, folder: shown, address, declared: device.declared, lines };
        context.screen.show(&added, render)?;
        Ok(Exit::Ok)
    }

    fn folder(&self, context: &Context) -> PathBuf {
        let project = || context.project_folder().unwrap_or_default();
        self.out.clone().unwrap_or_else(|| project().join("devices").join(&self.name))
    }
}

/// Asks the hub for an identity, or makes one in its state folder when it is stopped.
fn issue(
    context: &Context,
    name: &DeviceName,
) -> anyhow::Result<(DeviceCredentials, Vec<RouteStatus>)> {
    let control = context.control()?;
    if control.answers() {
        let credentials = control.post("/v1/devices", &NewDevice { name: name.to_string() })?;
        return Ok((credentials, control.get("/v1/routes")?));
    }
    let project = context.project()?;
    let credentials = identity_files::issue(&context.state()?, &project, name)?;
    Ok((credentials, project.routes()))
}

fn refuse_to_overwrite(folder: &Path, name: &str) -> anyhow::Result<()> {
    let key = folder.join(format!("{name}.key"));
    if !key.exists() {
        return Ok(());
    }
    let message = format!("{} is there already", key.display());
    let help = "it may be the only copy of that key; move it away, or use --out FOLDER";
    Err(Failure::new(Exit::Failed, message, help).into())
}

fn render(added: &Added, paint: Paint) -> String {
    let Added { name, folder, address, declared, lines } = added;
    let mut text = format!(
        "{} {name} can connect to {address}; its certificate and key are in {}\n\n",
        paint.apply(Tint::Good, "made"),
        folder.display()
    );
    if !declared {
        text += &format!(
            "{} tomte.toml does not declare it yet: add [devices.{name}]\n\n",
            paint.apply(Tint::Warn, "warning:")
        );
    }
    text + &lines.render(name, paint)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use expect_test::expect;

    use super::*;
    use crate::fake_hub::FakeHub;
    use crate::screen::{Format, Screen};

    const CREDENTIALS: &str = r#"{
        "device": {"name": "fan", "fingerprint": "4f1c", "expires_ms": 1, "connected": false,
                   "declared": true},
        "certificate": "CERT", "private_key": "KEY", "ca_certificate": "CA",
        "address": "0.0.0.0:8883"}"#;

    fn add(hub: &FakeHub, folder: &Path) -> anyhow::Result<Exit> {
        let screen = Screen::to(Box::new(std::io::sink()), Format::Text);
        let mut context = Context::with(screen, folder, hub.state());
        let (name, out) = ("fan".to_owned(), Some(folder.to_owned()));
        Add { name, out, password: false, stdin: false }.run(&mut context)
    }

    #[test]
    fn the_key_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let hub = FakeHub::answering([("200 OK", CREDENTIALS), ("200 OK", "[]")]);
        add(&hub, folder.path()).unwrap();
        let key = folder.path().join("fan.key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(key).unwrap(), "KEY");
        assert_eq!(fs::read_to_string(folder.path().join("ca.crt")).unwrap(), "CA");
    }

    #[test]
    fn a_key_that_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fan.key"), "the only copy").unwrap();
        let error = add(&FakeHub::answering([]), folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("fan.key is there already"), "{error}");
    }

    #[test]
    fn what_was_made_is_told_with_lines_to_paste() {
        let added = Added {
            name: "fan".to_owned(),
            folder: "devices/fan".into(),
            address: "127.0.0.1:8883".to_owned(),
            declared: false,
            lines: PasteLines { publish: Some("PUB".to_owned()), subscribe: None },
        };
        expect![[r#"
            made fan can connect to 127.0.0.1:8883; its certificate and key are in devices/fan

            warning: tomte.toml does not declare it yet: add [devices.fan]

            # publish as this device
            PUB

            # no route brings fan anything"#]]
        .assert_eq(&render(&added, Paint::plain()));
    }
}
