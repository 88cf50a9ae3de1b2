use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tomte_wire::control::{Problem, Status};

/// Longest wait for an answer of the hub.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the control interface: HTTP/1.1 over the hub's Unix socket, one connection for each
/// request.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

/// What the hub answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the body as the type that the interface promises.
    ///
    /// # Errors
    /// Fails when the hub refused, with its [`Problem`] in the message, or the body has another form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let text = String::from_utf8_lossy(&self.body);
        if self.status >= 400 {
            bail!("the hub refused with {}: {text}", self.status);
        }
        serde_json::from_slice(&self.body).with_context(|| format!("read {text:?}"))
    }

    /// Returns the problem of a refusal.
    ///
    /// # Errors
    /// Fails when the hub did not refuse, or refused in another form.
    pub fn problem(&self) -> Result<Problem> {
        let text = String::from_utf8_lossy(&self.body);
        if self.status < 400 {
            bail!("the hub did not refuse, it answered {}: {text}", self.status);
        }
        serde_json::from_slice(&self.body).with_context(|| format!("read {text:?}"))
    }
}

impl Control {
    /// Returns a client of the hub that listens at `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// Fails when there is no hub, or it answers something that is not HTTP.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, b"")
    }

    /// Sends a POST with JSON.
    ///
    /// # Errors
    /// Fails when there is no hub, or it answers something that is not HTTP.
    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.request("POST", path, &serde_json::to_vec(body)?)
    }

    /// Sends a request with any body.
    ///
    /// # Errors
    /// Fails when there is no hub, or it answers something that is not HTTP.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let mut stream = self.send(method, path, body)?;
        let (status, headers) = read_head(&mut stream)?;
        let body = read_body(&mut stream, &headers)?;
        Ok(Answer { status, body })
    }

    /// Sends a GET whose answer is lines that come as things happen.
    ///
    /// # Errors
    /// Fails when there is no hub, or it refuses.
    pub fn lines(&self, path: &str) -> Result<Lines> {
        let mut stream = self.send("GET", path, b"")?;
        let (status, headers) = read_head(&mut stream)?;
        if status != 200 {
            bail!("GET {path} was refused with {status}");
        }
        Ok(Lines { stream, chunked: is_chunked(&headers), text: Vec::new() })
    }

    /// Returns the hub's status.
    ///
    /// # Errors
    /// Fails when there is no hub.
    pub fn status(&self) -> Result<Status> {
        self.get("/v1/status")?.json()
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("connect {}", self.socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).context("send the request")?;
        Ok(BufReader::new(stream))
    }
}

type Headers = Vec<(String, String)>;

fn read_head(stream: &mut impl BufRead) -> Result<(u16, Headers)> {
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{first:?} is no status line"))?;
    let mut headers = Headers::new();
    loop {
        let line = read_line(stream)?;
        match line.split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Ok((status, headers)),
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).context("read the answer")? == 0 {
        bail!("the hub closed the connection in the middle of an answer");
    }
    Ok(line.trim_end().to_owned())
}

fn is_chunked(headers: &Headers) -> bool {
    headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked")
}

fn read_body(stream: &mut impl BufRead, headers: &Headers) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if is_chunked(headers) {
        while let Some(chunk) = read_chunk(stream)? {
            body.extend_from_slice(&chunk);
        }
        return Ok(body);
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    match length.and_then(|(_, value)| value.parse::<u64>().ok()) {
        Some(length) => stream.take(length).read_to_end(&mut body)?,
        None => stream.read_to_end(&mut body)?,
    };
    Ok(body)
}

fn read_chunk(stream: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let size = read_line(stream)?;
    let size = usize::from_str_radix(&size, 16).with_context(|| format!("{size:?} is no size"))?;
    let mut chunk = vec![0; size];
    stream.read_exact(&mut chunk).context("read a chunk")?;
    read_line(stream)?;
    Ok((size > 0).then_some(chunk))
}

/// An answer that goes on: lines of JSON.
pub struct Lines {
    stream: BufReader<UnixStream>,
    chunked: bool,
    text: Vec<u8>,
}

impl Lines {
    /// Waits for the next line and reads it.
    ///
    /// # Errors
    /// Fails when none comes in half a minute, the hub ends the answer, or the line has another form.
    pub fn next_line<T: DeserializeOwned>(&mut self) -> Result<T> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).into_owned();
                return serde_json::from_str(&line).with_context(|| format!("read {line:?}"));
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<()> {
        if self.chunked {
            let chunk = read_chunk(&mut self.stream)?.context("the hub ended the answer")?;
            self.text.extend_from_slice(&chunk);
        } else {
            let line = read_line(&mut self.stream)?;
            self.text.extend_from_slice(line.as_bytes());
            self.text.push(b'\n');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Answers one request with `answer` and hands back what was asked.
    fn check(answer: &'static str, expect: impl Fn(Result<Answer>)) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("hub.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        expect(Control::new(&socket).post("/v1/x", &serde_json::json!({"a": 1})));
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /v1/x HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn a_body_of_known_length_is_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42", |answer| {
            assert_eq!(answer.unwrap().json::<u8>().unwrap(), 42);
        });
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let answer =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n4\r\n1\r\n2\r\n0\r\n\r\n";
        check(answer, |answer| assert_eq!(answer.unwrap().json::<u8>().unwrap(), 42));
    }

    #[test]
    fn a_refusal_is_no_answer() {
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 30\r\n\r\n{\"reason\":\"a\",\"message\":\"gone\"}";
        check(answer, |answer| assert!(answer.unwrap().json::<u8>().is_err()));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        check("HTTP/1.1 200 OK\r\n", |answer| assert!(answer.is_err()));
    }
}
