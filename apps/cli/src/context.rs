use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::arguments::Global;
use crate::control::Control;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::{MANIFEST, Project};
use crate::screen::Screen;

/// Name of the state folder inside a project.
const STATE: &str = ".tomte";

/// What every command is given: where it prints and which project and hub it is about.
pub(crate) struct Context {
    pub(crate) screen: Screen,
    project: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl Context {
    /// Reads the global options.
    pub(crate) fn new(global: Global) -> Self {
        let screen = Screen::standard(global.output, global.color);
        Self { screen, project: global.project, state: global.state }
    }

    /// A context for tests: everything named, nothing from the environment.
    #[cfg(test)]
    pub(crate) fn with(screen: Screen, project: &Path, state: &Path) -> Self {
        Self { screen, project: Some(project.to_owned()), state: Some(state.to_owned()) }
    }

    /// Tells whether the user named the project.
    pub(crate) fn names_project(&self) -> bool {
        self.project.is_some()
    }

    /// Returns the folder of the nearest manifest, from the project folder or here upwards.
    pub(crate) fn project_folder(&self) -> anyhow::Result<PathBuf> {
        let here = std::env::current_dir().context("failed to find the current folder")?;
        if let Some(project) = &self.project {
            let folder = here.join(project);
            return if folder.join(MANIFEST).is_file() {
                Ok(folder)
            } else {
                Err(no_manifest(&folder))
            };
        }
        let found = here.ancestors().find(|folder| folder.join(MANIFEST).is_file());
        found.map(Path::to_owned).ok_or_else(|| no_manifest(&here))
    }

    /// Returns the project, its manifest read and checked.
    pub(crate) fn project(&self) -> anyhow::Result<Project> {
        Project::read(&self.project_folder()?)
    }

    /// Returns the absolute path of the state folder; it need not exist.
    pub(crate) fn state(&self) -> anyhow::Result<PathBuf> {
        let here = std::env::current_dir().context("failed to find the current folder")?;
        match &self.state {
            Some(state) => Ok(here.join(state)),
            None => Ok(self.project_folder().unwrap_or(here).join(STATE)),
        }
    }

    /// Returns the control interface of the hub.
    pub(crate) fn control(&self) -> anyhow::Result<Control> {
        Control::of(&self.state()?)
    }
}

fn no_manifest(folder: &Path) -> anyhow::Error {
    Failure::new(
        Exit::Manifest,
        format!("no {MANIFEST} in {} or a folder above it", folder.display()),
        "make one with `tomte init`, or name its folder with --project",
    )
    .into()
}
