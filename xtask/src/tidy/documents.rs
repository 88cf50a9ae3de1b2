//! The documents hold together: links lead to files, includes exist, TOML examples are TOML.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Returns a sentence for each broken link or include and each example that is no TOML.
///
/// # Errors
/// Fails when a document cannot be read.
pub(super) fn offences(workspace: &Workspace) -> Result<Vec<String>> {
    let mut files = vec![workspace.path("README.md"), workspace.path("CONTRIBUTING.md")];
    collect_pages(&workspace.path("docs"), &mut files)?;
    collect_pages(&workspace.path("examples"), &mut files)?;
    let mut offences = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(workspace.root()).unwrap_or(&file).display();
        let folder = file.parent().unwrap_or(Path::new("."));
        let missing = targets(&text).into_iter().filter(|target| !folder.join(target).exists());
        offences
            .extend(missing.map(|target| format!("{name} links to {target}, which is not there")));
        offences.extend(bad_toml(&text).into_iter().map(|error| format!("{name}: {error}")));
    }
    Ok(offences)
}

fn collect_pages(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        entries.push(entry?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("book") {
            collect_pages(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the files that `text` links to or includes.
fn targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let after = |mark: &'static str| line.split(mark).skip(1);
        targets.extend(after("{{#include ").filter_map(|rest| rest.split(['}', ':']).next()));
        if !fenced {
            targets.extend(after("](").filter_map(|rest| rest.split([')', '#']).next()));
        }
    }
    let is_file = |target: &&str| !target.is_empty() && !target.contains("://");
    targets.into_iter().filter(is_file).map(str::to_owned).collect()
}

/// Returns what is wrong with each example that says that it is TOML.
fn bad_toml(text: &str) -> Vec<String> {
    let examples = text.split("\n```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let real = examples.filter(|example| !example.contains("{{#include"));
    let error = |example: &str| toml::from_str::<toml::Table>(example).err();
    real.filter_map(|example| Some(format!("an example is no TOML: {}", error(example)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_includes_are_found_and_addresses_and_code_are_not() {
        let text = "See [a](b/c.md#d), [e](https://x), [f](#g).\n```rust\nx[0](y)\n```\n{{#include ../a.toml:3:}}\n";
        assert_eq!(targets(text), ["b/c.md", "../a.toml"]);
    }

    #[test]
    fn an_example_that_is_no_toml_is_named() {
        assert_eq!(bad_toml("x\n```toml\na = 1\n```\n"), Vec::<String>::new());
        assert_eq!(bad_toml("x\n```toml\na = \n```\n").len(), 1);
    }
}
