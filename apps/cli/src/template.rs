//! The files of a new project, and of the demo.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What functions are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// An ordinary Python Lambda handler
    #[default]
    Python,
    /// An ordinary Node.js Lambda handler
    Javascript,
}

/// A file of a template: path and text.
pub(crate) struct TemplateFile {
    pub(crate) path: &'static str,
    pub(crate) text: String,
}

/// What became of a file that was to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    New(PathBuf),
    Kept(PathBuf),
}

/// Returns the files of a new project.
pub(crate) fn project(name: &str, language: Language) -> Vec<TemplateFile> {
    let (path, file, code, runtime, memory) = match language {
        Language::Python => (
            "functions/regulate/app.py",
            "app.py",
            include_str!("../templates/python/app.py"),
            "python3.11",
            "64MiB",
        ),
        Language::Javascript => (
            "functions/regulate/app.js",
            "app.js",
            include_str!("../templates/javascript/app.js"),
            "nodejs20.x",
            "128MiB",
        ),
    };
    let fill = |text: &str| {
        let text = text.replace("{{name}}", name).replace("{{file}}", file);
        text.replace("{{runtime}}", runtime).replace("{{memory}}", memory)
    };
    vec![
        TemplateFile { path: "tomte.toml", text: fill(include_str!("../templates/tomte.toml")) },
        TemplateFile { path, text: code.to_owned() },
        TemplateFile { path: "README.md", text: fill(include_str!("../templates/README.md")) },
        TemplateFile {
            path: ".gitignore",
            text: include_str!("../templates/gitignore").to_owned(),
        },
    ]
}

/// Returns the files of `examples/greenhouse`, which the demo runs.
pub(crate) fn greenhouse() -> Vec<TemplateFile> {
    macro_rules! example {
        ($($path:literal),* $(,)?) => {
            vec![$(TemplateFile {
                path: $path,
                text: include_str!(concat!("../../../examples/greenhouse/", $path)).to_owned(),
            }),*]
        };
    }
    example!["tomte.toml", "functions/regulate/app.py", "functions/daylight/app.js"]
}

/// Writes `files` below `folder`. A file that is there is kept as it is.
///
/// # Errors
/// Fails when a folder or file cannot be made.
pub(crate) fn write(folder: &Path, files: &[TemplateFile]) -> anyhow::Result<Vec<Written>> {
    files.iter().map(|file| write_one(folder, file)).collect()
}

fn write_one(folder: &Path, file: &TemplateFile) -> anyhow::Result<Written> {
    let path = folder.join(file.path);
    let failed = || format!("failed to write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    let name = PathBuf::from(file.path);
    match fs::File::create_new(&path) {
        Ok(mut new) => {
            new.write_all(file.text.as_bytes()).with_context(failed)?;
            Ok(Written::New(name))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Kept(name)),
        Err(error) => Err(error).with_context(failed),
    }
}
