use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use jiff::tz::TimeZone;
use tomte_wire::control::{ApplyReport, Flow, FlowEvent, PlanReport, Status};

use super::plan;
use crate::context::Context;
use crate::control::Control;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::flow_view::{FlowView, Style};
use crate::hub_process::{ChildProcess, start_hub};
use crate::moments::{now_us, span_us};
use crate::paint::{Paint, Tint};
use crate::project::Project;
use crate::screen::Screen;
use crate::signals::on_interrupt;
use crate::watch::watch;

/// How often lines that are due are printed.
const TICK: Duration = Duration::from_millis(40);

/// A hub on this machine: deploys this project, reloads it on save, shows messages as they flow
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte dev")]
pub(crate) struct Dev {}

/// What the loop waits for.
enum Event {
    Flow(FlowEvent),
    Saved(Vec<PathBuf>),
    Interrupted,
}

/// The running command.
struct Session<'a> {
    screen: &'a mut Screen,
    folder: PathBuf,
    control: Control,
    hub: ChildProcess,
    view: FlowView,
    /// The addresses that were last told.
    addresses: String,
    /// The revision that was last deployed from here.
    revision: u64,
    /// The mistake that was last told; editors save a file in several steps.
    mistake: String,
}

impl Dev {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let folder = context.project_folder()?;
        let state = context.state()?;
        let paint = context.screen.paint;
        let (tell, events) = channel();
        let interrupted = tell.clone();
        on_interrupt(move || drop(interrupted.send(Event::Interrupted)))?;
        let (hub, status) = start_hub(&state, None, Stdio::inherit())?;
        let view = FlowView::new(Style { paint, zone: TimeZone::system() });
        let control = Control::of(&state)?;
        let screen = &mut context.screen;
        let (addresses, mistake, revision) = (String::new(), String::new(), 0);
        let mut session =
            Session { screen, folder, control, hub, view, addresses, revision, mistake };
        session.greet(&status)?;
        read_flow(&state, tell.clone())?;
        // Before the first deployment, or a save that falls between the two would be missed.
        let _watch = watch(&session.folder, move |files| drop(tell.send(Event::Saved(files))))?;
        session.deploy(&[])?;
        session.serve(&events)
    }
}

impl Session<'_> {
    fn serve(&mut self, events: &Receiver<Event>) -> anyhow::Result<Exit> {
        loop {
            match events.recv_timeout(TICK) {
                Ok(Event::Flow(event)) => self.take(event)?,
                Ok(Event::Saved(files)) => self.deploy(&files)?,
                Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let width = self.screen.width();
            for line in self.view.due(now_us(), width) {
                self.screen.line(&line)?;
            }
            if let Some(end) = self.hub.ended() {
                return self.hub_ended(end);
            }
        }
        self.hub.stop();
        self.show_rest()?;
        self.say(Tint::Dim, "stopped")?;
        Ok(Exit::Ok)
    }

    /// Shows what waited for more to come of it.
    fn show_rest(&mut self) -> anyhow::Result<()> {
        let width = self.screen.width();
        for line in self.view.rest(width) {
            self.screen.line(&line)?;
        }
        Ok(())
    }

    fn hub_ended(&mut self, end: ExitStatus) -> anyhow::Result<Exit> {
        self.show_rest()?;
        if end.success() {
            self.say(Tint::Dim, "the hub was stopped")?;
            return Ok(Exit::Ok);
        }
        let message = format!("the hub ended by itself ({end})");
        let help = "its last words are above; start again with `tomte dev`";
        Err(Failure::new(Exit::Failed, message, help).into())
    }

    fn take(&mut self, event: FlowEvent) -> anyhow::Result<()> {
        let told = matches!(event.what, Flow::Deployed { revision } if revision == self.revision);
        if self.screen.is_json() {
            self.screen.line(&serde_json::to_string(&event)?)?;
        } else if !told {
            self.view.take(event);
        }
        Ok(())
    }

    /// Brings the hub to what the folder says. A mistake in it is shown, and the hub goes on with
    /// what it runs.
    fn deploy(&mut self, saved: &[PathBuf]) -> anyhow::Result<()> {
        let started = Instant::now();
        let paint = self.screen.paint;
        let brought = bring_up_to_date(&self.folder, &self.control);
        let last_mistake = std::mem::take(&mut self.mistake);
        let text = match brought {
            Ok(None) => String::new(),
            Ok(Some(report)) => {
                self.revision = report.revision;
                let what = what_was_saved(&self.folder, saved);
                deployed(&report, &what, started.elapsed(), paint)
            }
            Err(error) if failure::exit_of(&error) == Exit::Unreachable => return Err(error),
            Err(error) => {
                self.mistake = failure::describe(&error, paint);
                let note = "the hub goes on with what it ran before; the next save tries again";
                match self.mistake == last_mistake {
                    true => String::new(),
                    false => format!("{}\n{}", self.mistake, paint.apply(Tint::Dim, note)),
                }
            }
        };
        if !text.is_empty() {
            self.tell(&text)?;
        }
        self.tell_addresses()
    }

    /// Says where the hub listens, when that is not what was said last.
    fn tell_addresses(&mut self) -> anyhow::Result<()> {
        let status: Status = self.control.get("/v1/status")?;
        let addresses = status.listeners.iter();
        let addresses = addresses.map(|(protocol, address)| format!("{protocol} on {address}"));
        let addresses = addresses.collect::<Vec<_>>().join(", ");
        if addresses == self.addresses {
            return Ok(());
        }
        let name = self.screen.paint.apply(Tint::Title, &status.name);
        self.tell(&format!("{name} listens: {addresses}"))?;
        self.addresses = addresses;
        Ok(())
    }

    fn greet(&mut self, status: &Status) -> anyhow::Result<()> {
        let paint = self.screen.paint;
        for warning in &status.warnings {
            self.tell(&format!("{} {warning}", paint.apply(Tint::Warn, "warning:")))?;
        }
        let folder = self.folder.display();
        let text = format!("watching {folder}; messages are shown as they flow; Ctrl-C ends it");
        self.say(Tint::Dim, &text)
    }

    fn say(&mut self, tint: Tint, text: &str) -> anyhow::Result<()> {
        let text = self.screen.paint.apply(tint, text);
        self.tell(&text)
    }

    /// Prints a note for people; programs read standard output for events alone.
    fn tell(&mut self, text: &str) -> anyhow::Result<()> {
        if self.screen.is_json() {
            return Ok(());
        }
        Ok(self.screen.line(text)?)
    }
}

