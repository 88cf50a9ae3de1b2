//! The control interface: HTTP on a Unix socket that only the hub's owner can open. The requests
//! and bodies are those of `tomte_wire::control`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use tokio::sync::{broadcast, oneshot};
use tomte_base::{DeviceName, FunctionName, MessageId, QoS, Source, TopicName};
use tomte_core_hub::{Counter, Publication, Trace};
use tomte_identity::Identity;
use tomte_wire::control::{
    ApplyReport, CallReport, CallStatus, Deployment, DeploymentRequest, Device, DeviceCredentials,
    DeviceStatus, Flow, FlowEvent, FunctionStatus, LogLine, NewDevice, PlanReport, RouteStatus,
    SendRequest, Status, Why, WorkerStatus,
};

use crate::convert;
use crate::deploy::Deployer;
use crate::event::Event;
use crate::event_loop::Inbox;
use crate::flow_stream::FlowSender;
use crate::logs::Logs;
use crate::problem::Refusal;
use crate::workers::WorkerPool;

/// Largest zip of code that is taken, in bytes (AWS Lambda: 50 MB zipped, 250 MB unzipped).
const MAX_CODE_BYTES: usize = 128 << 20;
/// Largest event of a call, in bytes (AWS Lambda: 6 MiB).
const MAX_EVENT_BYTES: usize = 6 << 20;
/// How often a waiting request looks whether a message's way is complete.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Longest time that a `send` may wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What the handlers share.
pub(crate) struct Control {
    pub(crate) inbox: Inbox,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) pool: WorkerPool,
    pub(crate) logs: Logs,
    pub(crate) flow: FlowSender,
    pub(crate) began: Instant,
    pub(crate) journal_folder: std::path::PathBuf,
    pub(crate) warnings: Vec<String>,
    pub(crate) stop: tokio::sync::watch::Sender<bool>,
}

type Shared = State<Arc<Control>>;
type Answer<T> = Result<T, Refusal>;

/// Makes the router of the whole interface.
pub(crate) fn router(control: Arc<Control>) -> Router {
    let code = put(put_code).layer(DefaultBodyLimit::max(MAX_CODE_BYTES));
    let calls = post(call).layer(DefaultBodyLimit::max(MAX_EVENT_BYTES));
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/deployment", get(deployment))
        .route("/v1/code/{digest}", code)
        .route("/v1/plan", post(plan))
        .route("/v1/apply", post(apply))
        .route("/v1/devices", get(devices).post(add_device))
        .route("/v1/devices/{name}", axum::routing::delete(remove_device))
        .route("/v1/send", post(send))
        .route("/v1/calls", get(list_calls))
        .route("/v1/calls/{function}", calls)
        .route("/v1/why", get(why))
        .route("/v1/flow", get(flow))
        .route("/v1/logs", get(logs))
        .route("/v1/routes", get(routes))
        .route("/v1/workers", get(workers))
        .route("/v1/stop", post(stop))
        .route("/metrics", get(metrics))
        .fallback(no_such_request)
        .with_state(control)
}

/// Makes the router of the metrics listener, which anybody may reach who reaches its address.
pub(crate) fn metrics_router(control: Arc<Control>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(control)
}

async fn no_such_request(uri: axum::http::Uri) -> Refusal {
    Refusal::not_found("unknown_request", format!("the control interface has no {uri}"))
        .help("the hub and the tomte command may be of different versions")
}

async fn stop(State(control): Shared) -> StatusCode {
    let _it_stops_already = control.stop.send(true);
    StatusCode::ACCEPTED
}

async fn deployment(State(control): Shared) -> Answer<Json<Deployment>> {
    let running = control.deployer.running();
    let stored = running
        .as_ref()
        .map(|running| &running.stored)
        .ok_or_else(|| Refusal::not_found("nothing_deployed", "nothing was deployed yet"))?;
    Ok(Json(Deployment {
        revision: stored.revision.0,
        manifest: stored.manifest.clone(),
        code: stored.code.clone(),
        applied_ms: stored.applied_ms,
    }))
}

