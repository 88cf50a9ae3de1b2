//! What all tests of workers share.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tomte_sandbox::{
    ControllerSupport, Exit, ExitReports, ExitStatus, Launcher, LauncherOptions, Started,
    WorkerSpec, survey,
};

/// Longest time that any worker of these tests may take. Only a broken test reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A launcher with folders of its own.
pub(crate) struct Bench {
    pub(crate) launcher: Launcher,
    pub(crate) exits: ExitReports,
    pub(crate) folder: TempDir,
}

/// What a worker that has ended left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: Exit,
}

/// Returns a launcher, or prints why there is none.
pub(crate) fn bench() -> Option<Bench> {
    let survey = survey();
    if let Some(fatal) = survey.missing.iter().find(|missing| missing.fatal) {
        eprintln!("skipped: {}", fatal.sentence);
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = LauncherOptions {
        state_folder: folder.path().join("state"),
        self_exe: env!("CARGO_BIN_EXE_tomte-sandbox-launcher").into(),
    };
    let (launcher, exits) = Launcher::start(options).unwrap();
    Some(Bench { launcher, exits, folder })
}

/// Tells whether a controller is there, or prints that the test is skipped.
pub(crate) fn limits(controller: &str) -> bool {
    let found = survey().controllers.into_iter().find(|one| one.name == controller).unwrap();
    if found.support == ControllerSupport::None {
        eprintln!("skipped: no control group for {controller}");
    }
    found.support != ControllerSupport::None
}

impl Bench {
    /// Returns a worker with ordinary limits that runs the given program.
    pub(crate) fn spec(&self, argv: &[&str]) -> WorkerSpec {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        WorkerSpec {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: "greenhouse".into(),
            argv: argv.iter().map(Into::into).collect(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            code: self.code("empty", &[]),
            runtime_files: Vec::new(),
            extra_read_only: Vec::new(),
            memory: 256 << 20,
            cpu_millis: 0,
            max_processes: 64,
            tmp_bytes: 64 << 20,
            max_open_files: 256,
        }
    }

    pub(crate) fn shell(&self, script: &str) -> WorkerSpec {
        self.spec(&["/bin/sh", "-c", script])
    }

    pub(crate) fn python(&self, script: &str) -> WorkerSpec {
        self.spec(&["/usr/bin/python3", "-I", "-S", "-c", script])
    }

    /// Makes a folder with code that every user can read.
    pub(crate) fn code(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder.path().join(name);
        make_readable_folder(&folder);
        for (name, content) in files {
            let path = folder.join(name);
            make_readable_folder(path.parent().unwrap());
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    /// Starts a worker and waits for its end. Nobody answers at its address.
    pub(crate) fn run(&self, spec: &WorkerSpec) -> Outcome {
        let started = self.launcher.spawn(spec).unwrap();
        self.finish(spec.id, started)
    }

    pub(crate) fn finish(&self, id: u64, started: Started) -> Outcome {
        drop(started.listener);
        let (stdout, stderr) = (collect(started.stdout), collect(started.stderr));
        let exit = self.exit_of(id);
        let outcome =
            Outcome { stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), exit };
        eprintln!("{outcome:?}");
        outcome
    }

    /// Waits for the next end of a worker, which must be this one's.
    pub(crate) fn exit_of(&self, id: u64) -> Exit {
        let exit = self.exits.recv_timeout(PATIENCE).unwrap();
        assert_eq!(exit.id, id);
        exit
    }
}

impl Outcome {
    /// Checks that the worker ended well, and returns what it wrote.
    pub(crate) fn success(&self) -> &str {
        assert_eq!(self.exit.status, ExitStatus::Code(0), "{self:?}");
        &self.stdout
    }
}

fn make_readable_folder(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Reads everything that arrives, on a thread of its own.
pub(crate) fn collect(end: OwnedFd) -> JoinHandle<String> {
    rustix::io::ioctl_fionbio(&end, false).unwrap();
    thread::spawn(move || {
        let mut text = Vec::new();
        fs::File::from(end).read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    })
}
