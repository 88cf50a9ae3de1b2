//! The hub's end of the launcher.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::channel::Channel;
use crate::error::{LauncherError, SpawnError, Step};
use crate::launcher::{HIDDEN_WORD, PREPARE_SECONDS};
use crate::protocol::{MAX_PACKET_BYTES, Report, Request, decode_report, encode_request};
use crate::runtime_files::RuntimeFolders;
use crate::spec::{Exit, Started, WorkerSpec};

/// Where the launcher keeps its files and which program it is.
#[derive(Clone, Debug)]
pub struct LauncherOptions {
    /// A folder for the launcher alone; made when it is missing.
    pub state_folder: PathBuf,
    /// The program whose `main` calls [`crate::launcher::run_if_asked`]: `/proc/self/exe`.
    pub self_exe: PathBuf,
}

/// The launcher process, as the hub holds it. Dropping it ends the launcher and all workers.
///
/// All methods may be called from several threads at once.
pub struct Launcher {
    shared: Arc<Shared>,
    runtime_folders: RuntimeFolders,
    process: Child,
    reader: Option<JoinHandle<()>>,
}

struct Shared {
    channel: Channel,
    waiting: Mutex<Waiting>,
}

/// Who waits for the start of which worker.
#[derive(Default)]
struct Waiting {
    launcher_gone: bool,
    by_worker: HashMap<u64, SyncSender<Result<Started, SpawnError>>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Launcher {
    /// Starts the launcher process and waits until it is ready.
    ///
    /// # Errors
    /// Fails with [`LauncherError`] when the process cannot be started or cannot prepare itself.
    pub fn start(options: LauncherOptions) -> Result<(Launcher, ExitReports), LauncherError> {
        let state_folder = make_state_folder(&options.state_folder)?;
        let (channel, far_end) =
            Channel::pair().map_err(|source| LauncherError::Socket { source })?;
        let mut process = Command::new(&options.self_exe)
            .arg(HIDDEN_WORD)
            .arg(&state_folder)
            .env_clear()
            .stdin(Stdio::from(far_end.into_descriptor()))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|source| LauncherError::Execute { program: options.self_exe, source })?;
        if let Err(reason) = wait_until_ready(&channel) {
            let _ = process.kill();
            let _ = process.wait();
            return Err(LauncherError::Prepare { reason });
        }
        let shared = Arc::new(Shared { channel, waiting: Mutex::default() });
        let (exits, reports) = mpsc::channel();
        let reader = start_reader(Arc::clone(&shared), exits)
            .map_err(|source| LauncherError::Socket { source })?;
        let runtime_folders = RuntimeFolders::new(state_folder.join("runtime"));
        let launcher = Launcher { shared, runtime_folders, process, reader: Some(reader) };
        Ok((launcher, ExitReports(reports)))
    }

    /// Starts a worker and waits until its program is executed: a few milliseconds.
    ///
    /// # Errors
    /// Fails with [`SpawnError`], which names the step that failed. Nothing of the worker is left.
    pub fn spawn(&self, spec: &WorkerSpec) -> Result<Started, SpawnError> {
        let failure = |step, object: String, errno| SpawnError {
            id: spec.id,
            name: spec.name.clone(),
            step,
            object,
            errno,
        };
        let runtime_folder =
            self.runtime_folders.folder_of(&spec.runtime_files).map_err(|error| {
                failure(Step::RuntimeFiles, error.to_string(), error.raw_os_error().unwrap_or(0))
            })?;
        let packet =
            encode_request(&Request::Spawn { spec: Box::new(spec.clone()), runtime_folder });
        if packet.len() > MAX_PACKET_BYTES {
            return Err(failure(
                Step::Request,
                format!("with {} bytes", packet.len()),
                libc::E2BIG,
            ));
        }
        let answer = self
            .expect_answer(spec.id)
            .map_err(|errno| failure(Step::Request, String::new(), errno))?;
        if self.shared.channel.send(&packet, &[]).is_err() {
            self.shared.waiting().by_worker.remove(&spec.id);
            return Err(failure(Step::Request, String::new(), libc::EPIPE));
        }
        match answer.recv() {
            Ok(result) => result.map_err(|error| SpawnError { name: spec.name.clone(), ..error }),
            Err(_) => Err(failure(Step::Request, String::new(), libc::EPIPE)),
        }
    }

