//! A hub as a child process of this same program, for `dev` and `demo`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tomte_wire::control::Status;

use crate::control::Control;
use crate::exit::Exit;
use crate::failure::Failure;

/// Longest wait for a hub to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest wait for a process to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is looked whether a process has started or ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A child process that never outlives us: it is asked to end when this value goes, and killed when
/// it does not. When we are killed, the kernel ends it.
pub(crate) struct ChildProcess {
    child: Child,
    name: String,
}

impl ChildProcess {
    /// Starts this same program again with `arguments`, in a process group of its own, so that
    /// Ctrl-C reaches us alone and we end the children in order.
    ///
    /// # Errors
    /// Fails when the program cannot be started.
    pub(crate) fn start(
        name: &str,
        configure: impl FnOnce(&mut Command) -> &mut Command,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find the program itself")?;
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).process_group(0);
        let child = configure(&mut command).spawn();
        let child = child.with_context(|| format!("failed to start {name}"))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// Returns the standard output, once, when it was made a pipe.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Returns how it ended, or nothing while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end; does not wait.
    pub(crate) fn ask_to_end(&self) {
        if let Ok(id) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(id)
        {
            // It may have ended already; its id is ours until we wait for it.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Asks it to end and waits; kills it when it takes too long.
    pub(crate) fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.ask_to_end();
        let asked = Instant::now();
        while self.ended().is_none() {
            if asked.elapsed() > STOP_TIMEOUT {
                // Both only fail when it has ended after all.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a hub on `state` that deploys `project`, and waits until it answers.
///
/// # Errors
/// Fails when a hub runs there already, when the program cannot be started, and when it ends or
/// stays silent.
pub(crate) fn start_hub(
    state: &Path,
    project: Option<&Path>,
    log: Stdio,
) -> anyhow::Result<(ChildProcess, Status)> {
    let control = Control::of(state)?;
    if let Ok(status) = control.get::<Status>("/v1/status") {
        let message = format!("a hub runs already on {}: process {}", state.display(), status.pid);
        let help = "stop it with `tomte stop`, or use another state folder with --state";
        return Err(Failure::new(Exit::Failed, message, help).into());
    }
    let mut child = ChildProcess::start("the hub", |command| {
        command.args(["run", "--with-parent", "--log", "warn", "--state"]).arg(state);
        match project {
            Some(project) => command.arg("--project").arg(project),
            None => command.arg("--no-deploy"),
        };
        command.stdout(Stdio::null()).stderr(log)
    })?;
    let status = wait_until_ready(&mut child, &control, project.is_some())?;
    Ok((child, status))
}

/// A hub answers before it has deployed what it was given; who waits for that wants its addresses.
fn wait_until_ready(
    child: &mut ChildProcess,
    control: &Control,
    deployed: bool,
) -> anyhow::Result<Status> {
    let started = Instant::now();
    loop {
        if let Ok(status) = control.get::<Status>("/v1/status")
            && (status.revision.is_some() || !deployed)
        {
            return Ok(status);
        }
        if let Some(end) = child.ended() {
            let message = format!("{} ended while it started ({end})", child.name);
            let exit = match end.code() {
                Some(code) if code == i32::from(Exit::Manifest.number()) => Exit::Manifest,
                _ => Exit::Failed,
            };
            let help = "its own message is above; `tomte doctor` looks for what is missing";
            return Err(Failure::new(exit, message, help).into());
        }
        if started.elapsed() > START_TIMEOUT {
            let message = format!("{} does not answer", child.name);
            return Err(Failure::new(Exit::Failed, message, "try `tomte doctor`").into());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Makes the kernel end this process when the one that started it goes, however that ends.
///
/// # Errors
/// Fails when the kernel refuses, or when the parent has gone already.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("failed to tie this process to its parent")?;
    let orphaned = rustix::process::getppid().is_none_or(Pid::is_init);
    anyhow::ensure!(!orphaned, "the process that started this one is gone");
    Ok(())
}
