//! Programs that nobody here wrote, as `cargo xtask install-tools` has installed them.

use std::path::PathBuf;
use std::process::Command;

use crate::binary::target_folder;

const ADVICE: &str = "run `cargo xtask install-tools`";

/// Returns a command for a program of Debian: `mosquitto`, `mosquitto_pub`, `mosquitto_sub`, `strace`.
///
/// # Panics
/// Panics when it is not installed; the message says what to do.
#[must_use]
pub fn debian(program: &str) -> Command {
    let unpacked = target_folder().join("test-tools/debian/root");
    for folder in ["usr/sbin", "usr/bin"] {
        let path = unpacked.join(folder).join(program);
        if path.is_file() {
            let mut command = Command::new(path);
            command.env("LD_LIBRARY_PATH", library_path(&unpacked));
            return command;
        }
    }
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.push("/usr/sbin".into());
    let found = folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{program} is not installed; {ADVICE}")))
}

fn library_path(unpacked: &std::path::Path) -> String {
    let mut folders = vec![unpacked.join("usr/lib"), unpacked.join("lib")];
    if let Ok(entries) = std::fs::read_dir(unpacked.join("usr/lib")) {
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    let folders: Vec<String> =
        folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
    folders.join(":")
}

/// Returns a command for the Python that has the pinned packages of `peers/requirements.txt`.
///
/// # Panics
/// Panics when it is not installed; the message says what to do.
#[must_use]
pub fn python() -> Command {
    let path = python_folder().join("bin/python");
    assert!(path.is_file(), "{} is not there; {ADVICE}", path.display());
    Command::new(path)
}

/// Returns the virtual environment of [`python`].
#[must_use]
pub fn python_folder() -> PathBuf {
    target_folder().join("test-tools/python")
}

/// Returns a command for Node.js that finds the pinned packages of `peers/package.json`.
///
/// # Panics
/// Panics when they are not installed; the message says what to do.
#[must_use]
pub fn node() -> Command {
    let modules = target_folder().join("test-tools/node/node_modules");
    assert!(modules.is_dir(), "{} is not there; {ADVICE}", modules.display());
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules);
    command
}
