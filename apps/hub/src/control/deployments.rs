//! What runs, and how it is changed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tomte_wire::control::{
    ApplyReport, Deployment, DeploymentRequest, Flow, FlowEvent, PlanReport,
};

use super::{Answer, Shared, blocking, unix_ms};
use crate::problem::Refusal;

pub(super) async fn deployment(State(control): Shared) -> Answer<Json<Deployment>> {
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

pub(super) async fn put_code(
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

pub(super) async fn plan(
    State(control): Shared,
    Json(request): Json<DeploymentRequest>,
) -> Answer<Json<PlanReport>> {
    let deployer = Arc::clone(&control.deployer);
    blocking(move || deployer.plan(&request)).await?.map(Json)
}

pub(super) async fn apply(
    State(control): Shared,
    Json(request): Json<DeploymentRequest>,
) -> Answer<Json<ApplyReport>> {
    let report = control.deployer.apply(request).await?;
    let at_us = unix_ms() * 1_000;
    let what = Flow::Deployed { revision: report.revision };
    let _nobody_watches = control.flow.send(FlowEvent { at_us, what });
    Ok(Json(report))
}
