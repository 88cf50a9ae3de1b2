//! What can be written on the command line. Help, completion and man pages come from here.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use crate::commands::{
    apply, call, calls, completion, demo, dev, device, doctor, init, logs, man, new, plan, routes,
    run, schema, send, status, stop, test, why, workers,
};
use crate::exit;
use crate::paint::ColorChoice;
use crate::screen::Format;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// A hub for devices: routes their messages, runs functions on call, works without internet
///
/// One program on a box beside the devices. What it does stands in one file, tomte.toml.
#[derive(Debug, Parser)]
#[command(
    name = "tomte",
    version,
    styles = STYLES,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Start with:\n  tomte new greenhouse && cd greenhouse && tomte dev",
    after_long_help = long_help_end(),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The form of the output
    #[arg(
        short,
        long,
        global = true,
        value_name = "text|json",
        default_value = "text",
        value_enum
    )]
    #[arg(hide_possible_values = true)]
    pub(crate) output: Format,
    /// When to colour; `auto` heeds NO_COLOR
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        default_value = "auto",
        value_enum
    )]
    #[arg(hide_possible_values = true)]
    pub(crate) color: ColorChoice,
    /// The folder with tomte.toml [default: the nearest upwards]
    #[arg(short = 'C', long, global = true, value_name = "FOLDER")]
    pub(crate) project: Option<PathBuf>,
    /// The folder with the hub's state [default: .tomte in the project]
    #[arg(long, global = true, value_name = "FOLDER", env = "TOMTE_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
}

/// The verbs, in the order of a project's life.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    New(new::New),
    Init(init::Init),
    Dev(dev::Dev),
    Demo(demo::Demo),
    Run(run::Run),
    Stop(stop::Stop),
    Device(device::Device),
    Send(send::Send),
    Call(call::Call),
    Test(test::Test),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Why(why::Why),
    Status(status::Status),
    Logs(logs::Logs),
    Routes(routes::Routes),
    Calls(calls::Calls),
    Workers(workers::Workers),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Man(man::Man),
}

fn long_help_end() -> String {
    format!(
        "Start with:\n  tomte new greenhouse && cd greenhouse && tomte dev\n\n{}",
        exit::table()
    )
}

#[cfg(test)]
mod tests;
