//! Everything that a new process needs between clone and exec, made before the clone.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::root::WORKER_USER;
use super::spawn::Failure;
use crate::error::Step;
use crate::spec::WorkerSpec;

/// First user of the host that workers of a hub with the rights of root run as.
const FIRST_USER: u32 = 100_000;
const USERS: u64 = 50_000;
/// Longest host name that Linux takes, in bytes.
const MAX_HOST_NAME: usize = 63;
/// Room for one file in `/tmp`, in bytes: more of it than files means more files.
const BYTES_PER_INODE: u64 = 4096;
const MIN_INODES: u64 = 1024;
const MIN_TMP_BYTES: u64 = 1 << 20;
/// What a program may map beyond its memory limit when only `RLIMIT_DATA` can hold it: stacks of
/// threads count there as soon as they are reserved.
const DATA_SLACK: u64 = 256 << 20;

/// Paths inside that are made for workers and cannot be replaced by folders of the host.
const TAKEN: [&str; 9] = ["/", "/proc", "/sys", "/dev", "/etc", "/run", "/var", "/tmp", "/opt"];

/// A folder of the host and where it appears, relative to the new root.
pub(super) struct Bind {
    pub(super) source: CString,
    pub(super) target: CString,
}

/// The plan for one worker. The process that follows it shares this memory as a copy.
pub(super) struct Plan {
    pub(super) root: CString,
    pub(super) host_name: CString,
    pub(super) tmp_options: CString,
    pub(super) shm_options: CString,
    pub(super) folders: Vec<CString>,
    pub(super) binds: Vec<Bind>,
    pub(super) user: u32,
    pub(super) id_map: CString,
    pub(super) limits: Vec<(libc::c_int, u64)>,
    pub(super) program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    argv_pointers: Vec<*const c_char>,
    env_pointers: Vec<*const c_char>,
}

/// What the host can do for a worker.
pub(super) struct Host<'a> {
    pub(super) root: &'a Path,
    pub(super) own_user_namespace: bool,
    pub(super) limits_memory: bool,
    pub(super) limits_processes: bool,
}

impl Plan {
    pub(super) fn make(
        spec: &WorkerSpec,
        runtime_folder: Option<&Path>,
        host: &Host<'_>,
    ) -> Result<Plan, Failure> {
        let user = host_user(spec.id, host.own_user_namespace);
        let argv: Vec<CString> =
            spec.argv.iter().map(|text| c_string(text)).collect::<Result<_, _>>()?;
        let env = spec.env.iter().map(|(name, value)| variable(name, value));
        let env: Vec<CString> = env.collect::<Result<_, _>>()?;
        let program = argv
            .first()
            .cloned()
            .ok_or_else(|| Failure::new(Step::Request, "without a program".into(), libc::EINVAL))?;
        let (folders, binds) = binds(spec, runtime_folder)?;
        Ok(Plan {
            root: c_string(host.root.as_os_str())?,
            host_name: host_name(&spec.name)?,
            tmp_options: tmpfs_options(spec.tmp_bytes)?,
            shm_options: tmpfs_options(spec.tmp_bytes.min(64 << 20))?,
            folders,
            binds,
            user,
            id_map: c_string(OsStr::new(&format!("{WORKER_USER} {user} 1")))?,
            limits: limits(spec, host),
            program,
            argv_pointers: pointers(&argv),
            env_pointers: pointers(&env),
            argv,
            env,
        })
    }

    /// Returns arguments and environment as `execve` takes them.
    pub(super) fn argv_and_env(&self) -> (*const *const c_char, *const *const c_char) {
        debug_assert_eq!(self.argv_pointers.len(), self.argv.len() + 1);
        debug_assert_eq!(self.env_pointers.len(), self.env.len() + 1);
        (self.argv_pointers.as_ptr(), self.env_pointers.as_ptr())
    }
}

/// Returns the user that the worker is, as the launcher numbers users.
fn host_user(id: u64, own_user_namespace: bool) -> u32 {
    let offset = u32::try_from(id % USERS).unwrap_or_default();
    if own_user_namespace { 0 } else { FIRST_USER + offset }
}

