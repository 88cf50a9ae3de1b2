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
    let mut table = Table::new(["DEVICE", "STATE", "CERTIFICATE", "VALID UNTIL", "IN MANIFEST"]);
    for device in devices {
        table.row([
            Cell::tinted(Tint::Name, &device.name),
            match device.connected {
                true => Cell::tinted(Tint::Good, "connected"),
                false => Cell::tinted(Tint::Dim, "away"),
            },
            short_fingerprint(&device.fingerprint).into(),
            Cell::tinted(end_tint(device.expires_ms, now_ms), date(device.expires_ms, zone)),
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
            fingerprint: "4f1c09aabbccdd".to_owned(),
            expires_ms: 1_803_832_421_204,
            connected: declared,
            declared,
        };
        expect![[r#"
            DEVICE       STATE      CERTIFICATE  VALID UNTIL  IN MANIFEST
            thermometer  connected  4f:1c:09:aa  2027-02-28   yes
            stranger     away       4f:1c:09:aa  2027-02-28   no: add [devices.stranger]"#]]
        .assert_eq(&render(
            &[device("thermometer", true), device("stranger", false)],
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
