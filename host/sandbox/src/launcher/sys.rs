//! System calls that no library offers in safe form.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Turns the usual result of a C function into one of ours.
pub(crate) fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Leaves one or more namespaces for new ones.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers. The flags used here do not touch the table of descriptors.
    checked(unsafe { libc::unshare(flags) }).map(drop)
}

/// Opens `/dev/null` for reading and writing.
pub(crate) fn open_null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Closes what a hub that forgot to mark its descriptors passed on, all but the standard three.
pub(crate) fn close_inherited() {
    // SAFETY: called first in `main`, when nothing of this process owns a descriptor yet. Kernels
    // before 5.9 do without: workers close all descriptors once more.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Enters a new user namespace in which the caller has all capabilities and number 0.
pub(crate) fn become_root_of_own_namespace() -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    unshare(libc::CLONE_NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// What the signals say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Children may have ended.
    Collect,
    /// The launcher shall end.
    End,
}

/// Returns a descriptor that is readable when a child has ended or the launcher is asked to end.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialized by sigemptyset before its other uses, and lives through them.
    let descriptor = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        checked(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        checked(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?
    };
    // SAFETY: signalfd returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes the waiting signals off the descriptor.
pub(crate) fn take_signals(descriptor: &OwnedFd) -> Asked {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut record = [0; SIZE];
    let mut asked = Asked::Collect;
    while let Ok(SIZE) = rustix::io::read(descriptor, &mut record) {
        let signal = record.first_chunk().map_or(0, |number| u32::from_ne_bytes(*number));
        if signal == libc::SIGTERM.unsigned_abs() {
            asked = Asked::End;
        }
    }
    asked
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn bring_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an ifreq of zeros is valid; it lives through both calls, which read and write only it.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
        request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
        checked(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= libc::c_short::try_from(libc::IFF_UP).unwrap_or_default();
        checked(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request))?;
    }
    Ok(())
}

/// Makes a mount and all mounts below it read-only, without devices and set-user-id programs.
///
/// Kernels before 5.12 do it for the top mount only.
pub(crate) fn make_read_only(target: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let target = std::ffi::CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string that lives through the call.
    match unsafe { super::child::make_read_only(target.as_ptr()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
