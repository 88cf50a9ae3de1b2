//! Looks for interpreters.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::ask::{Answer, ask};
use super::{Interpreter, Wanted};

/// How many newer versions are looked for by name.
const NEWER_VERSIONS: u32 = 10;
/// Folders that are searched after those of `PATH`.
const USUAL_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// No interpreter of the wanted version was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeMissing {
    /// What was looked for.
    pub wanted: Wanted,
    /// Where it was looked for.
    pub searched: Vec<PathBuf>,
    /// What was found instead: version and program.
    pub found: Vec<(String, PathBuf)>,
}

impl fmt::Display for RuntimeMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, searched, found } = self;
        let searched: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
        write!(f, "no {wanted} or newer on this machine; looked in {}", searched.join(", "))?;
        for (version, program) in found {
            write!(f, "; found only {} {version} at {}", wanted.language(), program.display())?;
        }
        let package = match wanted {
            Wanted::Python { minor } => format!("python3.{minor}, or python3 where that is newer"),
            Wanted::Node { .. } => "nodejs".into(),
        };
        write!(f, "; install it with: apt-get install {package}")
    }
}

impl std::error::Error for RuntimeMissing {}

/// Finds the wanted version, or the nearest newer one of the same line.
///
/// What was found is remembered for the life of the process, as long as the program is there.
///
/// # Errors
/// Fails with [`RuntimeMissing`], which says where it looked and what to install.
pub fn find(wanted: &Wanted) -> Result<Interpreter, RuntimeMissing> {
    static FOUND: Mutex<Option<HashMap<Wanted, Interpreter>>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let found = found.get_or_insert_default();
    if let Some(interpreter) = found.get(wanted).filter(|one| one.program.exists()) {
        return Ok(interpreter.clone());
    }
    let interpreter = find_in(*wanted, &folders(*wanted))?;
    found.insert(*wanted, interpreter.clone());
    Ok(interpreter)
}

/// Returns the folders to search, without repetition.
fn folders(wanted: Wanted) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|folder| folder.is_absolute());
    let managed = managed_folders(wanted, env::var_os("HOME").map(PathBuf::from));
    for folder in on_path.chain(USUAL_FOLDERS.map(PathBuf::from)).chain(managed) {
        if !folders.contains(&folder) && folder.is_dir() {
            folders.push(folder);
        }
    }
    folders
}

/// Returns the folders in which version managers keep their programs, newest versions first.
fn managed_folders(wanted: Wanted, home: Option<PathBuf>) -> Vec<PathBuf> {
    let Some(home) = home else { return Vec::new() };
    let kept = match wanted {
        Wanted::Python { .. } => home.join(".pyenv/versions"),
        Wanted::Node { .. } => home.join(".nvm/versions/node"),
    };
    let entries = std::fs::read_dir(kept).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

fn find_in(wanted: Wanted, folders: &[PathBuf]) -> Result<Interpreter, RuntimeMissing> {
    let mut others: Vec<Answer> = Vec::new();
    for name in names(wanted) {
        for program in folders.iter().map(|folder| folder.join(&name)).filter(|path| path.is_file())
        {
            let Some(answer) = ask(&program, wanted) else { continue };
            if answer.deciding_number(wanted) == Some(asked_number(wanted)) {
                return Ok(interpreter(wanted, answer));
            }
            others.push(answer);
        }
    }
    nearest_newer(wanted, &others).map(|answer| interpreter(wanted, answer)).ok_or_else(|| {
        let found = others.into_iter().map(|answer| (answer.version, answer.program));
        let mut found: Vec<_> = found.collect();
        found.sort();
        found.dedup();
        RuntimeMissing { wanted, searched: folders.to_vec(), found }
    })
}

fn asked_number(wanted: Wanted) -> u32 {
    match wanted {
        Wanted::Python { minor } => minor,
        Wanted::Node { major } => major,
    }
}

/// Returns the names that the wanted version and newer ones go by, the most promising first.
fn names(wanted: Wanted) -> Vec<String> {
    match wanted {
        Wanted::Python { minor } => {
            let newer =
                (minor + 1..=minor + NEWER_VERSIONS).map(|minor| format!("python3.{minor}"));
            let first = [format!("python3.{minor}"), "python3".into()];
            first.into_iter().chain(newer).collect()
        }
        Wanted::Node { major } => vec![format!("node{major}"), "node".into(), "nodejs".into()],
    }
}

fn nearest_newer(wanted: Wanted, answers: &[Answer]) -> Option<Answer> {
    let number = |answer: &&Answer| answer.deciding_number(wanted);
    let newer = answers.iter().filter(|one| number(one) > Some(asked_number(wanted)));
    newer.min_by_key(number).cloned()
}

fn interpreter(wanted: Wanted, answer: Answer) -> Interpreter {
    let exact = answer.deciding_number(wanted) == Some(asked_number(wanted));
    let read_only = read_only(&answer);
    Interpreter { wanted, program: answer.program, version: answer.version, read_only, exact }
}

/// Returns the folders that the interpreter needs and that lie outside `/usr`.
fn read_only(answer: &Answer) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for prefix in answer.prefixes.iter().cloned().chain(prefix_of(&answer.program)) {
        // Packages of Nix need each other.
        let prefix = if prefix.starts_with("/nix/store") { "/nix/store".into() } else { prefix };
        if !prefix.starts_with("/usr") && !folders.iter().any(|there| prefix.starts_with(there)) {
            folders.push(prefix);
        }
    }
    folders
}

