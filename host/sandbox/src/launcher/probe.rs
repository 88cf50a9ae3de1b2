//! Tries, in processes that end at once, what the kernel allows.

use std::ffi::c_int;
use std::io;

/// The namespaces that a worker is made of.
const NAMESPACES: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWUSER;

/// Makes all namespaces of a worker once. Safe to call from a program with threads.
///
/// # Errors
/// Fails with what the kernel answered.
pub(crate) fn namespaces(root: bool) -> io::Result<()> {
    // Root makes the others first and the user namespace last; for others it is the key to the rest,
    // which the kernel knows when all are asked for in one call.
    let first = if root { NAMESPACES & !libc::CLONE_NEWUSER } else { NAMESPACES };
    // SAFETY: the child makes system calls only, which is safe after a fork from several threads.
    let errno = unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                let made =
                    libc::unshare(first) == 0 && (!root || libc::unshare(libc::CLONE_NEWUSER) == 0);
                libc::_exit(if made { 0 } else { *libc::__errno_location() })
            }
            child => exit_code(child),
        }
    };
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// Waits for the child and returns its code, or `EINTR` when a signal ended it.
fn exit_code(child: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: `status` is valid memory; the child is ours and was not waited for.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return libc::ECHILD;
        }
    }
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::EINTR }
}

/// Returns whether the kernel knows filters that answer with an error.
pub(crate) fn seccomp() -> bool {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: reads four bytes of `action`.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    answer == 0
}
