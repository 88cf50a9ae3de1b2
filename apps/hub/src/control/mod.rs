//! The control interface: HTTP on a Unix socket that only the hub's owner can open. The requests
//! and bodies are those of `tomte_wire::control`.

mod calls;
mod deployments;
mod devices;
mod messages;
mod status;
mod streams;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use tomte_identity::Identity;

use crate::deploy::Deployer;
use crate::event_loop::Inbox;
use crate::flow_stream::FlowSender;
use crate::logs::Logs;
use crate::problem::Refusal;
use crate::workers::WorkerPool;

/// Largest zip of code that is taken, in bytes (AWS Lambda: 50 MB zipped, 250 MB unzipped).
const MAX_CODE_BYTES: usize = 128 << 20;
/// Largest event of a call, in bytes (AWS Lambda: 6 MiB).
const MAX_EVENT_BYTES: usize = 6 << 20;
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
    let code = put(deployments::put_code).layer(DefaultBodyLimit::max(MAX_CODE_BYTES));
    let call = post(calls::call).layer(DefaultBodyLimit::max(MAX_EVENT_BYTES));
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/deployment", get(deployments::deployment))
        .route("/v1/code/{digest}", code)
        .route("/v1/plan", post(deployments::plan))
        .route("/v1/apply", post(deployments::apply))
        .route("/v1/devices", get(devices::devices).post(devices::add_device))
        .route("/v1/devices/{name}", delete(devices::remove_device))
        .route("/v1/devices/{name}/password", post(devices::set_password))
        .route("/v1/devices/{name}/certificate", post(devices::renew_device))
        .route("/v1/send", post(messages::send))
        .route("/v1/calls", get(calls::list_calls))
        .route("/v1/calls/{function}", call)
        .route("/v1/why", get(messages::why))
        .route("/v1/flow", get(streams::flow))
        .route("/v1/logs", get(streams::logs))
        .route("/v1/routes", get(calls::routes))
        .route("/v1/workers", get(calls::workers))
        .route("/v1/stop", post(stop))
        .route("/metrics", get(status::metrics))
        .fallback(no_such_request)
        .with_state(control)
}

/// Makes the router of the metrics listener, which anybody may reach who reaches its address.
pub(crate) fn metrics_router(control: Arc<Control>) -> Router {
    Router::new().route("/metrics", get(status::metrics)).with_state(control)
}

async fn no_such_request(uri: axum::http::Uri) -> Refusal {
    Refusal::not_found("unknown_request", format!("the control interface has no {uri}"))
        .help("the hub and the tomte command may be of different versions")
}

async fn stop(State(control): Shared) -> StatusCode {
    let _it_stops_already = control.stop.send(true);
    StatusCode::ACCEPTED
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(Refusal::failed)
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
