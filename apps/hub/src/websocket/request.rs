//! The request that turns an HTTP connection into a WebSocket (RFC 6455, section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Bytes of the longest request head that is looked at.
pub(crate) const MAX_HEAD_BYTES: usize = 8 << 10;
/// Header lines that a request may have.
const MAX_HEADERS: usize = 64;
/// What a request begins with.
const METHOD: &[u8] = b"GET ";
/// What ends a head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";
/// The name of MQTT among the subprotocols (MQTT-6.0.0-3).
const SUBPROTOCOL: &str = "mqtt";
/// What the accepting side adds to the client's key (RFC 6455, section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that is not granted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Code and phrase.
    pub(crate) status: &'static str,
    /// What is wrong, for whoever reads the answer.
    pub(crate) why: String,
}

impl Refusal {
    fn bad(why: impl Into<String>) -> Self {
        Self { status: "400 Bad Request", why: why.into() }
    }

    fn upgrade(why: impl Into<String>) -> Self {
        Self { status: "426 Upgrade Required", why: why.into() }
    }

    /// The answer as it is sent.
    pub(crate) fn to_response(&self) -> Vec<u8> {
        let Self { status, why } = self;
        let length = why.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{why}\n"
        )
        .into_bytes()
    }
}

/// Finds where the head of a request ends. The first `seen` bytes were looked at before.
///
/// # Errors
/// Fails when this will be no request, or one that is too long.
pub(crate) fn end_of_head(bytes: &[u8], seen: usize) -> Result<Option<usize>, Refusal> {
    let n = bytes.len().min(METHOD.len());
    if bytes[..n] != METHOD[..n] {
        return Err(Refusal::bad("this is neither MQTT nor a GET request of HTTP"));
    }
    let from = seen.saturating_sub(BLANK_LINE.len() - 1);
    let ends = bytes[from..].windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE);
    let end = ends.map(|at| from + at + BLANK_LINE.len());
    if end.unwrap_or(bytes.len()) > MAX_HEAD_BYTES {
        let why = format!("the head of the request is longer than {MAX_HEAD_BYTES} bytes");
        return Err(Refusal { status: "431 Request Header Fields Too Large", why });
    }
    Ok(end)
}

/// Looks at a whole head and returns the answer that opens the WebSocket. Pages of `origins`, written
/// in lower case, may ask for it from other hosts.
///
/// # Errors
/// Fails with what is missing or wrong.
pub(crate) fn accept(head: &[u8], origins: &[String]) -> Result<Vec<u8>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::bad("the request is not complete")),
        Err(error) => return Err(Refusal::bad(format!("the request is not HTTP: {error}"))),
    }
    if request.version != Some(1) {
        return Err(Refusal::bad("the request is not of HTTP/1.1"));
    }
    let headers = Headers(request.headers);
    check_upgrade(&headers)?;
    check_origin(&headers, origins)?;
    let key = key(&headers)?;
    if !headers.items("sec-websocket-protocol").any(|item| item == SUBPROTOCOL) {
        let why = "Sec-WebSocket-Protocol does not offer mqtt (which is MQTT 3.1.1 and 5)";
        return Err(Refusal::bad(why));
    }
    let accept = accept_key(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    Ok(answer.into_bytes())
}

fn check_upgrade(headers: &Headers<'_>) -> Result<(), Refusal> {
    let has = |name: &str, wanted: &str| {
        headers.items(name).any(|item| item.eq_ignore_ascii_case(wanted))
    };
    if !has("upgrade", "websocket") {
        let why = "this port speaks MQTT, also over WebSocket, and the request has no \
                   Upgrade: websocket";
        return Err(Refusal::upgrade(why));
    }
    if !has("connection", "upgrade") {
        return Err(Refusal::bad("the request has no Connection: Upgrade"));
    }
    if !has("sec-websocket-version", "13") {
        return Err(Refusal::upgrade("Sec-WebSocket-Version is not 13"));
    }
    Ok(())
}

/// Refuses pages of other hosts: a browser tells by `Origin` which page asks, and would let any page
/// of the web reach a hub on the reader's own network. Clients that are no browsers send none, or the
/// address that they connect to.
fn check_origin(headers: &Headers<'_>, origins: &[String]) -> Result<(), Refusal> {
    let host = headers.one("host")?;
    for origin in headers.values("origin") {
        if origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            continue;
        }
        let page = origin.split_once("://").map(|(_, authority)| host_name(authority));
        if page.is_none_or(|page| !page.eq_ignore_ascii_case(host_name(host))) {
            let why = format!(
                "a page of {origin} may not connect to {host}; listeners.origins can allow it"
            );
            return Err(Refusal { status: "403 Forbidden", why });
        }
    }
    Ok(())
}

/// The host without its port.
fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The client's key: 16 bytes in base64.
fn key<'a>(headers: &Headers<'a>) -> Result<&'a str, Refusal> {
    let key = headers.one("sec-websocket-key")?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err(Refusal::bad("Sec-WebSocket-Key is not 16 bytes in base64")),
    }
}

/// What proves that the request was understood.
pub(crate) fn accept_key(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize())
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        let values = self.0.iter().filter(of_name);
        values.filter_map(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    }

    /// The members of a list, which may be on several lines.
    fn items(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    fn one(&self, name: &str) -> Result<&'a str, Refusal> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(Refusal::bad(format!("the request has no {name}"))),
            (Some(_), Some(_)) => Err(Refusal::bad(format!("the request has {name} twice"))),
        }
    }
}
