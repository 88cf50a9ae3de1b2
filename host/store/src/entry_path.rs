use crate::CodeLimits;

/// Longest name of a file or folder, in bytes, on the file systems of Linux.
const NAME_BYTES: usize = 255;

/// Why a path cannot be one inside a folder of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Nothing is left of it.
    #[error("it names nothing")]
    Empty,
    /// It begins at the root of the machine.
    #[error("it is absolute")]
    Absolute,
    /// It begins with a drive letter of Windows.
    #[error("it begins with a drive letter")]
    DriveLetter,
    /// It has a part `..`.
    #[error("it leads out of the folder with '..'")]
    ParentFolder,
    /// It has a backslash, which some programs take for a separator.
    #[error("it holds a backslash")]
    Backslash,
    /// It has a control character.
    #[error("it holds a control character")]
    ControlCharacter,
    /// It is longer than the limit.
    #[error("it has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// One of its parts is longer than file systems allow.
    #[error("one of its parts has {length} bytes, at most {NAME_BYTES} are allowed")]
    PartTooLong {
        /// Length of the part in bytes.
        length: usize,
    },
    /// It has more parts than the limit.
    #[error("it has {depth} parts, at most {limit} are allowed")]
    TooDeep {
        /// Its parts.
        depth: usize,
        /// The limit.
        limit: usize,
    },
}

/// Returns `path` with its parts separated by single slashes, if it names a place inside a folder.
pub(crate) fn inside_folder(path: &str, limits: &CodeLimits) -> Result<String, BadPath> {
    check_text(path, limits)?;
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    for part in &parts {
        if *part == ".." {
            return Err(BadPath::ParentFolder);
        }
        if part.len() > NAME_BYTES {
            return Err(BadPath::PartTooLong { length: part.len() });
        }
    }
    if parts.is_empty() {
        return Err(BadPath::Empty);
    }
    if parts.len() > limits.depth {
        return Err(BadPath::TooDeep { depth: parts.len(), limit: limits.depth });
    }
    Ok(parts.join("/"))
}

fn check_text(path: &str, limits: &CodeLimits) -> Result<(), BadPath> {
    if path.len() > limits.path_bytes {
        return Err(BadPath::TooLong { length: path.len(), limit: limits.path_bytes });
    }
    if path.starts_with('/') {
        return Err(BadPath::Absolute);
    }
    if path.contains('\\') {
        return Err(BadPath::Backslash);
    }
    if matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(BadPath::DriveLetter);
    }
    if path.chars().any(char::is_control) {
        return Err(BadPath::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Result<&str, BadPath>) {
        let found = inside_folder(path, &CodeLimits::default());
        assert_eq!(found.as_deref(), expect.as_ref().map(|path| *path), "{path:?}");
    }

    #[test]
    fn paths_inside_are_made_plain() {
        check("a", Ok("a"));
        check("a/b.py", Ok("a/b.py"));
        check("./a//b/", Ok("a/b"));
        check("a/..b/c..", Ok("a/..b/c.."));
        check("grün/ä", Ok("grün/ä"));
        check("ab:c", Ok("ab:c"));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        check("", Err(BadPath::Empty));
        check("./", Err(BadPath::Empty));
        check("/etc/passwd", Err(BadPath::Absolute));
        check("../a", Err(BadPath::ParentFolder));
        check("a/../b", Err(BadPath::ParentFolder));
        check("a/..", Err(BadPath::ParentFolder));
        check("..\\a", Err(BadPath::Backslash));
        check("C:/a", Err(BadPath::DriveLetter));
        check("c:a", Err(BadPath::DriveLetter));
        check("a\0b", Err(BadPath::ControlCharacter));
        check("a\nb", Err(BadPath::ControlCharacter));
    }

    #[test]
    fn limits_hold_at_the_bound() {
        let limits = CodeLimits { path_bytes: 600, depth: 3, ..CodeLimits::default() };
        assert!(inside_folder("a/b/c", &limits).is_ok());
        let too_deep = BadPath::TooDeep { depth: 4, limit: 3 };
        assert_eq!(inside_folder("a/b/c/d", &limits), Err(too_deep));
        assert!(inside_folder(&"a".repeat(255), &limits).is_ok());
        let part = BadPath::PartTooLong { length: 256 };
        assert_eq!(inside_folder(&"a".repeat(256), &limits), Err(part));
        let path = |length: usize| "a/".repeat(length / 2);
        let too_long = BadPath::TooLong { length: 602, limit: 600 };
        assert_eq!(inside_folder(&path(602), &limits), Err(too_long));
        let wide = CodeLimits { depth: 1000, ..limits };
        assert!(inside_folder(&path(600), &wide).is_ok());
    }
}