fn c_string(text: &OsStr) -> Result<CString, Failure> {
    CString::new(text.as_bytes()).map_err(|_| {
        Failure::new(Step::Request, format!("with a zero byte in {text:?}"), libc::EINVAL)
    })
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, Failure> {
    let mut text = name.to_owned();
    text.push("=");
    text.push(value);
    c_string(&text)
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

fn host_name(function: &str) -> Result<CString, Failure> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = function.chars().take(MAX_HOST_NAME).map(plain).collect();
    c_string(OsStr::new(&name))
}

fn tmpfs_options(bytes: u64) -> Result<CString, Failure> {
    // The kernel takes a size of 0 for no limit.
    let bytes = bytes.max(MIN_TMP_BYTES);
    let inodes = (bytes / BYTES_PER_INODE).max(MIN_INODES);
    c_string(OsStr::new(&format!("mode=1777,size={bytes},nr_inodes={inodes}")))
}

/// Returns the folders to make in the root and the folders to bind there, in order.
fn binds(
    spec: &WorkerSpec,
    runtime_folder: Option<&Path>,
) -> Result<(Vec<CString>, Vec<Bind>), Failure> {
    let bind = |source: &Path, target: &Path| -> Result<Bind, Failure> {
        Ok(Bind { source: c_string(source.as_os_str())?, target: c_string(target.as_os_str())? })
    };
    let (mut folders, mut binds) = (Vec::new(), Vec::new());
    for path in outside_of_root(&spec.extra_read_only) {
        let target = inside(path)?;
        let above: Vec<&Path> = target.ancestors().filter(|p| *p != Path::new("")).collect();
        for folder in above.into_iter().rev() {
            folders.push(c_string(folder.as_os_str())?);
        }
        binds.push(bind(path, target)?);
    }
    binds.push(bind(&spec.code, Path::new("var/task"))?);
    if let Some(folder) = runtime_folder {
        binds.push(bind(folder, Path::new("var/runtime"))?);
    }
    Ok((folders, binds))
}

/// Leaves out what every root has anyway.
fn outside_of_root(paths: &[PathBuf]) -> impl Iterator<Item = &Path> {
    let there = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
    paths
        .iter()
        .map(PathBuf::as_path)
        .filter(move |path| !there.iter().any(|at| path.starts_with(at)))
}

/// Returns the path relative to the root, if it is one that may be bound.
fn inside(path: &Path) -> Result<&Path, Failure> {
    let refused = || Failure::new(Step::Bind, path.display().to_string(), libc::EINVAL);
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if TAKEN.iter().any(|taken| path == Path::new(taken)) || !path.components().all(plain) {
        return Err(refused());
    }
    path.strip_prefix("/").map_err(|_| refused())
}

fn limits(spec: &WorkerSpec, host: &Host<'_>) -> Vec<(libc::c_int, u64)> {
    let number = |resource| libc::c_int::try_from(resource).unwrap_or_default();
    let mut limits = vec![
        (number(libc::RLIMIT_NOFILE), spec.max_open_files),
        (number(libc::RLIMIT_CORE), 0),
        (number(libc::RLIMIT_MEMLOCK), 64 << 10),
        (number(libc::RLIMIT_MSGQUEUE), 0),
    ];
    if !host.limits_processes {
        limits.push((number(libc::RLIMIT_NPROC), u64::from(spec.max_processes) + 1));
    }
    if !host.limits_memory {
        limits.push((number(libc::RLIMIT_DATA), spec.memory.saturating_add(DATA_SLACK)));
    }
    limits
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::new(Step::Pipe, String::new(), error.raw_os_error().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(extra_read_only: &[&str]) -> WorkerSpec {
        WorkerSpec {
            id: 50_007,
            name: "a_b:c".repeat(20),
            argv: vec!["/bin/true".into(), "x".into()],
            env: vec![("A".into(), "1".into())],
            code: "/srv/code".into(),
            runtime_files: Vec::new(),
            extra_read_only: extra_read_only.iter().map(PathBuf::from).collect(),
            memory: 1 << 20,
            cpu_millis: 0,
            max_processes: 5,
            tmp_bytes: 0,
            max_open_files: 9,
        }
    }

    fn plan(extra_read_only: &[&str], own_user_namespace: bool) -> Result<Plan, Failure> {
        let host = Host {
            root: Path::new("/state/root"),
            own_user_namespace,
            limits_memory: false,
            limits_processes: false,
        };
        Plan::make(&spec(extra_read_only), Some(Path::new("/state/runtime")), &host)
    }

    fn texts(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|text| text.to_str().unwrap()).collect()
    }

    #[test]
    fn folders_above_a_bind_are_made_first() {
        let plan = plan(&["/root/.pyenv/versions/3.11", "/usr/lib"], false).unwrap();
        assert_eq!(
            texts(&plan.folders),
            ["root", "root/.pyenv", "root/.pyenv/versions", "root/.pyenv/versions/3.11"]
        );
        let targets: Vec<_> = plan.binds.iter().map(|bind| bind.target.to_str().unwrap()).collect();
        assert_eq!(targets, ["root/.pyenv/versions/3.11", "var/task", "var/runtime"]);
    }

    #[test]
    fn folders_that_workers_have_of_their_own_cannot_be_bound() {
        for path in ["/", "/etc", "/proc", "/tmp", "/var", "relative", "/a/../etc", "/a/./../b"] {
            let failure = plan(&[path], false).err().unwrap();
            assert_eq!((failure.step, failure.object.as_str()), (Step::Bind, path));
        }
    }

    #[test]
    fn users_are_spread_over_a_range_that_is_never_root() {
        let plan = plan(&[], false).unwrap();
        assert_eq!((plan.user, plan.id_map.to_str().unwrap()), (100_007, "1000 100007 1"));
        let plan = self::plan(&[], true).unwrap();
        assert_eq!((plan.user, plan.id_map.to_str().unwrap()), (0, "1000 0 1"));
        assert_eq!(host_user(u64::MAX, false), 100_000 + 1_615);
    }

    #[test]
    fn a_host_name_is_short_and_plain() {
        let name = plan(&[], false).unwrap().host_name;
        assert_eq!(name.count_bytes(), 63);
        assert!(name.to_str().unwrap().starts_with("a-b-ca-b-c"));
    }

    #[test]
    fn tmp_is_never_without_limit() {
        let plan = plan(&[], false).unwrap();
        assert_eq!(plan.tmp_options.to_str().unwrap(), "mode=1777,size=1048576,nr_inodes=1024");
    }

    #[test]
    fn without_control_groups_limits_are_set_on_the_process() {
        let limits = plan(&[], false).unwrap().limits;
        let value = |resource: libc::__rlimit_resource_t| {
            let resource = libc::c_int::try_from(resource).unwrap();
            limits.iter().find(|(found, _)| *found == resource).map(|(_, value)| *value)
        };
        assert_eq!(value(libc::RLIMIT_NPROC), Some(6));
        assert_eq!(value(libc::RLIMIT_DATA), Some((1 << 20) + DATA_SLACK));
        assert_eq!((value(libc::RLIMIT_NOFILE), value(libc::RLIMIT_CORE)), (Some(9), Some(0)));
    }
}