    /// Ends a worker with all its processes. Its [`Exit`] is reported as always. A worker that does
    /// not run is none of its business.
    pub fn kill(&self, id: u64) {
        let _ = self.shared.channel.send(&encode_request(&Request::Kill { id }), &[]);
    }

    /// Returns the process id of the launcher.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Registers a waiter, or says why it would wait in vain.
    fn expect_answer(&self, id: u64) -> Result<Receiver<Result<Started, SpawnError>>, i32> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut waiting = self.shared.waiting();
        if waiting.launcher_gone {
            return Err(libc::EPIPE);
        }
        if waiting.by_worker.contains_key(&id) {
            return Err(libc::EEXIST);
        }
        waiting.by_worker.insert(id, sender);
        Ok(receiver)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.shared.channel.close();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let _ = self.process.wait();
    }
}

/// The ends of workers, in the order in which they happened.
#[derive(Debug)]
pub struct ExitReports(Receiver<Exit>);

impl ExitReports {
    /// Waits for the next end of a worker. Returns nothing when the launcher is gone, and with it
    /// all workers that were not reported.
    #[must_use]
    pub fn recv(&self) -> Option<Exit> {
        self.0.recv().ok()
    }

    /// Waits as [`ExitReports::recv`], but at most for `span`.
    ///
    /// # Errors
    /// Fails when the time is up or the launcher is gone; the error says which.
    pub fn recv_timeout(&self, span: Duration) -> Result<Exit, RecvTimeoutError> {
        self.0.recv_timeout(span)
    }
}

impl Iterator for ExitReports {
    type Item = Exit;

    fn next(&mut self) -> Option<Exit> {
        self.recv()
    }
}

/// Makes the folder and returns its absolute path.
fn make_state_folder(path: &PathBuf) -> Result<PathBuf, LauncherError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::canonicalize(path))
        .map_err(|source| LauncherError::StateFolder { path: path.clone(), source })
}

fn wait_until_ready(channel: &Channel) -> Result<(), String> {
    let mut descriptors = [PollFd::new(channel, PollFlags::IN)];
    let limit = Timespec { tv_sec: PREPARE_SECONDS, tv_nsec: 0 };
    let ready = rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&limit)))
        .map_err(|error| error.to_string())?;
    if ready == 0 {
        return Err(format!("it did not answer within {PREPARE_SECONDS} seconds"));
    }
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    match channel.receive(&mut buffer) {
        Ok(Some((packet, _))) => match decode_report(packet) {
            Ok(Report::Ready) => Ok(()),
            Ok(Report::Unable { reason }) => Err(reason),
            _ => Err("it answered in an unknown form".into()),
        },
        Ok(None) => Err("it ended at once; does its main call run_if_asked?".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn start_reader(shared: Arc<Shared>, exits: mpsc::Sender<Exit>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sandbox-reports".into()).spawn(move || {
        read_reports(&shared, &exits);
        let mut waiting = shared.waiting();
        waiting.launcher_gone = true;
        waiting.by_worker.clear();
    })
}

fn read_reports(shared: &Shared, exits: &mpsc::Sender<Exit>) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    while let Ok(Some((packet, descriptors))) = shared.channel.receive(&mut buffer) {
        match decode_report(packet) {
            Ok(Report::Started { id, pid }) => {
                let result = started(pid, descriptors).ok_or_else(|| descriptors_lost(id));
                if result.is_err() {
                    let kill = encode_request(&Request::Kill { id });
                    let _ = shared.channel.send(&kill, &[]);
                }
                answer(shared, id, result);
            }
            Ok(Report::Failed(error)) => answer(shared, error.id, Err(error)),
            Ok(Report::Exited(exit)) => {
                let _ = exits.send(exit);
            }
            Ok(Report::Ready | Report::Unable { .. }) | Err(_) => return,
        }
    }
}

fn started(pid: u32, descriptors: Vec<OwnedFd>) -> Option<Started> {
    let [listener, stdout, stderr] = <[OwnedFd; 3]>::try_from(descriptors).ok()?;
    Some(Started { pid, listener, stdout, stderr })
}

/// The kernel drops descriptors for which the hub has no room.
fn descriptors_lost(id: u64) -> SpawnError {
    SpawnError {
        id,
        name: String::new(),
        step: Step::Pipe,
        object: String::new(),
        errno: libc::EMFILE,
    }
}

fn answer(shared: &Shared, id: u64, result: Result<Started, SpawnError>) {
    if let Some(waiter) = shared.waiting().by_worker.remove(&id) {
        let _ = waiter.send(result);
    }
}
