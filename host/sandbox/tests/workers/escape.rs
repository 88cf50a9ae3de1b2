//! The list of escape attempts. Each must fail in the way that is written here.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::support::bench;

/// Answers that are the same for many attempts.
const FORBIDDEN: &str = "EPERM";
const MISSING: &str = "ENOENT";
const READ_ONLY: &str = "EROFS";

/// What must come of each attempt; where kernels differ, any of several.
const EXPECTED: &[(&str, &[&str])] = &[
    ("processes", &["[2]"]),
    (
        "root folder",
        &["['bin', 'dev', 'etc', 'lib', 'opt', 'proc', 'run', 'sbin', 'tmp', 'usr', 'var']"],
    ),
    (
        "devices",
        &[
            "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']",
        ],
    ),
    ("interfaces", &["['lo']"]),
    // The fourth is the one that lists them.
    ("descriptors", &["['0', '1', '2', '3']"]),
    // Python itself adds the last one.
    ("environment", &["['HOST_ABSTRACT', 'HOST_PID', 'HOST_PORT', 'LC_CTYPE']"]),
    ("host home", &[MISSING]),
    ("sys", &[MISSING]),
    ("first process memory", &[MISSING]),
    ("first process environment", &[MISSING]),
    ("kernel memory", &[MISSING, "EACCES", FORBIDDEN]),
    ("kernel log", &["EACCES", FORBIDDEN]),
    ("write /x", &[READ_ONLY]),
    ("write /usr/x", &[READ_ONLY]),
    ("write /etc/passwd", &[READ_ONLY, "EACCES"]),
    ("write /var/task/x", &[READ_ONLY]),
    ("write /var/runtime/x", &[READ_ONLY]),
    ("write /opt/x", &[READ_ONLY]),
    ("write /dev/x", &[READ_ONLY]),
    ("write core pattern", &["EACCES", READ_ONLY]),
    ("write sysrq", &["EACCES", MISSING]),
    ("write own program", &[READ_ONLY, "EACCES", "ETXTBSY"]),
    ("write through link", &[READ_ONLY, "EACCES"]),
    ("fill tmp", &["ENOSPC"]),
    ("fill shm", &["ENOSPC"]),
    ("fill inodes", &["ENOSPC"]),
    ("connect to host", &["ECONNREFUSED"]),
    ("connect outside", &["ENETUNREACH"]),
    ("connect outside v6", &["ENETUNREACH", "EADDRNOTAVAIL"]),
    ("connect abstract", &["ECONNREFUSED"]),
    ("send outside", &["ENETUNREACH"]),
    ("resolve", &["no answer"]),
    ("socket packet", &["EAFNOSUPPORT"]),
    ("socket netlink", &["EAFNOSUPPORT"]),
    ("socket vsock", &["EAFNOSUPPORT"]),
    ("socket alg", &["EAFNOSUPPORT"]),
    ("socket bluetooth", &["EAFNOSUPPORT"]),
    ("raw socket", &[FORBIDDEN]),
    ("call io_uring_setup", &["ENOSYS"]),
    ("call io_uring_enter", &["ENOSYS"]),
    ("call clone3", &["ENOSYS"]),
    ("device node", &[FORBIDDEN, "EACCES"]),
    ("nice", &[FORBIDDEN, "EACCES"]),
    ("become root", &[FORBIDDEN, "EINVAL"]),
    ("raise limit", &["ValueError: not allowed to raise maximum limit"]),
    ("terminal", &[FORBIDDEN]),
    ("set user id", &["1000"]),
    ("capabilities", &["000000000000000000000000000000000000000000000000"]),
    ("no new privileges", &["1"]),
    ("kill host", &["ESRCH"]),
    // The kernel drops the signal; the attempts after this one show it.
    ("kill first process", &["done"]),
    ("32-bit calls", &["SIGSYS"]),
    ("x32 calls", &["SIGSYS"]),
    ("end", &["reached"]),
];

fn expected(attempt: &str) -> &'static [&'static str] {
    match EXPECTED.iter().find(|(name, _)| *name == attempt) {
        Some((_, answers)) => answers,
        // Every other system call and every new namespace.
        None if attempt.starts_with("call ") || attempt.starts_with("clone ") => &[FORBIDDEN],
        None => panic!("nobody said what must come of {attempt:?}"),
    }
}

/// Proves: SEC-1, SCH-6, SCH-13.
#[test]
fn every_escape_attempt_fails_as_it_must() {
    let Some(bench) = bench() else { return };
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("tomte-test-{}", std::process::id());
    let _abstract =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let mut spec = bench.spec(&["/usr/bin/python3", "-I", "-S", "/var/task/escapes.py"]);
    spec.code = bench.code("escapes", &[("escapes.py", include_str!("escapes.py"))]);
    spec.env = vec![
        ("HOST_PORT".into(), host.local_addr().unwrap().port().to_string().into()),
        ("HOST_ABSTRACT".into(), name.into()),
        ("HOST_PID".into(), std::process::id().to_string().into()),
    ];
    let outcome = bench.run(&spec);
    let found: BTreeMap<&str, &str> =
        outcome.success().lines().filter_map(|line| line.split_once('\t')).collect();
    let wrong: Vec<_> =
        found.iter().filter(|(attempt, answer)| !expected(attempt).contains(answer)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let untried: Vec<_> = EXPECTED.iter().filter(|(name, _)| !found.contains_key(name)).collect();
    assert!(untried.is_empty() || !cfg!(target_arch = "x86_64"), "not tried: {untried:?}");
    assert_eq!(found.keys().filter(|name| name.starts_with("call ")).count(), 39);
}
