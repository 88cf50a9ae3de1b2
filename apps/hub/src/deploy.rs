//! Plan and apply: from what is asked to what runs, over one pointer on disk.
//!
//! ```text
//!   parse ─> code is there? ─> interpreters? ─> bind new listeners ─> install ─> switch the machine
//!     │          │                 │                   │                │
//!     └──────────┴── refused: the old configuration goes on ───────────┘ from here the new one is
//!                                                                        what a restart brings
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use tokio::sync::oneshot;
use tomte_base::{FunctionName, Revision};
use tomte_deployment::Effect;
use tomte_identity::Identity;
use tomte_store::{CodeStore, Deployments, PutOutcome, Stored};
use tomte_wire::control::{ApplyReport, DeploymentRequest, PlanReport};
use tomte_wire::manifest::{self, Durability, Listeners, Manifest};

use crate::config::{self, Made};
use crate::event::Event;
use crate::event_loop::Inbox;
use crate::listener::{Admission, Binding, ListenError, Listener, WithoutCertificate};
use crate::problem::{Refusal, chain};
use crate::runtime_api::lock;
use crate::workers::WorkerPool;

/// Name that diagnostics give to a manifest that came over the control interface.
const MANIFEST_NAME: &str = "tomte.toml";

/// Where devices will connect, as long as no deployment says otherwise.
const DEFAULT_DEVICE_ADDRESS: &str = "localhost:8883";

/// The deployment that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stored: Stored,
    pub(crate) manifest: Manifest,
}

impl Running {
    /// Tells whether the request asks for what runs, to the letter.
    fn is(&self, request: &DeploymentRequest) -> bool {
        self.stored.manifest == request.manifest && self.stored.code == request.code
    }
}

/// Changes what the hub runs.
pub(crate) struct Deployer {
    store: CodeStore,
    deployments: Mutex<Deployments>,
    identity: Arc<Identity>,
    inbox: Inbox,
    pool: WorkerPool,
    running: RwLock<Option<Arc<Running>>>,
    addresses: RwLock<BTreeMap<String, String>>,
    durability: Durability,
    warnings: Mutex<Vec<String>>,
    metrics: tokio::sync::Mutex<Metrics>,
    /// One apply at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What [`Deployer::new`] needs.
pub(crate) struct Parts {
    pub(crate) store: CodeStore,
    pub(crate) deployments: Deployments,
    pub(crate) identity: Arc<Identity>,
    pub(crate) inbox: Inbox,
    pub(crate) pool: WorkerPool,
    pub(crate) running: Option<Running>,
    pub(crate) addresses: BTreeMap<String, String>,
    pub(crate) durability: Durability,
}

impl Deployer {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            store: parts.store,
            deployments: Mutex::new(parts.deployments),
            identity: parts.identity,
            inbox: parts.inbox,
            pool: parts.pool,
            running: RwLock::new(parts.running.map(Arc::new)),
            addresses: RwLock::new(parts.addresses),
            durability: parts.durability,
            warnings: Mutex::default(),
            metrics: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The deployment that runs, none before the first.
    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.running.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Listening addresses by protocol.
    pub(crate) fn addresses(&self) -> BTreeMap<String, String> {
        self.addresses.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Where devices connect that have a password, by protocol.
    pub(crate) fn password_addresses(&self) -> BTreeMap<String, String> {
        let Some(running) = self.running() else { return BTreeMap::new() };
        let listeners = &running.manifest.listeners;
        let takes = |listener: Option<manifest::Listener>| listener.is_some_and(|it| it.password);
        let mut addresses = self.addresses();
        addresses.retain(|protocol, _| match protocol.as_str() {
            "mqtt" => takes(listeners.mqtt),
            "mqtts" => takes(listeners.mqtts),
            _ => false,
        });
        addresses
    }

    /// Where devices connect: the TLS listener, by a name that the server certificate has.
    pub(crate) fn device_address(&self) -> String {
        let address = self.addresses().get("mqtts").cloned().unwrap_or_default();
        match address.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_unspecified() => format!("localhost:{}", address.port()),
            Err(_) => DEFAULT_DEVICE_ADDRESS.to_owned(),
            Ok(_) => address,
        }
    }

