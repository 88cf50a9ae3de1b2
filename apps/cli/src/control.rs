//! A client of the hub's control interface: HTTP over the Unix socket in the state folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tomte_hub::StateFolder;
use tomte_wire::control::Problem;

use crate::exit::Exit;
use crate::failure::Failure;

/// Largest answer that is read into memory, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest line of a stream that is read, in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// How long a connection to a socket on the same machine may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The control interface of one hub.
pub(crate) struct Control {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// What a request carries.
enum Body {
    Empty,
    Json(Vec<u8>),
    Bytes(Vec<u8>),
}

impl Control {
    /// Names the hub with the given state folder. Nothing is sent yet.
    ///
    /// # Errors
    /// Fails when the system refuses an event queue.
    pub(crate) fn of(state: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start the event loop")?;
        Ok(Self { socket: StateFolder::new(state).control_socket(), runtime })
    }

    /// Tells whether a hub answers.
    pub(crate) fn answers(&self) -> bool {
        self.runtime.block_on(self.connect()).is_ok()
    }

    /// Sends GET and reads the answer.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.for_json(Method::GET, path, Body::Empty)
    }

    /// Sends POST with a JSON body and reads the answer.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.for_json(Method::POST, path, Body::Json(serde_json::to_vec(body)?))
    }

    /// Sends POST with bytes and reads the answer.
    pub(crate) fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<T> {
        self.for_json(Method::POST, path, Body::Bytes(body))
    }

    /// Sends POST without a body; the answer has none either.
    pub(crate) fn post_empty(&self, path: &str) -> anyhow::Result<()> {
        self.runtime.block_on(self.exchange(Method::POST, path, Body::Empty)).map(drop)
    }

    /// Sends PUT with bytes.
    pub(crate) fn put(&self, path: &str, body: Vec<u8>) -> anyhow::Result<()> {
        self.runtime.block_on(self.exchange(Method::PUT, path, Body::Bytes(body))).map(drop)
    }

    /// Sends DELETE.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.runtime.block_on(self.exchange(Method::DELETE, path, Body::Empty)).map(drop)
    }

    /// Reads lines of JSON until the hub ends them or `take` breaks.
    pub(crate) fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        mut take: impl FnMut(T) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let answer = self.request(Method::GET, path, Body::Empty).await?;
            let mut body = accepted(answer).await?.into_body();
            let mut pending = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.context("the hub broke off its answer")?;
                let Some(data) = frame.data_ref() else { continue };
                pending.extend_from_slice(data);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    if line.trim_ascii().is_empty() {
                        continue;
                    }
                    let value = serde_json::from_slice(&line)
                        .with_context(|| format!("failed to read a line of {path}"))?;
                    if take(value)?.is_break() {
                        return Ok(());
                    }
                }
                anyhow::ensure!(pending.len() <= MAX_LINE_BYTES, "a line of {path} has no end");
            }
            Ok(())
        })
    }

    fn for_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> anyhow::Result<T> {
        let answer = self.runtime.block_on(self.exchange(method, path, body))?;
        serde_json::from_slice(&answer)
            .with_context(|| format!("failed to understand the hub's answer to {path}"))
    }

    async fn exchange(&self, method: Method, path: &str, body: Body) -> anyhow::Result<Bytes> {
        let answer = accepted(self.request(method, path, body).await?).await?;
        read_body(answer).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection ends with its one request; its errors surface there.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "tomte");
        let request = match body {
            Body::Empty => request.body(Full::<Bytes>::default()),
            Body::Json(json) => {
                request.header("content-type", "application/json").body(Full::from(json))
            }
            Body::Bytes(bytes) => request.body(Full::from(bytes)),
        };
        let request = request.with_context(|| format!("failed to form a request for {path}"))?;
        sender.send_request(request).await.with_context(|| self.no_answer(path))
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket));
        let why = match connecting.await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()),
        };
        Err(Failure::new(
            Exit::Unreachable,
            format!("no hub answers at {}: {why}", self.socket.display()),
            "start one with `tomte dev` or `tomte run`; \
             if it runs with another state folder, name that with --state or TOMTE_STATE",
        ))
    }

    fn no_answer(&self, path: &str) -> String {
        format!("the hub at {} did not answer {path}", self.socket.display())
    }
}

/// Passes an answer that the hub did not refuse.
async fn accepted(answer: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = read_body(answer).await?;
    Err(refusal(status, &body).into())
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let text = String::from_utf8_lossy(body);
        let message = format!("the hub answered {status}: {}", text.trim());
        return Failure::new(Exit::Refused, message, "");
    };
    let exit = match problem.reason.as_str() {
        "bad_manifest" => Exit::Manifest,
        _ => Exit::Refused,
    };
    let failure = Failure::from(problem);
    let message = failure.message.trim_start_matches("error: ").to_owned();
    Failure { exit, message, ..failure }
}

async fn read_body(answer: Response<Incoming>) -> anyhow::Result<Bytes> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the hub broke off its answer: {error}"))?;
    Ok(body.to_bytes())
}

/// Returns `text` as it stands in the query of a request.
pub(crate) fn query_value(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::fake_hub::FakeHub;

    #[test]
    fn a_request_carries_its_body_and_reads_the_answer() {
        let hub = FakeHub::answering([("200 OK", r#"{"revision":3}"#)]);
        let answer: serde_json::Value =
            Control::of(hub.state()).unwrap().post("/v1/apply", &[1, 2]).unwrap();
        assert_eq!(answer["revision"], 3);
        let request = hub.requests().remove(0);
        assert!(request.starts_with("POST /v1/apply HTTP/1.1"), "{request}");
        assert!(request.ends_with("[1,2]"), "{request}");
    }

    #[test]
    fn a_refusal_carries_the_advice_of_the_hub() {
        let problem =
            r#"{"reason":"unknown_function","message":"no function \"x\"","help":"try regulate"}"#;
        let hub = FakeHub::answering([("404 Not Found", problem)]);
        let error = Control::of(hub.state()).unwrap().get::<()>("/v1/x").unwrap_err();
        let failure = error.downcast::<Failure>().unwrap();
        assert_eq!(
            (failure.exit, failure.help.as_str(), failure.message.as_str()),
            (Exit::Refused, "try regulate", "no function \"x\"")
        );
    }

    #[test]
    fn an_answer_that_is_no_problem_is_shown_as_it_is() {
        let hub = FakeHub::answering([("500 Internal Server Error", "oh no")]);
        let error = Control::of(hub.state()).unwrap().get::<()>("/v1/x").unwrap_err();
        expect!["the hub answered 500 Internal Server Error: oh no"].assert_eq(&error.to_string());
    }

    #[test]
    fn a_hub_that_is_not_there_is_unreachable() {
        let state = tempfile::tempdir().unwrap();
        let error = Control::of(state.path()).unwrap().get::<()>("/v1/status").unwrap_err();
        assert_eq!(crate::failure::exit_of(&error), Exit::Unreachable);
        assert!(!Control::of(state.path()).unwrap().answers());
    }

    #[test]
    fn lines_are_read_across_frames_until_the_reader_has_enough() {
        let hub = FakeHub::answering([("200 OK", "1\n2\n\n3\n")]);
        let mut seen = Vec::new();
        let read = Control::of(hub.state()).unwrap().lines("/v1/flow", |n: u32| {
            seen.push(n);
            Ok(if n == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        read.unwrap();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(query_value("a/b c&d=ä"), "a%2Fb%20c%26d%3D%C3%A4");
    }
}
