use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;

/// Write the man pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte man ~/.local/share/man/man1 && man tomte-why")]
pub(crate) struct Man {
    /// The folder; it is made when it is not there
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let failed = || format!("failed to write man pages to {}", self.folder.display());
        fs::create_dir_all(&self.folder).with_context(failed)?;
        clap_mangen::generate_to(Arguments::command(), &self.folder).with_context(failed)?;
        let pages = fs::read_dir(&self.folder).with_context(failed)?.count();
        let text = format!("{pages} pages in {}", self.folder.display());
        context
            .screen
            .show(&serde_json::json!({ "folder": self.folder, "pages": pages }), |_, _| text)?;
        Ok(Exit::Ok)
    }
}
