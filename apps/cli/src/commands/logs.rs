use std::ops::ControlFlow;

use clap::Args;
use jiff::tz::TimeZone;
use tomte_wire::control::LogLine;

use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::moments::date_and_time;
use crate::paint::{Paint, Tint};
use crate::text_width::harmless;

/// Show what functions wrote to standard output and standard error
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tomte logs regulate --tail 20\n  tomte logs -f")]
pub(crate) struct Logs {
    /// Only this function
    function: Option<String>,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    tail: u64,
}

impl Logs {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let control = context.control()?;
        let zone = TimeZone::system();
        let screen = &mut context.screen;
        control.lines(&self.request(), |line: LogLine| {
            if screen.is_json() {
                screen.line(&serde_json::to_string(&line)?)?;
            } else {
                let text = render(&line, &zone, screen.paint);
                screen.line(&text)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Exit::Ok)
    }

    fn request(&self) -> String {
        let mut path = format!("/v1/logs?tail={}&follow={}", self.tail, self.follow);
        if let Some(function) = &self.function {
            path += &format!("&function={}", query_value(function));
        }
        path
    }
}

/// Returns a log line for people. What has several lines, such as a traceback, is indented.
pub(super) fn render(line: &LogLine, zone: &TimeZone, paint: Paint) -> String {
    let at = paint.apply(Tint::Dim, &date_and_time(line.at_ms, zone));
    let who = paint.apply(Tint::Name, &harmless(&line.function));
    let text = line.text.trim_end().lines().map(harmless).collect::<Vec<_>>().join("\n    ");
    match line.stream.as_str() {
        "platform" => format!("{at}  {who}  {}", paint.apply(Tint::Warn, &text)),
        _ => format!("{at}  {who}  {text}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_line_has_its_time_and_its_function() {
        let line = LogLine {
            at_ms: 1_796_056_421_204,
            function: "regulate".to_owned(),
            call: None,
            stream: "stdout".to_owned(),
            text: "31 degrees\nand\x07 more\n".to_owned(),
        };
        expect![[r#"
            2026-11-30 16:33:41.204  regulate  31 degrees
                and  more"#]]
        .assert_eq(&render(&line, &TimeZone::UTC, Paint::plain()));
    }

    #[test]
    fn the_request_names_the_function() {
        let logs = Logs { function: Some("a b".to_owned()), follow: true, tail: 5 };
        assert_eq!(logs.request(), "/v1/logs?tail=5&follow=true&function=a%20b");
    }
}
