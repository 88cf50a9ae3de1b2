//! Start and stop of a hub, phase by phase.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tomte_base::LogPosition;
use tomte_core_hub::{Hub, Recovery};
use tomte_identity::Identity;
use tomte_journal::{Journal, JournalConfig, RecordRefused, Recovered, SyncMode};
use tomte_scheduler::ResourceManager;
use tomte_store::{CodeStore, Deployments};
use tomte_wire::control::DeploymentRequest;
use tomte_wire::manifest::{self, Durability, Manifest};

use crate::clock::Clock;
use crate::config;
use crate::control::{self, Control};
use crate::deploy::{self, Deployer, Running};
use crate::event::Event;
use crate::event_loop::{self, EventLoop, Inbox};
use crate::flow_stream::FLOW_BACKLOG;
use crate::hangup::{Hangup, Hangups};
use crate::logs::Logs;
use crate::problem::chain;
use crate::reload;
use crate::slice;
use crate::state::StateFolder;
use crate::workers::WorkerPool;

/// Threads that serve workers and the control interface.
const RUNTIME_THREADS: usize = 2;

/// Slices of processor time of the event loop: the shortest that Linux gives. It mostly waits, and
/// what it does when it wakes takes less than this.
const LOOP_SLICE: Duration = Duration::from_micros(100);

/// What a hub is started with.
#[derive(Debug)]
pub struct HubOptions {
    /// Folder for everything that must survive.
    pub state: PathBuf,
    /// Folder with a `tomte.toml` that is deployed when nothing was deployed before.
    pub project: Option<PathBuf>,
    /// The hub stops when this becomes true; signals are handled besides.
    pub shutdown: Option<watch::Receiver<bool>>,
}

/// Runs a hub until it is told to stop by SIGTERM, SIGINT, its control interface or
/// [`HubOptions::shutdown`], or the terminal that it was started in goes away. At any other SIGHUP it reads
/// the identity files again.
///
/// # Errors
/// Fails when the state folder, the journal or a listener cannot be opened; the error says which
/// and what to do.
pub fn run(options: HubOptions) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("tomte-io")
        .enable_all()
        .build()
        .context("failed to start the threads of the hub")?;
    runtime.block_on(async {
        // From the first moment on: who starts a hub may want it to read a file that is written next.
        let hangups = Hangups::listen().context("failed to take SIGHUP")?;
        let hub = RunningHub::start(&options.state, options.project.as_deref()).await?;
        hub.until_stopped(hangups, options.shutdown).await
    })
}

/// A hub with all its parts going.
pub(crate) struct RunningHub {
    pub(crate) inbox: Inbox,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) logs: Logs,
    identity: Arc<Identity>,
    stop: watch::Receiver<bool>,
    event_loop: std::thread::JoinHandle<std::io::Result<()>>,
    /// Nothing is ever sent on it: its other end is dropped when the event loop ends.
    event_loop_lives: oneshot::Receiver<()>,
    socket: PathBuf,
}

