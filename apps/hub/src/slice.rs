//! How long the kernel lets a thread run before another one may have its turn.

use std::io;
use std::mem::size_of;
use std::time::Duration;

/// Asks the kernel to give the calling thread its processor time in slices of `slice`, without
/// asking for more of it. A thread with short slices is run sooner when it wakes on a busy machine
/// (EEVDF, Linux 6.12: `sched_runtime` of `sched_setattr(2)` for `SCHED_OTHER`, between 0.1 and
/// 100 ms). Older kernels take the call and change nothing. Threads that this thread starts later
/// inherit the slice.
///
/// # Errors
/// Fails when the system does not let the process set it; the thread goes on as before.
pub(crate) fn run_in_slices_of(slice: Duration) -> io::Result<()> {
    let mut attributes = of_this_thread()?;
    attributes.sched_runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    set(&attributes)
}

fn of_this_thread() -> io::Result<libc::sched_attr> {
    let mut attributes = libc::sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let size = size_of::<libc::sched_attr>();
    #[expect(unsafe_code, reason = "the system call has no safe wrapper in the crates we use")]
    // SAFETY: the kernel writes at most `size` bytes to the struct, which has that size.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

fn set(attributes: &libc::sched_attr) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the system call has no safe wrapper in the crates we use")]
    // SAFETY: the kernel reads as many bytes of the struct as its field `size` says.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attributes), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_asks_for_short_slices_and_keeps_its_policy_and_nice_value() {
        let before = of_this_thread().expect("the kernel tells it");
        run_in_slices_of(Duration::from_micros(200)).expect("it needs no privilege");
        let after = of_this_thread().expect("the kernel tells it");
        assert_eq!(
            (after.sched_policy, after.sched_nice),
            (before.sched_policy, before.sched_nice)
        );
        // Before Linux 6.12 it is always 0 for a thread of SCHED_OTHER.
        assert!([0, 200_000].contains(&after.sched_runtime), "{}", after.sched_runtime);
    }
}