    /// Serves the metrics on `listeners.http`, now and after each deployment.
    pub(crate) async fn serve_metrics(&self, router: axum::Router) -> anyhow::Result<()> {
        self.metrics.lock().await.router = Some(router);
        self.rebind_metrics().await
    }

    async fn rebind_metrics(&self) -> anyhow::Result<()> {
        let wanted = self.running().and_then(|running| running.manifest.listeners.http);
        let mut metrics = self.metrics.lock().await;
        if metrics.served.as_ref().map(|(address, _)| *address) == wanted {
            return Ok(());
        }
        if let Some((_, server)) = metrics.served.take() {
            server.abort();
        }
        let (Some(address), Some(router)) = (wanted, metrics.router.clone()) else { return Ok(()) };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::of("http", address, source))?;
        let bound = listener.local_addr()?.to_string();
        let mut shown = self.addresses.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        shown.insert("http".to_owned(), bound);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the metrics listener failed");
            }
        });
        metrics.served = Some((address, server));
        Ok(())
    }

    /// What runs, but not as it was asked for.
    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Finds what the functions of the running deployment are run with. Until this is done, calls
    /// wait for their workers.
    pub(crate) fn look_for_interpreters(&self) {
        let turn = self.turn.blocking_lock();
        let Some(running) = self.running() else { return };
        let made = config::templates(&running.manifest, &running.stored.code, &self.store);
        for (function, why) in &made.missing {
            tracing::error!(%function, why, "the function cannot run");
        }
        let missing =
            made.missing.iter().map(|(function, why)| format!("functions.{function}: {why}"));
        *lock(&self.warnings) = made.warnings.iter().cloned().chain(missing).collect();
        self.pool.set_templates(made.templates);
        drop(turn);
    }

    /// Stores the code of a function.
    pub(crate) fn put_code(&self, digest: &str, zip: &[u8]) -> Result<PutOutcome, Refusal> {
        self.store.put_zip(digest, std::io::Cursor::new(zip)).map_err(|error| {
            let full = error.is_full();
            let refusal = if full {
                Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", chain(&error))
            } else {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_code", chain(&error))
            };
            let help = if full {
                "make room on the hub's disk"
            } else {
                "mend the archive and apply again"
            };
            refusal.help(help)
        })
    }

    /// Tells what would change.
    pub(crate) fn plan(&self, request: &DeploymentRequest) -> Result<PlanReport, Refusal> {
        self.look(request).map(|(_, _, report, _)| report)
    }

    fn look(
        &self,
        request: &DeploymentRequest,
    ) -> Result<(Manifest, Made, PlanReport, tomte_deployment::Plan), Refusal> {
        let manifest =
            manifest::parse(&request.manifest, MANIFEST_NAME).map_err(|diagnostics| {
                Refusal::of(StatusCode::UNPROCESSABLE_ENTITY, (&diagnostics).into())
            })?;
        check_code_is_named(&manifest, &request.code)?;
        let digests = by_function(&request.code);
        let desired = manifest::describe(&manifest, &digests);
        let running = self.running();
        let installed = running.as_ref().map(|running| {
            manifest::describe(&running.manifest, &by_function(&running.stored.code))
        });
        let plan = tomte_deployment::plan(&desired, installed.as_ref());
        let mut made = config::templates(&manifest, &request.code, &self.store);
        made.warnings.extend(manifest::warnings(&manifest));
        if manifest.durability != self.durability {
            let text = "durability: the journal changes its mode when the hub is started again";
            made.warnings.push(text.to_owned());
        }
        let missing_code = request.code.values().filter(|digest| !self.store.has(digest));
        let report = PlanReport {
            from: running.as_ref().map(|running| running.stored.revision.0),
            changes: manifest::changes(&plan),
            missing_code: missing_code.cloned().collect(),
            warnings: made.warnings.clone(),
        };
        Ok((manifest, made, report, plan))
    }

    /// Runs what is asked for, or goes on with what ran before.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        request: DeploymentRequest,
    ) -> Result<ApplyReport, Refusal> {
        let _one_at_a_time = self.turn.lock().await;
        let this = Arc::clone(self);
        let prepared = tokio::task::spawn_blocking(move || this.prepare(request));
        let prepared = prepared.await.map_err(Refusal::failed)??;
        let Changed { running, made, report, listeners } = match prepared {
            Prepared::Changed(changed) => *changed,
            Prepared::Unchanged(revision, plan) => {
                return Ok(ApplyReport { revision: revision.0, plan });
            }
        };
        let config = config::of(&running.manifest, &running.stored.code);
        if let Some((_, addresses)) = &listeners {
            for (protocol, address) in addresses {
                tracing::info!(protocol, address, "listening");
            }
            let mut shown =
                self.addresses.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            shown.clone_from(addresses);
        }
        self.pool.set_templates(made.templates);
        let revision = running.stored.revision;
        let (reply, done) = oneshot::channel();
        self.inbox.send(Event::Deploy {
            config: Box::new(config),
            listeners: listeners.map(|(listeners, _)| listeners),
            reply,
        });
        let switched = done.await;
        *self.running.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(Arc::new(running));
        switched.map_err(Refusal::failed)?;
        if let Err(error) = self.rebind_metrics().await {
            tracing::error!(%error, "the metrics are not served");
        }
        tracing::info!(revision = revision.0, changes = report.changes.len(), "deployed");
        Ok(ApplyReport { revision: revision.0, plan: report })
    }

    /// Everything that can go wrong, and at last the pointer on disk.
    fn prepare(&self, request: DeploymentRequest) -> Result<Prepared, Refusal> {
        let (manifest, made, report, plan) = self.look(&request)?;
        if let Some(running) = self.running().filter(|running| running.is(&request)) {
            return Ok(Prepared::Unchanged(running.stored.revision, report));
        }
        if let Some(digest) = report.missing_code.first() {
            let message = format!("the code {digest} was not uploaded");
            return Err(Refusal::new(StatusCode::CONFLICT, "missing_code", message)
                .help("upload it with PUT /v1/code, as `tomte apply` does"));
        }
        if !made.missing.is_empty() {
            let lines: Vec<String> =
                made.missing.iter().map(|(name, why)| format!("functions.{name}: {why}")).collect();
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "missing_runtime",
                lines.join("\n"),
            ));
        }
        let changed = plan.effects().iter().any(|effect| matches!(effect, Effect::Listener(_)));
        let listeners = changed.then(|| self.rebind(&manifest.listeners)).transpose()?;
        let revision = self.running().map_or(Revision(1), |running| running.stored.revision.next());
        let applied = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored = Stored {
            revision,
            manifest: request.manifest,
            code: request.code,
            applied_ms: u64::try_from(applied.as_millis()).unwrap_or(u64::MAX),
        };
        lock(&self.deployments).install(&stored).map_err(|error| {
            let status = if error.is_full() {
                StatusCode::INSUFFICIENT_STORAGE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            Refusal::new(status, "not_installed", chain(&error))
        })?;
        *lock(&self.warnings) = made.warnings.clone();
        let running = Running { stored, manifest };
        Ok(Prepared::Changed(Box::new(Changed { running, made, report, listeners })))
    }

    /// Binds the addresses that are new; those that stay keep their sockets.
    fn rebind(&self, listeners: &Listeners) -> Result<Rebound, Refusal> {
        let refused =
            |error: ListenError| Refusal::new(StatusCode::CONFLICT, "not_listening", chain(&error));
        let running = self.running();
        let before = running.as_ref().map(|running| &running.manifest.listeners);
        let shown = self.addresses();
        let (mut bindings, mut addresses) = (Vec::new(), BTreeMap::new());
        for (name, address, admission) in wanted(listeners, &self.identity) {
            let same = before.and_then(|before| address_of(before, name)) == Some(address);
            if let Some(known) = shown.get(name).filter(|_| same) {
                addresses.insert(name.to_owned(), known.clone());
                bindings.push(Binding::Keep { name, admission });
            } else {
                let listener = Listener::bind(name, address, admission).map_err(refused)?;
                addresses.insert(name.to_owned(), listener.address.to_string());
                bindings.push(Binding::New(listener));
            }
        }
        Ok((bindings, addresses))
    }
}

