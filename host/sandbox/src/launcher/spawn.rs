//! Starts one worker: the launcher's side of the clone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::child::{self, Descriptors, Trouble};
use super::plan::{Host, Plan};
use super::{Launching, network::Network};
use crate::cgroup::WorkerGroup;
use crate::error::Step;
use crate::spec::{ExitStatus, WorkerSpec};

/// Longest time from clone to exec.
const START_LIMIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A worker that runs, as the launcher holds it.
pub(super) struct Worker {
    first: Pid,
    pub(super) group: WorkerGroup,
    /// On it, the first process writes how the main process ended.
    status: OwnedFd,
}

/// What the hub gets of a worker.
pub(super) struct Ends {
    pub(super) listener: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A step that failed, on what, with which error.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) object: String,
    pub(super) errno: i32,
}

impl Failure {
    pub(super) fn new(step: Step, object: String, errno: i32) -> Self {
        Self { step, object, errno }
    }

    fn of(step: Step) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::new(step, String::new(), error.raw_os_error().unwrap_or(0))
    }
}

impl Worker {
    pub(super) fn pid(&self) -> u32 {
        self.first.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn is(&self, pid: Pid) -> bool {
        self.first == pid
    }

    /// Kills the first process and with it, by the kernel, all of its namespace.
    pub(super) fn kill(&self) {
        self.group.kill();
        let _ = kill_process(self.first, Signal::KILL);
    }

    pub(super) fn wait(&self) {
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(self.first), WaitOptions::empty()));
    }

    /// Returns how the main process ended, unless the first process was killed before it could tell.
    pub(super) fn main_status(&self) -> Option<ExitStatus> {
        let mut status = [0; 4];
        (rustix::io::read(&self.status, &mut status) == Ok(4)).then(|| {
            let status = i32::from_ne_bytes(status);
            if libc::WIFSIGNALED(status) {
                ExitStatus::Signal(libc::WTERMSIG(status))
            } else {
                ExitStatus::Code(libc::WEXITSTATUS(status))
            }
        })
    }
}

impl Launching {
    pub(super) fn start_worker(
        &mut self,
        spec: &WorkerSpec,
        runtime_folder: Option<&Path>,
    ) -> Result<(Worker, Ends), Failure> {
        let host = Host {
            root: &self.root,
            own_user_namespace: self.own_user_namespace,
            limits_memory: self.groups.has("memory"),
            limits_processes: self.groups.has("pids"),
        };
        let plan = Plan::make(spec, runtime_folder, &host)?;
        let network = self.networks.take().map_err(Failure::of(Step::Network))?;
        let group = self.groups.make(spec).map_err(|(path, error)| {
            let errno = error.raw_os_error().unwrap_or(0);
            Failure::new(Step::ControlGroup, path.display().to_string(), errno)
        })?;
        match self.clone_into(&plan, network, &group) {
            Ok((first, status, ends)) => Ok((Worker { first, group, status }, ends)),
            Err(failure) => {
                self.groups.make_ahead();
                self.groups.remove(group);
                Err(failure)
            }
        }
    }

    fn clone_into(
        &self,
        plan: &Plan,
        network: Network,
        group: &WorkerGroup,
    ) -> Result<(Pid, OwnedFd, Ends), Failure> {
        let entrances = group.entrances().map_err(Failure::of(Step::ControlGroup))?;
        let birthplace = group.birthplace().map_err(Failure::of(Step::ControlGroup))?;
        let (stdout, stdout_end) = make_pipe()?;
        let (stderr, stderr_end) = make_pipe()?;
        give_to(plan.user, [&stdout_end, &stderr_end])?;
        let (errors, errors_end) = make_pipe()?;
        let (status, status_end) = make_pipe()?;
        let entrance_numbers: Vec<i32> = entrances.iter().map(AsRawFd::as_raw_fd).collect();
        let descriptors = Descriptors {
            entrances: &entrance_numbers,
            birthplace: birthplace.as_ref().map(AsRawFd::as_raw_fd),
            null: self.null.as_raw_fd(),
            stdout: stdout_end.as_raw_fd(),
            stderr: stderr_end.as_raw_fd(),
            errors: errors_end.as_raw_fd(),
            status: status_end.as_raw_fd(),
            life: self.life.0.as_raw_fd(),
            life_of_launcher: self.life.1.as_raw_fd(),
        };
        let filters = self.filters.programs();
        let first = self
            .networks
            .inside(&network, || child::start(plan, &descriptors, &filters))
            .map_err(Failure::of(Step::Clone))?;
        drop((stdout_end, stderr_end, errors_end, status_end));
        if let Err(trouble) = wait_for_exec(&errors) {
            let _ = kill_process(first, Signal::KILL);
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(first), WaitOptions::empty()));
            return Err(trouble.explain(plan));
        }
        for end in [&stdout, &stderr] {
            rustix::io::ioctl_fionbio(end, true)
                .map_err(|error| Failure::from(io::Error::from(error)))?;
        }
        Ok((first, status, Ends { listener: network.listener, stdout, stderr }))
    }
}

fn make_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Gives the ends to the worker's user, so that it can open them again as `/dev/stdout`.
fn give_to(user: u32, ends: [&OwnedFd; 2]) -> io::Result<()> {
    let (user, group) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(user));
    for end in ends {
        rustix::fs::fchown(end, Some(user), Some(group))?;
    }
    Ok(())
}

/// Waits until the pipe is closed by the exec, or brings the report of a failed step.
fn wait_for_exec(errors: &OwnedFd) -> Result<(), Trouble> {
    let mut descriptors = [PollFd::new(errors, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&START_LIMIT)));
    if ready != Ok(1) {
        return Err(Trouble::new(Step::Timeout, 0, libc::ETIMEDOUT));
    }
    let mut report = Trouble::EMPTY;
    match rustix::io::retry_on_intr(|| rustix::io::read(errors.as_fd(), &mut report)) {
        Ok(0) => Ok(()),
        _ => Err(Trouble::from_bytes(report)),
    }
}

impl Trouble {
    /// Adds what the step worked on.
    fn explain(self, plan: &Plan) -> Failure {
        let text = |text: &std::ffi::CString| text.to_string_lossy().into_owned();
        let at = usize::from(self.index);
        let object = match self.step() {
            Step::Bind => plan
                .binds
                .get(at)
                .map(|bind| format!("{} on /{}", text(&bind.source), text(&bind.target))),
            Step::MakeFolder => plan.folders.get(at).map(|folder| format!("/{}", text(folder))),
            Step::Execute => Some(text(&plan.program)),
            Step::HostName => Some(text(&plan.host_name)),
            _ => None,
        };
        Failure::new(self.step(), object.unwrap_or_default(), self.errno)
    }
}
