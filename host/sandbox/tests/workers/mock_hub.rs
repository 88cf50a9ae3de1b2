//! A hub of a few lines: speaks the Runtime API to one worker and keeps what it says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::PATIENCE;

pub(crate) const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
pub(crate) const ARN: &str = "arn:aws:lambda:local:000000000000:function:regulate";

/// A call that waits for a worker.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What a worker posted.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) struct MockHub {
    posts: Receiver<Post>,
}

/// Returns a call with the headers that every call has.
pub(crate) fn call(payload: &str) -> Call {
    let deadline = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() + 3000;
    let headers = vec![
        ("Lambda-Runtime-Aws-Request-Id", REQUEST_ID.to_owned()),
        ("Lambda-Runtime-Deadline-Ms", deadline.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", ARN.to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    Call { payload: payload.into(), headers }
}

impl MockHub {
    /// Serves on the listener for as long as the test runs. Who asks when no call is left waits.
    pub(crate) fn start(listener: TcpListener, calls: Vec<Call>) -> MockHub {
        listener.set_nonblocking(false).unwrap();
        let (sender, posts) = mpsc::channel();
        let calls = Arc::new(Mutex::new(VecDeque::from(calls)));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (calls, sender) = (Arc::clone(&calls), sender.clone());
                thread::spawn(move || serve(&connection, &calls, &sender));
            }
        });
        MockHub { posts }
    }

    /// Waits for the next post of the worker.
    pub(crate) fn post(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).expect("the worker posts")
    }
}

impl Post {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let same = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }
}

fn serve(connection: &TcpStream, calls: &Mutex<VecDeque<Call>>, posts: &Sender<Post>) {
    let mut reader = BufReader::new(connection);
    while let Some((method, path, headers, body)) = read_request(&mut reader) {
        let answer = if method == "GET" {
            assert_eq!(path, "/2018-06-01/runtime/invocation/next");
            let Some(call) = calls.lock().unwrap().pop_front() else { continue };
            answer_with(200, &call.headers, &call.payload)
        } else {
            let body = String::from_utf8(body).unwrap();
            let _ = posts.send(Post { path, headers, body });
            answer_with(202, &[], b"{\"status\":\"OK\"}\n")
        };
        if (&*connection).write_all(&answer).is_err() {
            return;
        }
    }
}

type Request = (String, String, Vec<(String, String)>, Vec<u8>);

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    while let Some(line) = next().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, headers, body))
}

fn answer_with(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Fine\r\n{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
