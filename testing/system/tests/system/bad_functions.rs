//! Functions that misbehave: the caller is told what happened, and nobody else notices.

use std::path::Path;

use anyhow::Result;
use tomte_testkit::Hub;
use tomte_wire::control::CallReport;

use crate::manifests::{LISTENERS, write_function};

const FUNCTIONS: [(&str, &str); 8] = [
    ("good", "def handler(event, context):\n    return event\n"),
    ("no_handler", "def other(event, context):\n    return event\n"),
    ("raises_at_import", "raise RuntimeError('not today')\n"),
    ("raises", "def handler(event, context):\n    raise ValueError('bad reading')\n"),
    ("sleeps", "import time\ndef handler(event, context):\n    time.sleep(600)\n"),
    (
        "forks",
        "import os, time\ndef handler(event, context):\n    while True:\n        \
         if os.fork() == 0:\n            time.sleep(600)\n",
    ),
    ("eats", "def handler(event, context):\n    return len(bytearray(1 << 30))\n"),
    (
        "chatters",
        "def handler(event, context):\n    line = 'x' * 999\n    for _ in range(1_000_000):\n        \
         print(line)\n    return 'done'\n",
    ),
];

const RETURNS_TOO_MUCH: (&str, &str) =
    ("returns_too_much", "def handler(event, context):\n    return 'x' * 100_000_000\n");

fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    FUNCTIONS.into_iter().chain([RETURNS_TOO_MUCH])
}

fn manifest() -> String {
    let mut manifest = format!("[hub]\nname = \"bad\"\n{LISTENERS}\n");
    for (name, _) in functions() {
        // Enough for a good function, and for a bad one to be found out.
        let (timeout, memory) =
            if name == "returns_too_much" { ("30s", "1GiB") } else { ("3s", "256MiB") };
        manifest += &format!(
            "[functions.{name}]\nruntime = \"python3.11\"\nhandler = \"app.handler\"\n\
             code = \"functions/{name}\"\nmemory = \"{memory}\"\ntimeout = \"{timeout}\"\n"
        );
    }
    manifest
}

fn write_all(project: &Path) -> Result<()> {
    functions().try_for_each(|(name, code)| write_function(project, name, "app.py", code))
}

fn call(hub: &Hub, function: &str) -> (CallReport, String) {
    let path = format!("/v1/calls/{function}");
    let report: CallReport =
        hub.control().request("POST", &path, b"{\"n\":1}").unwrap().json().unwrap();
    let payload = decode_base64(&report.payload_base64);
    (report, payload)
}

fn decode_base64(text: &str) -> String {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for sextet in text.bytes().map_while(value) {
        bits = (bits << 6) | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn check(hub: &Hub, function: &str, outcome: &str, expect: &str) {
    let (report, payload) = call(hub, function);
    assert_eq!(report.outcome, outcome, "{function}: {payload}");
    assert!(payload.contains(expect), "{function}: {expect:?} in {payload}");
    let (good, payload) = call(hub, "good");
    assert_eq!(
        (good.outcome.as_str(), payload.replace(' ', "").as_str()),
        ("succeeded", "{\"n\":1}")
    );
}

/// Proves a part of: SCH-20, SCH-17.
#[test]
fn a_function_that_misbehaves_harms_nobody_else() {
    let hub = Hub::start_with(&manifest(), write_all).unwrap();
    check(&hub, "raises", "handled", "bad reading");
    check(&hub, "no_handler", "unhandled", "handler");
    check(&hub, "raises_at_import", "unhandled", "not today");
    check(&hub, "sleeps", "unhandled", "timed out");
    check(&hub, "forks", "handled", "");
    check(&hub, "eats", "unhandled", "out of memory");
    // The hub reads its output no faster than it keeps it, so it does not come to its end.
    check(&hub, "chatters", "unhandled", "timed out");
    check(&hub, "returns_too_much", "handled", "");
    assert!(folder_bytes(&hub.state()) < 300 << 20, "a gigabyte of logs does not fill the disk");
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
