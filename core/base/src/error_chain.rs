use std::error::Error;

/// Writes `error` with all its causes, each after a colon, as a log or an answer shows it.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("read the file a")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_cause_stands_behind_a_colon() {
        let error = Outer(io::Error::other("no such file"));
        assert_eq!(error_chain(&error), "read the file a: no such file");
        assert_eq!(error_chain(&io::Error::other("alone")), "alone");
    }
}
