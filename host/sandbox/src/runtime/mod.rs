//! What turns a folder with code into a command: interpreters, runtime clients, environment.
//!
//! Interpreters are the machine's own. A shim (pyenv, asdf) is never trusted with a name: each
//! candidate is run and asked what it is and where it really lies, and that program is used.

mod ask;
mod environment;
mod find;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub use environment::{FunctionFacts, environment};
pub use find::{RuntimeMissing, find};

/// A language and the version that a function asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Python 3 of this minor version or newer: 11 is Python 3.11.
    Python {
        /// The minor version.
        minor: u32,
    },
    /// Node.js of this major version or newer.
    Node {
        /// The major version.
        major: u32,
    },
}

impl Wanted {
    /// Returns the language for people: `Python` or `Node.js`.
    #[must_use]
    pub fn language(self) -> &'static str {
        match self {
            Wanted::Python { .. } => "Python",
            Wanted::Node { .. } => "Node.js",
        }
    }

    /// Returns the files of this language's runtime client, for
    /// [`crate::WorkerSpec::runtime_files`].
    #[must_use]
    pub fn client_files(self) -> Vec<(String, Vec<u8>)> {
        let (name, content): (&str, &[u8]) = match self {
            Wanted::Python { .. } => {
                (PYTHON_CLIENT, include_bytes!("../../../../guests/python/bootstrap.py"))
            }
            Wanted::Node { .. } => {
                (NODE_CLIENT, include_bytes!("../../../../guests/node/bootstrap.cjs"))
            }
        };
        vec![(name.to_owned(), content.to_vec())]
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Python { minor } => write!(f, "Python 3.{minor}"),
            Wanted::Node { major } => write!(f, "Node.js {major}"),
        }
    }
}

const PYTHON_CLIENT: &str = "bootstrap.py";
const NODE_CLIENT: &str = "bootstrap.cjs";

/// An interpreter that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The language.
    pub wanted: Wanted,
    /// The real program, not a shim.
    pub program: PathBuf,
    /// Its whole version: `3.11.7`.
    pub version: String,
    /// Folders outside `/usr` that it needs, for [`crate::WorkerSpec::extra_read_only`].
    pub read_only: Vec<PathBuf>,
    /// Whether the version is the one that was asked for, not a newer one.
    pub exact: bool,
}

/// Returns arguments and environment that run the runtime client for a handler. The environment comes
/// on top of [`environment`].
#[must_use]
pub fn command(
    interpreter: &Interpreter,
    handler: &str,
) -> (Vec<OsString>, Vec<(OsString, OsString)>) {
    let program = interpreter.program.clone().into_os_string();
    let options: &[&str] = match interpreter.wanted {
        // Isolated, without site packages of the machine, without writing bytecode, in UTF-8.
        Wanted::Python { .. } => &["-I", "-S", "-B", "-X", "utf8", "/var/runtime/bootstrap.py"],
        Wanted::Node { .. } => &["/var/runtime/bootstrap.cjs"],
    };
    let options = options.iter().map(OsString::from);
    let argv = std::iter::once(program).chain(options).collect();
    (argv, vec![("_HANDLER".into(), handler.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_real_program_and_the_handler() {
        let interpreter = Interpreter {
            wanted: Wanted::Python { minor: 11 },
            program: "/opt/python/bin/python3.11".into(),
            version: "3.11.7".into(),
            read_only: Vec::new(),
            exact: true,
        };
        let (argv, env) = command(&interpreter, "app.handler");
        assert_eq!(argv.first().unwrap(), "/opt/python/bin/python3.11");
        assert_eq!(argv.last().unwrap(), "/var/runtime/bootstrap.py");
        assert_eq!(env, [("_HANDLER".into(), "app.handler".into())]);
    }

    #[test]
    fn each_language_brings_the_file_that_its_command_runs() {
        for wanted in [Wanted::Python { minor: 8 }, Wanted::Node { major: 18 }] {
            let interpreter = Interpreter {
                wanted,
                program: "/x".into(),
                version: String::new(),
                read_only: Vec::new(),
                exact: true,
            };
            let (argv, _) = command(&interpreter, "a.b");
            let (name, content) = wanted.client_files().remove(0);
            assert_eq!(*argv.last().unwrap(), *format!("/var/runtime/{name}"));
            assert!(!content.is_empty());
        }
    }
}
