use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// Returns the `tomte` binary that tests start: the one that `TOMTE_BIN` names, else the one of the
/// development profile, built first when it is missing or stale, once per test process.
///
/// # Errors
/// Fails when `TOMTE_BIN` names no file, or the build fails.
pub fn tomte_binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| locate().map_err(|error| format!("{error:#}")));
    match found {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn locate() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TOMTE_BIN").map(PathBuf::from) {
        if !path.is_file() {
            bail!("TOMTE_BIN names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "tomte"])
        .current_dir(workspace_root())
        .status()
        .context("start cargo to build tomte")?;
    if !status.success() {
        bail!("the build of tomte ended with {status}");
    }
    Ok(target_folder().join("debug/tomte"))
}

/// Returns the root of the workspace that this crate was built in.
pub(crate) fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns cargo's target folder.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), PathBuf::from)
}
