//! What a worker is started with and what is known of it when it has ended.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The address at which a worker finds its hub, inside its own network namespace.
pub const WORKER_API_ADDRESS: &str = "127.0.0.1:9001";

/// Everything that one worker needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSpec {
    /// Number of the worker. Must not be in use by another worker of the same launcher.
    pub id: u64,
    /// Name of the function: becomes the host name inside and a part of the control group's name.
    pub name: String,
    /// Program and arguments. The program is a path as it is seen inside.
    pub argv: Vec<OsString>,
    /// The whole environment. Nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Folder with the code of the function: `/var/task` inside, read-only.
    pub code: PathBuf,
    /// Files of `/var/runtime`, read-only inside: name without folders, and content.
    pub runtime_files: Vec<(String, Vec<u8>)>,
    /// Folders that appear at the same path inside, read-only: interpreters outside `/usr`.
    pub extra_read_only: Vec<PathBuf>,
    /// Memory of all processes of the worker and of its `/tmp`, in bytes.
    pub memory: u64,
    /// Processor time in thousandths of a core; 0 is no limit.
    pub cpu_millis: u32,
    /// Number of processes and threads that may exist at once.
    pub max_processes: u32,
    /// Size of `/tmp` in bytes, the only place that the worker can write to.
    pub tmp_bytes: u64,
    /// Number of files that one process may hold open.
    pub max_open_files: u64,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Started {
    /// The first process of the worker's process namespace, as the host numbers it. Its end is the
    /// end of all processes of the worker.
    pub pid: u32,
    /// A listening TCP socket on [`WORKER_API_ADDRESS`], born in the worker's network namespace.
    /// Nonblocking. Only this worker can connect to it.
    pub listener: OwnedFd,
    /// Read end of the worker's standard output. Nonblocking.
    pub stdout: OwnedFd,
    /// Read end of the worker's standard error. Nonblocking.
    pub stderr: OwnedFd,
}

/// How a worker's main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal(libc::SIGKILL) => write!(f, "signal: killed"),
            ExitStatus::Signal(libc::SIGSEGV) => write!(f, "signal: segmentation fault"),
            ExitStatus::Signal(libc::SIGABRT) => write!(f, "signal: aborted"),
            ExitStatus::Signal(signal) => write!(f, "signal: {signal}"),
        }
    }
}

/// A worker that ended. All its processes are gone when this is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Number of the worker, from its [`WorkerSpec`].
    pub id: u64,
    /// How its main process ended.
    pub status: ExitStatus,
    /// Whether the kernel ended a process of the worker because the memory limit was reached.
    pub out_of_memory: bool,
    /// Most memory that was in use at once, in bytes, where the kernel tells it.
    pub peak_memory: Option<u64>,
}
