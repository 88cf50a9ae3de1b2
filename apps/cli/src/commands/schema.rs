use clap::Args;

use crate::context::Context;
use crate::exit::Exit;

/// Print the JSON Schema of tomte.toml, for editors, or the documented defaults
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte schema > tomte.schema.json\n  tomte schema --defaults")]
pub(crate) struct Schema {
    /// Print every key with its default and its meaning, as TOML
    #[arg(long)]
    defaults: bool,
}

impl Schema {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        if self.defaults {
            context.screen.raw(tomte_wire::manifest::DEFAULT_TOML.as_bytes())?;
            return Ok(Exit::Ok);
        }
        let schema = serde_json::to_string_pretty(&tomte_wire::manifest::json_schema())?;
        context.screen.line(&schema)?;
        Ok(Exit::Ok)
    }
}
