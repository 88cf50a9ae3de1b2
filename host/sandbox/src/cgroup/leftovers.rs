//! Removes the folders of launchers that ended without cleaning up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Removes, below `ours`, every folder `<hub>.<launcher>` whose launcher is gone.
pub(super) fn remove_of_dead_launchers(ours: &Path) {
    for entry in fs::read_dir(ours).into_iter().flatten().flatten() {
        if launcher_of(&entry.file_name().to_string_lossy()).is_some_and(|pid| !lives(pid)) {
            remove_tree(&entry.path());
        }
    }
}

pub(super) fn launcher_of(folder: &str) -> Option<Pid> {
    let (_, launcher) = folder.split_once('.')?;
    Pid::from_raw(launcher.parse().ok().filter(|number| *number > 0)?)
}

fn lives(launcher: Pid) -> bool {
    test_kill_process(launcher) != Err(rustix::io::Errno::SRCH)
}

/// Kills what still runs in a launcher's folder and removes it with all workers' folders.
fn remove_tree(folder: &Path) {
    for worker in fs::read_dir(folder).into_iter().flatten().flatten() {
        if worker.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty_and_remove(&worker.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

fn empty_and_remove(worker: &Path) {
    for _ in 0..100 {
        if fs::remove_dir(worker).is_ok() || !worker.exists() {
            return;
        }
        let processes = fs::read_to_string(worker.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
