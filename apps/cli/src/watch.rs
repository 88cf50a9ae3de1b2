//! Tells when files of a project were saved.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// A save is often several writes: it is told when nothing more came for this long.
const SETTLED: Duration = Duration::from_millis(100);

/// Longest time that a stream of writes can hold back the news.
const PATIENCE: Duration = Duration::from_millis(500);

/// What lies in a project and is no part of it.
const IGNORED: [&str; 6] = [".tomte", "devices", ".git", "__pycache__", ".venv", ".idea"];

/// Watches as long as it lives.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
}

/// Calls `saved` with the files that changed, relative to `folder`, each time that they settle.
///
/// # Errors
/// Fails when the system refuses to watch the folder, for example because too many are watched.
pub(crate) fn watch(
    folder: &Path,
    saved: impl FnMut(Vec<PathBuf>) + Send + 'static,
) -> anyhow::Result<Watch> {
    let folder = folder.canonicalize().with_context(|| failed(folder))?;
    let (tell, told) = channel();
    let mut watcher = notify::recommended_watcher(move |event| {
        if let Ok(notify::Event { kind, paths, .. }) = event
            && changes_something(kind)
        {
            // The receiver goes with the command.
            let _ = tell.send(paths);
        }
    })
    .with_context(|| failed(&folder))?;
    watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| failed(&folder))?;
    thread::Builder::new().name("watch".to_owned()).spawn(move || settle(&folder, &told, saved))?;
    Ok(Watch { _watcher: watcher })
}

fn failed(folder: &Path) -> String {
    format!("failed to watch {}", folder.display())
}

fn changes_something(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn settle(folder: &Path, told: &Receiver<Vec<PathBuf>>, mut saved: impl FnMut(Vec<PathBuf>)) {
    while let Ok(first) = told.recv() {
        let mut files = relevant(folder, first);
        if files.is_empty() {
            continue;
        }
        let first = Instant::now();
        while first.elapsed() < PATIENCE {
            match told.recv_timeout(SETTLED) {
                Ok(more) => files.extend(relevant(folder, more)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        files.sort();
        files.dedup();
        saved(files);
    }
}

/// Returns the paths that belong to the project, relative to its folder.
fn relevant(folder: &Path, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let inside = paths.iter().filter_map(|path| path.strip_prefix(folder).ok());
    inside.filter(|path| belongs(path)).map(Path::to_owned).collect()
}

fn belongs(path: &Path) -> bool {
    let ignored = |part: &OsStr| IGNORED.iter().any(|name| part == *name);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Editors: vim's swap and probe files, emacs' locks and backups.
    let temporary = name.ends_with('~')
        || name.ends_with(".swp")
        || name.ends_with(".swx")
        || name.ends_with(".pyc")
        || name.starts_with(".#")
        || name == "4913";
    !temporary && !path.iter().any(ignored)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_save_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".tomte")).unwrap();
        let (tell, told) = channel();
        let _watch = watch(folder.path(), move |files| tell.send(files).unwrap()).unwrap();
        fs::write(folder.path().join(".tomte/journal"), "x").unwrap();
        fs::write(folder.path().join("tomte.toml"), "x").unwrap();
        fs::write(folder.path().join("tomte.toml"), "y").unwrap();
        let files = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(files, [PathBuf::from("tomte.toml")]);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_is_no_part_of_the_project_is_left_out() {
        for path in [
            ".tomte/control.sock",
            "devices/fan/fan.key",
            "functions/f/__pycache__/app.cpython-311.pyc",
            "functions/f/.app.py.swp",
            "tomte.toml~",
        ] {
            assert!(!belongs(Path::new(path)), "{path}");
        }
        assert!(belongs(Path::new("functions/f/app.py")));
    }
}
