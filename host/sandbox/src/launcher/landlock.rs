//! Landlock as a second wall: even if a mount were writable by mistake, the worker could not write.
//!
//! Called between clone and exec, hence by bare system calls and without memory of its own. A kernel
//! without landlock is no error.

use std::ffi::{CStr, c_int, c_long};

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: c_int = 1;

/// What a worker may do below which path.
const RULES: [(&CStr, u64); 5] = [
    (c"/", EXECUTE | READ_FILE | READ_DIR),
    (c"/tmp", !(MAKE_CHAR | MAKE_BLOCK)),
    (c"/dev/shm", !(MAKE_CHAR | MAKE_BLOCK)),
    (c"/dev", WRITE_FILE | TRUNCATE | IOCTL_DEV),
    (c"/proc", WRITE_FILE | TRUNCATE),
];

#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent: c_int,
}

/// Returns the version of landlock that the kernel offers, 0 for none.
pub(crate) fn version() -> u32 {
    // SAFETY: with this flag the call takes no pointer and makes no descriptor.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

/// Returns the rights that a kernel with landlock of this version knows.
fn known_rights(version: u32) -> u64 {
    let first = REFER - 1;
    match version {
        0 => 0,
        1 => first,
        2 => first | REFER,
        3 | 4 => first | REFER | TRUNCATE,
        _ => first | REFER | TRUNCATE | IOCTL_DEV,
    }
}

/// Restricts the process for the rest of its life, as far as the kernel can. Returns an error number
/// or 0.
///
/// # Safety
/// The process must have one thread.
pub(crate) unsafe fn restrict() -> c_int {
    let handled = known_rights(version());
    if handled == 0 {
        return 0;
    }
    let attributes = RulesetAttributes { handled_access_fs: handled };
    // SAFETY: the attributes live through the call and their size is given.
    let ruleset = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<RulesetAttributes>(),
            0,
        )
    };
    if ruleset < 0 {
        return last_error();
    }
    for (path, rights) in RULES {
        // SAFETY: `ruleset` is the descriptor that was just made.
        let errno = unsafe { add_rule(ruleset, path, rights & handled) };
        if errno != 0 {
            return errno;
        }
    }
    // SAFETY: takes a descriptor and flags only.
    if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) } < 0 {
        return last_error();
    }
    0
}

/// # Safety
/// `ruleset` must be a landlock descriptor.
unsafe fn add_rule(ruleset: c_long, path: &CStr, rights: u64) -> c_int {
    // SAFETY: `path` is a C string; the descriptor is used and closed here alone; `rule` lives
    // through the call.
    unsafe {
        let parent = libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if parent < 0 {
            return last_error();
        }
        let rule = PathBeneath { allowed_access: rights, parent };
        let added = libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset,
            RULE_PATH_BENEATH,
            &raw const rule,
            0,
        );
        let errno = if added < 0 { last_error() } else { 0 };
        libc::close(parent);
        errno
    }
}

fn last_error() -> c_int {
    // SAFETY: the address of errno is always valid.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_only_add_rights() {
        for version in 0..9 {
            assert_eq!(known_rights(version) & !known_rights(version + 1), 0, "version {version}");
        }
    }

    #[test]
    fn only_two_folders_may_get_new_files() {
        const MAKE_REG: u64 = 1 << 8;
        let writable: Vec<_> = RULES
            .iter()
            .filter(|(_, rights)| rights & MAKE_REG != 0)
            .map(|(path, _)| *path)
            .collect();
        assert_eq!(writable, [c"/tmp", c"/dev/shm"]);
    }
}
