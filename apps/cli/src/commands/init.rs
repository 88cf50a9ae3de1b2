use anyhow::Context as _;
use clap::Args;

use super::new::{hub_name, list, make};
use crate::context::Context;
use crate::exit::Exit;
use crate::template::Language;

/// Put the files of a new project into this folder; what is there is kept
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mkdir greenhouse && cd greenhouse && tomte init")]
pub(crate) struct Init {
    /// What the function is written in
    #[arg(short, long, value_enum, default_value = "python")]
    language: Language,
}

impl Init {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let folder = std::env::current_dir().context("failed to find the current folder")?;
        self.run_in(&folder, context)
    }

    fn run_in(self, folder: &std::path::Path, context: &mut Context) -> anyhow::Result<Exit> {
        let made = make(folder, &hub_name(folder)?, self.language)?;
        context.screen.show(&made, |made, paint| {
            format!("{}\n\nNext:\n  tomte dev", list(made, "", paint))
        })?;
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::screen::{Format, Screen};

    #[test]
    fn what_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("shop");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("README.md"), "mine").unwrap();
        let screen = Screen::to(Box::new(std::io::sink()), Format::Text);
        let mut context = Context::with(screen, &project, &project);
        Init { language: Language::Javascript }.run_in(&project, &mut context).unwrap();
        assert_eq!(fs::read_to_string(project.join("README.md")).unwrap(), "mine");
        assert!(project.join("functions/regulate/app.js").is_file());
        let manifest = fs::read_to_string(project.join("tomte.toml")).unwrap();
        assert!(manifest.contains("name = \"shop\""), "{manifest}");
    }
}
