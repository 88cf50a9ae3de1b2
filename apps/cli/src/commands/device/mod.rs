//! `tomte device`: identities of devices.

mod add;
mod list;
mod password;
mod paste_lines;
mod remove;
mod renew;

use clap::{Args, Subcommand};
use tomte_base::DeviceName;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

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
    Renew(renew::Renew),
    Password(password::Password),
    Remove(remove::Remove),
}

impl Device {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Add(verb) => verb.run(context),
            Verb::List(verb) => verb.run(context),
            Verb::Renew(verb) => verb.run(context),
            Verb::Password(verb) => verb.run(context),
            Verb::Remove(verb) => verb.run(context),
        }
    }
}

/// Checks a name from the command line.
fn device_name(name: &str) -> Result<DeviceName, Failure> {
    DeviceName::new(name).map_err(|error| {
        let message = format!("{name:?} cannot be the name of a device: {error}");
        Failure::new(Exit::Usage, message, "for example: `tomte device add thermometer`")
    })
}
