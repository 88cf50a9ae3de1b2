use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::key_path::KeyPath;
use crate::control::Problem;

/// Most diagnostics that one manifest gets; a file with more errors has one cause for them.
const MAX_DIAGNOSTICS: usize = 50;

/// Longest part of a source line that is shown, in characters.
const MAX_SHOWN_LINE: usize = 160;

/// One thing that is wrong with a manifest.
///
/// Prints as a compiler would: the message, the place, the line with the words underlined, what was
/// expected and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in that line, in characters from 1.
    pub column: usize,
    /// How many characters are meant, from there.
    pub length: usize,
    /// The key: `functions.regulate.memory`. Empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// The allowed values or form; empty when there is nothing to list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What to do next; empty when there is nothing to advise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// The line as it was written.
    pub source_line: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        let margin = " ".repeat(self.line.to_string().len());
        writeln!(f, "error: {key}{}", self.message)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        if self.column <= MAX_SHOWN_LINE {
            let shown: String = self.source_line.chars().take(MAX_SHOWN_LINE).collect();
            let indent = underline_indent(&shown, self.column);
            let room = (MAX_SHOWN_LINE + 1).saturating_sub(self.column).max(1);
            let carets = "^".repeat(self.length.clamp(1, room));
            writeln!(f, "{margin} |")?;
            writeln!(f, "{} | {shown}", self.line)?;
            writeln!(f, "{margin} | {indent}{carets}")?;
        }
        for (name, text) in [("expected", &self.expected), ("help", &self.help)] {
            if !text.is_empty() {
                writeln!(f, "{margin} = {name}: {text}")?;
            }
        }
        Ok(())
    }
}

/// Returns what stands below the characters before `column`; tabs stay tabs, so that it lines up.
fn underline_indent(line: &str, column: usize) -> String {
    line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
}

/// All that is wrong with a manifest, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl From<&Diagnostics> for Problem {
    fn from(diagnostics: &Diagnostics) -> Self {
        let first_help = diagnostics.0.iter().map(|diagnostic| diagnostic.help.clone()).next();
        Problem {
            reason: "bad_manifest".to_owned(),
            message: diagnostics.to_string().trim_end().to_owned(),
            help: first_help.unwrap_or_default(),
        }
    }
}

/// What is said about a value, apart from its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaint {
    message: String,
    expected: String,
    help: String,
}

impl Complaint {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), ..Self::default() }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Advises the name that was probably meant, if one is near.
    pub(super) fn did_you_mean(self, nearest: Option<&str>) -> Self {
        match nearest {
            Some(name) => self.help(format!("did you mean {name:?}?")),
            None => self,
        }
    }
}

/// Collects the diagnostics of one file.
pub(super) struct Report<'a> {
    text: &'a str,
    file: &'a str,
    found: Vec<(usize, Diagnostic)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str, file: &'a str) -> Self {
        Self { text, file, found: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a complaint about the bytes of `span`.
    pub(super) fn add(&mut self, span: Range<usize>, key: &KeyPath, complaint: Complaint) {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let diagnostic = Diagnostic {
            file: self.file.to_owned(),
            line: self.text[..line_start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            length: self.text[start..end.min(line_end).max(start)].chars().count().max(1),
            key: key.to_string(),
            message: complaint.message,
            expected: complaint.expected,
            help: complaint.help,
            source_line: self.text[line_start..line_end].trim_end_matches('\r').to_owned(),
        };
        self.found.push((start, diagnostic));
    }

    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    pub(super) fn into_diagnostics(mut self) -> Diagnostics {
        self.found.sort_by_key(|(start, _)| *start);
        self.found.truncate(MAX_DIAGNOSTICS);
        Diagnostics(self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect())
    }
}