async fn put_code(
    State(control): Shared,
    Path(digest): Path<String>,
    zip: Bytes,
) -> Answer<StatusCode> {
    let deployer = Arc::clone(&control.deployer);
    let outcome = blocking(move || deployer.put_code(&digest, &zip)).await?;
    Ok(match outcome? {
        tomte_store::PutOutcome::Stored => StatusCode::NO_CONTENT,
        tomte_store::PutOutcome::AlreadyThere => StatusCode::OK,
    })
}

async fn plan(
    State(control): Shared,
    Json(request): Json<DeploymentRequest>,
) -> Answer<Json<PlanReport>> {
    let deployer = Arc::clone(&control.deployer);
    blocking(move || deployer.plan(&request)).await?.map(Json)
}

async fn apply(
    State(control): Shared,
    Json(request): Json<DeploymentRequest>,
) -> Answer<Json<ApplyReport>> {
    let report = control.deployer.apply(request).await?;
    let at_us = unix_ms() * 1_000;
    let what = Flow::Deployed { revision: report.revision };
    let _nobody_watches = control.flow.send(FlowEvent { at_us, what });
    Ok(Json(report))
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(Refusal::failed)
}

async fn devices(State(control): Shared) -> Answer<Json<Vec<Device>>> {
    let records = control.identity.list();
    let mut devices = Vec::new();
    for record in records.into_iter().filter(|record| !record.revoked) {
        devices.push(device(&control, record.name, record.fingerprint, record.expires_ms).await?);
    }
    Ok(Json(devices))
}

async fn device(
    control: &Control,
    name: DeviceName,
    fingerprint: String,
    expires_ms: u64,
) -> Answer<Device> {
    let asked = name.clone();
    let view =
        control.inbox.ask(move |hub, _| hub.device(&asked)).await.map_err(Refusal::failed)?;
    let declared = control
        .deployer
        .running()
        .is_some_and(|running| running.manifest.devices.contains_key(&name));
    Ok(Device {
        name: name.to_string(),
        fingerprint,
        expires_ms,
        connected: view.connected,
        declared,
    })
}

