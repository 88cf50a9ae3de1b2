//! `cargo xtask tidy`: the rules of the house that a program can check.

mod architecture;
mod documents;
mod layers;

use anyhow::{Result, bail};
use layers::Graph;

use crate::capabilities;
use crate::statements;
use crate::workspace::Workspace;

/// Checks every rule and prints each offence.
///
/// # Errors
/// Fails when a rule is broken, or when what it looks at cannot be read.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let graph = Graph::read(workspace)?;
    let mut offences = layers::offences(&graph);
    offences.extend(layers::missing_descriptions(&graph));
    offences.extend(architecture::offences(workspace)?);
    offences.extend(documents::offences(workspace)?);
    offences.extend(capabilities::offences(workspace)?);
    offences.extend(statements::offences(workspace)?);
    for offence in &offences {
        eprintln!("tidy: {offence}");
    }
    match offences.len() {
        0 => {
            println!(
                "tidy ok: {} crates, layers, names, documents, capabilities, statements",
                graph.crates.len()
            );
            Ok(())
        }
        count => bail!("{count} rules of the house are broken"),
    }
}
