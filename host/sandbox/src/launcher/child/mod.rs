//! What the new processes do between clone and exec.
//!
//! Everything here runs on a copy of the launcher's memory: no allocation, no locks, no panics, only
//! system calls on what the [`Plan`] prepared. A failed step writes its number to a pipe and ends the
//! process, which ends the namespace and everything in it.

mod mounts;
mod rights;

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::RawFd;

use rustix::process::Pid;

use super::plan::Plan;
use crate::error::Step;

pub(super) use mounts::make_read_only;

const NEW_NAMESPACES: c_int =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const LAST_ORDINARY_SIGNAL: c_int = 31;

/// The descriptors that the new processes use. They stay open in the launcher until the exec.
pub(super) struct Descriptors<'a> {
    /// Files of control groups; writing `0` enters.
    pub(super) entrances: &'a [RawFd],
    /// Control group of version 2 to be born in.
    pub(super) birthplace: Option<RawFd>,
    pub(super) null: RawFd,
    pub(super) stdout: RawFd,
    pub(super) stderr: RawFd,
    /// Takes one [`Trouble`]; closed by the exec.
    pub(super) errors: RawFd,
    /// Takes the status of the main process.
    pub(super) status: RawFd,
    /// Hangs up when the launcher is gone.
    pub(super) life: RawFd,
    /// The other end of `life`, which must not stay open here.
    pub(super) life_of_launcher: RawFd,
}

/// A failed step, as it travels through the pipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    step: u8,
    /// Which of several folders, where the step has several.
    pub(super) index: u8,
    pub(super) errno: i32,
}

impl Trouble {
    pub(super) const EMPTY: [u8; 6] = [0; 6];

    pub(super) fn new(step: Step, index: u8, errno: i32) -> Self {
        Self { step: step as u8, index, errno }
    }

    pub(super) fn step(self) -> Step {
        Step::from_number(self.step).unwrap_or(Step::Clone)
    }

    fn to_bytes(self) -> [u8; 6] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        [self.step, self.index, a, b, c, d]
    }

    pub(super) fn from_bytes([step, index, a, b, c, d]: [u8; 6]) -> Self {
        Self { step, index, errno: i32::from_ne_bytes([a, b, c, d]) }
    }
}

/// Starts the first process of a worker in new namespaces; its network is the caller's.
pub(super) fn start(
    plan: &Plan,
    descriptors: &Descriptors<'_>,
    filters: &[libc::sock_fprog],
) -> io::Result<Pid> {
    // SAFETY: the launcher has one thread, so the child's copy of its memory is consistent; the child
    // never returns from `first_process`.
    let pid = unsafe {
        match clone(descriptors.birthplace) {
            0 => first_process(plan, descriptors, filters),
            pid => pid,
        }
    };
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) if pid.as_raw_nonzero().get() > 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
/// As for `fork`: the process must have one thread.
unsafe fn clone(birthplace: Option<RawFd>) -> c_long {
    // SAFETY: zero is a valid value for every field; without a stack and without CLONE_VM the call
    // returns twice, as fork does.
    unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = u64::from(NEW_NAMESPACES.unsigned_abs());
        arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
        if let Some(group) = birthplace {
            arguments.flags |= CLONE_INTO_CGROUP;
            arguments.cgroup = u64::from(group.unsigned_abs());
        }
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    }
}

/// Where a failed step is told.
#[derive(Clone, Copy)]
struct Reporter(RawFd);

impl Reporter {
    /// Goes on when `result` is not negative, and otherwise tells the step and ends the process.
    fn check(self, step: Step, result: impl Into<c_long>) {
        if result.into() < 0 {
            self.fail(step, 0, last_error());
        }
    }

    fn fail(self, step: Step, index: u8, errno: c_int) -> ! {
        let report = Trouble::new(step, index, errno).to_bytes();
        // SAFETY: the buffer lives through the call; `_exit` runs no code of this program.
        unsafe {
            libc::write(self.0, report.as_ptr().cast(), report.len());
            libc::_exit(127)
        }
    }
}

fn last_error() -> c_int {
    // SAFETY: the address of errno is always valid.
    unsafe { *libc::__errno_location() }
}

