use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::paint::{ColorChoice, Paint};

/// Columns that are assumed where there is no terminal.
const DEFAULT_WIDTH: usize = 120;

/// The form of what a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Plain lines and tables for people
    #[default]
    Text,
    /// JSON for programs: one value, or one value a line where a command goes on
    Json,
}

/// Where a command prints, and how.
pub(crate) struct Screen {
    out: Box<dyn Write>,
    pub(crate) format: Format,
    pub(crate) paint: Paint,
    pub(crate) terminal: bool,
}

impl Screen {
    /// The standard output of this process.
    pub(crate) fn standard(format: Format, color: ColorChoice) -> Self {
        let stdout = io::stdout();
        let paint = Paint::choose(color, &stdout);
        Self { terminal: stdout.is_terminal(), out: Box::new(stdout), format, paint }
    }

    /// A screen that writes to `out`, without colour.
    #[cfg(test)]
    pub(crate) fn to(out: Box<dyn Write>, format: Format) -> Self {
        Self { out, format, paint: Paint::plain(), terminal: false }
    }

    /// Tells whether programs read what is printed.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Returns the columns of the terminal; they change while a command runs.
    pub(crate) fn width(&self) -> usize {
        let size = self.terminal.then(|| tcgetwinsize(io::stdout()).ok()).flatten();
        size.map(|size| usize::from(size.ws_col)).filter(|n| *n > 0).unwrap_or(DEFAULT_WIDTH)
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Prints text as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Prints a value as JSON: indented on a terminal, on one line elsewhere.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = if self.terminal {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        self.line(&text)
    }

    /// Prints a value in the form that the user asked for.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T, Paint) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(value),
            Format::Text => self.line(&text(value, self.paint)),
        }
    }
}
