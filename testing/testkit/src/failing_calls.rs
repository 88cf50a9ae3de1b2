use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::tomte_binary;
use crate::hub::Hub;
use crate::peers;
use crate::process::Process;
use crate::until::until;

/// How long the hub may take to start, and strace to get hold of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the hub, and becomes its tracer when told. Where only a parent may trace a process, as on many
/// systems, the one that starts it has to.
const SCRIPT: &str = r#"
"$TOMTE" run --no-deploy &
hub=$!
trap 'exec "$STRACE" -f -o /dev/null -e trace="$CALL" -e inject="$CALL:$FAULT" -p $hub' USR1
wait
"#;

/// A hub process in which the system refuses a call while a test wants it, by strace.
pub struct FailingCalls {
    /// The shell, later strace.
    tracer: Process,
    hub: Pid,
}

impl FailingCalls {
    /// Starts the process of `hub` again, killing the one that runs. The system call `call` works until
    /// [`Self::fail`]; then it does what `fault` says, in the words of strace, for example `error=EIO`.
    ///
    /// # Errors
    /// Fails when a program cannot be started.
    pub fn start(hub: &mut Hub, call: &str, fault: &str) -> Result<Self> {
        hub.kill9();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).current_dir(hub.project()).env_remove("TOMTE_STATE");
        let strace = peers::debian("strace");
        for (name, value) in strace.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command.env(name, value);
        }
        command.env("TOMTE", tomte_binary()?).env("STRACE", strace.get_program());
        let tracer = Process::start(command.env("CALL", call).env("FAULT", fault))?;
        let control = hub.control();
        let status = until("the hub to answer", PATIENCE, || control.status().ok());
        let pid = Pid::from_raw(status.pid.try_into()?).context("a process has an id above 0")?;
        Ok(Self { tracer, hub: pid })
    }

    /// From now on the call fails.
    ///
    /// # Errors
    /// Fails when strace does not get hold of the hub.
    pub fn fail(&mut self) -> Result<()> {
        self.tracer.signal(Signal::USR1)?;
        self.tracer.line_with("attached", PATIENCE).map(drop)
    }

    /// From now on the call works, for good.
    ///
    /// # Errors
    /// Fails when strace does not let go of the hub.
    pub fn heal(&mut self) -> Result<()> {
        self.tracer.signal(Signal::TERM)?;
        self.tracer.wait(PATIENCE).map(drop)
    }

    /// Returns the next line of the hub's log with `text`.
    ///
    /// # Errors
    /// Fails when none comes within `limit`.
    pub fn line_with(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.tracer.line_with(text, limit)
    }
}

impl Drop for FailingCalls {
    /// Kills the hub without a warning and waits until it is gone. It is not our child.
    fn drop(&mut self) {
        if kill_process(self.hub, Signal::KILL).is_ok() {
            until("the hub to be gone", PATIENCE, || is_gone(self.hub).then_some(()));
        }
    }
}

/// Tells whether a process holds nothing any more; nobody may have asked for its exit code yet.
fn is_gone(process: Pid) -> bool {
    let folder = PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()));
    let Ok(stat) = fs::read_to_string(folder.join("stat")) else { return true };
    let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    let threads = fs::read_dir(folder.join("task")).map_or(0, Iterator::count);
    is_zombie && threads <= 1
}
