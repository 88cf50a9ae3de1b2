//! `tomte doctor`: is everything there that a hub needs?

mod hub;
mod machine;
mod project;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{Paint, Tint};
use crate::text_width::{columns, pad};

/// Check this machine, this project and the hub, and say what to mend
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte doctor")]
pub(crate) struct Doctor {}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty when nothing need be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), fix: String::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), fix: fix.into() }
    }

    fn problem(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Problem, found: found.into(), fix: fix.into() }
    }
}

impl Doctor {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut checks = machine::checks(&context.state()?);
        checks.extend(project::checks(context));
        checks.extend(hub::checks(context));
        context.screen.show(&checks, |checks, paint| render(checks, paint))?;
        let problem = checks.iter().any(|check| check.verdict == Verdict::Problem);
        Ok(if problem { Exit::Failed } else { Exit::Ok })
    }
}

fn render(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| columns(check.name)).max().unwrap_or(0);
    let mut lines: Vec<String> =
        checks.iter().map(|check| render_check(check, width, paint)).collect();
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    lines.push(match (count(Verdict::Problem), count(Verdict::Warning)) {
        (0, 0) => paint.apply(Tint::Good, "\neverything is there"),
        (0, 1) => paint.apply(Tint::Good, "\na hub can run here, with 1 warning"),
        (0, n) => paint.apply(Tint::Good, &format!("\na hub can run here, with {n} warnings")),
        (1, _) => paint.apply(Tint::Bad, "\n1 problem has to be mended"),
        (n, _) => paint.apply(Tint::Bad, &format!("\n{n} problems have to be mended")),
    });
    lines.join("\n")
}

fn render_check(check: &Check, width: usize, paint: Paint) -> String {
    let (word, tint) = match check.verdict {
        Verdict::Ok => ("ok     ", Tint::Good),
        Verdict::Warning => ("warning", Tint::Warn),
        Verdict::Problem => ("problem", Tint::Bad),
    };
    let word = paint.apply(tint, word);
    let line = format!("{word}  {}  {}", pad(check.name, width), check.found);
    if check.fix.is_empty() {
        return line;
    }
    let indent = " ".repeat(width + 11);
    format!("{line}\n{indent}{} {}", paint.apply(Tint::Name, "fix:"), check.fix)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_check_is_a_line_and_each_fix_another() {
        let checks = [
            Check::ok("kernel", "6.1"),
            Check::warning("control groups", "no memory limits", "run the hub as root"),
            Check::problem("python3", "not found", "sudo apt-get install python3"),
        ];
        expect![[r#"
            ok       kernel          6.1
            warning  control groups  no memory limits
                                     fix: run the hub as root
            problem  python3         not found
                                     fix: sudo apt-get install python3

            1 problem has to be mended"#]]
        .assert_eq(&render(&checks, Paint::plain()));
        assert!(render(&checks[..2], Paint::plain()).ends_with("with 1 warning"));
        assert!(render(&checks[..1], Paint::plain()).ends_with("everything is there"));
    }
}
