use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::MAX_MANIFEST_BYTES;
use super::diagnostic::{Complaint, Report};
use super::key_path::{KeyPath, Step, path};
use super::written;

/// A manifest as TOML, with the place of each key and value.
pub(super) struct Document<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads the TOML, or reports all errors of its syntax.
    pub(super) fn parse(text: &'a str, report: &mut Report<'_>) -> Option<Self> {
        if text.len() > MAX_MANIFEST_BYTES {
            let message = format!(
                "the file has {} bytes, at most {MAX_MANIFEST_BYTES} are allowed",
                text.len()
            );
            report.add(0..0, &path([]), Complaint::new(message));
            return None;
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            report_toml_error(error, report);
        }
        errors.is_empty().then_some(Self { text, root })
    }

    pub(super) fn root(&self) -> &Spanned<DeTable<'a>> {
        &self.root
    }

    /// Reads the tables into what was written. The form was checked before, so this fails only where
    /// serde knows better.
    pub(super) fn deserialize(&self, report: &mut Report<'_>) -> Option<written::Manifest> {
        let deserializer = toml::Deserializer::from(self.root.clone());
        match written::Manifest::deserialize(deserializer) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                report_toml_error(&error, report);
                None
            }
        }
    }

    /// Returns the place of the value at `path`, or of the nearest value around it that was written.
    pub(super) fn span(&self, path: &KeyPath) -> Range<usize> {
        let mut place = Place::Table(self.root.get_ref());
        let mut span = 0..0;
        for step in path.steps() {
            let next = match (&place, step) {
                (Place::Table(table), Step::Key(key)) => table.get_key_value(key.as_str()),
                (Place::Value(value), Step::Key(key)) => {
                    value.as_table().and_then(|table| table.get_key_value(key.as_str()))
                }
                (Place::Value(value), Step::Index(index)) => {
                    let Some(item) = value.get(*index) else { break };
                    (span, place) = (value_span(item, &span), Place::Value(item.get_ref()));
                    continue;
                }
                (Place::Table(_), Step::Index(_)) => None,
            };
            let Some((key, value)) = next else { break };
            (span, place) = (value_span(value, &key.span()), Place::Value(value.get_ref()));
        }
        span
    }

    /// Returns the place of the key that ends `path`.
    pub(super) fn key_span(&self, path: &KeyPath) -> Range<usize> {
        let mut table = self.root.get_ref();
        let mut span = 0..0;
        for step in path.steps() {
            let Step::Key(key) = step else { return self.span(path) };
            let Some((key, value)) = table.get_key_value(key.as_str()) else { break };
            span = key.span();
            let Some(inner) = value.get_ref().as_table() else { break };
            table = inner;
        }
        span
    }

    /// Returns the place of the character at `line` and `column` of a text value, both from 1, when
    /// the text stands in the file as it is.
    pub(super) fn span_within(&self, path: &KeyPath, line: usize, column: usize) -> Range<usize> {
        let span = self.span(path);
        let source = self.text.get(span.clone()).unwrap_or_default();
        let quote =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| source.starts_with(quote));
        let Some(quote) = quote.filter(|_| !source.contains('\\')) else { return span };
        // A line end right after three quotes is not part of the text.
        let opening = quote.len() + usize::from(source[quote.len()..].starts_with('\n'));
        let inner = &source[opening..];
        let line_start = match line {
            1 => Some(0),
            line => inner.match_indices('\n').nth(line - 2).map(|(at, _)| at + 1),
        };
        let Some(line_start) = line_start else { return span };
        let within = inner[line_start..].char_indices().nth(column - 1).map(|(at, _)| at);
        match within {
            Some(at) => {
                let start = span.start + opening + line_start + at;
                start..start + 1
            }
            None => span,
        }
    }
}

enum Place<'d, 'a> {
    Table(&'d DeTable<'a>),
    Value(&'d DeValue<'a>),
}

/// Tables under a header span the header; of others, and of what has no place, the key is shown.
fn value_span(value: &Spanned<DeValue<'_>>, key: &Range<usize>) -> Range<usize> {
    match value.span() {
        span if span.is_empty() => key.clone(),
        span => span,
    }
}

fn report_toml_error(error: &toml::de::Error, report: &mut Report<'_>) {
    let message = error.message().trim().replace('\n', "; ");
    report.add(error.span().unwrap_or(0..0), &path([]), Complaint::new(message));
}
