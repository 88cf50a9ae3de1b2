//! From the machine's words to those of the control interface.

use tomte_base::Time;
use tomte_core_hub::{self as core_hub, CallOutcome, Trace};
use tomte_wire::control::{CallReport, Flow, FlowEvent, Hop, Why};

/// Bytes of a payload that the live view shows.
const SNIPPET_CHARS: usize = 200;

pub(crate) fn hop(hop: &core_hub::Hop, depth: u8, since: Option<Time>) -> Hop {
    Hop {
        kind: hop.kind.as_str().to_owned(),
        subject: hop.subject.clone(),
        verdict: hop.verdict.to_owned(),
        detail: hop.detail.clone(),
        bad: hop.bad,
        depth,
        at_us: since.map(|since| micros(hop.at - since)),
    }
}

pub(crate) fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn flow_event(at: Time, event: core_hub::FlowEvent) -> FlowEvent {
    let what = match event {
        core_hub::FlowEvent::Connected(owner) => Flow::Connected { client: owner.to_string() },
        core_hub::FlowEvent::Disconnected(owner, reason) => {
            Flow::Disconnected { client: owner.to_string(), reason }
        }
        core_hub::FlowEvent::Published(trace) => Flow::Published {
            message: trace.message.0,
            cause: trace.cause.map(|cause| cause.0),
            source: trace.source.to_string(),
            topic: trace.topic.to_string(),
            payload: snippet(&trace.payload),
            bytes: trace.payload_bytes as u64,
        },
        core_hub::FlowEvent::Hop(message, told) => {
            Flow::Hop { message: message.0, hop: hop(&told, 0, None) }
        }
        core_hub::FlowEvent::Dropped(source, topic, counter) => Flow::Dropped {
            message: None,
            client: source.to_string(),
            topic,
            reason: reason_of(counter).to_owned(),
        },
    };
    FlowEvent { at_us: at.0 / 1_000, what }
}

/// The label `reason` or `what` of a counter's name.
fn reason_of(counter: &str) -> &str {
    counter.split('"').nth(1).unwrap_or(counter)
}

fn snippet(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).chars().take(SNIPPET_CHARS).collect()
}

/// A message and all that followed from it. `open` is what is still under way.
pub(crate) fn why(chain: &[Trace]) -> Option<(Why, u32)> {
    let first = chain.first()?;
    let mut depths = std::collections::HashMap::new();
    let mut hops = Vec::new();
    for trace in chain {
        let depth =
            trace.cause.and_then(|cause| depths.get(&cause)).map_or(0, |depth: &u8| depth + 1);
        depths.insert(trace.message, depth);
        hops.extend(trace.hops.iter().map(|told| hop(told, depth, Some(first.received))));
    }
    let why = Why {
        source: first.source.to_string(),
        topic: first.topic.to_string(),
        message: Some(first.message.0),
        at_ms: Some(first.received.as_millis()),
        hops,
    };
    Some((why, chain.iter().map(|trace| trace.open).sum()))
}

pub(crate) fn call_report(reply: &core_hub::CallReply, warm: bool) -> CallReport {
    use base64::Engine as _;
    let (outcome, payload) = match &reply.outcome {
        CallOutcome::Returned(payload) => ("succeeded", payload.clone()),
        CallOutcome::Handled(error) => ("handled", error.clone()),
        CallOutcome::Unhandled(failure) => ("unhandled", platform_error(failure).into()),
    };
    CallReport {
        call: reply.call.to_string(),
        outcome: outcome.to_owned(),
        payload_base64: base64::engine::general_purpose::STANDARD.encode(payload),
        queued_us: micros(reply.queued),
        ran_us: micros(reply.ran),
        worker: reply.worker.map(|worker| worker.0),
        warm,
    }
}

/// The error JSON of a failure of the platform, with the types that AWS Lambda uses.
fn platform_error(failure: &tomte_scheduler::CallFailure) -> String {
    use tomte_scheduler::CallFailure;
    let kind = match failure {
        CallFailure::TimedOut { .. } => "Sandbox.Timedout",
        CallFailure::StartFailed { .. } => "Runtime.StartFailed",
        CallFailure::OutOfMemory { .. } => "Runtime.OutOfMemory",
        CallFailure::Expired | CallFailure::Cancelled | CallFailure::FunctionRemoved => {
            "Hub.NotRun"
        }
        CallFailure::ShuttingDown => "Hub.ShuttingDown",
        CallFailure::WorkerDied { .. } | CallFailure::Abandoned => "Runtime.ExitError",
    };
    serde_json::json!({ "errorType": kind, "errorMessage": failure.to_string() }).to_string()
}
