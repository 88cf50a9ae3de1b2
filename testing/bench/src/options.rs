//! The command line.

use std::path::PathBuf;

use crate::broker::Contestant;
use crate::scenario::{ALL, Effort};

/// How the program is used.
pub(crate) const HELP: &str = "\
Usage: tomte-bench [--runs N] [--only NAME]... [--mosquitto-only] [--quick] [--write [FILE]]

  --runs N          runs of each scenario and contestant (5)
  --only NAME       this scenario alone; may be given several times
  --mosquitto-only  leave the hub out; shows what the generator can do
  --quick           one short run of each: the counts must add up, the numbers mean nothing
  --write [FILE]    write the page as well (docs/performance.md)";

/// What is to be run.
pub(crate) struct Options {
    /// Runs of each scenario and contestant.
    pub(crate) runs: usize,
    /// Scenarios; none stands for all.
    only: Vec<String>,
    /// Who takes part.
    pub(crate) contestants: Vec<Contestant>,
    /// How long each run is.
    pub(crate) effort: Effort,
    /// Where the page goes.
    pub(crate) write: Option<PathBuf>,
}

impl Options {
    /// Reads the words of the command line.
    ///
    /// # Errors
    /// Fails with a sentence when a word is unknown or a value is missing or wrong.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            runs: 5,
            only: Vec::new(),
            contestants: vec![Contestant::Hub, Contestant::Mosquitto],
            effort: Effort::Full,
            write: None,
        };
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            match word {
                "--runs" => {
                    let count = words.next().and_then(|count| count.parse().ok());
                    options.runs =
                        count.filter(|count| *count > 0).ok_or("--runs wants a number above 0")?;
                }
                "--only" => options.only.push(scenario_name(words.next())?),
                "--mosquitto-only" => options.contestants = vec![Contestant::Mosquitto],
                "--quick" => (options.runs, options.effort) = (1, Effort::Quick),
                "--write" => {
                    let file = words.next_if(|word| !word.starts_with("--"));
                    options.write = Some(file.unwrap_or("docs/performance.md").into());
                }
                _ => return Err(format!("{word:?} is no option")),
            }
        }
        Ok(options)
    }

    /// Tells whether the scenario called `name` is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn scenario_name(name: Option<&str>) -> Result<String, String> {
    let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
    let names_text = names.join(", ");
    match name {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => Err(format!("{name:?} is no scenario; there are {names_text}")),
        None => Err(format!("--only wants one of {names_text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read() {
        let options =
            parse("--runs 3 --only fan-in-0 --write --quick").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(options.runs, 1, "a quick run is one run");
        assert!(options.wants("fan-in-0") && !options.wants("start"));
        assert_eq!(options.write, Some("docs/performance.md".into()));
    }

    #[test]
    fn wrong_words_are_refused_with_what_is_allowed() {
        for (line, expect) in [
            ("--fast", "\"--fast\" is no option"),
            ("--runs 0", "--runs wants a number above 0"),
            ("--only x", "\"x\" is no scenario; there are fan-in-0"),
        ] {
            let error = parse(line).err().unwrap_or_default();
            assert!(error.starts_with(expect), "{error}");
        }
    }
}
