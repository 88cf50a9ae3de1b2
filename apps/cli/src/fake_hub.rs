//! A control server for tests: answers what it was told, keeps what it was asked.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

/// A hub that gives prepared answers, one for each connection.
pub(crate) struct FakeHub {
    state: tempfile::TempDir,
    requests: Receiver<String>,
}

impl FakeHub {
    /// Starts a hub that gives `answers` (status line and body) in turn.
    pub(crate) fn answering<const N: usize>(answers: [(&'static str, &'static str); N]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(state.path().join("control.sock")).unwrap();
        let (keep, requests) = channel();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, request) = next_request(&listener);
                keep.send(request).unwrap();
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                // A client that has enough may be gone.
                let _ = stream.write_all((head + body).as_bytes());
            }
        });
        Self { state, requests }
    }

    /// The state folder that leads to this hub.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// What was asked so far: head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

/// Waits for a connection with a request; one without only looked whether somebody answers.
fn next_request(listener: &UnixListener) -> (UnixStream, String) {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        if let Some(request) = read_request(&mut stream) {
            return (stream, request);
        }
    }
}

fn read_request(stream: &mut UnixStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_complete(&request) {
        match stream.read(&mut buffer).unwrap() {
            0 => return None,
            length => request.extend_from_slice(&buffer[..length]),
        }
    }
    Some(String::from_utf8_lossy(&request).into_owned())
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
