use std::fmt;
use std::io;

use serde::Serialize;
use tomte_wire::control::Problem;

use crate::exit::Exit;
use crate::paint::{Paint, Tint};

/// An expected failure: what was wrong, what to do next, and how the command ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) help: String,
    /// Each mistake for programs, where there are several.
    pub(crate) details: Vec<serde_json::Value>,
}

impl Failure {
    /// Makes a failure with a hint what to do next; the hint may be empty.
    pub(crate) fn new(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: help.into(), details: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(Exit::Refused, problem.message, problem.help)
    }
}

/// A failure as `-o json` prints it, on standard error.
#[derive(Serialize)]
struct Report<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [serde_json::Value],
    exit_code: u8,
}

/// Tells whether the reader of our output went away, which is no failure of ours.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Returns the exit code for `error`.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit)
}

/// Returns `error` as text for people.
pub(crate) fn describe(error: &anyhow::Error, paint: Paint) -> String {
    let label = paint.apply(Tint::Bad, "error:");
    let message = format!("{error:#}").replace("\nerror:", &format!("\n{label}"));
    let mut text = format!("{label} {message}");
    if let Some(failure) = error.downcast_ref::<Failure>()
        && !failure.help.is_empty()
    {
        let help = failure.help.replace('\n', "\n        ");
        text += &format!("\n  {} {help}", paint.apply(Tint::Name, "help:"));
    }
    text
}

/// Returns `error` as one line of JSON.
pub(crate) fn describe_as_json(error: &anyhow::Error) -> String {
    let failure = error.downcast_ref::<Failure>();
    let help = failure.map_or("", |failure| &failure.help);
    let details = failure.map_or(&[][..], |failure| &failure.details);
    let message = format!("{error:#}");
    let report = Report { error: &message, help, details, exit_code: exit_of(error).number() };
    serde_json::to_string(&report).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use expect_test::expect;

    use super::*;

    fn refused() -> anyhow::Error {
        Failure::new(Exit::Refused, "no function is called \"x\"", "functions are: regulate").into()
    }

    #[test]
    fn a_failure_says_what_was_wrong_and_what_to_do() {
        expect![[r#"
            error: no function is called "x"
              help: functions are: regulate"#]]
        .assert_eq(&describe(&refused(), Paint::plain()));
        assert_eq!(exit_of(&refused()), Exit::Refused);
    }

    #[test]
    fn a_failure_reads_as_json() {
        expect![[r#"{"error":"no function is called \"x\"","help":"functions are: regulate","exit_code":5}"#]]
            .assert_eq(&describe_as_json(&refused()));
    }

    #[test]
    fn other_errors_show_their_chain() {
        let error = Err::<(), _>(io::Error::other("disk on fire"))
            .context("failed to write x")
            .unwrap_err();
        assert_eq!(describe(&error, Paint::plain()), "error: failed to write x: disk on fire");
        assert_eq!(exit_of(&error), Exit::Failed);
    }

    #[test]
    fn a_broken_pipe_is_found_anywhere_in_the_chain() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error.context("failed to print")));
        assert!(!is_broken_pipe(&refused()));
    }
}
