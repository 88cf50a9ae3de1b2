//! What is followed line by line: the flow of messages, the logs of functions.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::broadcast;
use tomte_wire::control::{Flow, FlowEvent, LogLine};

use super::{Answer, Shared, blocking, unix_ms};
use crate::event::Event;
use crate::problem::Refusal;

pub(super) async fn flow(State(control): Shared) -> Response {
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
pub(super) struct LogQuery {
    function: Option<String>,
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// Lines of a log that are shown when no number is given.
const DEFAULT_TAIL: usize = 100;

pub(super) async fn logs(
    State(control): Shared,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
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
