//! One function on one message, with no hub that stays: for `tomte test`.
//!
//! It is a whole hub on a temporary state folder, so the function runs in the
//! same sandbox, through the same scheduler and the same runtime interface as when it is deployed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::oneshot;
use tomte_base::FunctionName;
use tomte_wire::control::{CallReport, LogLine};
use tomte_wire::manifest;

use crate::convert;
use crate::event::Event;
use crate::run::{RunningHub, read_project};

/// How long the last lines of output may take to arrive after the call has ended.
const LAST_LINES: Duration = Duration::from_millis(50);

/// Runs `function` of the manifest in `project` on one event. Returns how the call ended and what
/// the function wrote.
///
/// # Errors
/// Fails when the manifest is invalid, has no such function, or the sandbox cannot be made.
pub fn test_function(
    project: &Path,
    function: &str,
    event: Vec<u8>,
    topic: Option<&str>,
) -> anyhow::Result<(CallReport, Vec<LogLine>)> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(run_once(project, function, event, topic))
}

async fn run_once(
    project: &Path,
    function: &str,
    event: Vec<u8>,
    topic: Option<&str>,
) -> anyhow::Result<(CallReport, Vec<LogLine>)> {
    let name = FunctionName::new(function)?;
    let (mut request, code) = read_project(project)?;
    let state = tempfile::tempdir().context("failed to make a temporary folder")?;
    request.manifest = only_function(&request.manifest, function)?;
    request.code.retain(|other, _| other == function);
    let wanted = request.code.get(function).cloned();
    let hub = RunningHub::start(state.path(), None).await?;
    for packed in code.into_iter().filter(|packed| Some(&packed.digest) == wanted.as_ref()) {
        hub.deployer.put_code(&packed.digest, &packed.zip)?;
    }
    hub.deployer.apply(request).await?;
    let (reply, answer) = oneshot::channel();
    hub.inbox.send(Event::Call {
        function: name,
        payload: event.into(),
        subject: topic.map(str::to_owned),
        client_context: None,
        reply,
    });
    let ended = answer.await.context("the hub stopped")??;
    tokio::time::sleep(LAST_LINES).await;
    let logs = hub.logs.tail(Some(function), usize::MAX)?;
    hub.stop_now().await?;
    Ok((convert::call_report(&ended, false), logs))
}

/// The same manifest with nothing but the one function: a port of the loopback that nobody knows, no devices, no routes.
fn only_function(text: &str, function: &str) -> anyhow::Result<String> {
    let mut table: toml::Table = text.parse()?;
    let Some(toml::Value::Table(functions)) = table.get_mut("functions") else {
        bail!("the manifest has no functions");
    };
    let names: Vec<String> = functions.keys().cloned().collect();
    functions.retain(|name, _| name == function);
    if functions.is_empty() {
        let near = tomte_route::nearest(function, names.iter().map(String::as_str));
        let hint = near.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        return Err(anyhow!("the manifest has no function {function:?}{hint}"));
    }
    table.remove("devices");
    table.remove("routes");
    let listeners = toml::toml! { mqtts = { bind = "127.0.0.1:0" } };
    table.insert("listeners".to_owned(), toml::Value::Table(listeners));
    let text = table.to_string();
    manifest::parse(&text, "tomte.toml")?;
    Ok(text)
}