impl RunningHub {
    /// Starts a hub on a state folder, with what was deployed last, or with `project` when nothing
    /// was. The control interface answers once all of that runs.
    pub(crate) async fn start(state: &Path, project: Option<&Path>) -> anyhow::Result<Self> {
        let state = StateFolder::new(state);
        state.create()?;
        let began = Instant::now();
        let clock = Clock::start();
        let (store, deployments, stored) = open_stores(&state)?;
        let name = stored.as_ref().map_or("tomte", |running| running.manifest.hub.name.as_str());
        let identity = Identity::open(&state.identity(), name, SystemTime::now())
            .map(Arc::new)
            .context("failed to open the hub's identity")?;
        let durability = stored.as_ref().map_or(Durability::Process, |r| r.manifest.durability);
        let mode = sync_mode(durability);
        let (hub, journal) = recover(&state, clock, stored.as_ref(), mode)?;
        let (listeners, addresses) = match &stored {
            Some(running) => deploy::bind(&running.manifest.listeners, &identity)?,
            None => (Vec::new(), BTreeMap::new()),
        };
        let (flow, _) = broadcast::channel(FLOW_BACKLOG);
        let logs = Logs::open(&state.logs(), clock, flow.clone())?;
        let (effects, received) = mpsc::unbounded_channel();
        let max_connections =
            stored.as_ref().map_or(1_000, |r| r.manifest.limits.max_connections as usize);
        let parts = event_loop::Parts {
            hub,
            clock,
            effects,
            listeners,
            journal,
            mode,
            identity: Arc::clone(&identity),
            max_connections,
        };
        let (event_loop, inbox) = EventLoop::new(parts)?;
        let pool = WorkerPool::start(state.sandbox(), inbox.clone(), logs.clone())
            .context("failed to start the launcher of workers")?;
        let survey = tomte_sandbox::survey();
        let warnings = survey.missing.iter().map(|missing| missing.sentence.clone()).collect();
        tokio::spawn(pool.clone().run(received));
        let (alive, event_loop_lives) = oneshot::channel();
        let event_loop =
            std::thread::Builder::new().name("tomte-loop".to_owned()).spawn(move || {
                let _until_the_end = alive;
                if let Err(error) = slice::run_in_slices_of(LOOP_SLICE) {
                    tracing::debug!(%error, "the event loop keeps the slices that it was given");
                }
                event_loop.run()
            })?;
        for (protocol, address) in &addresses {
            tracing::info!(protocol, address, "listening");
        }
        let deployer = Arc::new(Deployer::new(deploy::Parts {
            store,
            deployments,
            identity: Arc::clone(&identity),
            inbox: inbox.clone(),
            pool: pool.clone(),
            running: stored,
            addresses,
            durability,
        }));
        if let Some(project) = project.filter(|_| deployer.running().is_none()) {
            deploy_project(&deployer, project).await?;
        }
        let (stop_sender, stop) = watch::channel(false);
        let control = Arc::new(Control {
            inbox: inbox.clone(),
            deployer: Arc::clone(&deployer),
            identity: Arc::clone(&identity),
            pool,
            logs: logs.clone(),
            flow,
            began,
            journal_folder: state.journal(),
            warnings,
            stop: stop_sender,
        });
        serve_control(&state, Arc::clone(&control))?;
        tokio::spawn(reload::renew_by_the_day(Arc::clone(&identity)));
        // Asking the interpreters takes longer than all the rest: devices need not wait for it.
        let looking = Arc::clone(&deployer);
        tokio::task::spawn_blocking(move || looking.look_for_interpreters());
        deployer.serve_metrics(control::metrics_router(control)).await?;
        tracing::info!(ready = ?began.elapsed(), "ready");
        let socket = state.control_socket();
        Ok(Self { inbox, deployer, logs, identity, stop, event_loop, event_loop_lives, socket })
    }

    /// Waits for a reason to stop, then stops everything.
    async fn until_stopped(
        mut self,
        hangups: Hangups,
        shutdown: Option<watch::Receiver<bool>>,
    ) -> anyhow::Result<()> {
        self.serve(hangups, shutdown).await?;
        tracing::info!("stopping");
        self.stop_now().await
    }

    /// Does what signals ask for, until one of them or somebody else wants the hub to stop.
    async fn serve(
        &mut self,
        mut hangups: Hangups,
        shutdown: Option<watch::Receiver<bool>>,
    ) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut shutdown = shutdown.unwrap_or_else(|| watch::channel(false).1);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                hangup = hangups.next() => match hangup {
                    Hangup::Reload => {
                        reload::reload(Arc::clone(&self.identity), self.inbox.clone()).await;
                    }
                    Hangup::Stop => return Ok(()),
                },
                () = becomes_true(&mut self.stop) => return Ok(()),
                () = becomes_true(&mut shutdown) => return Ok(()),
                _ = &mut self.event_loop_lives => return Ok(()),
            }
        }
    }

    /// Stops everything and waits until the journal is closed.
    pub(crate) async fn stop_now(self) -> anyhow::Result<()> {
        self.inbox.send(Event::Shutdown);
        let ended = tokio::task::spawn_blocking(move || self.event_loop.join()).await?;
        let _it_may_be_gone = std::fs::remove_file(&self.socket);
        match ended {
            Ok(result) => result.context("the event loop failed"),
            Err(_) => Err(anyhow!("the event loop panicked; see the log")),
        }
    }
}

/// Deploys a folder with a manifest and code.
async fn deploy_project(deployer: &Arc<Deployer>, project: &Path) -> anyhow::Result<()> {
    let (request, code) = read_project(project)?;
    for packed in code {
        deployer.put_code(&packed.digest, &packed.zip)?;
    }
    deployer.apply(request).await?;
    Ok(())
}

