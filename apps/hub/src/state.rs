//! Where a hub keeps what it must not lose.

use std::path::{Path, PathBuf};

/// The folders and files below a hub's state folder.
#[derive(Clone, Debug)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// Names the folder; nothing is made yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the folder, readable by its owner alone: it holds the hub's keys.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        use anyhow::Context as _;
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        let failed = || format!("failed to make the state folder {}", self.0.display());
        if !self.0.exists() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)
                .with_context(failed)?;
        }
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700))
            .with_context(failed)
    }

    /// The Unix socket of the control interface.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The CA and the devices' certificates.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(crate) fn code(&self) -> PathBuf {
        self.0.join("code")
    }

    pub(crate) fn deployments(&self) -> PathBuf {
        self.0.join("deployments")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox")
    }
}
