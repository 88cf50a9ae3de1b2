//! Finds the hierarchies of control groups that are mounted, and who manages which controller.

use std::fs;
use std::path::{Path, PathBuf};

/// The controllers that workers need.
pub(crate) const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Version of the interface of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A hierarchy with at least one controller that workers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    /// The folder below which ours are made.
    pub(crate) root: PathBuf,
}

/// Returns the hierarchies of this host, version 1 first.
pub(crate) fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<Hierarchy> = first_version(&mounts);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    found.extend(second_version(&mounts, &own, rustix::process::geteuid().is_root()));
    found
}

/// Returns mount point, type and options of the file system for each line of `mountinfo`.
fn mounts(mountinfo: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    mountinfo.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let file_system = kind.next()?;
        Some((place.split(' ').nth(4)?, file_system, kind.nth(1)?))
    })
}

pub(super) fn first_version(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for (place, kind, options) in mounts(mountinfo) {
        let new = |name: &&str| !found.iter().any(|one| one.controllers.iter().any(|n| n == name));
        let managed = options.split(',').filter(|option| CONTROLLERS.contains(option)).filter(new);
        let controllers: Vec<String> = managed.map(str::to_owned).collect();
        if kind == "cgroup" && !controllers.is_empty() {
            found.push(Hierarchy { version: Version::One, controllers, root: place.into() });
        }
    }
    found
}

fn second_version(mountinfo: &str, own: &str, root_user: bool) -> Option<Hierarchy> {
    let (place, ..) = mounts(mountinfo).find(|(_, kind, _)| *kind == "cgroup2")?;
    let root = second_version_root(Path::new(place), own, root_user);
    let offered = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let controllers = needed_controllers(&offered);
    (!controllers.is_empty()).then_some(Hierarchy { version: Version::Two, controllers, root })
}

pub(super) fn needed_controllers(offered: &str) -> Vec<String> {
    let needed = offered.split_whitespace().filter(|name| CONTROLLERS.contains(name));
    needed.map(str::to_owned).collect()
}

/// Root may use the whole hierarchy; others only the group that was delegated to them.
pub(super) fn second_version_root(mount: &Path, own: &str, root_user: bool) -> PathBuf {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
    // An earlier launcher may have moved the hub one level down.
    let own = own.strip_suffix(super::HUB_FOLDER).unwrap_or(own).trim_end_matches('/');
    if root_user { mount.to_owned() } else { mount.join(own) }
}

impl Hierarchy {
    /// Tries whether this user may make folders here.
    pub(crate) fn is_usable(&self) -> bool {
        let trial = self.root.join(format!("tomte-trial-{}", std::process::id()));
        let made = fs::create_dir(&trial).is_ok() && fs::remove_dir(&trial).is_ok();
        let offers = self.root.join("cgroup.subtree_control");
        made && (self.version == Version::One
            || fs::File::options().write(true).open(offers).is_ok())
    }
}
