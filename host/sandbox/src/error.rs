//! What can go wrong between asking for a worker and its first instruction.

use std::fmt;
use std::io;
use std::path::PathBuf;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $hint:literal;)*) => {
        /// One step on the way from a request to a running worker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step {
            $($(#[$doc])* $name,)*
        }

        impl Step {
            pub(crate) const ALL: &'static [Step] = &[$(Step::$name),*];

            /// Returns what the step does, as a part of a sentence.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Step::$name => $text,)* }
            }

            /// Returns what a person can do when the step fails; empty when there is nothing to say.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Step::$name => $hint,)* }
            }
        }
    };
}

steps! {
    /// The request was checked and written for the launcher.
    Request => "asking the launcher",
        "the launcher process has ended or the request is too large; see the log of the hub";
    /// The files of `/var/runtime` were stored.
    RuntimeFiles => "writing the runtime files",
        "check that the state folder is writable and has room";
    /// The network namespace and the listener in it were made.
    Network => "making the private network",
        "the kernel must allow network namespaces; run `tomte doctor`";
    /// The control groups were made and limited.
    ControlGroup => "making the control group",
        "check that nothing else manages the `tomte` folder below /sys/fs/cgroup; run `tomte doctor`";
    /// Pipes for output and status were made.
    Pipe => "making pipes",
        "the hub has too many open files; raise its limit";
    /// The first process was cloned.
    Clone => "cloning the process",
        "the kernel must allow new namespaces; run `tomte doctor`";
    /// The process entered its control groups.
    JoinControlGroup => "entering the control group",
        "run `tomte doctor`";
    /// The host name was set.
    HostName => "setting the host name", "";
    /// The private `/tmp` was mounted.
    MountTmp => "mounting /tmp", "";
    /// The private `/dev/shm` was mounted.
    MountShm => "mounting /dev/shm", "";
    /// `/proc` was mounted.
    MountProc => "mounting /proc",
        "inside a container, its /proc must not be masked (docker: --security-opt systempaths=unconfined)";
    /// A mount point was made.
    MakeFolder => "making the folder", "";
    /// A folder was bound, read-only.
    Bind => "mounting",
        "check that the folder exists and that the hub may read it";
    /// The new root replaced the old one.
    Root => "changing the root folder", "";
    /// The process took its unprivileged user.
    User => "changing to an unprivileged user", "";
    /// The user namespace was made.
    UserNamespace => "making the user namespace",
        "user namespaces must be allowed (sysctl user.max_user_namespaces); run `tomte doctor`";
    /// The user was mapped into the namespace.
    MapUser => "mapping the user", "";
    /// The process entered `/var/task`.
    WorkFolder => "entering /var/task",
        "the code folder must be readable by every user (chmod o+rx)";
    /// Resource limits were set.
    Limits => "setting resource limits", "";
    /// Capabilities were dropped.
    Capabilities => "dropping capabilities", "";
    /// Landlock rules were applied.
    Landlock => "applying landlock rules", "";
    /// The system call filter was applied.
    Seccomp => "applying the system call filter",
        "the kernel must have CONFIG_SECCOMP_FILTER";
    /// The main process was forked by the first one.
    Fork => "forking the main process",
        "the limit of processes may be too low";
    /// The program was executed.
    Execute => "executing",
        "the program must exist inside the environment and be executable by every user";
    /// All steps took too long.
    Timeout => "waiting for the process to start",
        "a folder may lie on a file system that does not answer";
}

impl Step {
    pub(crate) fn from_number(number: u8) -> Option<Step> {
        Step::ALL.get(usize::from(number)).copied()
    }
}

/// Why a worker could not be started. The failed worker leaves nothing behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// Number of the worker.
    pub id: u64,
    /// Name of its function.
    pub name: String,
    /// The step that failed.
    pub step: Step,
    /// What the step worked on: a path, often with the place it was to appear at. May be empty.
    pub object: String,
    /// Error number of the system; 0 when the system was not asked.
    pub errno: i32,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, step, object, errno } = self;
        write!(f, "failed to start worker {id} of function {name}: {}", step.text())?;
        if !object.is_empty() {
            write!(f, " {object}")?;
        }
        if *errno != 0 {
            write!(f, ": {}", io::Error::from_raw_os_error(*errno))?;
        }
        match step.hint() {
            "" => Ok(()),
            hint => write!(f, "; {hint}"),
        }
    }
}

impl std::error::Error for SpawnError {}

/// Why the launcher process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// The folder for the launcher's files could not be made.
    #[error("failed to make the folder {path} for the sandbox")]
    StateFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket to the launcher could not be made.
    #[error("failed to make a socket for the launcher")]
    Socket {
        /// What the system said.
        source: io::Error,
    },
    /// The program could not be executed again.
    #[error("failed to execute {program} as the launcher")]
    Execute {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The launcher ended or answered with an error before it was ready.
    #[error("failed to prepare the launcher: {reason}")]
    Prepare {
        /// What the launcher said.
        reason: String,
    },
}
