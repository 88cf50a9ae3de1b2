//! `tomte device`: identities of devices.

mod add;
mod list;
mod paste_lines;
mod remove;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Give devices an identity, list them, take it away
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte device add thermometer")]
pub(crate) struct Device {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(add::Add),
    List(list::List),
    Remove(remove::Remove),
}

impl Device {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Add(verb) => verb.run(context),
            Verb::List(verb) => verb.run(context),
            Verb::Remove(verb) => verb.run(context),
        }
    }
}
