use std::fmt::Write;
use std::process::ExitCode;

/// How a command ended, as a number for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Manifest = 3,
    Unreachable = 4,
    Refused = 5,
    FunctionError = 6,
    PlatformError = 7,
    Nowhere = 8,
    Interrupted = 130,
}

/// Every exit code with its meaning: the one table, shown by `tomte --help` and in the man page.
pub(crate) const TABLE: [(Exit, &str); 10] = [
    (Exit::Ok, "done"),
    (Exit::Failed, "failed; `doctor`: a problem was found"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::Manifest, "the manifest, or code that it names, is invalid"),
    (Exit::Unreachable, "no hub answers at the state folder"),
    (Exit::Refused, "the hub refused the request"),
    (Exit::FunctionError, "the function returned an error"),
    (Exit::PlatformError, "the platform ended the function: time, memory, crash"),
    (Exit::Nowhere, "the message reached nobody, or there is nothing to show"),
    (Exit::Interrupted, "interrupted"),
];

impl Exit {
    /// Returns the number.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}

/// Returns the table as text for `--help`.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, meaning) in TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>3}  {meaning}", exit.number());
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_meaning() {
        let mut numbers: Vec<u8> = TABLE.iter().map(|(exit, _)| exit.number()).collect();
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
