//! The tests of the workspace by name.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::workspace::Workspace;

/// The files of each test. A test of a `proptest!` block counts like any other.
#[derive(Debug, Default)]
pub(super) struct TestsByName(BTreeMap<String, Vec<String>>);

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// The file and the name of the function.
    One((&'a str, &'a str)),
    None,
    Several(Vec<&'a str>),
}

impl TestsByName {
    /// Looks through every Rust file.
    ///
    /// # Errors
    /// Fails when a file cannot be read.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let mut tests = Self::default();
        for file in workspace.rust_files()? {
            tests.add(&file, &workspace.read(&file)?);
        }
        Ok(tests)
    }

    pub(super) fn add(&mut self, file: &str, source: &str) {
        let mut is_test = false;
        for line in source.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line.contains("test]") || line.contains("test(");
            } else if !line.starts_with("//") {
                if let (true, Some(name)) = (is_test, function_name(line)) {
                    self.0.entry(name.to_owned()).or_default().push(file.to_owned());
                }
                is_test = false;
            }
        }
    }

    /// Finds the test with `name`, which may have a part of its path and `::` before it.
    pub(super) fn find<'a>(&'a self, name: &str) -> Found<'a> {
        let (part, name) = name.rsplit_once("::").unwrap_or(("", name));
        let Some((name, files)) = self.0.get_key_value(name) else { return Found::None };
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.retain(|file| file.contains(part));
        match files[..] {
            [] => Found::None,
            [file] => Found::One((file, name)),
            _ => Found::Several(files),
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_test_or_is_refused() {
        let mut tests = TestsByName::default();
        tests.add(
            "a/b.rs",
            "#[test]\n/// Says.\nfn one() {}\n#[test]\nasync fn two() {}\nfn no() {}",
        );
        tests.add("a/c.rs", "proptest! {\n    #[test]\n    fn two(x: u8) {}\n}");
        assert_eq!(tests.find("one"), Found::One(("a/b.rs", "one")));
        assert_eq!(tests.find("no"), Found::None);
        assert_eq!(tests.find("two"), Found::Several(vec!["a/b.rs", "a/c.rs"]));
        assert_eq!(tests.find("c.rs::two"), Found::One(("a/c.rs", "two")));
        assert_eq!(tests.find("d.rs::two"), Found::None);
    }
}
