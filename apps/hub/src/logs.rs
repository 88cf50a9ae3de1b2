//! What functions write: one file for each function, and whoever follows along.
//!
//! A file holds one JSON line for each line of output and is bounded: when it is full it becomes
//! `<function>.log.1` and a new one begins. A function that writes faster than the disk takes is
//! slowed down by its own pipe; nothing is dropped and nothing grows.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;
use tomte_wire::control::{Flow, FlowEvent, LogLine};

use crate::clock::Clock;
use crate::flow_stream::FlowSender;

/// Bytes of one log file; two are kept for each function.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Bytes of one line; a longer one is cut into several.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Lines that a follower may lag behind.
const BACKLOG: usize = 4_096;

/// The logs of all functions.
#[derive(Clone)]
pub(crate) struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    clock: Clock,
    files: Mutex<HashMap<String, LogFile>>,
    lines: broadcast::Sender<LogLine>,
    flow: FlowSender,
}

struct LogFile {
    file: File,
    bytes: u64,
}

impl Logs {
    pub(crate) fn open(folder: &Path, clock: Clock, flow: FlowSender) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (lines, _) = broadcast::channel(BACKLOG);
        let files = Mutex::new(HashMap::new());
        let inner = Inner { folder: folder.to_owned(), clock, files, lines, flow };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Follows all lines from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<LogLine> {
        self.inner.lines.subscribe()
    }

    /// Adds one line.
    pub(crate) fn write(&self, function: &str, call: Option<String>, stream: &str, text: &str) {
        let line = LogLine {
            at_ms: self.inner.clock.now().as_millis(),
            function: function.to_owned(),
            call,
            stream: stream.to_owned(),
            text: text.to_owned(),
        };
        if let Err(error) = self.inner.append(&line) {
            tracing::warn!(function, %error, "failed to write a line of the function's log");
        }
        if self.inner.flow.receiver_count() > 0 {
            let at_us = self.inner.clock.now().0 / 1_000;
            let _nobody_watches =
                self.inner.flow.send(FlowEvent { at_us, what: Flow::Log(line.clone()) });
        }
        let _nobody_follows = self.inner.lines.send(line);
    }

    /// Returns the last `tail` lines of a function, or of all when none is named, oldest first.
    ///
    /// # Errors
    /// Fails when a log file cannot be read.
    pub(crate) fn tail(&self, function: Option<&str>, tail: usize) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(&self.inner.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(of) = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.1")) else {
                continue;
            };
            if function.is_none_or(|function| function == of) {
                lines.extend(last_lines(&path, tail)?);
            }
        }
        lines.sort_by_key(|line| line.at_ms);
        let skip = lines.len().saturating_sub(tail);
        Ok(lines.split_off(skip))
    }

    /// Copies what comes from a worker's pipe into the log, line by line, until the pipe ends.
    pub(crate) async fn copy(
        &self,
        mut pipe: impl AsyncRead + Unpin,
        function: &str,
        stream: &str,
        current_call: impl Fn() -> Option<String>,
    ) {
        let mut buffer = Vec::with_capacity(1 << 10);
        let mut chunk = vec![0; 8 << 10];
        while let Ok(n @ 1..) = pipe.read(&mut chunk).await {
            buffer.extend_from_slice(&chunk[..n]);
            while let Some(length) = line_length(&buffer) {
                let line: Vec<u8> = buffer.drain(..length).collect();
                self.write(
                    function,
                    current_call(),
                    stream,
                    String::from_utf8_lossy(&line).trim_end(),
                );
            }
            // Others want the thread too.
            tokio::task::yield_now().await;
        }
        if !buffer.is_empty() {
            self.write(
                function,
                current_call(),
                stream,
                String::from_utf8_lossy(&buffer).trim_end(),
            );
        }
    }
}

fn line_length(buffer: &[u8]) -> Option<usize> {
    let end = buffer.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n');
    end.map(|at| at + 1).or((buffer.len() >= MAX_LINE_BYTES).then_some(MAX_LINE_BYTES))
}

fn last_lines(path: &Path, tail: usize) -> io::Result<Vec<LogLine>> {
    let mut lines = std::collections::VecDeque::new();
    for line in BufReader::new(File::open(path)?).lines() {
        // A line that a crash cut in half is no line.
        let Ok(line) = serde_json::from_str(&line?) else { continue };
        lines.push_back(line);
        if lines.len() > tail {
            lines.pop_front();
        }
    }
    Ok(lines.into())
}

impl Inner {
    fn append(&self, line: &LogLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = self.folder.join(format!("{}.log", line.function));
        if files.get(&line.function).is_some_and(|log| log.bytes >= MAX_FILE_BYTES) {
            files.remove(&line.function);
            std::fs::rename(&path, path.with_extension("log.1"))?;
        }
        let log = match files.entry(line.function.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let file = OpenOptions::new().create(true).append(true).open(&path)?;
                let bytes = file.metadata()?.len();
                entry.insert(LogFile { file, bytes })
            }
        };
        log.file.write_all(text.as_bytes())?;
        log.bytes += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(folder: &Path) -> Logs {
        let (flow, _) = broadcast::channel(1);
        Logs::open(folder, Clock::start(), flow).unwrap()
    }

    async fn copied(text: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path());
        logs.copy(text, "f", "stdout", || None).await;
        logs.tail(Some("f"), 1_000).unwrap().into_iter().map(|line| line.text).collect()
    }

    #[tokio::test]
    async fn output_becomes_lines_also_without_a_last_line_end() {
        assert_eq!(copied(b"one\r\ntwo\n\nthree").await, ["one", "two", "", "three"]);
    }

    #[tokio::test]
    async fn a_line_past_the_limit_is_cut_and_bytes_that_are_no_text_are_shown() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let lines = copied(&long).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE_BYTES, 1]);
        assert_eq!(copied(b"\xff!").await, ["\u{fffd}!"]);
    }

    #[test]
    fn the_last_lines_of_all_functions_come_in_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path());
        for n in 0..5 {
            logs.write(if n % 2 == 0 { "even" } else { "odd" }, None, "stdout", &n.to_string());
        }
        let text = |lines: Vec<LogLine>| lines.into_iter().map(|l| l.text).collect::<Vec<_>>();
        assert_eq!(text(logs.tail(None, 3).unwrap()).len(), 3);
        assert_eq!(text(logs.tail(Some("odd"), 10).unwrap()), ["1", "3"]);
        assert!(logs.tail(Some("unknown"), 10).unwrap().is_empty());
    }

    #[test]
    fn a_full_file_is_put_aside_so_that_two_files_bound_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path());
        let text = "x".repeat(MAX_LINE_BYTES);
        let lines = 3 * usize::try_from(MAX_FILE_BYTES).unwrap() / MAX_LINE_BYTES;
        for _ in 0..lines {
            logs.write("f", None, "stdout", &text);
        }
        let sizes: Vec<u64> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        let limit = MAX_FILE_BYTES + 2 * MAX_LINE_BYTES as u64;
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= limit), "{sizes:?}");
    }
}
