//! From start to end: what is told, and what is left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tomte_sandbox::{ExitStatus, Launcher, LauncherOptions, Step, WorkerSpec};

use crate::support::{Bench, PATIENCE, bench};

#[test]
fn a_worker_runs_and_tells_its_code() {
    let Some(bench) = bench() else { return };
    let outcome = bench.run(&bench.shell("echo out; echo err >&2; exit 7"));
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(outcome.exit.status, ExitStatus::Code(7));
    assert!(!outcome.exit.out_of_memory);
}

/// Proves: SCH-20.
#[test]
fn a_worker_that_aborts_tells_the_signal_and_others_go_on() {
    let Some(bench) = bench() else { return };
    let sleepers: Vec<WorkerSpec> = (0..20).map(|_| bench.shell("sleep 600")).collect();
    for sleeper in &sleepers {
        bench.launcher.spawn(sleeper).unwrap();
    }
    let outcome = bench.run(&bench.python("import os; os.abort()"));
    assert_eq!(outcome.exit.status, ExitStatus::Signal(libc_signal::ABORT));
    let outcome = bench.run(&bench.python("import os; os.kill(os.getpid(), 15)"));
    assert_eq!(outcome.exit.status, ExitStatus::Signal(libc_signal::TERMINATE));
    assert_eq!(bench.run(&bench.shell("echo alive")).success(), "alive\n");
    assert_eq!(living(&bench), 20);
    for sleeper in &sleepers {
        bench.launcher.kill(sleeper.id);
        assert_eq!(bench.exit_of(sleeper.id).status, ExitStatus::Signal(libc_signal::KILL));
    }
}

mod libc_signal {
    pub(crate) const ABORT: i32 = 6;
    pub(crate) const KILL: i32 = 9;
    pub(crate) const TERMINATE: i32 = 15;
}

/// Returns how many workers of the launcher are there: its children.
fn living(bench: &Bench) -> usize {
    let pid = bench.launcher.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().count()
}

#[test]
fn killing_a_worker_ends_children_in_sessions_of_their_own() {
    let Some(bench) = bench() else { return };
    let spec = bench.shell("setsid -f sleep 600; setsid sleep 600 & echo ready; wait");
    let started = bench.launcher.spawn(&spec).unwrap();
    wait_for_line(&started.stdout);
    assert!(processes_below(started.pid) >= 3);
    bench.launcher.kill(spec.id);
    let outcome = bench.finish(spec.id, started);
    assert_eq!(outcome.exit.status, ExitStatus::Signal(libc_signal::KILL));
}

#[test]
fn what_a_worker_leaves_running_ends_with_it() {
    let Some(bench) = bench() else { return };
    // The output is closed only when the last process that holds it is gone.
    let outcome = bench.run(&bench.shell("setsid -f sleep 600; sleep 600 & exit 4"));
    assert_eq!(outcome.exit.status, ExitStatus::Code(4));
}

#[test]
fn orphans_of_a_worker_are_collected_while_it_runs() {
    let Some(bench) = bench() else { return };
    let script = "
import os, time
for _ in range(200):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
print('done')
";
    let mut spec = bench.python(script);
    // Without collection, 200 dead orphans would not fit.
    spec.max_processes = 50;
    assert_eq!(bench.run(&spec).success(), "done\n");
}

#[test]
fn the_end_of_the_launcher_ends_its_workers() {
    let Some(bench) = bench() else { return };
    let started = bench.launcher.spawn(&bench.shell("echo ready; sleep 600")).unwrap();
    wait_for_line(&started.stdout);
    kill_process(pid(bench.launcher.pid()), Signal::KILL).unwrap();
    assert_eq!(bench.exits.recv(), None);
    wait_until("the worker is gone", || is_gone(started.pid));
    let error = bench.launcher.spawn(&bench.shell("true")).unwrap_err();
    assert_eq!(error.step, Step::Request);
}

/// Plays the hub in the next test, which runs this in a process of its own and kills it.
#[test]
#[ignore = "a part of another test"]
fn a_hub_to_be_killed() {
    let Some(bench) = bench() else { return };
    let started = bench.launcher.spawn(&bench.shell("setsid -f sleep 600; sleep 600")).unwrap();
    eprintln!("started {} {}", bench.launcher.pid(), started.pid);
    std::thread::sleep(PATIENCE);
}

