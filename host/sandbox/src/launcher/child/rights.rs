//! Turns the first process into an unprivileged one, step by step and for good.

use std::ffi::{CStr, c_int, c_long};

use super::Reporter;
use crate::error::Step;
use crate::launcher::landlock;
use crate::launcher::plan::Plan;

const LAST_CAPABILITY_ANY_KERNEL: c_int = 63;
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u32 = 21;

/// Becomes the worker's user, and makes a user namespace that knows this user only.
///
/// # Safety
/// Part of the first process.
pub(super) unsafe fn take_user(plan: &Plan, reporter: Reporter) {
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
/// Part of the first process.
pub(super) unsafe fn give_up(plan: &Plan, filters: &[libc::sock_fprog], reporter: Reporter) {
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
/// Part of [`give_up`].
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
