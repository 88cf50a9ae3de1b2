use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tomte_hub::HubOptions;
use tracing_subscriber::EnvFilter;

use crate::context::Context;
use crate::exit::Exit;
use crate::hub_process::end_with_parent;

/// Run the hub in the foreground, as a service does; logs go to standard error
///
/// A hub that has never run deploys the project that it is started in. After that it runs what was
/// last applied, whatever stands in the folder: `tomte plan` shows the difference.
///
/// SIGTERM and Ctrl-C stop it in order. SIGHUP makes it read its identity files again: no connection is
/// closed but those of devices that may not log in any more.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte run --state /var/lib/tomte")]
pub(crate) struct Run {
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,tomte_hub=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "TOMTE_LOG")]
    #[arg(hide_env_values = true)]
    log: String,
    /// Deploy nothing at the first start; wait for `tomte apply`
    #[arg(long)]
    no_deploy: bool,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Run {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        if self.with_parent {
            end_with_parent()?;
        }
        let project = self.project(context)?;
        start_log(&self.log)?;
        let options = HubOptions { state: context.state()?, project, shutdown: None };
        tomte_hub::run(options)?;
        Ok(Exit::Ok)
    }

    /// Returns the folder to deploy. None is no mistake: the hub then waits for `apply`. A manifest
    /// that is there and wrong is one.
    fn project(&self, context: &Context) -> anyhow::Result<Option<PathBuf>> {
        let folder = context.project_folder();
        if self.no_deploy || (folder.is_err() && !context.names_project()) {
            return Ok(None);
        }
        let folder = folder?;
        context.project()?;
        Ok(Some(folder))
    }
}

fn start_log(level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)
        .with_context(|| format!("--log {level:?} is no level and no filter"))?;
    let plain = !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(!plain)
        .with_target(false)
        .init();
    Ok(())
}
