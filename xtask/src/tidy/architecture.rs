//! The names that ARCHITECTURE.md quotes exist: paths in the tree, items in the code.

use std::collections::HashSet;

use anyhow::Result;

use crate::workspace::Workspace;

const DOCUMENT: &str = "ARCHITECTURE.md";

/// Returns a sentence for each quoted path or item that does not exist.
///
/// # Errors
/// Fails when the document or a source file cannot be read.
pub(super) fn offences(workspace: &Workspace) -> Result<Vec<String>> {
    let document = workspace.read(DOCUMENT)?;
    let mut items = HashSet::new();
    for file in workspace.rust_files()? {
        collect_items(&workspace.read(&file)?, &mut items);
    }
    let exists = |quoted: &Quoted| match quoted {
        Quoted::Path(path) => workspace.path(path).exists(),
        Quoted::Item(item) => items.contains(item),
    };
    let missing = quoted_names(&document).into_iter().filter(|quoted| !exists(quoted));
    Ok(missing.map(|quoted| format!("{DOCUMENT} names {quoted:?}, which does not exist")).collect())
}

/// A name in backticks.
#[derive(Debug, PartialEq, Eq)]
enum Quoted {
    /// A file or folder: it has a slash and no space.
    Path(String),
    /// A type, trait, function or constant: one word that starts with a capital letter.
    Item(String),
}

fn quoted_names(document: &str) -> Vec<Quoted> {
    let mut names = Vec::new();
    let mut fenced = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            names.extend(line.split('`').skip(1).step_by(2).filter_map(read_quoted));
        }
    }
    names
}

fn read_quoted(text: &str) -> Option<Quoted> {
    let is_path_character = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.contains('/') && text.chars().all(is_path_character) && !text.starts_with('/') {
        return Some(Quoted::Path(text.to_owned()));
    }
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_shouted = text.chars().all(|c| c.is_ascii_uppercase());
    (is_word && !is_shouted && text.starts_with(|c: char| c.is_ascii_uppercase()))
        .then(|| Quoted::Item(text.to_owned()))
}

/// Collects the names of types, traits, functions, constants and enum variants of `source`.
fn collect_items(source: &str, items: &mut HashSet<String>) {
    let keywords = ["struct", "enum", "trait", "fn", "const", "type", "static"];
    for line in source.lines() {
        let words: Vec<&str> = line
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|w| !w.is_empty())
            .collect();
        for pair in words.windows(2) {
            if keywords.contains(&pair[0]) {
                items.insert(pair[1].to_owned());
            }
        }
        // A variant stands first on its line; a macro that makes a type names it alone.
        items.extend(words.first().map(|word| (*word).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_items_are_told_from_other_quotes() {
        let document = "In `core/hub` the `HubMachine` steps; `tomte why` and `/run` and `PUBACK` \
                        are no names.\n```\n`core/not`\n```\n";
        let expect = [Quoted::Path("core/hub".to_owned()), Quoted::Item("HubMachine".to_owned())];
        assert_eq!(quoted_names(document), expect);
    }

    #[test]
    fn items_are_found_behind_their_keyword() {
        let mut items = HashSet::new();
        collect_items("pub struct Tree<T> {\n    Branch(u8),\n}\nconst fn leaf() {}\n", &mut items);
        for name in ["Tree", "Branch", "leaf"] {
            assert!(items.contains(name), "{name} in {items:?}");
        }
        assert!(!items.contains("u8"));
    }

    #[test]
    fn the_names_in_the_architecture_exist() {
        let workspace = Workspace::locate().unwrap();
        assert_eq!(offences(&workspace).unwrap(), Vec::<String>::new());
    }
}
