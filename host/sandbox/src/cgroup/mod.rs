//! Control groups, version 1 and 2: limits on memory, processor time and processes.
//!
//! Each controller is looked for by itself, because hosts mix versions. Folders are
//! `tomte/<hub>.<launcher>/<worker>` below the mount of the hierarchy, where hub and launcher are
//! process ids; folders whose launcher is gone are removed by the next one that starts. A user
//! without the right to make such folders gets no control groups, which [`crate::survey`] tells.
//!
//! **Being born inside.** Moving a process between groups of version 1 waits for all processors to
//! pass a quiet point: about 9 ms here, more than the rest of a start together. A process that is born
//! in a group does not wait. So the launcher itself sits in the folders of the *next* worker, and
//! moves on right after each start, when nobody waits for it ([`Groups::make_ahead`]). With version 2
//! the kernel clones into a group directly.

mod detect;
mod leftovers;
mod limits;
#[cfg(test)]
mod tests;
mod worker_group;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use detect::{Hierarchy, Version, hierarchies};

pub(crate) use worker_group::WorkerGroup;

use crate::spec::WorkerSpec;
use limits::{Launcher, limits};
use worker_group::Part;

/// Group of the hub itself, where only a part of version 2 was delegated to it.
const HUB_FOLDER: &str = "tomte-hub";
/// The folders of one launcher in all hierarchies that it may use.
pub(crate) struct Groups {
    bases: Vec<Base>,
    /// Folders that could not be removed yet.
    leftovers: Vec<PathBuf>,
    /// The folders of version 1 that the launcher sits in, for the next worker.
    ahead: Option<WorkerGroup>,
    made: u64,
}

/// The launcher's folder in one hierarchy.
struct Base {
    version: Version,
    controllers: Vec<String>,
    root: PathBuf,
    folder: PathBuf,
}

impl Groups {
    /// Makes the launcher's folders, and removes those of launchers that are gone.
    pub(crate) fn prepare(name: &str) -> Groups {
        let mut bases = Vec::new();
        for hierarchy in hierarchies() {
            let ours = hierarchy.root.join("tomte");
            leftovers::remove_of_dead_launchers(&ours);
            bases.extend(Base::make(hierarchy, &ours, name).ok());
        }
        let mut groups = Groups { bases, leftovers: Vec::new(), ahead: None, made: 0 };
        groups.make_ahead();
        groups
    }

