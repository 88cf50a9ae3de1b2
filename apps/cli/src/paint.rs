use std::io::IsTerminal;

/// What a piece of text means; [`Paint`] knows how that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tint {
    /// It went well.
    Good,
    /// It went another way than the best one.
    Warn,
    /// It failed or was lost.
    Bad,
    /// It is there for reference.
    Dim,
    /// A name of something: a device, a function.
    Name,
    /// A topic.
    Topic,
    /// A title.
    Title,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Colours text, or leaves it plain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colored: bool,
}

impl Paint {
    /// A paint without colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { colored: false }
    }

    /// A paint with colour.
    #[cfg(test)]
    pub(crate) fn colored() -> Self {
        Self { colored: true }
    }

    /// Chooses for `stream` by the user's wish and the conventions of <https://no-color.org>.
    pub(crate) fn choose(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stream.is_terminal() && !refused && !dumb,
        };
        Self { colored }
    }

    /// Returns `text` in the colour of `tint`.
    pub(crate) fn apply(self, tint: Tint, text: &str) -> String {
        if !self.colored || text.is_empty() {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Good => "32",
            Tint::Warn => "33",
            Tint::Bad => "1;31",
            Tint::Dim => "2",
            Tint::Name => "36",
            Tint::Topic => "35",
            Tint::Title => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
