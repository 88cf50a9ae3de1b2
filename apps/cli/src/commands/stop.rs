use std::time::{Duration, Instant};

use clap::Args;
use tomte_wire::control::Status;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// How often it is looked whether the hub has gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Stop the hub: running calls end first, everything that was accepted is kept
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte stop --wait 10s")]
pub(crate) struct Stop {
    /// Longest wait for the hub to end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = tomte_base::parse_duration)]
    wait: Duration,
}

impl Stop {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let control = context.control()?;
        let pid = control.get::<Status>("/v1/status")?.pid;
        control.post_empty("/v1/stop")?;
        let asked = Instant::now();
        while control.answers() {
            if asked.elapsed() > self.wait {
                let message = format!("the hub, process {pid}, did not end in time");
                let help = format!("look at `tomte calls`; `kill -9 {pid}` loses nothing either");
                return Err(Failure::new(Exit::Failed, message, help).into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        context.screen.show(&serde_json::json!({ "stopped": pid }), |_, _| "stopped".to_owned())?;
        Ok(Exit::Ok)
    }
}
