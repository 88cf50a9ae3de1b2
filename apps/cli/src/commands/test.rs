use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;
use tomte_wire::control::{CallReport, LogLine};

use super::logs;
use crate::context::Context;
use crate::exit::Exit;
use crate::paint::Tint;
use crate::progress::Progress;
use crate::{call_report, payload};

/// Run a function of this project on one event, without a hub, in the same sandbox
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tomte test regulate '{\"celsius\": 31}'\n  \
    tomte test regulate @event.json --subject sensors/1/temperature")]
pub(crate) struct Test {
    /// The function
    function: String,
    /// The event; `-` reads standard input, `@FILE` a file
    #[arg(default_value = "{}")]
    event: String,
    /// The topic that the function sees as the subject of the message
    #[arg(long, value_name = "TOPIC")]
    subject: Option<String>,
}

/// What the function returned and what it wrote.
#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: CallReport,
    logs: Vec<LogLine>,
}

impl Test {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let event = payload::read(&self.event)?;
        let folder = context.project_folder()?;
        let progress = Progress::of(&format!("running {}", self.function));
        let subject = self.subject.as_deref();
        let (report, logs) = tomte_hub::test_function(&folder, &self.function, event, subject)?;
        drop(progress);
        let outcome = Outcome { report, logs };
        let zone = TimeZone::system();
        context.screen.show(&outcome, |Outcome { report, logs }, paint| {
            let mut lines: Vec<_> =
                logs.iter().map(|line| logs::render(line, &zone, paint)).collect();
            lines.push(call_report::render(report, paint));
            lines.push(paint.apply(Tint::Dim, &call_report::summary(report)));
            lines.join("\n")
        })?;
        Ok(call_report::exit_of(&outcome.report))
    }
}
