//! Asks an interpreter what it is.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Wanted;

/// Longest time that an interpreter may take to answer. Shims are slow, wrong programs may hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that a program may be busy with being written.
const BUSY: Duration = Duration::from_secs(1);

const PYTHON_QUESTION: &str = "import os, sys; print('%d.%d.%d' % sys.version_info[:3]); \
    print(os.path.realpath(sys.executable)); print(sys.base_prefix); print(sys.base_exec_prefix)";
const NODE_QUESTION: &str = "console.log(process.versions.node + '\\n' + \
    require('fs').realpathSync(process.execPath))";

/// What an interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) version: String,
    pub(super) program: PathBuf,
    pub(super) prefixes: Vec<PathBuf>,
}

impl Answer {
    /// Returns the number that decides: minor version of Python 3, major version of Node.
    pub(super) fn deciding_number(&self, wanted: Wanted) -> Option<u32> {
        let mut numbers = self.version.split('.');
        let major = numbers.next()?.parse().ok()?;
        match wanted {
            Wanted::Node { .. } => Some(major),
            Wanted::Python { .. } if major == 3 => numbers.next()?.parse().ok(),
            Wanted::Python { .. } => None,
        }
    }
}

/// Runs the program; returns nothing when it is not an interpreter that answers.
pub(super) fn ask(program: &Path, wanted: Wanted) -> Option<Answer> {
    let mut command = Command::new(program);
    match wanted {
        Wanted::Python { .. } => command.args(["-I", "-S", "-c", PYTHON_QUESTION]),
        Wanted::Node { .. } => command.args(["-e", NODE_QUESTION]),
    };
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    parse(&answer_of(start(&mut command)?)?)
}

/// Starts the program. One that somebody writes at this moment, as an upgrade does, is soon ready.
fn start(command: &mut Command) -> Option<Child> {
    let started = Instant::now();
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy && started.elapsed() < BUSY =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result.ok(),
        }
    }
}

/// Waits for the program to end and returns what it printed.
fn answer_of(mut child: Child) -> Option<String> {
    let started = Instant::now();
    loop {
        match child.try_wait().ok()? {
            Some(status) if status.success() => break,
            Some(_) => return None,
            None if started.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    let mut text = String::new();
    child.stdout?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Reads version, program and prefixes, one a line.
fn parse(text: &str) -> Option<Answer> {
    let mut lines = text.lines();
    let version = lines.next().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))?;
    let program = PathBuf::from(lines.next().filter(|line| line.starts_with('/'))?);
    Some(Answer {
        version: version.to_owned(),
        program,
        prefixes: lines.map(PathBuf::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_version_program_and_prefixes() {
        let answer = parse("3.11.7\n/p/bin/python3.11\n/p\n/p\n").unwrap();
        assert_eq!(answer.deciding_number(Wanted::Python { minor: 8 }), Some(11));
        assert_eq!(answer.program, Path::new("/p/bin/python3.11"));
        assert_eq!(answer.prefixes.len(), 2);
    }

    #[test]
    fn a_program_that_is_being_written_is_asked_when_it_is_ready() {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;

        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("python3");
        let mut script = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path)
            .unwrap();
        script.write_all(b"#!/bin/sh\nprintf '3.11.7\\n/p/bin/python3\\n'\n").unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(script);
        });
        let answer = ask(&path, Wanted::Python { minor: 8 });
        writer.join().unwrap();
        assert_eq!(answer.map(|answer| answer.version).as_deref(), Some("3.11.7"));
    }

    #[test]
    fn python_two_decides_nothing() {
        let answer = parse("2.7.18\n/p/bin/python\n/p\n").unwrap();
        assert_eq!(answer.deciding_number(Wanted::Python { minor: 8 }), None);
    }

    #[test]
    fn a_program_that_is_no_interpreter_gives_no_answer() {
        for text in ["", "usage: x\n", "3.11\n", "3.11\nrelative\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let python = Wanted::Python { minor: 8 };
        for program in ["/bin/true", "/bin/false", "/nowhere/python3", "/etc/passwd"] {
            assert_eq!(ask(Path::new(program), python), None, "{program}");
        }
    }
}
