//! The worker pool: makes environments when the machine asks for them, gives them their calls, and
//! reports what became of them. It decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tomte_base::{FunctionName, WorkerId};
use tomte_core_hub::{Assignment, Effect};
use tomte_sandbox::{Exit, ExitReports, ExitStatus, Launcher, LauncherOptions, WorkerSpec};
use tomte_scheduler::{StopReason, WorkerExit};

use crate::event::Event;
use crate::event_loop::Inbox;
use crate::logs::Logs;
use crate::runtime_api::{RuntimeApi, lock};

/// Calls that wait between the machine and the worker; the scheduler gives out one for each place.
const MAX_ASSIGNED: usize = 64;

/// How workers of one version of a function are made.
#[derive(Clone, Debug)]
pub(crate) struct WorkerTemplate {
    pub(crate) version: String,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) code: PathBuf,
    pub(crate) runtime_files: Vec<(String, Vec<u8>)>,
    pub(crate) extra_read_only: Vec<PathBuf>,
    pub(crate) memory: u64,
    pub(crate) cpu_millis: u32,
}

/// The templates of all functions that are deployed.
pub(crate) type Templates = BTreeMap<FunctionName, WorkerTemplate>;

/// Processes and threads of one worker.
const MAX_PROCESSES: u32 = 128;
/// Files that one process of a worker may hold open (AWS Lambda: 1,024).
const MAX_OPEN_FILES: u64 = 1_024;
/// Size of `/tmp` (AWS Lambda: 512 MB); it counts as the worker's memory.
const TMP_BYTES: u64 = 512 << 20;

struct Worker {
    function: FunctionName,
    api: Arc<RuntimeApi>,
    assignments: mpsc::Sender<Assignment>,
    pid: u32,
    tasks: Vec<JoinHandle<()>>,
}

enum Entry {
    /// The launcher is at it; `stop` when it is not wanted any more.
    Starting {
        stop: bool,
    },
    Running(Worker),
}

/// The pool, as other threads hold it.
#[derive(Clone)]
pub(crate) struct WorkerPool {
    inner: Arc<Inner>,
}

struct Inner {
    launcher: Launcher,
    inbox: Inbox,
    logs: Logs,
    /// None until the interpreters were looked for; whoever starts a worker waits for it.
    templates: Mutex<Option<Templates>>,
    templates_known: Condvar,
    workers: Mutex<HashMap<WorkerId, Entry>>,
}

impl WorkerPool {
    /// Starts the launcher process and the thread that listens to its reports.
    ///
    /// # Errors
    /// Fails when the launcher cannot be started.
    pub(crate) fn start(state: PathBuf, inbox: Inbox, logs: Logs) -> anyhow::Result<Self> {
        let options = LauncherOptions { state_folder: state, self_exe: "/proc/self/exe".into() };
        let (launcher, exits) = Launcher::start(options)?;
        let inner = Arc::new(Inner {
            launcher,
            inbox,
            logs,
            templates: Mutex::new(None),
            templates_known: Condvar::new(),
            workers: Mutex::new(HashMap::new()),
        });
        let weak = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("worker-exits".to_owned())
            .spawn(move || report_exits(&weak, exits))?;
        Ok(Self { inner })
    }

    /// From now on workers are made like this.
    pub(crate) fn set_templates(&self, templates: Templates) {
        *lock(&self.inner.templates) = Some(templates);
        self.inner.templates_known.notify_all();
    }

    /// Returns the process ids of the running workers.
    pub(crate) fn pids(&self) -> HashMap<WorkerId, u32> {
        let workers = lock(&self.inner.workers);
        let running = workers.iter().filter_map(|(id, entry)| match entry {
            Entry::Running(worker) => Some((*id, worker.pid)),
            Entry::Starting { .. } => None,
        });
        running.collect()
    }

    /// Carries out what the machine asks for, until it stops.
    pub(crate) async fn run(self, mut effects: mpsc::UnboundedReceiver<Effect>) {
        while let Some(effect) = effects.recv().await {
            match effect {
                Effect::StartWorker { worker, function, version } => {
                    self.begin(worker, function, version);
                }
                Effect::StopWorker { worker, reason } => self.stop(worker, reason),
                Effect::Assign(assignment) => self.assign(assignment),
                // The event loop carries out the others itself.
                Effect::Close(..)
                | Effect::Reply(_)
                | Effect::Fetch(..)
                | Effect::CheckPassword(_)
                | Effect::DropJournal(_) => {}
            }
        }
    }

    fn begin(&self, worker: WorkerId, function: FunctionName, version: String) {
        lock(&self.inner.workers).insert(worker, Entry::Starting { stop: false });
        let inner = Arc::clone(&self.inner);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            if let Err(error) = inner.start_worker(worker, &function, &version) {
                lock(&inner.workers).remove(&worker);
                let detail = format!("{error:#}");
                inner.logs.write(function.as_str(), None, "platform", &detail);
                inner.inbox.send(Event::WorkerExited(worker, WorkerExit::StartFailed { detail }));
            }
        });
    }

    fn stop(&self, worker: WorkerId, reason: StopReason) {
        let mut workers = lock(&self.inner.workers);
        match workers.get_mut(&worker) {
            Some(Entry::Starting { stop }) => *stop = true,
            Some(Entry::Running(running)) => {
                if reason == StopReason::Timeout {
                    let call = lock(&running.api.current).map(|call| call.to_string());
                    let text = "the call ran past its time limit; the worker was ended";
                    self.inner.logs.write(running.function.as_str(), call, "platform", text);
                }
                self.inner.launcher.kill(worker.0);
            }
            None => {}
        }
    }

    fn assign(&self, assignment: Assignment) {
        let workers = lock(&self.inner.workers);
        if let Some(Entry::Running(worker)) = workers.get(&assignment.worker) {
            // A worker that is gone is reported by its exit, which ends the call.
            let _the_worker_has_gone = worker.assignments.try_send(assignment);
        }
    }
}

