//! The control groups of one worker: how it enters them and what they tell of it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::Version;

/// The control groups of one worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerGroup {
    pub(super) parts: Vec<Part>,
    /// Whether the launcher sits in the folders of version 1, so that what it clones is born there.
    pub(super) born_inside: bool,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) version: Version,
    pub(super) folder: PathBuf,
}

/// What the memory controller tells of a worker that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) out_of_memory: bool,
    pub(crate) peak_memory: Option<u64>,
}

impl WorkerGroup {
    /// Gives the folders the name of their worker. Where that fails, they keep the one they have.
    pub(super) fn rename(&mut self, name: &str) {
        for part in &mut self.parts {
            let renamed = part.folder.with_file_name(name);
            if fs::rename(&part.folder, &renamed).is_ok() {
                part.folder = renamed;
            }
        }
    }

    /// Opens the files through which a process enters the groups that it must enter by itself.
    pub(crate) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        if self.born_inside {
            return Ok(Vec::new());
        }
        self.open(Version::One, |folder| {
            File::options().write(true).open(folder.join("cgroup.procs"))
        })
    }

    /// Opens the group of version 2, into which a process can be cloned.
    pub(crate) fn birthplace(&self) -> io::Result<Option<OwnedFd>> {
        Ok(self.open(Version::Two, |folder| File::open(folder))?.pop())
    }

    fn open(
        &self,
        version: Version,
        open: impl Fn(&Path) -> io::Result<File>,
    ) -> io::Result<Vec<OwnedFd>> {
        let parts = self.parts.iter().filter(|part| part.version == version);
        parts.map(|part| open(&part.folder).map(OwnedFd::from)).collect()
    }

    /// Kills every process of the worker, where the kernel can do it in one go.
    pub(crate) fn kill(&self) {
        for part in &self.parts {
            let _ = fs::write(part.folder.join("cgroup.kill"), "1");
        }
    }

    /// Reads what happened to the memory of the worker.
    pub(crate) fn usage(&self, killed: bool) -> Usage {
        let mut usage = Usage::default();
        for part in &self.parts {
            let read = |file| fs::read_to_string(part.folder.join(file)).ok();
            let (events, peak) = match part.version {
                Version::One => ("memory.oom_control", "memory.max_usage_in_bytes"),
                Version::Two => ("memory.events", "memory.peak"),
            };
            if let Some(events) = read(events) {
                usage.out_of_memory = match counter(&events, "oom_kill") {
                    Some(kills) => kills > 0,
                    // Kernels before 4.13 do not count kills, only failed requests.
                    None => killed && read("memory.failcnt").is_some_and(|n| n.trim() != "0"),
                };
            }
            usage.peak_memory = usage.peak_memory.or_else(|| read(peak)?.trim().parse().ok());
        }
        usage
    }
}

/// Returns the number behind `name` in lines of names and numbers.
pub(super) fn counter(lines: &str, name: &str) -> Option<u64> {
    lines.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}
