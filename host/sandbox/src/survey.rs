//! Tells what this kernel and this user can enforce.

use std::fmt;

use crate::cgroup::{Hierarchy, Version, hierarchies};
use crate::launcher::{landlock_version, probe};

/// Which version of control groups manages a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerSupport {
    /// Version 1, and this user may use it.
    V1,
    /// Version 2, and this user may use it.
    V2,
    /// None, or none that this user may use.
    None,
}

/// A kind of limit that control groups enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// `memory`, `pids` or `cpu`.
    pub name: &'static str,
    /// Who enforces it.
    pub support: ControllerSupport,
}

/// Something that cannot be enforced here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is: `user namespaces`, `memory`, and so on.
    pub what: &'static str,
    /// What follows from it and what can be done, as a sentence.
    pub sentence: String,
    /// Whether workers cannot be started at all.
    pub fatal: bool,
}

/// What this kernel and this user can enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whether the namespaces that workers live in can be made.
    pub namespaces: bool,
    /// Whether each worker gets a user of the host for itself. Needs the rights of root.
    pub separate_users: bool,
    /// The limits that control groups enforce.
    pub controllers: Vec<Controller>,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// Version of landlock, 0 for none.
    pub landlock: u32,
    /// Everything that is missing.
    pub missing: Vec<Missing>,
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        writeln!(f, "namespaces: {}", yes_no(self.namespaces))?;
        writeln!(f, "a user per worker: {}", yes_no(self.separate_users))?;
        for Controller { name, support } in &self.controllers {
            let support = match support {
                ControllerSupport::V1 => "control groups, version 1",
                ControllerSupport::V2 => "control groups, version 2",
                ControllerSupport::None => "no control group",
            };
            writeln!(f, "limit of {name}: {support}")?;
        }
        writeln!(f, "filter of system calls: {}", yes_no(self.seccomp))?;
        write!(f, "landlock: version {}", self.landlock)?;
        self.missing.iter().try_for_each(|missing| write!(f, "\n{}", missing.sentence))
    }
}

/// Looks at what this kernel and this user can enforce. Tries things out in short-lived processes and
/// folders of its own; takes a few milliseconds.
#[must_use]
pub fn survey() -> Survey {
    let root = rustix::process::geteuid().is_root();
    let namespaces = probe::namespaces(root);
    let seccomp = probe::seccomp();
    let landlock = landlock_version();
    let controllers = controllers(&hierarchies());
    let mut missing = Vec::new();
    missing.extend(namespaces.as_ref().err().map(missing_namespaces));
    missing.extend((!root).then(missing_users));
    missing.extend((!seccomp).then(missing_seccomp));
    missing.extend((landlock == 0).then(missing_landlock));
    let absent = controllers.iter().filter(|one| one.support == ControllerSupport::None);
    missing.extend(absent.map(|one| missing_controller(one.name)));
    Survey {
        namespaces: namespaces.is_ok(),
        separate_users: root,
        controllers,
        seccomp,
        landlock,
        missing,
    }
}

fn controllers(hierarchies: &[Hierarchy]) -> Vec<Controller> {
    let usable: Vec<&Hierarchy> = hierarchies.iter().filter(|one| one.is_usable()).collect();
    let support = |name: &str| {
        let manages = |one: &&&Hierarchy| one.controllers.iter().any(|found| found == name);
        match usable.iter().find(manages).map(|one| one.version) {
            Some(Version::One) => ControllerSupport::V1,
            Some(Version::Two) => ControllerSupport::V2,
            None => ControllerSupport::None,
        }
    };
    ["memory", "pids", "cpu"].map(|name| Controller { name, support: support(name) }).into()
}

fn missing_namespaces(error: &std::io::Error) -> Missing {
    Missing {
        what: "namespaces",
        sentence: format!(
            "workers cannot be started: making namespaces fails ({error}); run the hub as root, or \
             allow user namespaces (sysctl user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns)"
        ),
        fatal: true,
    }
}

fn missing_users() -> Missing {
    Missing {
        what: "separate users",
        sentence: "all workers run as the user of the hub, told apart by namespaces only; run the \
                   hub as root to give each worker a user of its own"
            .into(),
        fatal: false,
    }
}

fn missing_seccomp() -> Missing {
    Missing {
        what: "seccomp",
        sentence: "workers cannot be started: this kernel cannot filter system calls \
                   (CONFIG_SECCOMP_FILTER)"
            .into(),
        fatal: true,
    }
}

fn missing_landlock() -> Missing {
    Missing {
        what: "landlock",
        sentence: "landlock is off or this kernel is older than 5.13; the read-only root is the \
                   only wall around files"
            .into(),
        fatal: false,
    }
}

fn missing_controller(name: &'static str) -> Missing {
    let instead = match name {
        "memory" => {
            "a process is limited to its memory plus 256 MiB of mappings (RLIMIT_DATA), and \
                     the end for lack of memory is not told apart from other ends"
        }
        "pids" => "processes are counted per user (RLIMIT_NPROC)",
        _ => "functions share the processor without limits",
    };
    Missing {
        what: name,
        sentence: format!(
            "no control group for {name} that this user may use: {instead}; run the hub as root, or \
             under systemd with Delegate=yes"
        ),
        fatal: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_said_in_a_sentence() {
        let survey = survey();
        let absent = survey.controllers.iter().filter(|c| c.support == ControllerSupport::None);
        for controller in absent {
            assert!(survey.missing.iter().any(|missing| missing.what == controller.name));
        }
        assert_eq!(survey.namespaces, !survey.missing.iter().any(|m| m.what == "namespaces"));
        assert_eq!(survey.landlock == 0, survey.missing.iter().any(|m| m.what == "landlock"));
        let text = survey.to_string();
        assert!(survey.missing.iter().all(|missing| text.contains(&missing.sentence)));
    }

    #[test]
    fn each_controller_without_a_hierarchy_is_none() {
        let found = controllers(&[]);
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|controller| controller.support == ControllerSupport::None));
    }
}
