//! The process that makes workers.
//!
//! ```text
//!   hub (many threads)  --socket-->  launcher (one thread)  --clone-->  pid 1  --fork-->  worker
//! ```
//!
//! **Why a process of its own.** Between `fork` and `exec` a program with several threads may do next
//! to nothing, and building a root file system is not next to nothing. The launcher has one thread,
//! little memory to copy, and no network. It sits in a mount namespace of its own, in which it builds
//! the root of all workers once (see `root`); a worker gets a copy of that namespace and adds what is
//! its own. When the hub has no rights of root, the launcher makes a user namespace for itself first
//! and does in it exactly what root does outside of one.
//!
//! **Why a small first process.** Process 1 of a process namespace is special: signals that it does
//! not handle are dropped, so that a worker in its place could not abort, and orphans become its
//! children, which handlers never collect. So process 1 is ours: it builds the environment, gives up
//! every right, forks the worker, collects what dies, passes on the worker's status, and ends with
//! it. It shares nearly all memory with the launcher. There is one more gain: a process that was
//! *moved* into a control group pays for it at its next `exec`, one that was *born* there does not.
//!
//! **Who dies with whom.** The hub's end closes the socket: the launcher kills all workers, removes
//! their control groups and ends. The launcher's end kills each process 1 (parent death signal), and
//! the kernel kills all others of its namespace. The launcher itself has no parent death signal:
//! that one follows the *thread* that started it, and threads of a hub come and go.
//!
//! **Users.** Under root, each worker runs as a user of the host that nobody else has
//! (100000 + id modulo 50000), inside a user namespace in which it is user 1000. Namespaces of mounts,
//! network, processes, and so on belong to the launcher's user namespace, not to the worker's: even a
//! worker that gained all capabilities of its own namespace could not change them.

#![expect(unsafe_code, reason = "clone, mounts, filters and descriptors have no safe interface")]

mod child;
mod landlock;
mod network;
mod plan;
pub(crate) mod probe;
mod root;
mod seccomp;
mod spawn;
pub(crate) mod sys;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::cgroup::Groups;
use crate::channel::Channel;
use crate::error::{SpawnError, Step};
use crate::protocol::{MAX_PACKET_BYTES, Report, Request, decode_request, encode_report};
use crate::spec::{Exit, ExitStatus, WorkerSpec};
use network::Networks;
use seccomp::Filters;
use spawn::{Failure, Worker};

pub(crate) use landlock::version as landlock_version;

/// The first argument that turns the program into a launcher.
pub(crate) const HIDDEN_WORD: &str = "__launcher";

/// Longest time that the launcher may take to become ready, in seconds.
pub(crate) const PREPARE_SECONDS: i64 = 20;

/// How long to wait before trying again to remove a control group that was busy.
const REMOVE_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Becomes the launcher and never returns when the first argument is the hidden word; returns at once
/// otherwise. Must be the first thing in `main`: the process must have one thread.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != HIDDEN_WORD) {
        return;
    }
    std::process::exit(run(arguments.next()));
}

fn run(state_folder: Option<OsString>) -> i32 {
    let Some(state_folder) = state_folder.map(PathBuf::from) else {
        eprintln!("{HIDDEN_WORD} is started by the hub itself, not by hand");
        return 2;
    };
    sys::close_inherited();
    // SAFETY: the hub passes the socket as standard input, which nothing else in this process uses.
    let channel = Channel::from_descriptor(unsafe { OwnedFd::from_raw_fd(0) });
    let report = |report: &Report| channel.send(&encode_report(report), &[]);
    match Launching::prepare(&state_folder) {
        Ok(mut launching) => {
            if report(&Report::Ready).is_ok() {
                launching.serve(&channel);
            }
            launching.end();
            0
        }
        Err(reason) => {
            let _ = report(&Report::Unable { reason });
            1
        }
    }
}

/// What the launcher holds while it runs.
struct Launching {
    root: PathBuf,
    groups: Groups,
    networks: Networks,
    filters: Filters,
    own_user_namespace: bool,
    signals: OwnedFd,
    null: OwnedFd,
    /// The reading end hangs up when the launcher is gone. Both ends are inherited by children, which
    /// close the writing one.
    life: (OwnedFd, OwnedFd),
    workers: HashMap<u64, Worker>,
}

/// Adds what was tried to an error.
fn failed_to<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

