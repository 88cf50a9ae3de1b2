use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tomte_base::DeviceName;
use tomte_wire::control::{DevicePassword, NewPassword, RouteStatus};

use super::paste_lines::{self, Login, PasteLines};
use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::identity_files;
use crate::paint::{Paint, Tint};
use crate::project::relative_to_here;

/// Longest password that is read, in bytes; the hub refuses much shorter ones.
const MAX_READ_BYTES: u64 = 4_096;

/// Give a device a new password; its connection ends
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte device password button")]
pub(super) struct Password {
    /// The device
    name: String,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    stdin: bool,
}

impl Password {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let name = super::device_name(&self.name)?;
        let password = self.stdin.then(read_password).transpose()?;
        let folder = context.project_folder().unwrap_or_default().join("devices").join(&self.name);
        give(context, &name, NewPassword { password, add: false }, folder)
    }
}

/// Reads a password: all of standard input without the end of its last line.
pub(super) fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    let input = std::io::stdin();
    input
        .lock()
        .take(MAX_READ_BYTES)
        .read_to_string(&mut text)
        .context("failed to read the password from standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What was made.
#[derive(Serialize)]
struct Given {
    name: String,
    /// Only where the hub made it: what was typed in is not repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    addresses: BTreeMap<String, String>,
    declared: bool,
    #[serde(flatten)]
    lines: PasteLines,
}

/// Gives a device a password and shows it. What it needs to know the hub by is written into `folder`.
pub(super) fn give(
    context: &mut Context,
    name: &DeviceName,
    new: NewPassword,
    folder: PathBuf,
) -> anyhow::Result<Exit> {
    let was_made = new.password.is_none();
    let (made, routes) = ask(context, name, new)?;
    let lines = lines(name, &made, folder, &routes)?;
    let DevicePassword { device, password, addresses, .. } = made;
    let password = was_made.then_some(password);
    let given = Given { name: device.name, password, addresses, declared: device.declared, lines };
    context.screen.show(&given, render)?;
    Ok(Exit::Ok)
}

/// Asks the hub, or changes the state folder of one that is stopped.
fn ask(
    context: &Context,
    name: &DeviceName,
    new: NewPassword,
) -> anyhow::Result<(DevicePassword, Vec<RouteStatus>)> {
    let control = context.control()?;
    if control.answers() {
        let path = format!("/v1/devices/{}/password", query_value(name.as_str()));
        return Ok((control.post(&path, &new)?, control.get("/v1/routes")?));
    }
    let project = context.project()?;
    let made = identity_files::set_password(&context.state()?, &project, name, new)?;
    Ok((made, project.routes()))
}

/// Lines for the listener without TLS, which a thin device needs, or else for the one with it.
fn lines(
    name: &DeviceName,
    made: &DevicePassword,
    folder: PathBuf,
    routes: &[RouteStatus],
) -> anyhow::Result<PasteLines> {
    let password = made.password.clone();
    if let Some(address) = made.addresses.get("mqtt") {
        let login = Login::Password { password, ca: None };
        return Ok(paste_lines::of(name.as_str(), &login, address, routes));
    }
    let Some(address) = made.addresses.get("mqtts") else { return Ok(PasteLines::default()) };
    identity_files::write_ca(&folder, &made.ca_certificate)?;
    let login = Login::Password { password, ca: Some(relative_to_here(&folder)) };
    Ok(paste_lines::of(name.as_str(), &login, address, routes))
}

fn render(given: &Given, paint: Paint) -> String {
    let Given { name, password, addresses, declared, lines } = given;
    let mut text =
        format!("{} {name} can connect as the user {name}", paint.apply(Tint::Good, "made"));
    text += &match password {
        Some(password) => {
            format!(" with this password, which is not shown again:\n\n{password}\n\n")
        }
        None => " with that password\n\n".to_owned(),
    };
    let warning = paint.apply(Tint::Warn, "warning:");
    if addresses.is_empty() {
        text += &format!(
            "{warning} no listener takes passwords: set password = true at listeners.mqtt or \
             listeners.mqtts\n\n"
        );
    }
    if !declared {
        text += &format!("{warning} tomte.toml does not declare it yet: add [devices.{name}]\n\n");
    }
    if !addresses.is_empty() {
        text += &lines.render(name, paint);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn given(addresses: &[(&str, &str)]) -> Given {
        let pairs = addresses.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Given {
            name: "button".to_owned(),
            password: Some("sesame".to_owned()),
            addresses: pairs.collect(),
            declared: addresses.is_empty(),
            lines: PasteLines { publish: Some("PUB".to_owned()), subscribe: None },
        }
    }

    #[test]
    fn the_password_is_told_with_lines_to_paste() {
        expect![[r#"
            made button can connect as the user button with this password, which is not shown again:

            sesame

            warning: tomte.toml does not declare it yet: add [devices.button]

            # publish as this device
            PUB

            # no route brings button anything"#]]
        .assert_eq(&render(&given(&[("mqtt", "127.0.0.1:1883")]), Paint::plain()));
    }

    #[test]
    fn a_password_that_no_listener_takes_is_pointed_out() {
        expect![[r#"
            made button can connect as the user button with this password, which is not shown again:

            sesame

            warning: no listener takes passwords: set password = true at listeners.mqtt or listeners.mqtts"#]]
        .assert_eq(&render(&given(&[]), Paint::plain()));
    }
}
