//! Limits hold, and what they ended is told.

use tomte_sandbox::{ExitStatus, WorkerSpec};

use crate::support::{PATIENCE, bench, limits};

const KILLED: ExitStatus = ExitStatus::Signal(9);

#[test]
fn a_worker_beyond_its_memory_is_ended_and_told_apart() {
    let Some(bench) = bench().filter(|_| limits("memory")) else { return };
    let script = "
held = []
for _ in range(400):
    held.append(bytearray(b'x' * (1 << 20)))
print('took 400 MiB')
";
    let greedy = WorkerSpec { memory: 64 << 20, ..bench.python(script) };
    let outcome = bench.run(&greedy);
    assert_eq!((outcome.exit.status, outcome.stdout.as_str()), (KILLED, ""));
    assert!(outcome.exit.out_of_memory);
    assert!(outcome.exit.peak_memory.unwrap() > 32 << 20);
    let modest = bench.run(&bench.python("print(len(bytes(1 << 20)))"));
    assert!(!modest.exit.out_of_memory && modest.success() == "1048576\n");
}

/// The launcher sits in the group of the next worker, and must not be what the kernel ends.
#[test]
fn workers_out_of_memory_at_once_do_not_end_the_launcher() {
    let Some(bench) = bench().filter(|_| limits("memory")) else { return };
    let script = "head -c 50000000 /dev/zero | tail -c 49000000 | wc -c";
    let greedy = || WorkerSpec { memory: 8 << 20, ..bench.shell(script) };
    for _ in 0..20 {
        bench.launcher.spawn(&greedy()).unwrap();
    }
    for _ in 0..20 {
        assert!(bench.exits.recv_timeout(PATIENCE).unwrap().out_of_memory);
    }
    assert_eq!(bench.run(&bench.shell("cat /proc/self/oom_score_adj")).success(), "0\n");
}

#[test]
fn a_killed_worker_is_not_out_of_memory() {
    let Some(bench) = bench() else { return };
    let spec = bench.shell("sleep 600");
    let started = bench.launcher.spawn(&spec).unwrap();
    bench.launcher.kill(spec.id);
    let exit = bench.finish(spec.id, started).exit;
    assert_eq!((exit.status, exit.out_of_memory), (KILLED, false));
}

#[test]
fn files_in_tmp_count_as_memory() {
    let Some(bench) = bench().filter(|_| limits("memory")) else { return };
    let script = "head -c 100000000 /dev/zero > /tmp/file; echo $?";
    let spec = WorkerSpec { memory: 48 << 20, tmp_bytes: 512 << 20, ..bench.shell(script) };
    // The kernel ends the writer or the shell; in both cases the file did not become whole.
    let outcome = bench.run(&spec);
    assert!(outcome.exit.out_of_memory && outcome.stdout != "0\n");
}

/// Tries at most 500 processes, each of which sleeps, so that a missing limit does no harm.
#[test]
fn a_worker_that_forks_without_end_is_stopped_at_its_limit() {
    let Some(bench) = bench().filter(|_| limits("pids")) else { return };
    let script = "
import os, time
made = 0
try:
    for made in range(500):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
except OSError as error:
    print(made, error.errno)
";
    let spec = WorkerSpec { max_processes: 20, ..bench.python(script) };
    // 20 with the one that forks: 19 children, then EAGAIN. One more while the launcher moves on.
    let outcome = bench.run(&spec);
    assert!(["19 11\n", "20 11\n"].contains(&outcome.success()));
    assert_eq!(bench.run(&bench.shell("echo alive")).success(), "alive\n");
}

#[test]
fn threads_count_as_processes() {
    let Some(bench) = bench().filter(|_| limits("pids")) else { return };
    let script = "
import _thread, time
made = 0
try:
    for made in range(200):
        _thread.start_new_thread(time.sleep, (600,))
except RuntimeError:
    pass
print(made)
";
    let spec = WorkerSpec { max_processes: 10, ..bench.python(script) };
    assert!(["9\n", "10\n"].contains(&bench.run(&spec).success()));
}

#[test]
fn tmp_is_as_large_as_asked_and_private() {
    let Some(bench) = bench() else { return };
    let script = "
import os
room = os.statvfs('/tmp')
print(room.f_blocks * room.f_frsize, room.f_files)
try:
    with open('/tmp/file', 'wb') as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
except OSError as error:
    print(error.errno, os.path.getsize('/tmp/file') <= 8 << 20)
";
    let spec = WorkerSpec { tmp_bytes: 8 << 20, ..bench.python(script) };
    assert_eq!(bench.run(&spec).success(), "8388608 2048\n28 True\n");
}

#[test]
fn open_files_are_limited() {
    let Some(bench) = bench() else { return };
    let script = "
import os
count = 3
try:
    for count in range(3, 1000):
        os.dup(1)
except OSError as error:
    print(count, error.errno)
";
    let spec = WorkerSpec { max_open_files: 32, ..bench.python(script) };
    assert_eq!(bench.run(&spec).success(), "32 24\n");
}

#[test]
fn a_worker_gets_its_share_of_the_processor_and_no_more() {
    let Some(bench) = bench().filter(|_| limits("cpu")) else { return };
    // Processor time that the worker gets within one second by the clock.
    let script = "
import time
end = time.monotonic() + 1
while time.monotonic() < end:
    pass
print(int(time.process_time() * 1000))
";
    let spec = WorkerSpec { cpu_millis: 200, ..bench.python(script) };
    let used: u32 = bench.run(&spec).success().trim().parse().unwrap();
    assert!((20..450).contains(&used), "{used} ms of 200");
}
