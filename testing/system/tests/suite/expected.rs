//! What is to happen: a list of tests, each with `pass` or the reason why it does not.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail};

use crate::runner::Outcome;

const HEAD: &str = "\
# What mosquitto's broker tests are to do against the hub: \"pass\", or the reason why one does not.
# \"not yet: ...\" is ours to do; every other reason names the clause of the standard that the hub
# follows, or the setting of mosquitto that a hub does not have.
#
# TOMTE_SUITE=update cargo test -p tomte-system --test suite
# writes this file anew. Reasons of tests that still fail stay; a new failure gets the reason
# \"unexplained: ...\", which the test refuses until somebody has written the true one.
";
const PASS: &str = "pass";
const UNEXPLAINED: &str = "unexplained";

/// The list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// `pass` or a reason, by the name of the test.
    lines: BTreeMap<String, String>,
}

impl Expected {
    /// Reads lines of `name = "text"`: as much of TOML as the file has.
    ///
    /// # Errors
    /// Fails when a line has another form or a test is there twice.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(" = ").with_context(|| format!("read {line:?}"))?;
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.with_context(|| format!("{line:?} has no text in quotes"))?;
            if lines.insert(name.to_owned(), value.to_owned()).is_some() {
                bail!("{name} is there twice");
            }
        }
        Ok(Self { lines })
    }

    /// Returns the tests and their reasons; none for those that pass.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let reason = |text| Some(text).filter(|text| *text != PASS);
        self.lines.iter().map(move |(name, text)| (name.as_str(), reason(text.as_str())))
    }

    /// Says whether the list has the test as one that passes.
    pub(crate) fn should_pass(&self, name: &str) -> bool {
        self.lines.get(name).is_some_and(|text| text == PASS)
    }

    /// Returns what went another way, a paragraph for each test.
    pub(crate) fn surprises(&self, results: &BTreeMap<String, Outcome>) -> Vec<String> {
        let gone = self.lines.keys().filter(|name| !results.contains_key(*name));
        let gone = gone.map(|name| format!("{name}: is in the list and not in the suite"));
        let other = results.iter().filter_map(|(name, outcome)| {
            let text = self.lines.get(name).map(String::as_str);
            let problem = match (text, outcome) {
                (Some(PASS), Outcome::Passed) => return None,
                (Some(PASS), Outcome::Failed(said)) => format!("should pass: {said}"),
                (Some(text), Outcome::Passed) => format!("passes, but the list says: {text}"),
                (Some(text), _) if text.starts_with(UNEXPLAINED) => text.to_owned(),
                (Some(_), Outcome::Failed(_)) => return None,
                (None, outcome) => format!("is not in the list: {outcome:?}"),
            };
            Some(format!("{name}: {problem}"))
        });
        gone.chain(other).collect()
    }

    /// Returns the list with what happened.
    pub(crate) fn updated(&self, results: &BTreeMap<String, Outcome>) -> Self {
        let line = |(name, outcome): (&String, &Outcome)| {
            let kept = self.lines.get(name).filter(|text| *text != PASS);
            let text = match (outcome, kept) {
                (Outcome::Passed, _) => PASS.to_owned(),
                (Outcome::Failed(_), Some(reason)) => reason.clone(),
                (Outcome::Failed(said), None) => {
                    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                    format!("{UNEXPLAINED}: {}", said.replace(['"', '\\'], "'"))
                }
            };
            (name.clone(), text)
        };
        Self { lines: results.iter().map(line).collect() }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        self.lines.iter().try_for_each(|(name, text)| writeln!(f, "{name} = \"{text}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(all: &[(&str, Option<&str>)]) -> BTreeMap<String, Outcome> {
        let outcome = |said: &Option<&str>| match said {
            None => Outcome::Passed,
            Some(said) => Outcome::Failed((*said).to_owned()),
        };
        all.iter().map(|(name, said)| ((*name).to_owned(), outcome(said))).collect()
    }

    #[test]
    fn a_suites_list_survives_being_written() {
        let expected = Expected::parse("01-a = \"pass\"\n01-b = \"2.2.2.2: no order\"\n").unwrap();
        assert_eq!(Expected::parse(&expected.to_string()).unwrap(), expected);
        assert!(Expected::parse("01-a = pass").is_err());
        assert!(Expected::parse("01-a = \"pass\"\n01-a = \"pass\"").is_err());
    }

    #[test]
    fn a_suite_surprises_in_both_directions() {
        let list = "a = \"pass\"\nb = \"why\"\nc = \"pass\"\nd = \"why\"\ne = \"pass\"";
        let expected = Expected::parse(list).unwrap();
        let happened =
            [("a", None), ("b", Some("x")), ("c", Some("bytes")), ("d", None), ("f", None)];
        let surprises = expected.surprises(&results(&happened));
        assert_eq!(
            surprises,
            [
                "e: is in the list and not in the suite",
                "c: should pass: bytes",
                "d: passes, but the list says: why",
                "f: is not in the list: Passed",
            ]
        );
    }

    #[test]
    fn an_update_of_the_suites_list_keeps_reasons_and_asks_for_new_ones() {
        let before = Expected::parse("a = \"why\"\nb = \"pass\"\nc = \"why\"").unwrap();
        let happened = results(&[("a", Some("x")), ("b", Some("got \"1\"\n2")), ("c", None)]);
        let after = before.updated(&happened);
        let lines = "a = \"why\"\nb = \"unexplained: got '1' 2\"\nc = \"pass\"";
        assert_eq!(after, Expected::parse(lines).unwrap());
        assert_eq!(after.surprises(&happened), ["b: unexplained: got '1' 2"]);
    }
}
