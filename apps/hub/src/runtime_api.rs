//! The Lambda Runtime API (2018-06-01) towards one worker.
//!
//! The listener was born in the worker's own network namespace, so whoever reaches it is that
//! worker: the address is its identity.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tomte_base::{CallId, WorkerId};
use tomte_core_hub::Assignment;

use crate::event::Event;
use crate::event_loop::Inbox;

/// Largest result of a call, in bytes (AWS Lambda: 6 MiB for synchronous calls).
pub(crate) const MAX_RESULT_BYTES: usize = 6 << 20;
/// Largest error body, in bytes (AWS Lambda: 256 KiB).
const MAX_ERROR_BYTES: usize = 256 << 10;
/// Connections that one worker may hold open.
const MAX_CONNECTIONS: usize = 32;

const PREFIX: &str = "/2018-06-01/runtime/";

/// One worker's side of the interface.
pub(crate) struct RuntimeApi {
    pub(crate) worker: WorkerId,
    pub(crate) inbox: Inbox,
    /// Calls that the machine assigned and the worker has not fetched.
    pub(crate) assignments: tokio::sync::Mutex<mpsc::Receiver<Assignment>>,
    /// The call that runs.
    pub(crate) current: Mutex<Option<CallId>>,
    /// What the runtime client said when it could not start.
    pub(crate) init_error: Mutex<Option<String>>,
}

type Answer = Response<Full<Bytes>>;

impl RuntimeApi {
    /// Serves the worker until its listener is dropped with the task.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let _best_effort = stream.set_nodelay(true);
            let api = Arc::clone(&self);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let api = Arc::clone(&api);
                    async move { Ok::<_, Infallible>(api.answer(request).await) }
                });
                let _the_worker_has_gone = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(permit);
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let Some(what) = path.strip_prefix(PREFIX) else {
            return not_here(&path);
        };
        let parts: Vec<&str> = what.split('/').collect();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.response(id, request).await,
            (&Method::POST, ["invocation", id, "error"]) => self.error(id, request).await,
            (&Method::POST, ["init", "error"]) => self.init_error(request).await,
            _ => not_here(&path),
        }
    }

    /// Parks until the machine has a call for the worker. There is no time limit.
    async fn next(&self) -> Answer {
        let mut assignments = self.assignments.lock().await;
        self.inbox.send(Event::WorkerReady(self.worker));
        match assignments.recv().await {
            Some(assignment) => {
                *lock(&self.current) = Some(assignment.call);
                invocation(&assignment)
            }
            None => problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Container.Stopping",
                "the worker is stopped",
            ),
        }
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Answer {
        match read(request, MAX_RESULT_BYTES).await {
            Ok(body) => self.finish(id, Ok(body)).await,
            Err(ReadError::TooLarge) => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MAX_RESULT_BYTES} bytes)."
                );
                let error = serde_json::json!({
                    "errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": message,
                });
                self.finish(id, Err(error.to_string().into())).await;
                problem(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
            }
            Err(ReadError::Lost) => {
                problem(StatusCode::BAD_REQUEST, "InvalidRequest", "the body ended early")
            }
        }
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Answer {
        match read(request, MAX_ERROR_BYTES).await {
            Ok(body) => self.finish(id, Err(body)).await,
            Err(_) => {
                let error = br#"{"errorType":"Runtime.Unknown","errorMessage":"the error could not be read"}"#;
                self.finish(id, Err(Bytes::from_static(error))).await
            }
        }
    }

    async fn finish(&self, id: &str, answer: Result<Bytes, Bytes>) -> Answer {
        let Some(call) = CallId::parse(id) else { return unknown_request(id) };
        let (reply, known) = oneshot::channel();
        let worker = self.worker;
        self.inbox.send(Event::CallAnswered { call, worker, answer, reply });
        if known.await.unwrap_or(false) {
            *lock(&self.current) = None;
            accepted()
        } else {
            unknown_request(id)
        }
    }

    async fn init_error(&self, request: Request<Incoming>) -> Answer {
        let body = read(request, MAX_ERROR_BYTES).await.unwrap_or_default();
        let error: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text =
            |key: &str| error.get(key).and_then(|v| v.as_str()).unwrap_or("unknown").to_owned();
        *lock(&self.init_error) = Some(format!("{}: {}", text("errorType"), text("errorMessage")));
        accepted()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The ARN by which a function knows itself.
pub(crate) fn arn(function: &str) -> String {
    format!("arn:aws:lambda:local:000000000000:function:{function}")
}

fn invocation(assignment: &Assignment) -> Answer {
    let mut response = Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", assignment.call.to_string())
        .header("Lambda-Runtime-Deadline-Ms", assignment.deadline.as_millis().to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", arn(assignment.function.as_str()))
        .header("Lambda-Runtime-Trace-Id", trace_id(assignment));
    if let Some(context) = client_context(assignment) {
        response = response.header("Lambda-Runtime-Client-Context", context);
    }
    response.body(Full::new(assignment.payload.clone())).unwrap_or_else(|error| {
        // The client context is the only part that a caller chooses.
        problem(StatusCode::INTERNAL_SERVER_ERROR, "InvalidClientContext", &error.to_string())
    })
}

/// `Root=1-<seconds>-<96 bits>`, as AWS X-Ray writes it.
fn trace_id(assignment: &Assignment) -> String {
    let seconds = assignment.deadline.as_millis() / 1_000;
    let id = format!("{:032x}", assignment.call.0);
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &id[..24], &id[16..])
}

/// The caller's client context, or one that carries the topic as Greengrass v1 does.
fn client_context(assignment: &Assignment) -> Option<Vec<u8>> {
    if let Some(context) = &assignment.client_context {
        return Some(ascii_json(&serde_json::from_slice(context).ok()?));
    }
    let subject = assignment.subject.as_ref()?;
    let context = serde_json::json!({ "client": {}, "custom": { "subject": subject }, "env": {} });
    Some(ascii_json(&context))
}

/// JSON with everything outside of ASCII escaped, because it travels in a header.
fn ascii_json(value: &serde_json::Value) -> Vec<u8> {
    let mut ascii = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii.into_bytes()
}

enum ReadError {
    TooLarge,
    Lost,
}

async fn read(request: Request<Incoming>, limit: usize) -> Result<Bytes, ReadError> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(_) => Err(ReadError::Lost),
    }
}

fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" }))
}

fn unknown_request(id: &str) -> Answer {
    problem(
        StatusCode::BAD_REQUEST,
        "InvalidRequestID",
        &format!("this worker does not run the request {id:?}"),
    )
}

fn not_here(path: &str) -> Answer {
    problem(
        StatusCode::NOT_FOUND,
        "NotFound",
        &format!("{path} is not part of the interface of this version"),
    )
}

fn problem(status: StatusCode, kind: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({ "errorType": kind, "errorMessage": message }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use tomte_base::{FunctionName, Time};

    use super::*;

    fn assignment(subject: Option<&str>, context: Option<&'static [u8]>) -> Assignment {
        Assignment {
            worker: WorkerId(1),
            call: CallId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
            function: FunctionName::new("regulate").unwrap(),
            payload: Bytes::from_static(b"\x00payload"),
            subject: subject.map(str::to_owned),
            client_context: context.map(Bytes::from_static),
            deadline: Time::from_millis(1_700_000_000_123),
        }
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn an_invocation_carries_what_the_runtime_clients_read() {
        let answer = invocation(&assignment(Some("a/b"), None));
        let id = "01234567-89ab-cdef-0011-223344556677";
        assert_eq!(header(&answer, "Lambda-Runtime-Aws-Request-Id"), Some(id));
        assert_eq!(header(&answer, "Lambda-Runtime-Deadline-Ms"), Some("1700000000123"));
        let arn = header(&answer, "Lambda-Runtime-Invoked-Function-Arn").unwrap();
        assert!(arn.ends_with(":function:regulate"), "{arn}");
        let context = header(&answer, "Lambda-Runtime-Client-Context").unwrap();
        let context: serde_json::Value = serde_json::from_str(context).unwrap();
        assert_eq!(context["custom"]["subject"], "a/b");
    }

    #[test]
    fn a_topic_outside_of_ascii_survives_the_header() {
        let answer = invocation(&assignment(Some("växthus/🌱"), None));
        let context = header(&answer, "Lambda-Runtime-Client-Context").unwrap();
        assert!(context.is_ascii());
        let context: serde_json::Value = serde_json::from_str(context).unwrap();
        assert_eq!(context["custom"]["subject"], "växthus/🌱");
    }

    #[test]
    fn a_callers_own_context_wins_and_no_context_is_left_out() {
        let answer = invocation(&assignment(Some("a"), Some(br#"{"custom":{"k":1}}"#)));
        assert_eq!(header(&answer, "Lambda-Runtime-Client-Context"), Some(r#"{"custom":{"k":1}}"#));
        let answer = invocation(&assignment(None, None));
        assert_eq!(header(&answer, "Lambda-Runtime-Client-Context"), None);
    }
}