/// Process 1: builds the environment, gives up all rights, starts the worker and waits for it.
///
/// # Safety
/// Only in a process just cloned by [`start`].
unsafe fn first_process(
    plan: &Plan,
    descriptors: &Descriptors<'_>,
    filters: &[libc::sock_fprog],
) -> ! {
    let reporter = Reporter(descriptors.errors);
    // SAFETY: each part asks for nothing but to be called here, in this order.
    unsafe {
        libc::close(descriptors.life_of_launcher);
        enter_control_groups(descriptors, reporter);
        mounts::build_root(plan, reporter);
        rights::take_user(plan, reporter);
        rights::give_up(plan, filters, reporter);
        die_with_launcher(descriptors, reporter);
        match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) {
            0 => main_process(plan, descriptors, reporter),
            worker if worker > 0 => wait_for_main_process(worker, descriptors.status),
            _ => reporter.fail(Step::Fork, 0, last_error()),
        }
    }
}

/// # Safety
/// Part of [`first_process`].
unsafe fn enter_control_groups(descriptors: &Descriptors<'_>, reporter: Reporter) {
    for entrance in descriptors.entrances {
        // SAFETY: writes two bytes of a constant.
        let written = unsafe { libc::write(*entrance, c"0".as_ptr().cast(), 1) };
        reporter.check(Step::JoinControlGroup, if written == 1 { 0 } else { -1 });
    }
    // Protects the launcher only; the worker shall be the first to go.
    // SAFETY: constants; the descriptor is closed here alone.
    unsafe {
        let file =
            libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        libc::write(file, c"0".as_ptr().cast(), 1);
        libc::close(file);
    }
    // A kernel without this namespace only shows the worker the name of its group.
    // SAFETY: takes no pointers.
    unsafe { libc::unshare(libc::CLONE_NEWCGROUP) };
}

/// Arranges the parent death signal, which changes of the user would have cleared.
///
/// # Safety
/// Part of [`first_process`].
unsafe fn die_with_launcher(descriptors: &Descriptors<'_>, reporter: Reporter) {
    // SAFETY: bare numbers; `life` is valid memory.
    unsafe {
        reporter.check(Step::Fork, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0));
        let mut life = libc::pollfd { fd: descriptors.life, events: 0, revents: 0 };
        if libc::poll(&raw mut life, 1, 0) > 0 {
            reporter.fail(Step::Fork, 0, libc::ESRCH);
        }
    }
}

/// The worker itself: takes its descriptors, gets a session and becomes the program.
///
/// # Safety
/// Only in the child of [`first_process`].
unsafe fn main_process(plan: &Plan, descriptors: &Descriptors<'_>, reporter: Reporter) -> ! {
    // SAFETY: bare numbers, and the plan's null-terminated arrays of C strings.
    unsafe {
        libc::setsid();
        for (from, to) in [(descriptors.null, 0), (descriptors.stdout, 1), (descriptors.stderr, 2)]
        {
            reporter.check(Step::Execute, libc::dup2(from, to));
        }
        close_between(3, descriptors.errors - 1);
        close_between(descriptors.errors + 1, c_int::MAX);
        reset_signals();
        let (argv, env) = plan.argv_and_env();
        libc::execve(plan.program.as_ptr(), argv, env);
        reporter.fail(Step::Execute, 0, last_error())
    }
}

/// # Safety
/// Closes descriptors that other code may believe to own.
unsafe fn close_between(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: the caller gives the descriptors up.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) < 0 {
            // Kernels before 5.9; the launcher's own limit of files is far below this number.
            for descriptor in first..=last.min(65_536) {
                libc::close(descriptor);
            }
        }
    }
}

/// # Safety
/// Part of [`main_process`].
unsafe fn reset_signals() {
    // SAFETY: `none` is initialized by sigemptyset.
    unsafe {
        // The hub may have been started with signals ignored, and Rust ignores SIGPIPE.
        for signal in 1..=LAST_ORDINARY_SIGNAL {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Collects every process that ends, until it is the worker; tells its status and ends. The kernel
/// then kills what the worker left behind.
///
/// # Safety
/// Only in [`first_process`].
unsafe fn wait_for_main_process(worker: c_long, status_end: RawFd) -> ! {
    // SAFETY: nothing after this uses the closed descriptors; `status` is valid memory.
    unsafe {
        close_between(0, status_end - 1);
        close_between(status_end + 1, c_int::MAX);
        let mut status: c_int = 0;
        loop {
            let ended = libc::waitpid(-1, &raw mut status, 0);
            if c_long::from(ended) == worker {
                libc::write(status_end, (&raw const status).cast(), size_of::<c_int>());
                libc::_exit(0);
            }
            if ended < 0 && last_error() != libc::EINTR {
                libc::_exit(127);
            }
        }
    }
}