/// Waits until the value is true; for ever when nobody can set it any more.
async fn becomes_true(watched: &mut watch::Receiver<bool>) {
    if watched.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Raises the number of open files to what the system allows: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::debug!("the limit of open files could not be raised");
    }
}

fn open_stores(state: &StateFolder) -> anyhow::Result<(CodeStore, Deployments, Option<Running>)> {
    let store = CodeStore::open(&state.code()).context("failed to open the store of code")?;
    let deployments =
        Deployments::open(&state.deployments()).context("failed to open the deployments")?;
    let stored = deployments.current().context("failed to read the current deployment")?;
    let running = match stored {
        None => None,
        Some(stored) => {
            let manifest = manifest::parse(&stored.manifest, "tomte.toml")
                .map_err(|diagnostics| anyhow!("{diagnostics}"))
                .with_context(|| {
                    format!("failed to read the manifest of revision {}", stored.revision)
                })?;
            Some(Running { stored, manifest })
        }
    };
    Ok((store, deployments, running))
}

fn sync_mode(durability: Durability) -> SyncMode {
    match durability {
        Durability::None => SyncMode::None,
        Durability::Process => SyncMode::Process,
        Durability::Power => SyncMode::Power,
    }
}

/// Makes the machine and gives it back what the journal kept.
fn recover(
    state: &StateFolder,
    clock: Clock,
    stored: Option<&Running>,
    mode: SyncMode,
) -> anyhow::Result<(Hub, Journal)> {
    let mut recovery = Recovery::default();
    let journal_config = JournalConfig { mode, ..JournalConfig::new(&state.journal()) };
    let take_in = |position: u64, record: &[u8]| {
        recovery
            .on_record(LogPosition(position), record)
            .map_err(|error| RecordRefused::from(error.to_string()))
    };
    let (journal, recovered) =
        Journal::open(journal_config, take_in).context("failed to open the journal")?;
    if let Some(cut) = &recovered.truncated {
        tracing::warn!(?cut, "the end of the journal was incomplete and was cut off");
    }
    let written = stored.map(|running| &running.manifest.limits).cloned().unwrap_or_default();
    let config = stored.map_or_else(config::empty, |r| config::of(&r.manifest, &r.stored.code));
    let resources = Box::new(ResourceManager::new(config::machine(&written)));
    let seed = uuid::Uuid::new_v4().as_u128();
    let now = clock.now();
    let mut hub = Hub::new(now, config, config::scheduling(&written), resources, seed);
    let Recovered { segments, next_position, .. } = recovered;
    let segments = segments
        .iter()
        .map(|segment| (LogPosition(segment.first_position), segment.bytes))
        .collect();
    let reader = journal.reader();
    let read_again = |position: LogPosition| {
        let mut found = None;
        reader.read([position.0], |position, record| match record {
            Ok(record) => found = Some(record.to_vec()),
            Err(error) => {
                tracing::error!(position, error = %chain(&error), "failed to read a record again");
            }
        });
        found
    };
    hub.recover(now, recovery, segments, LogPosition(next_position), read_again);
    Ok((hub, journal))
}

/// Serves the control interface on its socket, which only the hub's owner can open.
fn serve_control(state: &StateFolder, control: Arc<Control>) -> anyhow::Result<()> {
    let path = state.control_socket();
    // The journal's lock has shown that no other hub runs here: what is there was left behind.
    let _there_may_be_none = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| {
        format!(
            "failed to open the control socket {}; a socket's path has at most 107 bytes",
            path.display()
        )
    })?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, control::router(control)).await {
            tracing::error!(%error, "the control interface failed");
        }
    });
    Ok(())
}

/// Reads the manifest of a folder and packs the code of its functions.
pub(crate) fn read_project(
    project: &Path,
) -> anyhow::Result<(DeploymentRequest, Vec<tomte_store::Packed>)> {
    let path = project.join("tomte.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let manifest = parse(&text, &path)?;
    let (mut code, mut packed) = (BTreeMap::new(), Vec::new());
    for function in manifest.functions.values() {
        let pack = tomte_store::pack(&project.join(&function.code))
            .with_context(|| format!("failed to pack the code of functions.{}", function.name))?;
        code.insert(function.name.to_string(), pack.digest.clone());
        packed.push(pack);
    }
    Ok((DeploymentRequest { manifest: text, code }, packed))
}

fn parse(text: &str, path: &Path) -> anyhow::Result<Manifest> {
    Ok(manifest::parse(text, &path.display().to_string())?)
}
