//! What the new processes do between clone and exec.
//!
//! Everything here runs on a copy of the launcher's memory: no allocation, no locks, no panics, only
//! system calls on what the [`Plan`] prepared. A failed step writes its number to a pipe and ends the
//! process, which ends the namespace and everything in it.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::io;
use std::os::fd::RawFd;

use rustix::process::Pid;

use super::landlock;
use super::plan::Plan;
use crate::error::Step;

const NEW_NAMESPACES: c_int =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const PROTECTED: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV;
const LAST_CAPABILITY_ANY_KERNEL: c_int = 63;
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u32 = 21;
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
        build_root(plan, reporter);
        take_user(plan, reporter);
        give_up_rights(plan, filters, reporter);
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

/// # Safety
/// Part of [`first_process`].
unsafe fn build_root(plan: &Plan, reporter: Reporter) {
    let tmp = PROTECTED;
    // SAFETY: all pointers are to C strings of the plan or constants.
    unsafe {
        let name = plan.host_name.as_c_str();
        reporter.check(Step::HostName, libc::sethostname(name.as_ptr(), name.count_bytes()));
        reporter.check(Step::Root, libc::chdir(plan.root.as_ptr()));
        reporter.check(Step::MountTmp, mount_new(c"tmpfs", c"tmp", tmp, &plan.tmp_options));
        let shm = tmp | libc::MS_NOEXEC;
        reporter.check(Step::MountShm, mount_new(c"tmpfs", c"dev/shm", shm, &plan.shm_options));
        let proc = PROTECTED | libc::MS_NOEXEC;
        reporter.check(Step::MountProc, mount_new(c"proc", c"proc", proc, c"hidepid=2"));
        make_folders(plan, reporter);
        bind_folders(plan, reporter);
        change_root(reporter);
    }
}

/// # Safety
/// Mounts in the current namespace.
unsafe fn mount_new(kind: &CStr, target: &CStr, flags: libc::c_ulong, options: &CStr) -> c_int {
    // SAFETY: all are C strings.
    unsafe {
        libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    }
}

/// # Safety
/// Part of [`build_root`].
unsafe fn make_folders(plan: &Plan, reporter: Reporter) {
    for (index, folder) in (0u8..).zip(&plan.folders) {
        // SAFETY: a C string of the plan.
        let made = unsafe { libc::mkdir(folder.as_ptr(), 0o755) };
        if made < 0 && last_error() != libc::EEXIST {
            reporter.fail(Step::MakeFolder, index, last_error());
        }
    }
}

/// # Safety
/// Part of [`build_root`].
unsafe fn bind_folders(plan: &Plan, reporter: Reporter) {
    for (index, bind) in (0u8..).zip(&plan.binds) {
        let (source, target) = (bind.source.as_ptr(), bind.target.as_ptr());
        let none = std::ptr::null();
        let flags = libc::MS_BIND | libc::MS_REC;
        // SAFETY: C strings of the plan; a bind takes neither type nor options.
        unsafe {
            if libc::mount(source, target, none, flags, none.cast()) < 0 {
                reporter.fail(Step::Bind, index, last_error());
            }
            match make_read_only(target) {
                0 => {}
                errno => reporter.fail(Step::Bind, index, errno),
            }
        }
    }
}

/// Makes a mount and those below it read-only. Returns an error number or 0.
///
/// # Safety
/// `target` must be a C string.
pub(super) unsafe fn make_read_only(target: *const c_char) -> c_int {
    // SAFETY: zero is valid for every field; pointers live through the calls.
    unsafe {
        let mut attributes: libc::mount_attr = std::mem::zeroed();
        attributes.attr_set =
            libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        let set = libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target,
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        );
        if set < 0 && last_error() == libc::ENOSYS {
            let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | PROTECTED;
            let none = std::ptr::null();
            if libc::mount(none, target, none, flags, none.cast()) == 0 {
                return 0;
            }
        }
        if set < 0 { last_error() } else { 0 }
    }
}

