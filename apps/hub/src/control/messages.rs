//! Messages: sent in the name of others, and asked about.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::oneshot;
use tomte_base::{DeviceName, FunctionName, MessageId, QoS, Source, TopicName};
use tomte_core_hub::{Publication, Trace};
use tomte_wire::control::{SendRequest, Why};

use super::{Answer, Control, Shared, unix_ms};
use crate::convert;
use crate::event::Event;
use crate::problem::Refusal;

/// How often a waiting request looks whether a message's way is complete.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Longest time that a `send` may wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

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

pub(super) async fn send(
    State(control): Shared,
    Json(request): Json<SendRequest>,
) -> Answer<Json<Why>> {
    use base64::Engine as _;
    let payload =
        base64::engine::general_purpose::STANDARD.decode(&request.payload_base64).map_err(
            |error| Refusal::bad("bad_payload", format!("the payload is no base64: {error}")),
        )?;
    let source = source(&request.source)?;
    let stranger = stranger(&control, &source);
    let publication = Publication {
        source,
        topic: TopicName::new(&request.topic).map_err(|error| Refusal::bad("bad_topic", error))?,
        payload: payload.into(),
        qos: QoS::from_bits(request.qos)
            .ok_or_else(|| Refusal::bad("bad_qos", "the quality of service is 0, 1 or 2"))?,
        retain: request.retain,
        properties: None,
    };
    let (reply, answer) = oneshot::channel();
    control.inbox.send(Event::Publish { publication, reply });
    let (message, _refused_is_told_by_the_hops) = answer.await.map_err(Refusal::failed)?;
    let wait = Duration::from_millis(request.wait_ms).min(MAX_WAIT);
    let mut why = wait_for_chain(&control, message, wait).await?;
    why.hops.splice(0..0, stranger.map(|detail| connection("none", detail, true)));
    Ok(Json(why))
}

/// Waits until all that followed from a message has come to rest, and tells its way.
pub(super) async fn wait_for_chain(
    control: &Control,
    message: MessageId,
    wait: Duration,
) -> Answer<Why> {
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
pub(super) struct WhyQuery {
    topic: String,
    source: String,
    payload: Option<String>,
}

pub(super) async fn why(
    State(control): Shared,
    Query(query): Query<WhyQuery>,
) -> Answer<Json<Why>> {
    let source = source(&query.source)?;
    let topic = TopicName::new(&query.topic).map_err(|error| Refusal::bad("bad_topic", error))?;
    let first = connection_hop(&control, &source).await?;
    let mut why = match query.payload {
        None => last_message(&control, source, topic).await?,
        Some(payload) => supposed(&control, source, topic, payload).await?,
    };
    why.hops.insert(0, first);
    Ok(Json(why))
}

pub(super) async fn last_message(
    control: &Control,
    source: Source,
    topic: TopicName,
) -> Answer<Why> {
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

pub(super) async fn supposed(
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

fn connection(verdict: &str, detail: String, bad: bool) -> tomte_wire::control::Hop {
    tomte_wire::control::Hop {
        kind: "connection".to_owned(),
        subject: String::new(),
        verdict: verdict.to_owned(),
        detail,
        bad,
        depth: 0,
        at_us: None,
    }
}

/// Says that there is no such device, neither in the manifest nor with an identity, and which one was
/// most likely meant.
fn stranger(control: &Control, source: &Source) -> Option<String> {
    let Source::Device(name) = source else { return None };
    let records = control.identity.list();
    let known = records.iter().filter(|record| !record.revoked).map(|record| &record.name);
    let running = control.deployer.running();
    let declared = running.iter().flat_map(|running| running.manifest.devices.keys());
    let known: Vec<&DeviceName> = known.chain(declared).collect();
    if known.contains(&name) || records.iter().any(|record| record.name == *name) {
        return None;
    }
    let near = tomte_route::nearest(name.as_str(), known.into_iter().map(DeviceName::as_str));
    let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Some(format!("there is no device {name}{hint}"))
}

/// The first hop: who the sender is to the hub.
pub(super) async fn connection_hop(
    control: &Control,
    source: &Source,
) -> Answer<tomte_wire::control::Hop> {
    let hop = connection;
    if let Some(detail) = stranger(control, source) {
        return Ok(hop("none", detail, true));
    }
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
            let left = record.expires_ms.map(|expires_ms| expires_ms.saturating_sub(now_ms));
            match (left, record.fingerprint) {
                (None, _) | (_, None) => hop("ok", format!("{name}, password, {there}"), false),
                (Some(0), _) if record.has_password => {
                    hop("ok", format!("{name}, password, certificate expired, {there}"), false)
                }
                (Some(0), _) => hop("refused", format!("{name}, certificate expired"), true),
                (Some(left), Some(print)) => {
                    let (days, print) = (left / 86_400_000, short_fingerprint(&print));
                    let text =
                        format!("{name}, certificate {print}, expires in {days} days, {there}");
                    hop("ok", text, false)
                }
            }
        }
    })
}

/// `4f:1c:...` of `4f:1c:02:...`
fn short_fingerprint(fingerprint: &str) -> String {
    fingerprint.get(..6).map_or_else(|| fingerprint.to_owned(), |start| format!("{start}..."))
}
