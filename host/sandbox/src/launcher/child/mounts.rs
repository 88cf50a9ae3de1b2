//! Builds the root of a worker out of the launcher's.

use std::ffi::{CStr, c_char, c_int};

use super::{Reporter, last_error};
use crate::error::Step;
use crate::launcher::plan::Plan;

const PROTECTED: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV;

/// # Safety
/// Part of the first process.
pub(super) unsafe fn build_root(plan: &Plan, reporter: Reporter) {
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
pub(in crate::launcher) unsafe fn make_read_only(target: *const c_char) -> c_int {
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
