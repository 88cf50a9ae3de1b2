/// Checks that `path` stays below the manifest, and returns it without `.` and `..`.
pub(super) fn code_path(path: &str) -> Result<String, &'static str> {
    if path.is_empty() {
        return Err("the path is empty");
    }
    if path.contains(['\\', '\0']) {
        return Err("the path holds a backslash or a null; folders are divided by /");
    }
    if path.starts_with('/') || path.starts_with('~') {
        return Err("the path is absolute");
    }
    let mut folders = Vec::new();
    for folder in path.split('/') {
        match folder {
            "" | "." => {}
            ".." if folders.pop().is_none() => return Err("the path leads out of the folder"),
            ".." => {}
            folder => folders.push(folder),
        }
    }
    match folders.is_empty() {
        true => Err("the path is the folder of the manifest itself"),
        false => Ok(folders.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_below_the_manifest_are_accepted() {
        for (path, expect) in [
            ("functions/regulate", "functions/regulate"),
            ("./a.zip", "a.zip"),
            ("a//b/", "a/b"),
            ("a/../b", "b"),
            ("...", "..."),
        ] {
            assert_eq!(code_path(path).as_deref(), Ok(expect), "{path}");
        }
    }

    #[test]
    fn paths_to_elsewhere_are_refused() {
        for path in
            ["", "/etc", "..", "a/../..", "../sibling", "~/x", "a\\..\\b", ".", "a/..", "a\0"]
        {
            assert!(code_path(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_accepted_path_leads_out(path in "(a|\\.|\\.\\.|/|b/){0,8}") {
            if let Ok(path) = code_path(&path) {
                prop_assert!(path.split('/').all(|folder| !matches!(folder, "" | "." | "..")));
            }
        }
    }
}
