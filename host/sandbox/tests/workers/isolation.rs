//! Workers do not see each other, nor what came before them.

use std::fs;

use tomte_sandbox::WorkerSpec;

use crate::support::bench;

/// Proves: SCH-11.
#[test]
fn two_workers_write_the_same_path_without_interference() {
    let Some(bench) = bench() else { return };
    let script = |word: &str| {
        format!("echo {word} > /tmp/same; sleep 0.2; cat /tmp/same; ls /tmp; echo x > /usr/same")
    };
    let (one, other) = (bench.shell(&script("one")), bench.shell(&script("other")));
    let (first, second) =
        (bench.launcher.spawn(&one).unwrap(), bench.launcher.spawn(&other).unwrap());
    let first = crate::support::collect(first.stdout);
    let second = crate::support::collect(second.stdout);
    assert_eq!(first.join().unwrap(), "one\nsame\n");
    assert_eq!(second.join().unwrap(), "other\nsame\n");
    assert!(!fs::exists("/usr/same").unwrap());
}

/// Proves: SCH-11.
#[test]
fn the_base_is_the_hosts_own_and_not_a_copy() {
    let Some(bench) = bench() else { return };
    use std::os::unix::fs::MetadataExt;
    let host = fs::metadata("/usr/bin/env").unwrap();
    let seen = bench.run(&bench.shell("stat -c '%d %i' /usr/bin/env"));
    assert_eq!(seen.success().trim(), format!("{} {}", host.dev(), host.ino()));
}

/// Proves: SCH-6.
#[test]
fn a_worker_sees_nothing_of_another_one() {
    let Some(bench) = bench() else { return };
    let mut secretive = bench.shell("echo secret > /tmp/secret; echo ready; sleep 600");
    secretive.env.push(("SECRET".into(), "in-environment".into()));
    let running = bench.launcher.spawn(&secretive).unwrap();
    rustix::io::ioctl_fionbio(&running.stdout, false).unwrap();
    rustix::io::read(&running.stdout, &mut [0; 16]).unwrap();
    let curious = bench.python(
        "
import os
print(sorted(os.environ), os.listdir('/tmp'), os.listdir('/dev/shm'))
print([n for n in os.listdir('/proc') if n.isdigit()])
for pid in range(3, 2000):
    try:
        os.kill(pid, 0)
        print('there is', pid)
    except OSError:
        pass
",
    );
    let outcome = bench.run(&curious);
    assert_eq!(outcome.success(), "['LC_CTYPE', 'PATH'] [] []\n['2']\n");
    bench.launcher.kill(secretive.id);
    bench.exit_of(secretive.id);
}

#[test]
fn a_worker_finds_nothing_of_the_worker_before_it() {
    let Some(bench) = bench() else { return };
    let script = "ls -A /tmp /dev/shm; echo marker > /tmp/marker; echo marker > /dev/shm/marker";
    let first = bench.run(&bench.shell(script));
    let second = bench.run(&bench.shell(script));
    assert_eq!(first.success(), "/dev/shm:\n\n/tmp:\n");
    assert_eq!(second.success(), first.success());
}

#[test]
fn workers_run_as_different_users_of_the_host_and_never_as_root() {
    let Some(bench) = bench() else { return };
    if !tomte_sandbox::survey().separate_users {
        return eprintln!("skipped: only root can give workers users of their own");
    }
    let owner = |spec: &WorkerSpec| {
        use std::os::unix::fs::MetadataExt;
        let started = bench.launcher.spawn(spec).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", started.pid)).unwrap();
        let ids = |field| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            line.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect::<Vec<u32>>()
        };
        let (users, groups) = (ids("Uid:"), ids("Gid:"));
        assert!(users.iter().chain(&groups).all(|id| *id == users[0]), "{users:?} {groups:?}");
        // What only its owner may see of the first process belongs to root.
        assert_eq!(fs::metadata(format!("/proc/{}/environ", started.pid)).unwrap().uid(), 0);
        users[0]
    };
    let (one, other) = (bench.shell("sleep 600"), bench.shell("sleep 600"));
    let (first, second) = (owner(&one), owner(&other));
    assert!(first >= 100_000 && second >= 100_000 && first != second, "{first} {second}");
}

#[test]
fn the_environment_inside_is_complete_enough() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.shell(
        "hostname; pwd; id -un; cat /var/runtime/note; ls /var/task; readlink /bin || echo folder; \
         getent hosts sandbox.localdomain; date +%Z; echo x > /dev/null; head -c 2 /dev/zero | wc -c; \
         test -s /etc/ld.so.cache && echo cache; umask; echo to-err > /dev/stderr; cat; tty",
    );
    spec.name = "green_house:1".into();
    spec.code = bench.code("listed", &[("one.txt", ""), ("sub/two.txt", "")]);
    spec.runtime_files = vec![("note".into(), b"a note\n".to_vec())];
    let outcome = bench.run(&spec);
    let link = fs::read_link("/bin").map_or("folder".into(), |to| to.display().to_string());
    let expected = format!(
        "green-house-1\n/var/task\nworker\na note\none.txt\nsub\n{link}\n\
         127.0.0.1       localhost sandbox.localdomain sandbox\nUTC\n2\ncache\n0022\nnot a tty\n"
    );
    assert_eq!(outcome.stdout, expected);
    assert_eq!(outcome.stderr, "to-err\n");
}

#[test]
fn folders_outside_of_usr_appear_where_they_are_and_read_only() {
    let Some(bench) = bench() else { return };
    let folder = bench.code("interpreters/python", &[("bin/tool", "#!/bin/sh\necho tool\n")]);
    let path = folder.display();
    let mut spec = bench.shell(&format!("{path}/bin/tool; touch {path}/x && echo written"));
    spec.extra_read_only = vec![folder.clone(), "/usr/lib".into()];
    assert_eq!(bench.run(&spec).stdout, "tool\n");
    assert!(!folder.join("x").exists());
    let absent = bench.shell(&format!("ls {path}"));
    assert_eq!(bench.run(&absent).stdout, "");
}
