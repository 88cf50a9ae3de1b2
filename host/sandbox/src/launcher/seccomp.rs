//! Which system calls a worker may not make.
//!
//! Everything is allowed but what is listed: handlers bring their own programs, and a list of what
//! all of them need does not exist yet. Each answer is a filter of its own; the kernel takes the
//! strictest. Calls that programs try first and replace when missing are answered as missing
//! (`ENOSYS`), all others as forbidden (`EPERM`).

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare,
    SeccompCondition as Condition, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that change the file system tree, other processes, the kernel or the clock.
const FORBIDDEN: &[c_long] = &[
    // The tree of mounts, and ways around path checks.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // The kernel itself: the parts with the most holes in the past.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    // The clock and the name of the machine.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_kexec_file_load];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[c_long] = &[libc::SYS_kexec_file_load];

/// The filter cannot look into the structure that `clone3` takes, so libraries shall use `clone`.
const MISSING: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Writing to another program's terminal as if its user had typed.
const TERMINAL_REQUESTS: [u64; 2] = [0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */];

/// Virtual sockets reach the hypervisor past every network namespace; so only known families.
const SOCKET_FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// The programs that a worker loads, in order.
pub(crate) struct Filters(Vec<BpfProgram>);

impl Filters {
    pub(crate) fn build() -> Result<Self, String> {
        Ok(Self(vec![
            refuse_other_abi(),
            compile(forbidden()?, libc::EPERM)?,
            compile(socket_families()?, libc::EAFNOSUPPORT)?,
            compile(missing(), libc::ENOSYS)?,
        ]))
    }

    pub(crate) fn programs(&self) -> Vec<libc::sock_fprog> {
        self.0.iter().map(|program| as_kernel_program(program)).collect()
    }
}

/// Returns the form that the kernel takes. It points into `program`, which must outlive it.
fn as_kernel_program(program: &[sock_filter]) -> libc::sock_fprog {
    libc::sock_fprog {
        len: u16::try_from(program.len()).expect("filters have far fewer than 65536 instructions"),
        filter: program.as_ptr().cast_mut().cast(),
    }
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, String> {
    let wrong =
        |error: &dyn std::fmt::Display| format!("compiling the system call filter: {error}");
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| wrong(&e))?;
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture)
        .map_err(|e| wrong(&e))?;
    BpfProgram::try_from(filter).map_err(|e| wrong(&e))
}

fn always(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn missing() -> Rules {
    always(MISSING)
}

fn forbidden() -> Result<Rules, String> {
    let mut rules = always(FORBIDDEN);
    rules.extend(always(FORBIDDEN_HERE));
    let flags = NAMESPACE_FLAGS.map(|flag| u64::from(flag.unsigned_abs()));
    let flags = flags.map(|flag| (0, Width::Qword, Compare::MaskedEq(flag), flag));
    rules.insert(libc::SYS_clone, any_of(&flags)?);
    let requests = TERMINAL_REQUESTS.map(|request| (1, Width::Dword, Compare::Eq, request));
    rules.insert(libc::SYS_ioctl, any_of(&requests)?);
    Ok(rules)
}

fn socket_families() -> Result<Rules, String> {
    let other = || {
        let conditions = SOCKET_FAMILIES.map(|family| {
            condition(0, Width::Dword, Compare::Ne, u64::from(family.unsigned_abs()))
        });
        let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
        SeccompRule::new(conditions).map_err(|error| error.to_string())
    };
    let calls = [libc::SYS_socket, libc::SYS_socketpair];
    calls.into_iter().map(|call| Ok((call, vec![other()?]))).collect()
}

fn condition(
    argument: u8,
    width: Width,
    compare: Compare,
    value: u64,
) -> Result<Condition, String> {
    Condition::new(argument, width, compare, value).map_err(|error| error.to_string())
}

/// Returns one rule per alternative: a call that matches any of them matches.
fn any_of(alternatives: &[(u8, Width, Compare, u64)]) -> Result<Vec<SeccompRule>, String> {
    let rule = |(argument, width, compare, value): &(u8, Width, Compare, u64)| {
        let condition = condition(*argument, width.clone(), compare.clone(), *value)?;
        SeccompRule::new(vec![condition]).map_err(|error| error.to_string())
    };
    alternatives.iter().map(rule).collect()
}

/// Returns a program that ends a process at a call by the x32 numbers of x86-64, which the other
/// filters would not recognise. Calls of the 32-bit interface are caught by the compiled filters,
/// which kill at any other architecture.
fn refuse_other_abi() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const FIRST_X32_NUMBER: u32 = 0x4000_0000;
    let instruction = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    vec![
        instruction(LOAD_NUMBER, 0, 0),
        instruction(JUMP_IF_AT_LEAST, 1, FIRST_X32_NUMBER),
        instruction(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        instruction(RETURN, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_filters_compile_and_fit_the_kernel() {
        let filters = Filters::build().unwrap();
        assert_eq!(filters.0.len(), 4);
        for program in filters.programs() {
            assert!(program.len > 0 && program.len < 4096);
        }
    }
}
