use clap::Args;
use tomte_base::ByteSize;
use tomte_wire::control::Status as Report;

use crate::context::Context;
use crate::exit::Exit;
use crate::moments::long_span_ms;
use crate::paint::{Paint, Tint};
use crate::table::{Cell, Table};

/// Show what the hub is and does at the moment
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte status -o json")]
pub(crate) struct Status {
    /// Show every counter
    #[arg(long)]
    counters: bool,
}

impl Status {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let report: Report = context.control()?.get("/v1/status")?;
        context.screen.show(&report, |report, paint| render(report, self.counters, paint))?;
        Ok(Exit::Ok)
    }
}

fn render(report: &Report, all_counters: bool, paint: Paint) -> String {
    let mut parts = vec![facts(report, paint)];
    parts.extend(
        report
            .warnings
            .iter()
            .map(|text| format!("{} {text}", paint.apply(Tint::Warn, "warning:"))),
    );
    parts.extend(functions(report, paint));
    parts.extend(devices(report, paint));
    parts.extend(counters(report, all_counters, paint));
    parts.join("\n\n")
}

fn facts(report: &Report, paint: Paint) -> String {
    let revision = match report.revision {
        Some(revision) => format!("revision {revision}"),
        None => "nothing deployed".to_owned(),
    };
    let uptime = long_span_ms(report.uptime_ms);
    let name = paint.apply(Tint::Title, &report.name);
    let mut lines = vec![format!(
        "{name}  {revision}, up {uptime}, tomte {}, process {}",
        report.version, report.pid
    )];
    for (protocol, address) in &report.listeners {
        lines.push(format!("  {protocol:<9} {address}"));
    }
    lines.push(format!(
        "  clients   {} connected, {} sessions",
        report.connections, report.sessions
    ));
    lines.push(format!(
        "  messages  {} queued, {} retained",
        report.queued_messages, report.retained
    ));
    lines.push(format!(
        "  memory    {}, journal {}",
        human_bytes(report.memory_bytes),
        human_bytes(report.journal_bytes)
    ));
    lines.join("\n")
}

fn functions(report: &Report, paint: Paint) -> Option<String> {
    let head = ["FUNCTION", "RUNTIME", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "IDLE"];
    let mut table = Table::new(head);
    for (name, function) in &report.functions {
        let failed = function.failed.to_string();
        table.row([
            Cell::tinted(Tint::Name, name),
            function.runtime.as_str().into(),
            function.queued.to_string().into(),
            function.running.to_string().into(),
            function.succeeded.to_string().into(),
            if function.failed > 0 { Cell::tinted(Tint::Bad, failed) } else { failed.into() },
            function.idle_workers.to_string().into(),
        ]);
    }
    (!table.is_empty()).then(|| table.render(paint))
}

fn devices(report: &Report, paint: Paint) -> Option<String> {
    let mut table = Table::new(["DEVICE", "STATE", "QUEUED"]);
    for (name, device) in &report.devices {
        let state = match device.connected {
            true => Cell::tinted(Tint::Good, "connected"),
            false => Cell::tinted(Tint::Dim, "away"),
        };
        table.row([Cell::tinted(Tint::Name, name), state, device.queued.to_string().into()]);
    }
    (!table.is_empty()).then(|| table.render(paint))
}

/// The counters that people look for when something is wrong, or all of them.
fn counters(report: &Report, all: bool, paint: Paint) -> Option<String> {
    let tells_of_loss = |name: &str| {
        ["drop", "refus", "reject", "denied", "error"].iter().any(|word| name.contains(word))
    };
    let mut table = Table::new(["COUNTER", "COUNT"]);
    let shown = |name: &str, count: u64| all || (count > 0 && tells_of_loss(name));
    for (name, count) in report.counters.iter().filter(|(name, count)| shown(name, **count)) {
        let tint = if tells_of_loss(name) && *count > 0 { Tint::Bad } else { Tint::Name };
        table.row([Cell::tinted(tint, name), count.to_string().into()]);
    }
    (!table.is_empty()).then(|| table.render(paint))
}

/// Returns a size with one decimal in the unit that fits.
fn human_bytes(bytes: u64) -> String {
    let units = [("GiB", ByteSize::mib(1024).0), ("MiB", ByteSize::mib(1).0), ("KiB", 1024)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;
    use tomte_wire::control::{DeviceStatus, FunctionStatus};

    use super::*;

    fn report() -> Report {
        let function = FunctionStatus {
            runtime: "python3.11".to_owned(),
            succeeded: 31,
            failed: 1,
            idle_workers: 1,
            ..FunctionStatus::default()
        };
        Report {
            name: "greenhouse".to_owned(),
            version: "0.1.0".to_owned(),
            pid: 812,
            uptime_ms: 125_000,
            revision: Some(3),
            listeners: BTreeMap::from([("mqtts".to_owned(), "0.0.0.0:8883".to_owned())]),
            connections: 2,
            sessions: 3,
            retained: 0,
            queued_messages: 4,
            functions: BTreeMap::from([("regulate".to_owned(), function)]),
            devices: BTreeMap::from([
                ("fan".to_owned(), DeviceStatus { connected: false, queued: 4 }),
                ("thermometer".to_owned(), DeviceStatus { connected: true, queued: 0 }),
            ]),
            counters: BTreeMap::from([
                ("messages_dropped{reason=\"queue_full\"}".to_owned(), 2),
                ("messages_published".to_owned(), 99),
                ("publish_refused{reason=\"no_route\"}".to_owned(), 0),
            ]),
            journal_bytes: 4096,
            memory_bytes: 12_900_000,
            warnings: vec!["no memory limits: cgroups are read-only".to_owned()],
        }
    }

    #[test]
    fn a_status_shows_what_matters() {
        expect![[r#"
            greenhouse  revision 3, up 2 min 5 s, tomte 0.1.0, process 812
              mqtts     0.0.0.0:8883
              clients   2 connected, 3 sessions
              messages  4 queued, 0 retained
              memory    12.3 MiB, journal 4.0 KiB

            warning: no memory limits: cgroups are read-only

            FUNCTION  RUNTIME     QUEUED  RUNNING  SUCCEEDED  FAILED  IDLE
            regulate  python3.11  0       0        31         1       1

            DEVICE       STATE      QUEUED
            fan          away       4
            thermometer  connected  0

            COUNTER                                COUNT
            messages_dropped{reason="queue_full"}  2"#]]
        .assert_eq(&render(&report(), false, Paint::plain()));
    }

    #[test]
    fn all_counters_are_shown_on_demand() {
        let text = render(&report(), true, Paint::plain());
        assert!(text.contains("messages_published"), "{text}");
    }
}
