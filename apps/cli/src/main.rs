//! The `tomte` command: the hub, and everything that people do with it.
//!
//! One file for each verb in `commands`. A verb prints to the [`screen`](screen::Screen), talks to a
//! hub through [`control`], and ends with an [`Exit`](exit::Exit) or a
//! [`Failure`](failure::Failure) that says what to do next.

mod arguments;
mod call_report;
mod commands;
mod context;
mod control;
mod demo;
mod exit;
mod failure;
#[cfg(test)]
mod fake_hub;
mod flow_view;
mod hops;
mod hub_process;
mod identity_files;
mod interpreters;
mod moments;
mod paint;
mod payload;
mod progress;
mod project;
mod screen;
mod signals;
mod source;
mod table;
mod template;
mod text_width;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{ColorChoice, Paint};
use crate::screen::Format;

fn main() -> ExitCode {
    // A worker process is this same program, started again inside its sandbox.
    tomte_sandbox::launcher::run_if_asked();
    if let Some(exit) = demo::device::run_if_asked() {
        return exit;
    }
    let Arguments { global, command } = Arguments::parse();
    let (format, color) = (global.output, global.color);
    match run(command, &mut Context::new(global)) {
        Ok(exit) => exit.into(),
        Err(error) if failure::is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            report(&error, format, color);
            failure::exit_of(&error).into()
        }
    }
}

fn run(command: Command, context: &mut Context) -> anyhow::Result<Exit> {
    match command {
        Command::New(command) => command.run(context),
        Command::Init(command) => command.run(context),
        Command::Dev(command) => command.run(context),
        Command::Demo(command) => command.run(context),
        Command::Run(command) => command.run(context),
        Command::Stop(command) => command.run(context),
        Command::Device(command) => command.run(context),
        Command::Send(command) => command.run(context),
        Command::Call(command) => command.run(context),
        Command::Test(command) => command.run(context),
        Command::Plan(command) => command.run(context),
        Command::Apply(command) => command.run(context),
        Command::Why(command) => command.run(context),
        Command::Status(command) => command.run(context),
        Command::Logs(command) => command.run(context),
        Command::Routes(command) => command.run(context),
        Command::Calls(command) => command.run(context),
        Command::Workers(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
        Command::Schema(command) => command.run(context),
        Command::Completion(command) => command.run(context),
        Command::Man(command) => command.run(context),
    }
}

fn report(error: &anyhow::Error, format: Format, color: ColorChoice) {
    let text = match format {
        Format::Json => failure::describe_as_json(error),
        Format::Text => failure::describe(error, Paint::choose(color, &io::stderr())),
    };
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}
