//! What SIGHUP asks for. The kernel sends it when the terminal of a process goes away; people send it to
//! make a service read its files again. The hub tells the two apart by looking at its terminal.

use std::fs;
use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What to do about a SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// Read the identity files again.
    Reload,
    /// Stop: the terminal that the hub was started in is gone.
    Stop,
}

/// SIGHUPs as they come.
pub(crate) struct Hangups {
    signal: Signal,
    ends_with_its_terminal: bool,
}

impl Hangups {
    /// Takes SIGHUP from now on, so that it no longer ends the process.
    ///
    /// A process that was started with SIGHUP ignored, as by `nohup`, shall outlive its terminal; it
    /// reloads like any other.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = fs::read_to_string("/proc/self/status").is_ok_and(|it| ignores_hangup(&it));
        let ends_with_its_terminal = !ignored && has_terminal();
        Ok(Self { signal: signal(SignalKind::hangup())?, ends_with_its_terminal })
    }

    /// Waits for the next one.
    ///
    /// *Cancel safety:* none is lost.
    pub(crate) async fn next(&mut self) -> Hangup {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        if self.ends_with_its_terminal && !has_terminal() { Hangup::Stop } else { Hangup::Reload }
    }
}

/// A terminal that is gone is no terminal any more.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Reads from a `/proc/PID/status` whether the process ignores SIGHUP, signal 1 (proc(5)).
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_read_from_the_mask() {
        let status =
            |mask: &str| format!("Name:\ttomte\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hangup(&status("0000000000000001")));
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup("Name:\ttomte\n"));
    }
}
