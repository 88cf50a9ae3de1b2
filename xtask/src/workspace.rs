//! Where the workspace is and which files belong to it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root folder of the workspace.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from.
    ///
    /// # Errors
    /// Fails when the folder above this crate is gone.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask is not in a folder of the workspace")?;
        Ok(Self { root: root.to_owned() })
    }

    /// Returns the path of `relative` below the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Returns the root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns cargo's target folder.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), PathBuf::from)
    }

    /// Reads a text file below the root.
    ///
    /// # Errors
    /// Fails when the file cannot be read; the message names it.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        fs::read_to_string(self.path(relative)).with_context(|| format!("read {relative}"))
    }

    /// Returns every Rust file of the workspace, as paths relative to the root, in order.
    ///
    /// # Errors
    /// Fails when a folder cannot be read.
    pub(crate) fn rust_files(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in ["core", "host", "apps", "testing", "xtask"] {
            collect_rust_files(&self.path(folder), &mut found)?;
        }
        let relative = |path: &PathBuf| {
            let path = path.strip_prefix(&self.root).unwrap_or(path);
            path.to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = found.iter().map(relative).collect();
        names.sort();
        Ok(names)
    }
}

fn collect_rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" {
            collect_rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