#[test]
fn the_end_of_the_hub_ends_launcher_and_workers() {
    if bench().is_none() {
        return;
    }
    let mut hub = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "lifecycle::a_hub_to_be_killed", "--nocapture"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(hub.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("started ")).unwrap();
    let pids: Vec<u32> = line.split(' ').skip(1).map(|pid| pid.parse().unwrap()).collect();
    assert!(!is_gone(pids[0]) && !is_gone(pids[1]));
    hub.kill().unwrap();
    hub.wait().unwrap();
    wait_until("launcher and worker are gone", || pids.iter().all(|pid| is_gone(*pid)));
    assert_eq!(group_folders(pids[0]), Vec::<PathBuf>::new());
}

#[test]
fn dropping_the_handle_ends_launcher_and_workers_and_leaves_no_groups() {
    let Some(bench) = bench() else { return };
    let launcher = bench.launcher.pid();
    let started = bench.launcher.spawn(&bench.shell("sleep 600")).unwrap();
    drop(bench);
    assert!(is_gone(launcher) && is_gone(started.pid));
    assert_eq!(group_folders(launcher), Vec::<PathBuf>::new());
}

#[test]
fn a_new_launcher_removes_the_groups_of_a_dead_one() {
    let Some(bench) = bench() else { return };
    let dead = bench.launcher.pid();
    bench.launcher.spawn(&bench.shell("sleep 600")).unwrap();
    kill_process(pid(dead), Signal::KILL).unwrap();
    assert_eq!(bench.exits.recv(), None);
    drop(bench);
    let Some(_next) = crate::support::bench() else { return };
    assert_eq!(group_folders(dead), Vec::<PathBuf>::new());
}

#[test]
fn two_hundred_workers_leave_nothing_behind() {
    let Some(bench) = bench() else { return };
    let launcher = bench.launcher.pid();
    bench.run(&bench.shell("true"));
    let before = (descriptors(launcher), mounts(launcher), group_folders(launcher).len());
    for number in 0..200 {
        let spec = bench.shell(if number % 2 == 0 { "sleep 600" } else { "sleep 600 & exit 1" });
        bench.launcher.spawn(&spec).unwrap();
        bench.launcher.kill(spec.id);
        bench.exit_of(spec.id);
    }
    assert_eq!(living(&bench), 0);
    wait_until("the last groups are removed", || group_folders(launcher).len() == before.2);
    assert_eq!((descriptors(launcher), mounts(launcher)), (before.0, before.1));
}

#[test]
fn an_id_in_use_is_refused() {
    let Some(bench) = bench() else { return };
    let spec = bench.shell("sleep 600");
    bench.launcher.spawn(&spec).unwrap();
    let error = bench.launcher.spawn(&spec).unwrap_err();
    assert_eq!((error.step, error.id), (Step::Request, spec.id));
    bench.launcher.kill(spec.id);
    bench.exit_of(spec.id);
    assert_eq!(bench.run(&WorkerSpec { argv: vec!["/bin/true".into()], ..spec }).success(), "");
}

#[test]
fn a_failed_start_names_step_object_and_cause_and_leaves_nothing() {
    let Some(bench) = bench() else { return };
    let text = |spec: WorkerSpec| bench.launcher.spawn(&spec).unwrap_err().to_string();
    let shell = || WorkerSpec { id: 3, name: "regulate".into(), ..bench.shell("true") };
    let failed = |what| format!("failed to start worker 3 of function regulate: {what}");
    assert_eq!(
        text(WorkerSpec { code: "/nowhere/at/all".into(), ..shell() }),
        failed(
            "mounting /nowhere/at/all on /var/task: No such file or directory (os error 2); check \
             that the folder exists and that the hub may read it"
        )
    );
    assert_eq!(
        text(WorkerSpec { argv: vec!["/usr/bin/no-such-program".into()], ..shell() }),
        failed(
            "executing /usr/bin/no-such-program: No such file or directory (os error 2); the \
             program must exist inside the environment and be executable by every user"
        )
    );
    for spec in [
        WorkerSpec { argv: Vec::new(), ..shell() },
        WorkerSpec { argv: vec!["/bin/sh\0".into()], ..shell() },
        WorkerSpec { extra_read_only: vec!["/".into()], ..shell() },
        WorkerSpec { extra_read_only: vec!["/srv/../etc".into()], ..shell() },
        WorkerSpec { env: vec![("A".into(), "x".repeat(300_000).into())], ..shell() },
        WorkerSpec { runtime_files: vec![("../x".into(), Vec::new())], ..shell() },
    ] {
        assert!(text(spec).starts_with(&failed("")));
    }
    assert_eq!(living(&bench), 0);
    assert_eq!(bench.run(&shell()).success(), "");
}