/// Applies what the folder says when it differs from what runs.
fn bring_up_to_date(folder: &Path, control: &Control) -> anyhow::Result<Option<ApplyReport>> {
    let packed = Project::read(folder)?.pack()?;
    let plan: PlanReport = control.post("/v1/plan", &packed.request)?;
    if plan.from.is_some() && plan.changes.is_empty() {
        return Ok(None);
    }
    packed.apply(control).map(Some)
}

fn deployed(report: &ApplyReport, what: &str, took: Duration, paint: Paint) -> String {
    let took = span_us(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let done = format!("revision {} runs, {took} after {what}", report.revision);
    let done = paint.apply(Tint::Good, &done);
    match report.plan.from {
        None => done,
        Some(_) => format!("{}\n{done}", plan::changes(&report.plan, paint)),
    }
}

/// Says in words what was saved. Editors write files beside the real ones that are gone again soon.
fn what_was_saved(folder: &Path, saved: &[PathBuf]) -> String {
    let mut files = saved.iter().filter(|file| folder.join(file).is_file());
    match (files.next(), files.count()) {
        (None, _) if saved.is_empty() => "the start".to_owned(),
        (None, _) => "a file was removed".to_owned(),
        (Some(file), 0) => format!("{} was saved", file.display()),
        (Some(file), more) => format!("{} and {more} more were saved", file.display()),
    }
}

/// Reads what happens in the hub, on a thread of its own, until the hub or the command ends.
fn read_flow(state: &Path, tell: Sender<Event>) -> anyhow::Result<()> {
    let control = Control::of(state)?;
    let read = move || {
        // The loop sees by itself when the hub ends.
        let _ = control.lines("/v1/flow", |event| {
            let told = tell.send(Event::Flow(event));
            Ok(if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
    };
    let thread = thread::Builder::new().name("flow".to_owned()).spawn(read);
    thread.map(drop).context("failed to start the thread that reads the flow")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_that_an_editor_left_and_took_away_are_not_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tomte.toml"), "").unwrap();
        let say = |files: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            what_was_saved(folder.path(), &files)
        };
        assert_eq!(say(&["sedFQJmPD", "tomte.toml"]), "tomte.toml was saved");
        assert_eq!(say(&["app.py"]), "a file was removed");
        assert_eq!(say(&[]), "the start");
    }
}