impl Launching {
    fn prepare(state_folder: &Path) -> Result<Launching, String> {
        rustix::process::setsid().map_err(failed_to("making a session"))?;
        let hub = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let own_user_namespace = !rustix::process::geteuid().is_root();
        let null = sys::open_null().map_err(failed_to("opening /dev/null"))?;
        // The launcher sits in the group of the next worker, whose lack of memory must not end it.
        let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
        let groups = Groups::prepare(&format!("{hub}.{}", std::process::id()));
        if own_user_namespace {
            sys::become_root_of_own_namespace().map_err(failed_to("making a user namespace"))?;
        }
        sys::unshare(libc::CLONE_NEWNS).map_err(failed_to("making a mount namespace"))?;
        let root = root::build(state_folder)?;
        Ok(Launching {
            root,
            groups,
            networks: Networks::new().map_err(failed_to("making a network namespace"))?,
            filters: Filters::build()?,
            own_user_namespace,
            signals: sys::child_signals().map_err(failed_to("listening to signals"))?,
            null,
            life: rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(failed_to("making a pipe"))?,
            workers: HashMap::new(),
        })
    }

    /// Serves until the hub is gone or asks for the end by a signal.
    fn serve(&mut self, channel: &Channel) {
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        loop {
            let (request, signal) = self.wait(channel);
            if signal {
                if sys::take_signals(&self.signals) == sys::Asked::End {
                    return;
                }
                self.report_ends(channel);
            }
            if request {
                let Ok(Some((packet, _))) = channel.receive(&mut buffer) else { return };
                let Ok(request) = decode_request(packet) else { return };
                self.perform(request, channel);
            }
            self.groups.remove_again();
        }
    }

    /// Waits and tells whether there is a request and whether there is a signal.
    fn wait(&mut self, channel: &Channel) -> (bool, bool) {
        let limit = self.groups.has_leftovers().then_some(&REMOVE_AGAIN);
        let mut descriptors =
            [PollFd::new(channel, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let _ = poll(&mut descriptors, limit);
        let [request, signal] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        (request, signal)
    }

    fn perform(&mut self, request: Request, channel: &Channel) {
        match request {
            Request::Spawn { spec, runtime_folder } => {
                self.spawn(&spec, runtime_folder.as_deref(), channel);
            }
            Request::Kill { id } => {
                if let Some(worker) = self.workers.get(&id) {
                    worker.kill();
                }
            }
        }
    }

    fn spawn(&mut self, spec: &WorkerSpec, runtime_folder: Option<&Path>, channel: &Channel) {
        let outcome = if self.workers.contains_key(&spec.id) {
            Err(Failure::new(Step::Request, format!("for worker {}", spec.id), libc::EEXIST))
        } else {
            self.start_worker(spec, runtime_folder)
        };
        match outcome {
            Ok((worker, ends)) => {
                let report = Report::Started { id: spec.id, pid: worker.pid() };
                let ends = [ends.listener.as_fd(), ends.stdout.as_fd(), ends.stderr.as_fd()];
                let _ = channel.send(&encode_report(&report), &ends);
                self.groups.make_ahead();
                if !self.groups.settle(&worker.group, spec) {
                    worker.kill();
                }
                self.workers.insert(spec.id, worker);
            }
            Err(Failure { step, object, errno }) => {
                let error =
                    SpawnError { id: spec.id, name: spec.name.clone(), step, object, errno };
                let _ = channel.send(&encode_report(&Report::Failed(error)), &[]);
                self.groups.make_ahead();
            }
        }
        self.networks.make_ahead();
    }

    /// Collects the workers that have ended and tells the hub.
    fn report_ends(&mut self, channel: &Channel) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let Some(id) = self.worker_of(pid) else { continue };
            let Some(worker) = self.workers.remove(&id) else { continue };
            let exit = self.take_leave(id, worker, exit_status(status));
            let _ = channel.send(&encode_report(&Report::Exited(exit)), &[]);
        }
    }

    fn worker_of(&self, pid: Pid) -> Option<u64> {
        self.workers.iter().find(|(_, worker)| worker.is(pid)).map(|(id, _)| *id)
    }

    /// Reads what the control groups know of a worker that has ended, and removes them.
    fn take_leave(&mut self, id: u64, worker: Worker, first: ExitStatus) -> Exit {
        let status = worker.main_status().unwrap_or(first);
        let usage = worker.group.usage(status == ExitStatus::Signal(libc::SIGKILL));
        self.groups.remove(worker.group);
        Exit { id, status, out_of_memory: usage.out_of_memory, peak_memory: usage.peak_memory }
    }

    /// Kills all workers, waits for them, and removes all control groups.
    fn end(mut self) {
        for (_, worker) in std::mem::take(&mut self.workers) {
            worker.kill();
            worker.wait();
            self.groups.remove(worker.group);
        }
        self.groups.remove_all();
    }
}

fn exit_status(status: rustix::process::WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or(Signal::KILL.as_raw())),
    }
}
