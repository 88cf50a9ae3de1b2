use std::fmt;

/// The place of a value in a manifest: `functions.regulate.memory`, `routes[0].to`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

/// One step down into a table or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl KeyPath {
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// Returns the path of `keys`, one below the other.
pub(super) fn path<const N: usize>(keys: [&str; N]) -> KeyPath {
    KeyPath(keys.map(|key| Step::Key(key.to_owned())).into())
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if at == 0 { "" } else { "." };
                    write!(f, "{dot}{}", bare_or_quoted(key))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the key as TOML would have it written.
fn bare_or_quoted(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { format!("{key:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_the_manifest() {
        assert_eq!(
            path(["functions", "regulate", "memory"]).to_string(),
            "functions.regulate.memory"
        );
        assert_eq!(path(["routes"]).index(0).key("from").index(2).to_string(), "routes[0].from[2]");
        assert_eq!(path(["devices", "a b"]).to_string(), "devices.\"a b\"");
        assert_eq!(path([]).to_string(), "");
    }
}
