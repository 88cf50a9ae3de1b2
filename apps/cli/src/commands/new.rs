use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paint::{Paint, Tint};
use crate::template::{self, Language, Written};

/// Make a new project: a folder with a manifest and a function that works
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte new greenhouse && cd greenhouse && tomte dev")]
pub(crate) struct New {
    /// The folder to make; its last part is the name of the hub
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What the function is written in
    #[arg(short, long, value_enum, default_value = "python")]
    language: Language,
}

/// What was made.
#[derive(Serialize)]
pub(super) struct Made {
    pub(super) folder: PathBuf,
    pub(super) written: Vec<PathBuf>,
    pub(super) kept: Vec<PathBuf>,
}

impl New {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let name = hub_name(&self.folder)?;
        refuse_what_is_there(&self.folder)?;
        let made = make(&self.folder, &name, self.language)?;
        context.screen.show(&made, |made, paint| {
            let folder = self.folder.display();
            format!(
                "{}\n\nNext:\n  cd {folder}\n  tomte dev",
                list(made, &format!("{folder}/"), paint)
            )
        })?;
        Ok(Exit::Ok)
    }
}

/// Writes the files of a new project.
pub(super) fn make(folder: &Path, name: &str, language: Language) -> anyhow::Result<Made> {
    let files = template::write(folder, &template::project(name, language))?;
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Written::New(path) => written.push(path),
            Written::Kept(path) => kept.push(path),
        }
    }
    Ok(Made { folder: folder.to_owned(), written, kept })
}

/// Lists what was made, for people.
pub(super) fn list(made: &Made, prefix: &str, paint: Paint) -> String {
    let written = made
        .written
        .iter()
        .map(|path| format!("  {} {prefix}{}", paint.apply(Tint::Good, "made"), path.display()));
    let kept = made
        .kept
        .iter()
        .map(|path| format!("  {} {prefix}{}", paint.apply(Tint::Warn, "kept"), path.display()));
    written.chain(kept).collect::<Vec<_>>().join("\n")
}

/// Returns the name that a hub in `folder` gets.
pub(super) fn hub_name(folder: &Path) -> anyhow::Result<String> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if let Err(error) = tomte_base::DeviceName::new(&name) {
        let message = format!("{:?} cannot be the name of a hub: {error}", name);
        let help = "choose another one, for example `tomte new greenhouse`";
        return Err(Failure::new(Exit::Usage, message, help).into());
    }
    Ok(name)
}

fn refuse_what_is_there(folder: &Path) -> anyhow::Result<()> {
    let refuse = |what: &str| {
        let message = format!("{} {what}", folder.display());
        let help = "choose another name, or go there and say `tomte init`: it keeps what is there";
        Err(Failure::new(Exit::Failed, message, help).into())
    };
    if !folder.exists() {
        return Ok(());
    }
    if !folder.is_dir() {
        return refuse("is there already and is no folder");
    }
    let failed = || format!("failed to look into {}", folder.display());
    match fs::read_dir(folder).with_context(failed)?.next() {
        Some(_) => refuse("is there already and is not empty"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::screen::{Format, Screen};

    fn new(folder: &Path, language: Language) -> anyhow::Result<Exit> {
        let screen = Screen::to(Box::new(std::io::sink()), Format::Text);
        let mut context = Context::with(screen, folder, folder);
        New { folder: folder.to_owned(), language }.run(&mut context)
    }

    #[test]
    fn a_new_project_has_a_manifest_and_a_function() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("greenhouse");
        assert_eq!(new(&folder, Language::Python).unwrap(), Exit::Ok);
        let manifest = fs::read_to_string(folder.join("tomte.toml")).unwrap();
        assert!(manifest.contains("name = \"greenhouse\""), "{manifest}");
        assert!(!manifest.contains("{{"), "{manifest}");
        assert!(folder.join("functions/regulate/app.py").is_file());
        assert!(folder.join(".gitignore").is_file());
    }

    #[test]
    fn what_a_new_project_declares_is_a_valid_manifest() {
        for (language, file) in [(Language::Python, "app.py"), (Language::Javascript, "app.js")] {
            let place = tempfile::tempdir().unwrap();
            let folder = place.path().join("greenhouse");
            new(&folder, language).unwrap();
            crate::project::Project::read(&folder).unwrap();
            assert!(folder.join("functions/regulate").join(file).is_file());
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("greenhouse");
        new(&folder, Language::Python).unwrap();
        let error = new(&folder, Language::Python).unwrap_err().to_string();
        let error = error.replace(&place.path().display().to_string(), "/home");
        expect!["/home/greenhouse is there already and is not empty"].assert_eq(&error);
        fs::create_dir(place.path().join("empty")).unwrap();
        new(&place.path().join("empty"), Language::Python).unwrap();
    }

    #[test]
    fn a_name_that_no_hub_can_have_is_refused() {
        let error = new(Path::new("/tmp/green house"), Language::Python).unwrap_err();
        assert_eq!(crate::failure::exit_of(&error), Exit::Usage);
    }
}
