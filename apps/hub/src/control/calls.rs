//! Calls of functions, and lists of what waits and runs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::oneshot;
use tomte_base::FunctionName;
use tomte_wire::control::{CallReport, CallStatus, RouteStatus, WorkerStatus};

use super::{Answer, Control, Shared};
use crate::convert;
use crate::event::Event;
use crate::problem::Refusal;

#[derive(Deserialize)]
pub(super) struct CallQuery {
    subject: Option<String>,
}

pub(super) async fn call(
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
            "try again when there is room".to_owned()
        } else {
            which_functions(&control, &function)
        };
        Refusal::new(status, "call_refused", error).help(&help)
    })?;
    let worker = ended.worker;
    let calls = control
        .inbox
        .ask(move |hub, _| worker.map_or(0, |worker| hub.calls_finished_by(worker)))
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(convert::call_report(&ended, calls > 1)))
}

/// Says where the functions are to be seen, and which one was most likely meant.
fn which_functions(control: &Control, wanted: &FunctionName) -> String {
    let running = control.deployer.running();
    let functions = running.iter().flat_map(|running| running.manifest.functions.keys());
    let others = functions.filter(|name| *name != wanted).map(FunctionName::as_str);
    match tomte_route::nearest(wanted.as_str(), others) {
        Some(near) => format!("did you mean {near}? `tomte status` has all functions"),
        None => "see `tomte status` for the functions".to_owned(),
    }
}

pub(super) async fn routes(State(control): Shared) -> Answer<Json<Vec<RouteStatus>>> {
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

pub(super) async fn list_calls(State(control): Shared) -> Answer<Json<Vec<CallStatus>>> {
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

pub(super) async fn workers(State(control): Shared) -> Answer<Json<Vec<WorkerStatus>>> {
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
