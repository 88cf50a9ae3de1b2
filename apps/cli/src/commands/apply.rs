use clap::Args;
use tomte_wire::control::ApplyReport;

use super::plan;
use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{Paint, Tint};

/// Make the hub run the manifest and the code of this project
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte plan && tomte apply")]
pub(crate) struct Apply {}

impl Apply {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let packed = context.project()?.pack()?;
        let report = packed.apply(&context.control()?)?;
        context.screen.show(&report, render)?;
        Ok(Exit::Ok)
    }
}

fn render(report: &ApplyReport, paint: Paint) -> String {
    let done = paint.apply(Tint::Good, &format!("revision {} runs", report.revision));
    format!("{}\n{done}", plan::render(&report.plan, paint))
}
