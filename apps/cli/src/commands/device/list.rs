use clap::Args;
use jiff::tz::TimeZone;
use tomte_wire::control::Device;

use crate::context::Context;
use crate::exit::Exit;
use crate::identity_files;
use crate::moments::{date, now_us};
use crate::paint::{Paint, Tint};
use crate::table::{Cell, Table};

/// A certificate that ends sooner than this is pointed out, in milliseconds: 14 days.
const ENDS_SOON_MS: u64 = 14 * 86_400_000;

/// List the devices that have an identity
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte device list")]
pub(super) struct List {}

impl List {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let control = context.control()?;
        let devices: Vec<Device> = match control.answers() {
            true => control.get("/v1/devices")?,
            false => identity_files::list(&context.state()?, &context.project()?)?,
        };
        let zone = TimeZone::system();
        context
            .screen
            .show(&devices, |devices, paint| render(devices, now_us() / 1_000, &zone, paint))?;
        Ok(Exit::Ok)
    }
}

fn render(devices: &[Device], now_ms: u64, zone: &TimeZone, paint: Paint) -> String {
    let mut table = Table::new(["DEVICE", "STATE", "LOGS IN WITH", "VALID UNTIL", "IN MANIFEST"]);
    for device in devices {
        table.row([
            Cell::tinted(Tint::Name, &device.name),
            match device.connected {
                true => Cell::tinted(Tint::Good, "connected"),
                false => Cell::tinted(Tint::Dim, "away"),
            },
            login(device).into(),
            match device.expires_ms {
                Some(expires_ms) => {
                    Cell::tinted(end_tint(expires_ms, now_ms), date(expires_ms, zone))
                }
                None => "".into(),
            },
            match device.declared {
                true => "yes".into(),
                false => Cell::tinted(Tint::Warn, format!("no: add [devices.{}]", device.name)),
            },
        ]);
    }
    if table.is_empty() {
        return "no devices; make one with `tomte device add NAME`".to_owned();
    }
    table.render(paint)
}

/// What the device shows when it connects.
fn login(device: &Device) -> String {
    let fingerprint = device.fingerprint.as_deref().map(short_fingerprint);
    match (fingerprint, device.has_password) {
        (Some(fingerprint), true) => format!("{fingerprint}, password"),
        (Some(fingerprint), false) => fingerprint,
        (None, _) => "password".to_owned(),
    }
}

fn end_tint(expires_ms: u64, now_ms: u64) -> Tint {
    match expires_ms.saturating_sub(now_ms) {
        0 => Tint::Bad,
        left if left < ENDS_SOON_MS => Tint::Warn,
        _ => Tint::Good,
    }
}

/// Returns the first bytes of a fingerprint as people compare them: `4f:1c:09:aa`.
fn short_fingerprint(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().filter(char::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).take(4).map(|pair| pair.iter().collect::<String>());
    pairs.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn devices_are_a_table() {
        let device = |name: &str, declared| Device {
            name: name.to_owned(),
            fingerprint: Some("4f1c09aabbccdd".to_owned()),
            expires_ms: Some(1_803_832_421_204),
            has_password: false,
            connected: declared,
            declared,
        };
        expect![[r#"
            DEVICE       STATE      LOGS IN WITH           VALID UNTIL  IN MANIFEST
            thermometer  connected  4f:1c:09:aa            2027-02-28   yes
            stranger     away       4f:1c:09:aa            2027-02-28   no: add [devices.stranger]
            both         connected  4f:1c:09:aa, password  2027-02-28   yes
            thin         connected  password                            yes"#]]
        .assert_eq(&render(
            &[
                device("thermometer", true),
                device("stranger", false),
                Device { has_password: true, ..device("both", true) },
                Device {
                    fingerprint: None,
                    expires_ms: None,
                    has_password: true,
                    ..device("thin", true)
                },
            ],
            0,
            &TimeZone::UTC,
            Paint::plain(),
        ));
    }

    #[test]
    fn a_certificate_that_ends_soon_is_pointed_out() {
        assert_eq!(end_tint(1_000, 1_000), Tint::Bad);
        assert_eq!(end_tint(ENDS_SOON_MS, 1), Tint::Warn);
        assert_eq!(end_tint(ENDS_SOON_MS + 1, 1), Tint::Good);
    }
}