impl Inner {
    /// Makes one environment: blocks for the milliseconds that the launcher takes.
    fn start_worker(
        self: &Arc<Self>,
        worker: WorkerId,
        function: &FunctionName,
        version: &str,
    ) -> anyhow::Result<()> {
        let template = self.template(function, version)?;
        let started = self.launcher.spawn(&spec(worker, function, template))?;
        let listener = std::net::TcpListener::from(started.listener);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (assignments, receiver) = mpsc::channel(MAX_ASSIGNED);
        let api = Arc::new(RuntimeApi {
            worker,
            inbox: self.inbox.clone(),
            assignments: tokio::sync::Mutex::new(receiver),
            current: Mutex::new(None),
            init_error: Mutex::new(None),
        });
        let (begin, may_begin) = oneshot::channel();
        let tasks = vec![
            tokio::spawn(serve_from(may_begin, Arc::clone(&api), listener)),
            self.copy_output(function, "stdout", started.stdout, &api)?,
            self.copy_output(function, "stderr", started.stderr, &api)?,
        ];
        let running =
            Worker { function: function.clone(), api, assignments, pid: started.pid, tasks };
        match self.enter(worker, running) {
            Entered::Wanted => drop(begin.send(())),
            Entered::NotWanted => self.launcher.kill(worker.0),
            Entered::Gone => {}
        }
        Ok(())
    }

    /// Notes that a worker runs.
    fn enter(&self, worker: WorkerId, running: Worker) -> Entered {
        let mut workers = lock(&self.workers);
        let Some(Entry::Starting { stop }) = workers.get(&worker) else {
            running.tasks[0].abort();
            return Entered::Gone;
        };
        let entered = if *stop { Entered::NotWanted } else { Entered::Wanted };
        workers.insert(worker, Entry::Running(running));
        entered
    }

    fn template(&self, function: &FunctionName, version: &str) -> anyhow::Result<WorkerTemplate> {
        let mut templates = lock(&self.templates);
        while templates.is_none() {
            templates = self
                .templates_known
                .wait(templates)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let known = templates.iter().find_map(|templates| templates.get(function));
        known.filter(|template| template.version == version).cloned().ok_or_else(|| {
            anyhow::anyhow!(
                "version {version} of {function} cannot run here; `tomte status` says why"
            )
        })
    }

    fn copy_output(
        &self,
        function: &FunctionName,
        stream: &'static str,
        pipe: OwnedFd,
        api: &Arc<RuntimeApi>,
    ) -> anyhow::Result<JoinHandle<()>> {
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?;
        let (logs, function, api) = (self.logs.clone(), function.clone(), Arc::clone(api));
        Ok(tokio::spawn(async move {
            let current = || lock(&api.current).map(|call| call.to_string());
            logs.copy(pipe, function.as_str(), stream, current).await;
        }))
    }

    fn on_exit(&self, exit: Exit) {
        let worker = WorkerId(exit.id);
        let entry = lock(&self.workers).remove(&worker);
        let init_error = match entry {
            Some(Entry::Running(running)) => {
                // The output tasks end with their pipes; only the server would wait for ever.
                running.tasks[0].abort();
                lock(&running.api.init_error).take()
            }
            _ => None,
        };
        let exit = match (init_error, exit.out_of_memory, exit.status) {
            (Some(detail), _, _) => WorkerExit::StartFailed { detail },
            (None, true, _) => WorkerExit::OutOfMemory,
            (None, false, ExitStatus::Code(code)) => WorkerExit::Code(code),
            (None, false, ExitStatus::Signal(signal)) => WorkerExit::Signal(signal),
        };
        self.inbox.send(Event::WorkerExited(worker, exit));
    }
}

/// What became of a worker that has just been made.
enum Entered {
    /// Its calls may come.
    Wanted,
    /// The machine has asked to end it meanwhile.
    NotWanted,
    /// It has ended already, and that was reported.
    Gone,
}

/// Serves a worker once the pool knows it: a worker that asks for a call sooner would be given one
/// by the machine that the pool cannot hand on, and the call would be lost.
async fn serve_from(
    may_begin: oneshot::Receiver<()>,
    api: Arc<RuntimeApi>,
    listener: tokio::net::TcpListener,
) {
    if may_begin.await.is_ok() {
        api.serve(listener).await;
    }
}

fn spec(worker: WorkerId, function: &FunctionName, template: WorkerTemplate) -> WorkerSpec {
    WorkerSpec {
        id: worker.0,
        name: function.to_string(),
        argv: template.argv,
        env: template.env,
        code: template.code,
        runtime_files: template.runtime_files,
        extra_read_only: template.extra_read_only,
        memory: template.memory,
        cpu_millis: template.cpu_millis,
        max_processes: MAX_PROCESSES,
        tmp_bytes: TMP_BYTES,
        max_open_files: MAX_OPEN_FILES,
    }
}

fn report_exits(pool: &std::sync::Weak<Inner>, exits: ExitReports) {
    for exit in exits {
        let Some(pool) = pool.upgrade() else { return };
        pool.on_exit(exit);
    }
    let Some(pool) = pool.upgrade() else { return };
    tracing::error!(
        "the launcher of workers has ended; no function can run until the hub is restarted"
    );
    let workers: Vec<WorkerId> = lock(&pool.workers).drain().map(|(id, _)| id).collect();
    for worker in workers {
        let detail = "the launcher of workers has ended; restart the hub".to_owned();
        pool.inbox.send(Event::WorkerExited(worker, WorkerExit::StartFailed { detail }));
    }
}
