//! `cargo xtask generate`: the reference pages that the program itself knows best.

use anyhow::Result;

use crate::workspace::Workspace;

/// Writes the generated pages anew.
///
/// # Errors
/// Fails when the program cannot be built or run, or a page cannot be written.
pub(crate) fn run(_workspace: &Workspace) -> Result<()> {
    anyhow::bail!("nothing is generated yet")
}
