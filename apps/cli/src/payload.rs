//! Payloads and events as the command line names them.

use std::fs;
use std::io::{self, Read as _};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::exit::Exit;
use crate::failure::Failure;

/// Largest payload that is read, in bytes: the largest that MQTT can carry.
const MAX_BYTES: u64 = 268_435_455;

/// Returns the bytes that `text` names: `-` is standard input, `@file` a file, all else itself.
///
/// # Errors
/// Fails when the input cannot be read or is longer than MQTT can carry.
pub(crate) fn read(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix('@') {
        _ if text == "-" => bounded(io::stdin().lock(), "standard input"),
        Some(path) => {
            let file = fs::File::open(path);
            let file = file.with_context(|| format!("failed to open the payload {path}"))?;
            bounded(file, path)
        }
        None => Ok(text.as_bytes().to_owned()),
    }
}

fn bounded(input: impl io::Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("failed to read the payload from {name}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        let message =
            format!("{name} is longer than {MAX_BYTES} bytes, the most that MQTT carries");
        return Err(Failure::new(Exit::Failed, message, "send it in parts").into());
    }
    Ok(bytes)
}

/// Returns bytes as they travel inside JSON.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Returns the bytes that were sent inside JSON.
///
/// # Errors
/// Fails when the text is not base64.
pub(crate) fn from_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    STANDARD.decode(text).context("failed to read the payload in the hub's answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_itself_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event.json");
        fs::write(&path, [0, 255]).unwrap();
        assert_eq!(read("{}").unwrap(), b"{}");
        assert_eq!(read(&format!("@{}", path.display())).unwrap(), [0, 255]);
        let error = read("@/no/such/file").unwrap_err();
        assert_eq!(error.to_string(), "failed to open the payload /no/such/file");
    }

    #[test]
    fn bytes_come_back_from_base64() {
        assert_eq!(from_base64(&to_base64(&[0, 1, 255])).unwrap(), [0, 1, 255]);
        assert!(from_base64("§").is_err());
    }
}