/// Makes the current folder the root, read-only, and lets go of the old one.
///
/// # Safety
/// Part of [`build_root`].
unsafe fn change_root(reporter: Reporter) {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | PROTECTED;
    let none = std::ptr::null();
    // SAFETY: constants only. Both arguments of pivot_root may be the same folder: the old root is
    // then mounted over the new one, and the unmount uncovers it.
    unsafe {
        reporter.check(Step::Root, libc::mount(none, c".".as_ptr(), none, flags, none.cast()));
        let here = c".".as_ptr();
        reporter.check(Step::Root, libc::syscall(libc::SYS_pivot_root, here, here));
        reporter.check(Step::Root, libc::umount2(here, libc::MNT_DETACH));
        reporter.check(Step::Root, libc::chdir(c"/".as_ptr()));
    }
}

/// Becomes the worker's user, and makes a user namespace that knows this user only.
///
/// # Safety
/// Part of [`first_process`].
unsafe fn take_user(plan: &Plan, reporter: Reporter) {
    let user = plan.user;
    // SAFETY: bare numbers, and C strings of the plan.
    unsafe {
        libc::umask(0o022);
        reporter.check(Step::User, libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0));
        // Where the launcher has a user namespace of its own, groups cannot be changed and need not.
        if user != 0 {
            reporter.check(Step::User, libc::syscall(libc::SYS_setgroups, 0, 0));
            reporter.check(Step::User, libc::syscall(libc::SYS_setresgid, user, user, user));
            reporter.check(Step::User, libc::syscall(libc::SYS_setresuid, user, user, user));
            // Some systems let only administrators make user namespaces.
            reporter.check(Step::User, set_capabilities(1 << CAP_SYS_ADMIN));
        }
        reporter.check(Step::UserNamespace, libc::unshare(libc::CLONE_NEWUSER));
        // The files of a process that is not dumpable belong to root, and could not be written.
        reporter.check(Step::MapUser, libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0));
        write_file(c"/proc/self/setgroups", c"deny", reporter);
        write_file(c"/proc/self/uid_map", &plan.id_map, reporter);
        write_file(c"/proc/self/gid_map", &plan.id_map, reporter);
    }
}

/// # Safety
/// Part of [`take_user`].
unsafe fn write_file(path: &CStr, content: &CStr, reporter: Reporter) {
    // SAFETY: both are C strings; the descriptor is closed here alone.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        reporter.check(Step::MapUser, file);
        let written = libc::write(file, content.as_ptr().cast(), content.count_bytes());
        reporter.check(Step::MapUser, if written < 0 { -1 } else { 0 });
        libc::close(file);
    }
}

/// Sets permitted and effective capabilities to `set`, of the lower 32, and clears all others.
fn set_capabilities(set: u32) -> c_long {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let data: [u32; 6] = [set, set, 0, 0, 0, 0];
    // SAFETY: version 3 takes a header of two numbers and data of six; both live through the call.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }
}

/// # Safety
/// Part of [`first_process`].
unsafe fn give_up_rights(plan: &Plan, filters: &[libc::sock_fprog], reporter: Reporter) {
    // SAFETY: bare numbers, constants, and programs that outlive the process's use of them.
    unsafe {
        reporter.check(Step::WorkFolder, libc::chdir(c"/var/task".as_ptr()));
        for (resource, value) in &plan.limits {
            set_limit(*resource, *value, reporter);
        }
        for capability in 0..=LAST_CAPABILITY_ANY_KERNEL {
            // Kernels refuse the numbers that they do not know.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        reporter.check(Step::Capabilities, set_capabilities(0));
        reporter.check(Step::Capabilities, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        match landlock::restrict() {
            0 => {}
            errno => reporter.fail(Step::Landlock, 0, errno),
        }
        // From here on, the worker cannot look into this process although they are the same user.
        reporter.check(Step::Capabilities, libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0));
        for filter in filters {
            let filter: *const libc::sock_fprog = filter;
            reporter.check(
                Step::Seccomp,
                libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, filter),
            );
        }
    }
}

/// # Safety
/// Part of [`give_up_rights`].
unsafe fn set_limit(resource: c_int, value: u64, reporter: Reporter) {
    // SAFETY: `limit` is valid memory for both calls.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(resource as _, &raw mut limit);
        limit.rlim_max = if value < limit.rlim_max { value } else { limit.rlim_max };
        limit.rlim_cur = limit.rlim_max;
        reporter.check(Step::Limits, libc::setrlimit(resource as _, &raw const limit));
    }
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
