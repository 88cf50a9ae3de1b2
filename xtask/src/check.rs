//! `cargo xtask check`: what a commit must satisfy before any test is run.

use anyhow::{Result, bail};

use crate::process;
use crate::tidy;
use crate::tools;
use crate::workspace::Workspace;

/// Checks format, lints, dependencies and the rules of the house. Changes no file of the tree.
///
/// # Errors
/// Fails at the first check that does not hold.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    println!("check: format");
    process::run(process::cargo(workspace.root()).args(["fmt", "--all", "--check"]))?;
    println!("check: lints");
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(process::cargo(workspace.root()).args(clippy))?;
    println!("check: dependencies");
    deny(workspace)?;
    println!("check: house rules");
    tidy::run(workspace)
}

/// Runs cargo deny: licences, bans and sources always, advisories when their database is reached.
fn deny(workspace: &Workspace) -> Result<()> {
    let program = tools::cargo_deny(workspace)?;
    let root = workspace.root();
    let always = ["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    process::run(process::command(&program, root).args(always))?;
    let mut advisories = process::command(&program, root);
    advisories.args(["--locked", "check", "--hide-inclusion-graph", "advisories"]);
    match process::output(&mut advisories) {
        Ok(_) => println!("advisories ok"),
        Err(error) if database_is_out_of_reach(&format!("{error:#}")) => {
            println!("advisories NOT CHECKED: their database cannot be reached from this machine");
        }
        Err(error) => bail!("{error:#}"),
    }
    Ok(())
}

fn database_is_out_of_reach(complaint: &str) -> bool {
    complaint.contains("failed to fetch advisory database")
        || complaint.contains("failed to load advisory database")
}
