//! Starts worker processes, each in an environment of its own. Linux only.
//!
//! A worker sees a read-only system, its code at `/var/task`, its runtime client at `/var/runtime`,
//! a private `/tmp` of limited size, its own processes, and a network on which only one address
//! answers: the hub's, [`WORKER_API_ADDRESS`]. It has a user of its own, no capabilities, a filter on
//! system calls, and limits on memory, processor time, processes and open files.
//!
//! The hub is a program with many threads, from which no process can be forked safely. So the
//! [`Launcher`] executes the same program once more as a small process with one thread, which does
//! the forking; see [`launcher`]. What this kernel and user can enforce is told by [`survey`].
//!
//! ```no_run
//! // First thing in `main`, before any thread:
//! tomte_sandbox::launcher::run_if_asked();
//! // Later, in the hub:
//! let options = tomte_sandbox::LauncherOptions {
//!     state_folder: "/var/lib/tomte/sandbox".into(),
//!     self_exe: "/proc/self/exe".into(),
//! };
//! let (launcher, exits) = tomte_sandbox::Launcher::start(options)?;
//! # Ok::<(), tomte_sandbox::LauncherError>(())
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("workers are isolated by means that only Linux has");

mod cgroup;
mod channel;
mod error;
mod handle;
pub mod launcher;
mod protocol;
pub mod runtime;
mod runtime_files;
mod spec;
mod survey;

pub use error::{LauncherError, SpawnError, Step};
pub use handle::{ExitReports, Launcher, LauncherOptions};
pub use spec::{Exit, ExitStatus, Started, WORKER_API_ADDRESS, WorkerSpec};
pub use survey::{Controller, ControllerSupport, Missing, Survey, survey};
