//! `cargo xtask generate`: the reference pages that code knows best.
//!
//! The program prints its own schema, defaults and help; the bodies of the control interface are read
//! from their doc comments, the statements of MQTT from their lists. A test compares the pages in the
//! tree with what would be generated.

mod bodies;
mod command_line;
mod counters;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::statements;
use crate::workspace::Workspace;

const FOLDER: &str = "docs/reference/generated";
const CONTROL: &str = "core/wire/src/control.rs";
const COUNTERS: &str = "core/hub/src/counter.rs";

/// Writes the generated pages anew.
///
/// # Errors
/// Fails when the program cannot be built or run, or a page cannot be written.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.path(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("create {FOLDER}"))?;
    for (name, text) in pages(workspace)? {
        fs::write(folder.join(name), text).with_context(|| format!("write {FOLDER}/{name}"))?;
        println!("{FOLDER}/{name}");
    }
    Ok(())
}

/// Returns every generated page with its name.
fn pages(workspace: &Workspace) -> Result<Vec<(&'static str, String)>> {
    let tomte = binary(workspace)?;
    let print = |arguments: &[&str]| print_of(&tomte, workspace.root(), arguments);
    let mut pages = vec![
        ("manifest.schema.json", print(&["schema"])?),
        ("default.toml", print(&["schema", "--defaults"])?),
        ("command-line.md", command_line::page(&print)?),
        ("control.md", bodies::page(&workspace.read(CONTROL)?)),
        ("counters.md", counters::page(&workspace.read(COUNTERS)?)),
    ];
    pages.extend(statements::pages(workspace)?);
    Ok(pages)
}

fn print_of(tomte: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = process::command(tomte, folder);
    command.args(arguments).env("NO_COLOR", "1").env("COLUMNS", "100");
    process::output(&mut command)
}

/// Returns the program: the one that the test run names, else the one of the development profile.
fn binary(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TOMTE_BIN").map(PathBuf::from) {
        if !path.is_file() {
            bail!("TOMTE_BIN names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let build = ["build", "--quiet", "--package", "tomte"];
    process::run(process::cargo(workspace.root()).args(build))?;
    Ok(workspace.target().join("debug/tomte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_reference_is_in_step_with_the_code() {
        let workspace = Workspace::locate().unwrap();
        for (name, text) in pages(&workspace).unwrap() {
            let kept = workspace.read(&format!("{FOLDER}/{name}")).unwrap();
            assert!(kept == text, "{FOLDER}/{name} is stale; run `cargo xtask generate`");
        }
    }
}
