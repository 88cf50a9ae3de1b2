use clap::Args;
use jiff::tz::TimeZone;
use tomte_wire::control::CallStatus;

use crate::context::Context;
use crate::exit::Exit;
use crate::moments::{long_span_ms, now_us, time_of_day};
use crate::paint::{Paint, Tint};
use crate::table::{Cell, Table};

/// List the calls that wait or run
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte calls")]
pub(crate) struct Calls {}

impl Calls {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let calls: Vec<CallStatus> = context.control()?.get("/v1/calls")?;
        let (now_ms, zone) = (now_us() / 1_000, TimeZone::system());
        context.screen.show(&calls, |calls, paint| render(calls, now_ms, &zone, paint))?;
        Ok(Exit::Ok)
    }
}

fn render(calls: &[CallStatus], now_ms: u64, zone: &TimeZone, paint: Paint) -> String {
    let head = ["CALL", "FUNCTION", "STATE", "PRIORITY", "ARRIVED", "ENDS IN", "WORKER", "FROM"];
    let mut table = Table::new(head);
    for call in calls {
        let running = call.state == "running";
        let ends = call.deadline_ms.map(|deadline| long_span_ms(deadline.saturating_sub(now_ms)));
        table.row([
            call.call.get(..8).unwrap_or(&call.call).into(),
            Cell::tinted(Tint::Name, &call.function),
            Cell::tinted(if running { Tint::Good } else { Tint::Warn }, &call.state),
            call.priority.as_str().into(),
            time_of_day(call.arrived_ms.saturating_mul(1_000), zone).into(),
            ends.unwrap_or_else(|| "-".to_owned()).into(),
            call.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string()).into(),
            call.source.as_str().into(),
        ]);
    }
    if table.is_empty() { "no calls wait or run".to_owned() } else { table.render(paint) }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn calls_are_a_table() {
        let call = |state: &str, worker: Option<u64>| CallStatus {
            call: "01234567-89ab-cdef-0011-223344556677".to_owned(),
            function: "regulate".to_owned(),
            source: "route:hot".to_owned(),
            state: state.to_owned(),
            priority: "normal".to_owned(),
            arrived_ms: 1_796_056_421_204,
            deadline_ms: worker.map(|_| 1_796_056_424_204),
            kind: "event".to_owned(),
            worker,
        };
        expect![[r#"
            CALL      FUNCTION  STATE    PRIORITY  ARRIVED       ENDS IN  WORKER  FROM
            01234567  regulate  running  normal    16:33:41.204  2 s      3       route:hot
            01234567  regulate  queued   normal    16:33:41.204  -        -       route:hot"#]]
        .assert_eq(&render(
            &[call("running", Some(3)), call("queued", None)],
            1_796_056_421_504,
            &TimeZone::UTC,
            Paint::plain(),
        ));
        assert_eq!(render(&[], 0, &TimeZone::UTC, Paint::plain()), "no calls wait or run");
    }
}
