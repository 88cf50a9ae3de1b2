//! The programs that functions are run by.

use std::path::PathBuf;

/// An interpreter that a managed runtime needs.
#[derive(Clone, Copy)]
pub(crate) struct Interpreter {
    pub(crate) program: &'static str,
    package: &'static str,
}

/// What `python3.x` runtimes need.
pub(crate) const PYTHON: Interpreter = Interpreter { program: "python3", package: "python3" };

/// What `nodejsNN.x` runtimes need.
pub(crate) const NODE: Interpreter = Interpreter { program: "node", package: "nodejs" };

impl Interpreter {
    /// Returns where it is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let places = std::env::split_paths(&path).map(|folder| folder.join(self.program));
        places.into_iter().find(|place| place.is_file())
    }

    /// Says how to get it.
    pub(crate) fn how_to_get(self) -> String {
        format!("get it with `sudo apt-get install {}`", self.package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path() {
        let found = |program| Interpreter { program, package: "" }.find();
        assert!(found("sh").is_some());
        assert!(found("no-such-program").is_none());
    }
}