#[derive(Default)]
struct Metrics {
    router: Option<axum::Router>,
    served: Option<(SocketAddr, tokio::task::JoinHandle<()>)>,
}

enum Prepared {
    /// It runs already, to the letter.
    Unchanged(Revision, PlanReport),
    Changed(Box<Changed>),
}

struct Changed {
    running: Running,
    made: Made,
    report: PlanReport,
    listeners: Option<Rebound>,
}

/// Listeners, and their addresses by protocol with real port numbers.
type Rebound = (Vec<Binding>, BTreeMap<String, String>);

fn wanted(
    listeners: &Listeners,
    identity: &Identity,
) -> Vec<(&'static str, SocketAddr, Admission)> {
    let origins: Arc<[String]> = listeners.origins.iter().cloned().collect();
    let admission = |listener: manifest::Listener, tls| {
        let without =
            WithoutCertificate { anonymous: listener.anonymous, passwords: listener.password };
        Admission { tls, without, origins: Arc::clone(&origins) }
    };
    let mqtts = listeners.mqtts.map(|mqtts| {
        let clients = if mqtts.anonymous || mqtts.password {
            tomte_identity::WithoutCertificate::Allow
        } else {
            tomte_identity::WithoutCertificate::Refuse
        };
        let tls = Some(identity.server_config_for(clients));
        ("mqtts", mqtts.bind, admission(mqtts, tls))
    });
    let mqtt = listeners.mqtt.map(|mqtt| ("mqtt", mqtt.bind, admission(mqtt, None)));
    mqtts.into_iter().chain(mqtt).collect()
}

