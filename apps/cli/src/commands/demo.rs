use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::tz::TimeZone;
use tomte_wire::control::{FlowEvent, Status};

use crate::context::Context;
use crate::control::Control;
use crate::demo::device::Report;
use crate::demo::stage::Stage;
use crate::demo::tally::Tally;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flow_view::{FlowView, Style};
use crate::interpreters;
use crate::moments::now_us;
use crate::paint::Tint;
use crate::screen::Screen;
use crate::signals::on_interrupt;

/// How often lines that are due are printed.
const TICK: Duration = Duration::from_millis(40);

/// Time for messages that are under way when the sensors stop.
const REST: Duration = Duration::from_millis(300);

/// See a greenhouse work: a hub, three sensors, two functions and two actuators on this machine
///
/// The hub and each device are processes of their own, and the devices log in with certificates
/// over a real socket. Everything lives in a temporary folder that is removed in the end.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte demo --for 10s")]
pub(crate) struct Demo {
    /// End by itself after this time, for example 10s; without it Ctrl-C ends it
    #[arg(long = "for", value_name = "TIME", value_parser = tomte_base::parse_duration)]
    length: Option<Duration>,
}

/// What the loop waits for.
enum Event {
    Flow(FlowEvent),
    Report(Report),
    Interrupted,
}

/// The running command.
struct Session<'a> {
    screen: &'a mut Screen,
    view: FlowView,
    tally: Tally,
}

impl Demo {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let (tell, events) = channel();
        let interrupted = tell.clone();
        on_interrupt(move || drop(interrupted.send(Event::Interrupted)))?;
        let screen = &mut context.screen;
        let without = functions_without_interpreter(screen)?;
        let style = Style { paint: screen.paint, zone: TimeZone::system() };
        let mut session = Session { screen, view: FlowView::new(style), tally: Tally::default() };
        let mut stage = Stage::with_hub(&without)?;
        session.greet(&stage)?;
        read_flow(stage.control()?, tell.clone())?;
        stage.start_devices(move |report| drop(tell.send(Event::Report(report))))?;
        let end = self.length.map(|length| Instant::now() + length);
        session.serve(&events, &mut stage, end)?;
        stage.stop_devices();
        session.settle(&events)?;
        drop(stage);
        session.finish()
    }
}

impl Session<'_> {
    fn greet(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let status: Status = stage.control()?.get("/v1/status")?;
        let paint = self.screen.paint;
        let title = paint.apply(Tint::Title, "A greenhouse on this machine");
        self.tell(&format!("{title}: {}; Ctrl-C ends it", stage.describe()))?;
        for warning in &status.warnings {
            self.tell(&format!("{} {warning}", paint.apply(Tint::Warn, "warning:")))?;
        }
        self.tell("")
    }

    /// Shows what happens until the time is up or Ctrl-C.
    fn serve(
        &mut self,
        events: &Receiver<Event>,
        stage: &mut Stage,
        end: Option<Instant>,
    ) -> anyhow::Result<()> {
        while end.is_none_or(|end| Instant::now() < end) {
            match events.recv_timeout(TICK) {
                Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => stage.check()?,
            }
            self.print_due()?;
        }
        Ok(())
    }

    /// Waits for what is under way when the sensors have stopped.
    fn settle(&mut self, events: &Receiver<Event>) -> anyhow::Result<()> {
        let end = Instant::now() + REST;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match events.recv_timeout(left.min(TICK)) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.print_due()?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Flow(event) => {
                self.tally.flow(&event);
                self.view.take(event);
            }
            Event::Report(report) => self.tally.report(report),
            Event::Interrupted => {}
        }
    }

    fn print_due(&mut self) -> anyhow::Result<()> {
        let width = self.screen.width();
        for line in self.view.due(now_us(), width) {
            self.tell(&line)?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Exit> {
        let width = self.screen.width();
        for line in self.view.rest(width) {
            self.tell(&line)?;
        }
        let summary = self.tally.summary();
        self.screen.show(&summary, |summary, paint| format!("\n{}", summary.render(paint)))?;
        Ok(summary.exit())
    }

    /// Prints for people; programs read the summary alone.
    fn tell(&mut self, text: &str) -> anyhow::Result<()> {
        if self.screen.is_json() {
            return Ok(());
        }
        Ok(self.screen.line(text)?)
    }
}

/// Says which functions of the example cannot run here.
///
/// # Errors
/// Fails when none can.
fn functions_without_interpreter(screen: &mut Screen) -> anyhow::Result<Vec<&'static str>> {
    let wanted = [("regulate", interpreters::PYTHON), ("daylight", interpreters::NODE)];
    let missing = wanted.iter().filter(|(_, interpreter)| interpreter.find().is_none());
    let missing: Vec<_> = missing.collect();
    if missing.len() == wanted.len() {
        let help = missing.iter().map(|(_, interpreter)| interpreter.how_to_get());
        let help = help.collect::<Vec<_>>().join("\n");
        let message = "neither python3 nor node is here: there is nothing to run";
        return Err(Failure::new(Exit::Failed, message, help).into());
    }
    for (function, interpreter) in &missing {
        let label = screen.paint.apply(Tint::Warn, "warning:");
        let (name, help) = (interpreter.program, interpreter.how_to_get());
        if !screen.is_json() {
            screen.line(&format!("{label} no {name}: goes on without {function}; {help}"))?;
        }
    }
    Ok(missing.iter().map(|(function, _)| *function).collect())
}

/// Reads what happens in the hub, on a thread of its own, until the hub or the command ends.
fn read_flow(control: Control, tell: Sender<Event>) -> anyhow::Result<()> {
    let read = move || {
        // The loop sees by itself when the hub ends.
        let _ = control.lines("/v1/flow", |event| {
            let told = tell.send(Event::Flow(event));
            Ok(if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
    };
    Ok(thread::Builder::new().name("flow".to_owned()).spawn(read).map(drop)?)
}
