use clap::Args;
use tomte_wire::control::WorkerStatus;

use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{Paint, Tint};
use crate::table::{Cell, Table};

/// List the workers: the sandboxed processes that run functions
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte workers")]
pub(crate) struct Workers {}

impl Workers {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let workers: Vec<WorkerStatus> = context.control()?.get("/v1/workers")?;
        context.screen.show(&workers, |workers, paint| render(workers, paint))?;
        Ok(Exit::Ok)
    }
}

fn render(workers: &[WorkerStatus], paint: Paint) -> String {
    let mut table = Table::new(["WORKER", "FUNCTION", "STATE", "PID", "CALLS"]);
    for worker in workers {
        let tint = match worker.state.as_str() {
            "idle" | "busy" => Tint::Good,
            _ => Tint::Warn,
        };
        table.row([
            worker.worker.to_string().into(),
            Cell::tinted(Tint::Name, &worker.function),
            Cell::tinted(tint, &worker.state),
            worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()).into(),
            worker.calls.to_string().into(),
        ]);
    }
    if table.is_empty() {
        "no workers: no function was called yet".to_owned()
    } else {
        table.render(paint)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn workers_are_a_table() {
        let worker = |worker, state: &str, pid| WorkerStatus {
            worker,
            function: "regulate".to_owned(),
            state: state.to_owned(),
            pid,
            calls: 9,
        };
        expect![[r#"
            WORKER  FUNCTION  STATE     PID  CALLS
            1       regulate  idle      812  9
            12      regulate  starting  -    9"#]]
        .assert_eq(&render(
            &[worker(1, "idle", Some(812)), worker(12, "starting", None)],
            Paint::plain(),
        ));
    }
}