#[test]
fn a_code_folder_that_only_root_can_read_is_named_as_the_cause() {
    let Some(bench) = bench().filter(|_| tomte_sandbox::survey().separate_users) else { return };
    let spec = WorkerSpec { code: bench.code("private", &[]), ..bench.shell("true") };
    fs::set_permissions(&spec.code, fs::Permissions::from_mode(0o700)).unwrap();
    let error = bench.launcher.spawn(&spec).unwrap_err();
    assert_eq!(error.step, Step::WorkFolder);
    assert!(error.to_string().ends_with("must be readable by every user (chmod o+rx)"), "{error}");
}

#[test]
fn a_program_that_is_no_launcher_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        LauncherOptions { state_folder: folder.path().into(), self_exe: "/bin/true".into() };
    let error = Launcher::start(options).err().unwrap().to_string();
    assert!(error.contains("run_if_asked"), "{error}");
}

#[test]
fn workers_are_started_from_several_threads_at_once() {
    let Some(bench) = bench() else { return };
    let specs: Vec<WorkerSpec> = (0..24).map(|_| bench.shell("exit 9")).collect();
    std::thread::scope(|scope| {
        for part in specs.chunks(6) {
            let launcher = &bench.launcher;
            scope.spawn(move || part.iter().for_each(|spec| drop(launcher.spawn(spec).unwrap())));
        }
    });
    let mut ended: Vec<u64> = specs
        .iter()
        .map(|_| bench.exits.recv_timeout(PATIENCE).unwrap())
        .map(|exit| (exit.status == ExitStatus::Code(9)).then_some(exit.id).unwrap())
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, specs.iter().map(|spec| spec.id).collect::<Vec<_>>());
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn is_gone(number: u32) -> bool {
    test_kill_process(pid(number)) == Err(rustix::io::Errno::SRCH)
}

/// Returns how many processes have this one as an ancestor, itself included.
fn processes_below(root: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).unwrap();
    1 + children.split_whitespace().map(|one| processes_below(one.parse().unwrap())).sum::<usize>()
}

fn wait_for_line(output: &std::os::fd::OwnedFd) {
    rustix::io::ioctl_fionbio(output, false).unwrap();
    assert!(rustix::io::read(output, &mut [0; 64]).unwrap() > 0);
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

fn mounts(process: u32) -> usize {
    fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap().lines().count()
}

/// Returns the folders of control groups of a launcher and its workers.
fn group_folders(launcher: u32) -> Vec<PathBuf> {
    let name = format!(".{launcher}");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let ours = hierarchies.map(|entry| entry.path().join("tomte"));
    let mut found = Vec::new();
    for folder in ours.chain([Path::new("/sys/fs/cgroup/tomte").into()]).flat_map(folders_of) {
        if folder.to_string_lossy().ends_with(&name) {
            found.extend(folders_of(folder.clone()));
            found.push(folder);
        }
    }
    found
}

fn folders_of(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Plays a hub that has no descriptors left; runs alone because the limit is one of the process.
#[test]
#[ignore = "a part of another test"]
fn a_hub_without_room_for_descriptors() {
    let Some(bench) = bench() else { return };
    let spec = bench.shell("sleep 600");
    let room = |limit| {
        let current = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = rustix::process::Rlimit { current: Some(limit), maximum: current.maximum };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    };
    // Fills all gaps, and leaves room for one.
    let held: Vec<_> = (0..40).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    room(u64::try_from(held[39].as_raw_fd() + 2).unwrap());
    let error = bench.launcher.spawn(&spec).unwrap_err();
    room(256);
    assert_eq!((error.step, error.name.as_str()), (Step::Pipe, "greenhouse"));
    assert_eq!(bench.exit_of(spec.id).status, ExitStatus::Signal(libc_signal::KILL));
    assert_eq!(bench.run(&bench.shell("echo alive")).success(), "alive\n");
    eprintln!("proven");
}

#[test]
fn a_hub_without_room_for_descriptors_loses_one_worker_and_goes_on() {
    if bench().is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "lifecycle::a_hub_without_room_for_descriptors",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("proven"), "{text}");
}
