use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use tomte_base::{ByteSize, format_duration, parse_duration};

use crate::manifest::diagnostic::{Complaint, Report};
use crate::manifest::document::Document;
use crate::manifest::key_path::KeyPath;
use crate::manifest::written::{SizeText, SpanText};

/// Where things stand in the file, and where complaints go.
pub(super) struct Context<'d, 'r, 't> {
    document: &'d Document<'d>,
    report: &'r mut Report<'t>,
}

impl<'d, 'r, 't> Context<'d, 'r, 't> {
    pub(super) fn new(document: &'d Document<'d>, report: &'r mut Report<'t>) -> Self {
        Self { document, report }
    }

    /// Complains about the value at `key`.
    pub(super) fn complain(&mut self, key: &KeyPath, complaint: Complaint) {
        self.report.add(self.document.span(key), key, complaint);
    }

    /// Complains about the key itself.
    pub(super) fn complain_about_key(&mut self, key: &KeyPath, complaint: Complaint) {
        self.report.add(self.document.key_span(key), key, complaint);
    }

    /// Complains about one character of the text at `key`.
    pub(super) fn complain_within(
        &mut self,
        key: &KeyPath,
        line: usize,
        column: usize,
        complaint: Complaint,
    ) {
        self.report.add(self.document.span_within(key, line, column), key, complaint);
    }

    /// Reads a size within `range`; without a text, or with a bad one, the default.
    pub(super) fn size(
        &mut self,
        text: Option<&SizeText>,
        default: ByteSize,
        range: RangeInclusive<ByteSize>,
        key: &KeyPath,
    ) -> ByteSize {
        let Some(SizeText(text)) = text else { return default };
        let size = ByteSize::parse(text).map_err(|error| error.to_string());
        self.within(size, text, &range, SizeText::FORM, key, ByteSize::to_string).unwrap_or(default)
    }

    /// Reads a span of time within `range`; without a text, or with a bad one, the default.
    pub(super) fn span(
        &mut self,
        text: Option<&SpanText>,
        default: Duration,
        range: RangeInclusive<Duration>,
        key: &KeyPath,
    ) -> Duration {
        let Some(SpanText(text)) = text else { return default };
        let span = parse_duration(text).map_err(|error| error.to_string());
        let format = |span: &Duration| format_duration(*span);
        self.within(span, text, &range, SpanText::FORM, key, format).unwrap_or(default)
    }

    fn within<T: PartialOrd>(
        &mut self,
        value: Result<T, String>,
        text: &str,
        range: &RangeInclusive<T>,
        form: &str,
        key: &KeyPath,
        format: impl Fn(&T) -> String,
    ) -> Option<T> {
        let complaint = match value {
            Ok(value) if range.contains(&value) => return Some(value),
            Ok(_) => Complaint::new(format!("{text:?} is out of range")).expected(format!(
                "{} to {}",
                format(range.start()),
                format(range.end())
            )),
            Err(error) => Complaint::new(error).expected(form),
        };
        self.complain(key, complaint);
        None
    }

    /// Keeps what was read, or complains about it.
    pub(super) fn accept<T, E: Display>(
        &mut self,
        result: Result<T, E>,
        key: &KeyPath,
        expected: &str,
    ) -> Option<T> {
        result.map_err(|error| self.complain(key, Complaint::new(error).expected(expected))).ok()
    }
}
