use clap::Args;
use tomte_wire::control::CallReport;

use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::paint::Tint;
use crate::{call_report, payload};

/// Call a function of the hub and print what it returns
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tomte call regulate '{\"celsius\": 31}'\n  \
    tomte call regulate @event.json --subject sensors/1/temperature")]
pub(crate) struct Call {
    /// The function
    function: String,
    /// The event; `-` reads standard input, `@FILE` a file
    #[arg(default_value = "{}")]
    event: String,
    /// The topic that the function sees as the subject of the message
    #[arg(long, value_name = "TOPIC")]
    subject: Option<String>,
}

impl Call {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let event = payload::read(&self.event)?;
        let mut path = format!("/v1/calls/{}", query_value(&self.function));
        if let Some(subject) = &self.subject {
            path += &format!("?subject={}", query_value(subject));
        }
        let report: CallReport = context.control()?.post_bytes(&path, event)?;
        context.screen.show(&report, |report, paint| {
            let summary = paint.apply(Tint::Dim, &call_report::summary(report));
            format!("{}\n{summary}", call_report::render(report, paint))
        })?;
        Ok(call_report::exit_of(&report))
    }
}
