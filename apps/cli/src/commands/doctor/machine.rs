//! What a hub needs of the machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{StatVfs, statfs, statvfs};
use rustix::process::{Resource, getrlimit};
use tomte_sandbox::{ControllerSupport, Survey, survey};

use super::Check;
use crate::interpreters::{Interpreter, NODE, PYTHON};
use crate::moments::now_us;

/// Less room than this is pointed out, in bytes: 1 GiB.
const LITTLE_ROOM: u64 = 1 << 30;

/// With less room than this a hub cannot work, in bytes: 64 MiB.
const NO_ROOM: u64 = 64 << 20;

/// Fewer open files than this is pointed out: each client takes one.
const FEW_FILES: u64 = 4_096;

/// File systems that live in memory: what is written to them is gone after a power cut.
const MEMORY_FILE_SYSTEMS: [(u64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// 2025-01-01 in milliseconds since the Unix epoch: a clock before that was never set.
const BUILT_AFTER_MS: u64 = 1_735_689_600_000;

pub(super) fn checks(state: &Path) -> Vec<Check> {
    let survey = survey();
    let mut checks = vec![kernel(), clock(now_us() / 1_000), open_files()];
    checks.extend(sandbox(&survey));
    checks.push(interpreter(PYTHON, "Python functions"));
    checks.push(interpreter(NODE, "JavaScript functions"));
    checks.extend(state_folder(state));
    checks
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    match version_of(&release) {
        Some(version) if version >= (5, 4) => Check::ok("kernel", format!("Linux {release}")),
        Some(_) => Check::warning(
            "kernel",
            format!("Linux {release}"),
            "workers are isolated best from Linux 5.13 on; below 5.4 nothing is tested",
        ),
        None => Check::problem("kernel", "no Linux", "a hub runs on Linux only"),
    }
}

fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn clock(now_ms: u64) -> Check {
    if now_ms > BUILT_AFTER_MS {
        return Check::ok("clock", "is set");
    }
    let fix = "set the date, or install chrony: certificates are refused before they begin";
    Check::problem("clock", "stands before this program was built", fix)
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile);
    match limit.maximum {
        Some(most) if most < FEW_FILES => Check::warning(
            "open files",
            format!("at most {most}"),
            "each client takes one: raise it with LimitNOFILE= or `ulimit -Hn 65536`",
        ),
        Some(most) => Check::ok("open files", format!("at most {most}")),
        None => Check::ok("open files", "no limit"),
    }
}

fn sandbox(survey: &Survey) -> Vec<Check> {
    let mut checks = Vec::new();
    if survey.namespaces {
        checks.push(Check::ok("namespaces", "workers can be isolated"));
    }
    if survey.seccomp {
        checks.push(Check::ok("seccomp", "system calls can be filtered"));
    }
    if survey.landlock > 0 {
        checks.push(Check::ok("landlock", format!("version {}", survey.landlock)));
    }
    for controller in &survey.controllers {
        let version = match controller.support {
            ControllerSupport::V1 => "version 1",
            ControllerSupport::V2 => "version 2",
            ControllerSupport::None => continue,
        };
        checks
            .push(Check::ok(controller_name(controller.name), format!("control group {version}")));
    }
    checks.extend(survey.missing.iter().map(|missing| {
        let (found, fix) = missing.sentence.split_once("; ").unwrap_or((&missing.sentence, ""));
        let name = controller_name(missing.what);
        match missing.fatal {
            true => Check::problem(name, found, fix),
            false => Check::warning(name, found, fix),
        }
    }));
    checks
}

fn controller_name(name: &'static str) -> &'static str {
    match name {
        "memory" => "memory limits",
        "pids" => "process limits",
        "cpu" => "processor limits",
        name => name,
    }
}

fn interpreter(interpreter: Interpreter, what_for: &str) -> Check {
    let Some(path) = interpreter.find() else {
        let found = format!("not found: no {what_for}");
        return Check::warning(interpreter.program, found, interpreter.how_to_get());
    };
    let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            let version = version.trim().trim_start_matches("Python ");
            Check::ok(interpreter.program, format!("{version}, {}", path.display()))
        }
        _ => Check::problem(
            interpreter.program,
            format!("{} does not start", path.display()),
            interpreter.how_to_get(),
        ),
    }
}

fn state_folder(state: &Path) -> Vec<Check> {
    let Some(existing) = state.ancestors().find(|folder| folder.is_dir()) else {
        return vec![Check::problem("state folder", "no such disk", "name another with --state")];
    };
    vec![writable(state, existing), disk(existing), room(existing)]
}

fn writable(state: &Path, existing: &Path) -> Check {
    let probe = existing.join(format!(".tomte-doctor-{}", std::process::id()));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    let shown = state.display();
    match written {
        Ok(()) if existing == state => Check::ok("state folder", format!("{shown}")),
        Ok(()) => Check::ok("state folder", format!("{shown} will be made")),
        Err(error) => Check::problem(
            "state folder",
            format!("cannot write to {}: {error}", existing.display()),
            "give the user of the hub the right to, or name another folder with --state",
        ),
    }
}

fn disk(existing: &Path) -> Check {
    let kind = statfs(existing).ok().and_then(|found| u64::try_from(found.f_type).ok());
    let memory = MEMORY_FILE_SYSTEMS.iter().find(|(magic, _)| Some(*magic) == kind);
    match memory {
        Some((_, name)) => Check::warning(
            "disk",
            format!("{} is on {name}: all is gone after a power cut", existing.display()),
            "use a folder on a real disk with --state",
        ),
        None => Check::ok("disk", "keeps what is written"),
    }
}

fn room(existing: &Path) -> Check {
    match statvfs(existing) {
        Ok(found) => verdict_on_room(free_bytes(&found)),
        Err(error) => {
            Check::warning("room", format!("cannot be told: {error}"), "look with `df -h`")
        }
    }
}

fn free_bytes(found: &StatVfs) -> u64 {
    found.f_bavail.saturating_mul(found.f_frsize)
}

fn verdict_on_room(free: u64) -> Check {
    let found = format!("{} MiB free", free >> 20);
    let fix = "make room on the disk of the state folder, or name another with --state";
    match free {
        0..NO_ROOM => Check::problem("room", found, fix),
        NO_ROOM..LITTLE_ROOM => Check::warning("room", found, fix),
        _ => Check::ok("room", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn kernels_are_compared_by_number() {
        assert_eq!(version_of("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version_of("5.10.102.1-microsoft-standard"), Some((5, 10)));
        assert_eq!(version_of("plan9"), None);
    }

    /// Proves: DOC-1.
    #[test]
    fn little_room_is_a_warning_and_none_a_problem() {
        assert_eq!(verdict_on_room(NO_ROOM - 1).verdict, Verdict::Problem);
        assert_eq!(verdict_on_room(NO_ROOM).verdict, Verdict::Warning);
        assert_eq!(verdict_on_room(LITTLE_ROOM).verdict, Verdict::Ok);
    }

    /// Proves: DOC-1.
    #[test]
    fn a_clock_that_was_never_set_is_a_problem() {
        assert_eq!(clock(0).verdict, Verdict::Problem);
        assert_eq!(clock(now_us() / 1_000).verdict, Verdict::Ok);
    }

    /// Proves: DOC-1.
    #[test]
    fn a_state_folder_that_cannot_be_made_is_a_problem() {
        let verdict = writable(Path::new("/proc/tomte"), Path::new("/proc")).verdict;
        assert_eq!(verdict, Verdict::Problem);
    }
}