/// Returns the folder above `bin`, or the program's folder when it is not a `bin` or lies too high.
fn prefix_of(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let above = folder.parent().filter(|above| above.components().count() > 2);
    let prefix = if folder.ends_with("bin") { above.unwrap_or(folder) } else { folder };
    let in_root = [Path::new("/bin"), Path::new("/sbin")].contains(&prefix);
    (!in_root).then(|| prefix.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PYTHON: Wanted = Wanted::Python { minor: 11 };

    /// Makes a program that answers as an interpreter of this version would.
    fn pretend(folder: &Path, name: &str, version: &str) {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        let prefix = folder.parent().unwrap().display();
        let script = format!("#!/bin/sh\nprintf '{version}\\n{}\\n{prefix}\\n'\n", path.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_exact_version_wins_over_a_newer_one_found_first() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (home.path().join("one/bin"), home.path().join("other/bin"));
        pretend(&one, "python3", "3.13.1");
        pretend(&other, "python3.11", "3.11.2");
        let found = find_in(PYTHON, &[one, other.clone()]).unwrap();
        assert_eq!((found.version.as_str(), found.exact), ("3.11.2", true));
        assert_eq!(found.program, other.join("python3.11"));
        assert_eq!(found.read_only, [home.path().join("other")]);
    }

    #[test]
    fn the_nearest_newer_version_is_taken_when_the_exact_one_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bin");
        for (name, version) in
            [("python3", "3.9.1"), ("python3.14", "3.14.0"), ("python3.12", "3.12.9")]
        {
            pretend(&folder, name, version);
        }
        let found = find_in(PYTHON, &[folder]).unwrap();
        assert_eq!((found.version.as_str(), found.exact), ("3.12.9", false));
    }

    #[test]
    fn an_older_version_is_named_and_not_taken() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bin");
        pretend(&folder, "python3", "3.9.1");
        let missing = find_in(PYTHON, std::slice::from_ref(&folder)).unwrap_err().to_string();
        let folder = folder.display();
        assert_eq!(
            missing,
            format!(
                "no Python 3.11 or newer on this machine; looked in {folder}; found only Python \
                 3.9.1 at {folder}/python3; install it with: apt-get install python3.11, or python3 \
                 where that is newer"
            )
        );
    }

    #[test]
    fn a_shim_without_a_version_is_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let (shims, real) = (home.path().join("shims"), home.path().join("real/bin"));
        fs::create_dir_all(&shims).unwrap();
        fs::write(shims.join("python3.11"), "#!/bin/sh\nexit 127\n").unwrap();
        fs::set_permissions(shims.join("python3.11"), fs::Permissions::from_mode(0o755)).unwrap();
        pretend(&real, "python3.11", "3.11.0");
        let found = find_in(PYTHON, &[shims, real.clone()]).unwrap();
        assert_eq!(found.program, real.join("python3.11"));
    }

    #[test]
    fn programs_in_usr_need_no_folder_and_others_their_prefix() {
        let folders = |program: &str, prefix: &str| {
            let (program, prefixes) = (program.into(), vec![prefix.into()]);
            read_only(&Answer { version: String::new(), program, prefixes })
        };
        assert!(folders("/usr/bin/python3", "/usr").is_empty());
        assert!(folders("/usr/local/bin/node", "/usr/local").is_empty());
        assert_eq!(folders("/root/p/bin/python3", "/root/p"), [Path::new("/root/p")]);
        assert_eq!(folders("/nix/store/a/bin/node", "/nix/store/a"), [Path::new("/nix/store")]);
        assert_eq!(prefix_of(Path::new("/opt/bin/node")), Some("/opt/bin".into()));
        assert_eq!(prefix_of(Path::new("/opt/node/bin/node")), Some("/opt/node".into()));
        assert_eq!(prefix_of(Path::new("/bin/node")), None);
    }
}
