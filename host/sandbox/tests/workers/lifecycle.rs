//! From start to end: what is told, and what is left behind.

use tomte_sandbox::ExitStatus;

use crate::support::bench;

#[test]
fn a_worker_runs_and_tells_its_code() {
    let Some(bench) = bench() else { return };
    let outcome = bench.run(&bench.shell("echo out; echo err >&2; id; hostname; ls -la / /proc /dev /etc; cat /proc/self/status /proc/mounts; exit 7"));
    assert!(outcome.stdout.starts_with("out\n"));
    assert_eq!(outcome.exit.status, ExitStatus::Code(7));
}