    /// Returns whether workers get a limit by this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.bases.iter().any(|base| base.has(controller))
    }

    /// Makes folders for the next worker and moves the launcher into them. Where that fails, the
    /// next worker moves itself.
    pub(crate) fn make_ahead(&mut self) {
        if self.ahead.is_some() {
            return;
        }
        self.made += 1;
        let name = format!("next-{}", self.made);
        let mut group = WorkerGroup { parts: Vec::new(), born_inside: true };
        for base in self.bases.iter().filter(|base| base.version == Version::One) {
            let folder = base.folder.join(&name);
            let entered = fs::create_dir(&folder).and_then(|()| enter(&folder));
            group.parts.push(Part { version: base.version, folder });
            if entered.is_err() {
                self.leave();
                return self.remove(group);
            }
        }
        self.ahead = Some(group);
    }

    /// Moves the launcher out of all folders of workers.
    fn leave(&self) {
        for base in self.bases.iter().filter(|base| base.version == Version::One) {
            let _ = enter(&base.root);
        }
    }

    /// Makes the folders of one worker and writes its limits.
    ///
    /// # Errors
    /// Fails with the path that could not be made or written. Nothing is left then.
    pub(crate) fn make(&mut self, spec: &WorkerSpec) -> Result<WorkerGroup, (PathBuf, io::Error)> {
        let name = folder_name(spec);
        let mut group = self.ahead.take().unwrap_or_default();
        group.rename(&name);
        match self.complete(&mut group, &name, spec) {
            Ok(()) => Ok(group),
            Err(error) => {
                self.make_ahead();
                self.remove(group);
                Err(error)
            }
        }
    }

    fn complete(
        &self,
        group: &mut WorkerGroup,
        name: &str,
        spec: &WorkerSpec,
    ) -> Result<(), (PathBuf, io::Error)> {
        for base in &self.bases {
            let there = group.parts.iter().find(|part| part.folder.starts_with(&base.folder));
            let folder = match there {
                Some(part) => part.folder.clone(),
                None => {
                    let folder = base.folder.join(name);
                    fs::create_dir(&folder).map_err(|error| (folder.clone(), error))?;
                    group.parts.push(Part { version: base.version, folder: folder.clone() });
                    folder
                }
            };
            let inside = group.born_inside && base.version == Version::One;
            base.limit(&folder, spec, if inside { Launcher::Inside } else { Launcher::Outside })?;
        }
        Ok(())
    }

    /// Writes the limits that would have held the launcher up too, when it has moved on. Returns
    /// whether all limits hold now.
    #[must_use]
    pub(crate) fn settle(&self, group: &WorkerGroup, spec: &WorkerSpec) -> bool {
        self.bases.iter().all(|base| {
            let part = group.parts.iter().find(|part| part.folder.starts_with(&base.folder));
            part.is_none_or(|part| base.limit(&part.folder, spec, Launcher::Outside).is_ok())
        })
    }

    /// Removes the folders of a worker whose processes have ended, later if they are still busy.
    pub(crate) fn remove(&mut self, group: WorkerGroup) {
        self.leftovers.extend(group.parts.into_iter().map(|part| part.folder));
        self.remove_again();
    }

    /// Tries once more to remove what was busy.
    pub(crate) fn remove_again(&mut self) {
        self.leftovers.retain(|folder| is_busy(&fs::remove_dir(folder)));
    }

    pub(crate) fn has_leftovers(&self) -> bool {
        !self.leftovers.is_empty()
    }

    /// Removes everything of this launcher, as it ends.
    pub(crate) fn remove_all(mut self) {
        self.leave();
        if let Some(group) = self.ahead.take() {
            self.remove(group);
        }
        let patience = std::time::Duration::from_millis(2);
        for _ in 0..500 {
            self.remove_again();
            if self.leftovers.is_empty() {
                break;
            }
            std::thread::sleep(patience);
        }
        for base in &self.bases {
            let _ = fs::remove_dir(&base.folder);
        }
    }
}

fn is_busy(removed: &io::Result<()>) -> bool {
    removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

/// Returns a name that no other worker of the launcher has, and that tells people which it is.
fn folder_name(spec: &WorkerSpec) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = spec.name.chars().take(100).map(plain).collect();
    format!("{}-{name}", spec.id)
}

impl Base {
    fn make(hierarchy: Hierarchy, ours: &Path, name: &str) -> io::Result<Base> {
        let Hierarchy { version, controllers, root } = hierarchy;
        let folder = ours.join(name);
        if version == Version::Two {
            offer_from_delegated(&root, &controllers)?;
        }
        fs::create_dir_all(&folder)?;
        if version == Version::Two {
            offer_controllers(ours, &controllers)?;
            offer_controllers(&folder, &controllers)?;
        }
        Ok(Base { version, controllers, root, folder })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    fn limit(
        &self,
        folder: &Path,
        spec: &WorkerSpec,
        launcher: Launcher,
    ) -> Result<(), (PathBuf, io::Error)> {
        for (controller, file, value, needed) in limits(self.version, spec, launcher) {
            let path = folder.join(file);
            if !self.has(controller) || (!needed && !path.exists()) {
                continue;
            }
            fs::write(&path, value).map_err(|error| (path, error))?;
        }
        Ok(())
    }
}

/// Version 2 gives a controller to the children of a folder only when the folder offers it.
fn offer_controllers(folder: &Path, controllers: &[String]) -> io::Result<()> {
    let offer: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    fs::write(folder.join("cgroup.subtree_control"), offer.join(" "))
}

/// Offers the controllers of a group that was delegated to the hub and that the hub itself lives in.
/// A group with processes cannot offer any, so these move into a group of their own below it.
fn offer_from_delegated(root: &Path, controllers: &[String]) -> io::Result<()> {
    let offered = offer_controllers(root, controllers);
    if !is_busy(&offered) {
        return offered;
    }
    let hub = root.join(HUB_FOLDER);
    fs::create_dir_all(&hub)?;
    for process in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        fs::write(hub.join("cgroup.procs"), process)?;
    }
    offer_controllers(root, controllers)
}

/// Moves the current process into a group.
fn enter(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.procs"), "0")
}