fn address_of(listeners: &Listeners, name: &str) -> Option<SocketAddr> {
    match name {
        "mqtts" => listeners.mqtts.map(|listener| listener.bind),
        "mqtt" => listeners.mqtt.map(|listener| listener.bind),
        _ => None,
    }
}

/// Binds what a manifest asks for. Returns the addresses by protocol, with real port numbers.
pub(crate) fn bind(
    listeners: &Listeners,
    identity: &Identity,
) -> Result<(Vec<Listener>, BTreeMap<String, String>), ListenError> {
    let wanted = wanted(listeners, identity).into_iter();
    let bound: Vec<Listener> = wanted
        .map(|(name, address, admission)| Listener::bind(name, address, admission))
        .collect::<Result<_, _>>()?;
    let addresses = bound
        .iter()
        .map(|listener| (listener.name.to_owned(), listener.address.to_string()))
        .collect();
    Ok((bound, addresses))
}

fn by_function(code: &BTreeMap<String, String>) -> BTreeMap<FunctionName, String> {
    let named = code
        .iter()
        .filter_map(|(name, digest)| Some((FunctionName::new(name).ok()?, digest.clone())));
    named.collect()
}

fn check_code_is_named(
    manifest: &Manifest,
    code: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    match manifest.functions.keys().find(|name| !code.contains_key(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("the request names no code for functions.{name}");
            Err(Refusal::bad("missing_code", message))
        }
    }
}
