use super::detect::{first_version, needed_controllers, second_version_root};
use super::worker_group::{Usage, counter};
use super::*;

const MIXED: &str = "\
24 18 0:21 / /sys/fs/cgroup rw,nosuid - tmpfs cgroup rw,mode=755
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
28 24 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
29 24 0:26 / /other/memory rw - cgroup cgroup rw,memory
";

fn spec() -> WorkerSpec {
    WorkerSpec {
        id: 3,
        name: "a/b:c ü".into(),
        argv: Vec::new(),
        env: Vec::new(),
        code: "/".into(),
        runtime_files: Vec::new(),
        extra_read_only: Vec::new(),
        memory: 64 << 20,
        cpu_millis: 250,
        max_processes: 32,
        tmp_bytes: 0,
        max_open_files: 0,
    }
}

#[test]
fn each_controller_of_version_one_is_found_once() {
    let found = first_version(MIXED);
    let found: Vec<_> =
        found.iter().map(|one| (one.controllers.join(","), one.root.to_str().unwrap())).collect();
    assert_eq!(
        found,
        [
            ("cpu".to_owned(), "/sys/fs/cgroup/cpu,cpuacct"),
            ("memory".to_owned(), "/sys/fs/cgroup/memory"),
        ]
    );
}

#[test]
fn only_controllers_that_workers_need_are_taken() {
    assert_eq!(needed_controllers("cpuset cpu io memory pids\n"), ["cpu", "memory", "pids"]);
    assert!(needed_controllers("").is_empty());
}

#[test]
fn a_user_other_than_root_stays_in_the_delegated_group() {
    let own = "1:name=systemd:/x\n0::/user.slice/a.service\n";
    let place = |root| second_version_root(Path::new("/sys/fs/cgroup"), own, root);
    assert_eq!(place(false), Path::new("/sys/fs/cgroup/user.slice/a.service"));
    assert_eq!(place(true), Path::new("/sys/fs/cgroup"));
}

#[test]
fn a_hub_that_was_moved_down_finds_its_delegated_group_again() {
    let place = second_version_root(Path::new("/c"), "0::/a.service/tomte-hub\n", false);
    assert_eq!(place, Path::new("/c/a.service"));
}

#[test]
fn the_folder_name_holds_no_path_and_keeps_the_id() {
    assert_eq!(folder_name(&spec()), "3-a_b_c__");
}

#[test]
fn limits_are_written_in_the_units_of_each_version() {
    let text = |version| {
        let limits = limits(version, &spec(), Launcher::Outside);
        limits.iter().map(|(_, file, value, _)| format!("{file}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(
        text(Version::One),
        [
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=67108864",
            "pids.max=33",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=25000",
        ]
    );
    assert_eq!(
        text(Version::Two),
        [
            "memory.max=67108864",
            "memory.swap.max=0",
            "memory.oom.group=1",
            "pids.max=33",
            "cpu.max=25000 100000",
        ]
    );
}

#[test]
fn a_launcher_inside_gets_room_for_itself_and_is_not_slowed_down() {
    let limits = limits(Version::One, &spec(), Launcher::Inside);
    assert!(limits.iter().all(|(controller, ..)| *controller != "cpu"));
    assert!(limits.iter().any(|(_, file, value, _)| *file == "pids.max" && value == "34"));
}

#[test]
fn counters_are_found_by_their_whole_name() {
    let events = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 7\n";
    assert_eq!(counter(events, "oom_kill"), Some(1));
    assert_eq!(counter(events, "oom_kil"), None);
}

#[test]
fn usage_is_read_from_the_files_of_either_version() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    write("memory.max_usage_in_bytes", "4096\n");
    write("memory.events", "oom 0\noom_kill 0\n");
    write("memory.peak", "8192\n");
    let usage = |version| {
        let part = Part { version, folder: folder.path().into() };
        WorkerGroup { parts: vec![part], born_inside: false }.usage(false)
    };
    let expect = |out_of_memory, peak| Usage { out_of_memory, peak_memory: Some(peak) };
    assert_eq!(usage(Version::One), expect(true, 4096));
    assert_eq!(usage(Version::Two), expect(false, 8192));
}

#[test]
fn only_folders_that_a_launcher_named_are_leftovers() {
    let number = |folder| leftovers::launcher_of(folder).map(|pid| pid.as_raw_nonzero().get());
    assert_eq!(number("12.34"), Some(34));
    for folder in ["12", "12.", "12.x", "12.0", "12.-1", "x"] {
        assert_eq!(number(folder), None, "{folder}");
    }
}