async fn add_device(
    State(control): Shared,
    Json(new): Json<NewDevice>,
) -> Answer<Json<DeviceCredentials>> {
    let name = DeviceName::new(&new.name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let made = blocking(move || identity.add_device(&asked, std::time::SystemTime::now())).await?;
    let made = made.map_err(|error| {
        Refusal::new(StatusCode::CONFLICT, "device_not_added", chain(&error))
            .help("see `tomte device list`; `tomte device remove` takes an identity away")
    })?;
    let device = device(&control, name, made.fingerprint, made.expires_ms).await?;
    Ok(Json(DeviceCredentials {
        device,
        certificate: made.certificate_pem,
        private_key: made.private_key_pem,
        ca_certificate: made.ca_pem,
        address: control.deployer.device_address(),
    }))
}

async fn remove_device(State(control): Shared, Path(name): Path<String>) -> Answer<StatusCode> {
    let name = DeviceName::new(&name).map_err(|error| Refusal::bad("bad_name", error))?;
    let (identity, asked) = (Arc::clone(&control.identity), name.clone());
    let removed =
        blocking(move || identity.remove_device(&asked)).await?.map_err(Refusal::failed)?;
    if !removed {
        let message = format!("there is no device {name}");
        return Err(Refusal::not_found("unknown_device", message).help("see `tomte device list`"));
    }
    control.inbox.send(Event::Revoke(name));
    Ok(StatusCode::NO_CONTENT)
}

/// Reads `device:fan`, `function:regulate` or `anonymous`.
fn source(text: &str) -> Answer<Source> {
    let bad = |error: &dyn ToString| {
        Refusal::bad("bad_source", format!("{text:?} is no source: {}", error.to_string()))
            .help("a source is device:NAME, function:NAME or anonymous")
    };
    match text.split_once(':') {
        Some(("device", name)) => DeviceName::new(name).map(Source::Device).map_err(|e| bad(&e)),
        Some(("function", name)) => {
            FunctionName::new(name).map(Source::Function).map_err(|e| bad(&e))
        }
        None if text == "anonymous" => Ok(Source::Anonymous),
        _ => Err(bad(&"unknown kind")),
    }
}

async fn send(State(control): Shared, Json(request): Json<SendRequest>) -> Answer<Json<Why>> {
    use base64::Engine as _;
    let payload =
        base64::engine::general_purpose::STANDARD.decode(&request.payload_base64).map_err(
            |error| Refusal::bad("bad_payload", format!("the payload is no base64: {error}")),
        )?;
    let publication = Publication {
        source: source(&request.source)?,
        topic: TopicName::new(&request.topic).map_err(|error| Refusal::bad("bad_topic", error))?,
        payload: payload.into(),
        qos: QoS::from_bits(request.qos)
            .filter(|qos| *qos < QoS::ExactlyOnce)
            .ok_or_else(|| Refusal::bad("bad_qos", "the quality of service is 0 or 1"))?,
        retain: request.retain,
        properties: None,
    };
    let (reply, answer) = oneshot::channel();
    control.inbox.send(Event::Publish { publication, reply });
    let (message, _refused_is_told_by_the_hops) = answer.await.map_err(Refusal::failed)?;
    let wait = Duration::from_millis(request.wait_ms).min(MAX_WAIT);
    wait_for_chain(&control, message, wait).await.map(Json)
}

/// Waits until all that followed from a message has come to rest, and tells its way.
async fn wait_for_chain(control: &Control, message: MessageId, wait: Duration) -> Answer<Why> {
    let until = Instant::now() + wait;
    loop {
        let chain: Vec<Trace> =
            control.inbox.ask(move |hub, _| hub.trace(message)).await.map_err(Refusal::failed)?;
        let Some((why, open)) = convert::why(&chain) else {
            let text = "the hub is so busy that this message's way was not recorded";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_recorded", text));
        };
        if open == 0 || Instant::now() >= until {
            return Ok(why);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[derive(Deserialize)]
struct WhyQuery {
    topic: String,
    source: String,
    payload: Option<String>,
}

async fn why(State(control): Shared, Query(query): Query<WhyQuery>) -> Answer<Json<Why>> {
    let source = source(&query.source)?;
    let topic = TopicName::new(&query.topic).map_err(|error| Refusal::bad("bad_topic", error))?;
    let connection = connection_hop(&control, &source).await?;
    let mut why = match query.payload {
        None => last_message(&control, source, topic).await?,
        Some(payload) => supposed(&control, source, topic, payload).await?,
    };
    why.hops.insert(0, connection);
    Ok(Json(why))
}

async fn last_message(control: &Control, source: Source, topic: TopicName) -> Answer<Why> {
    let (asked, on) = (source.clone(), topic.clone());
    let chain = control
        .inbox
        .ask(move |hub, _| hub.last_trace(&asked, &on))
        .await
        .map_err(Refusal::failed)?;
    match convert::why(&chain) {
        Some((why, _)) => Ok(why),
        // Nothing was sent lately: tell what would happen.
        None => supposed(control, source, topic, String::new()).await,
    }
}

async fn supposed(
    control: &Control,
    source: Source,
    topic: TopicName,
    payload: String,
) -> Answer<Why> {
    let (asked, on) = (source.clone(), topic.clone());
    let look = move |hub: &mut tomte_core_hub::Hub, now| {
        hub.explain(now, &asked, &on, payload.as_bytes(), None)
    };
    let hops = control.inbox.ask(look).await.map_err(Refusal::failed)?;
    Ok(Why {
        source: source.to_string(),
        topic: topic.to_string(),
        message: None,
        at_ms: None,
        hops: hops.iter().map(|hop| convert::hop(hop, 0, None)).collect(),
    })
}

/// The first hop: who the sender is to the hub.
async fn connection_hop(control: &Control, source: &Source) -> Answer<tomte_wire::control::Hop> {
    let hop = |verdict: &str, detail: String, bad: bool| tomte_wire::control::Hop {
        kind: "connection".to_owned(),
        subject: String::new(),
        verdict: verdict.to_owned(),
        detail,
        bad,
        depth: 0,
        at_us: None,
    };
    let Source::Device(name) = source else {
        return Ok(hop("ok", source.to_string(), false));
    };
    let records = control.identity.list();
    let asked = name.clone();
    let view =
        control.inbox.ask(move |hub, _| hub.device(&asked)).await.map_err(Refusal::failed)?;
    let there = if view.connected { "connected" } else { "not connected" };
    Ok(match records.into_iter().find(|record| record.name == *name) {
        None => hop("none", format!("{name} has no identity yet: tomte device add {name}"), true),
        Some(record) if record.revoked => {
            hop("refused", format!("{name}, certificate revoked"), true)
        }
        Some(record) => {
            let now_ms = unix_ms();
            if record.expires_ms <= now_ms {
                hop("refused", format!("{name}, certificate expired"), true)
            } else {
                let days = (record.expires_ms - now_ms) / 86_400_000;
                let print = short_fingerprint(&record.fingerprint);
                hop(
                    "ok",
                    format!("{name}, certificate {print}, expires in {days} days, {there}"),
                    false,
                )
            }
        }
    })
}

/// `4f:1c:...` of `4f:1c:02:...`
fn short_fingerprint(fingerprint: &str) -> String {
    fingerprint.get(..6).map_or_else(|| fingerprint.to_owned(), |start| format!("{start}..."))
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Deserialize)]
struct CallQuery {
    subject: Option<String>,
}

async fn call(
    State(control): Shared,
    Path(function): Path<String>,
    Query(query): Query<CallQuery>,
    event: Bytes,
) -> Answer<Json<CallReport>> {
    let function = FunctionName::new(&function).map_err(|error| Refusal::bad("bad_name", error))?;
    let (reply, answer) = oneshot::channel();
    control.inbox.send(Event::Call {
        function: function.clone(),
        payload: event,
        subject: query.subject,
        client_context: None,
        reply,
    });
    let ended = answer.await.map_err(Refusal::failed)?.map_err(|error| {
        let busy = error.is_busy();
        let status = if busy { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::BAD_REQUEST };
        let help = if busy {
            "try again when there is room"
        } else {
            "see `tomte status` for the functions"
        };
        Refusal::new(status, "call_refused", error).help(help)
    })?;
    let worker = ended.worker;
    let calls = control
        .inbox
        .ask(move |hub, _| worker.map_or(0, |worker| hub.calls_finished_by(worker)))
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(convert::call_report(&ended, calls > 1)))
}

async fn flow(State(control): Shared) -> Response {
    let receiver = control.flow.subscribe();
    control.inbox.send(Event::WatchFlow(control.flow.clone()));
    lines(
        receiver,
        |lagged| {
            Some(FlowEvent { at_us: unix_ms() * 1_000, what: Flow::Lagged { events: lagged } })
        },
        |_| true,
    )
}

#[derive(Deserialize)]
struct LogQuery {
    function: Option<String>,
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// Lines of a log that are shown when no number is given.
const DEFAULT_TAIL: usize = 100;

async fn logs(State(control): Shared, Query(query): Query<LogQuery>) -> Answer<Response> {
    let following = control.logs.follow();
    let (logs, function) = (control.logs.clone(), query.function.clone());
    let tail = query.tail.unwrap_or(DEFAULT_TAIL);
    let past =
        blocking(move || logs.tail(function.as_deref(), tail)).await?.map_err(Refusal::failed)?;
    let mut text = Vec::new();
    for line in &past {
        serde_json::to_writer(&mut text, line).map_err(Refusal::failed)?;
        text.push(b'\n');
    }
    if !query.follow {
        return Ok(ndjson(Body::from(text)));
    }
    let wanted = query.function;
    let accept = move |line: &LogLine| wanted.as_ref().is_none_or(|name| *name == line.function);
    let live = lines(following, |_| None, accept).into_body();
    let both = futures_chain(text, live);
    Ok(ndjson(both))
}

/// A body that begins with `first` and goes on with `rest`.
fn futures_chain(first: Vec<u8>, rest: Body) -> Body {
    use tokio_stream::StreamExt as _;
    let first = tokio_stream::once(Ok::<Bytes, axum::Error>(Bytes::from(first)));
    Body::from_stream(first.chain(rest.into_data_stream()))
}

/// Streams what a channel brings as JSON lines, until the client goes.
fn lines<T: serde::Serialize + Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
    lagged: impl Fn(u64) -> Option<T> + Send + 'static,
    accept: impl Fn(&T) -> bool + Send + 'static,
) -> Response {
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::BroadcastStream;
    use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
    let stream = BroadcastStream::new(receiver).filter_map(move |item| {
        let item = match item {
            Ok(item) => Some(item).filter(&accept),
            Err(BroadcastStreamRecvError::Lagged(n)) => lagged(n),
        }?;
        let mut line = serde_json::to_vec(&item).ok()?;
        line.push(b'\n');
        Some(Ok::<Bytes, std::convert::Infallible>(Bytes::from(line)))
    });
    ndjson(Body::from_stream(stream))
}

fn ndjson(body: Body) -> Response {
    ([(axum::http::header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn routes(State(control): Shared) -> Answer<Json<Vec<RouteStatus>>> {
    let look = |hub: &mut tomte_core_hub::Hub, _| {
        let table = hub.config().table.routes();
        let status =
            |(route, view): (&tomte_route::Route, tomte_core_hub::RouteView)| RouteStatus {
                name: route.label.clone(),
                from: route.from.iter().map(ToString::to_string).collect(),
                topic: route.topic.to_string(),
                when: route.when.as_ref().map(|when| when.text().to_owned()),
                to: route.to.to_string(),
                matched: view.matched,
            };
        table.iter().zip(hub.routes()).map(status).collect::<Vec<_>>()
    };
    control.inbox.ask(look).await.map(Json).map_err(Refusal::failed)
}

async fn list_calls(State(control): Shared) -> Answer<Json<Vec<CallStatus>>> {
    let look = |hub: &mut tomte_core_hub::Hub, _| {
        let scheduler = hub.scheduler();
        scheduler.running().chain(scheduler.queued()).map(call_status).collect::<Vec<_>>()
    };
    control.inbox.ask(look).await.map(Json).map_err(Refusal::failed)
}

fn call_status(call: tomte_scheduler::CallView<'_>) -> CallStatus {
    CallStatus {
        call: call.id.to_string(),
        function: call.function.to_string(),
        source: call.source.to_owned(),
        state: call.state.as_str().to_owned(),
        priority: call.priority.as_str().to_owned(),
        arrived_ms: call.arrived.as_millis(),
        deadline_ms: Some(call.deadline.as_millis())
            .filter(|_| call.deadline != tomte_base::Time::NEVER),
        kind: call.kind.as_str().to_owned(),
        worker: call.worker.map(|worker| worker.0),
    }
}

async fn workers(State(control): Shared) -> Answer<Json<Vec<WorkerStatus>>> {
    let pids = control.pool.pids();
    let look = move |hub: &mut tomte_core_hub::Hub, _| {
        let workers = hub.scheduler().workers();
        workers
            .map(|worker| WorkerStatus {
                worker: worker.id.0,
                function: worker.function.to_string(),
                state: worker.state.as_str().to_owned(),
                pid: pids.get(&worker.id).copied(),
                calls: hub.calls_finished_by(worker.id),
            })
            .collect::<Vec<_>>()
    };
    control.inbox.ask(look).await.map(Json).map_err(Refusal::failed)
}

async fn status(State(control): Shared) -> Answer<Json<Status>> {
    let running = control.deployer.running();
    let manifest = running.as_ref().map(|running| &running.manifest);
    let names: Vec<DeviceName> =
        manifest.map(|m| m.devices.keys().cloned().collect()).unwrap_or_default();
    let look = move |hub: &mut tomte_core_hub::Hub, _| {
        let devices: BTreeMap<String, DeviceStatus> = names
            .into_iter()
            .map(|name| {
                let view = hub.device(&name);
                (
                    name.to_string(),
                    DeviceStatus { connected: view.connected, queued: view.queued as u64 },
                )
            })
            .collect();
        (hub.view(), counters(hub), devices, function_numbers(hub))
    };
    let (view, counters, devices, numbers) =
        control.inbox.ask(look).await.map_err(Refusal::failed)?;
    let mut functions = BTreeMap::new();
    for (name, function) in manifest.iter().flat_map(|manifest| &manifest.functions) {
        let mut status = numbers.get(name.as_str()).cloned().unwrap_or_default();
        status.runtime = function.runtime_name.clone();
        let code = running.as_ref().and_then(|running| running.stored.code.get(name.as_str()));
        status.code = code.cloned().unwrap_or_default();
        functions.insert(name.to_string(), status);
    }
    Ok(Json(Status {
        name: manifest.map_or_else(|| "tomte".to_owned(), |manifest| manifest.hub.name.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: u64::try_from(control.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        revision: running.as_ref().map(|running| running.stored.revision.0),
        listeners: control.deployer.addresses(),
        connections: view.connections as u64,
        sessions: view.sessions as u64,
        retained: view.retained as u64,
        queued_messages: view.queued as u64,
        functions,
        devices,
        counters,
        journal_bytes: folder_bytes(&control.journal_folder),
        memory_bytes: resident_bytes(),
        warnings: control.warnings.iter().cloned().chain(control.deployer.warnings()).collect(),
    }))
}

fn counters(hub: &tomte_core_hub::Hub) -> BTreeMap<String, u64> {
    let counted = Counter::ALL
        .iter()
        .map(|counter| (counter.name().to_owned(), hub.counters().get(*counter)));
    counted.collect()
}

fn function_numbers(hub: &tomte_core_hub::Hub) -> BTreeMap<String, FunctionStatus> {
    let mut numbers: BTreeMap<String, FunctionStatus> = BTreeMap::new();
    for (name, ended) in hub.ended_calls() {
        let status = numbers.entry(name.to_string()).or_default();
        (status.succeeded, status.failed) = (ended.succeeded, ended.failed);
    }
    for call in hub.scheduler().queued() {
        numbers.entry(call.function.to_string()).or_default().queued += 1;
    }
    for call in hub.scheduler().running() {
        numbers.entry(call.function.to_string()).or_default().running += 1;
    }
    for worker in hub.scheduler().workers() {
        let idle = worker.state == tomte_scheduler::WorkerState::Idle;
        numbers.entry(worker.function.to_string()).or_default().idle_workers += u64::from(idle);
    }
    numbers
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

async fn metrics(State(control): Shared) -> Answer<Response> {
    let look = |hub: &mut tomte_core_hub::Hub, _| (hub.view(), counters(hub));
    let (view, counters) = control.inbox.ask(look).await.map_err(Refusal::failed)?;
    let mut text = Vec::new();
    for (name, value) in counters {
        let _a_vector_takes_all = writeln!(text, "{name} {value}");
    }
    let gauges = [
        ("tomte_connections", view.connections as u64),
        ("tomte_sessions", view.sessions as u64),
        ("tomte_retained_messages", view.retained as u64),
        ("tomte_queued_messages", view.queued as u64),
        ("tomte_journal_bytes", folder_bytes(&control.journal_folder)),
        ("process_resident_memory_bytes", resident_bytes()),
    ];
    for (name, value) in gauges {
        let _a_vector_takes_all = writeln!(text, "{name} {value}");
    }
    let kind = [(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text).into_response())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
