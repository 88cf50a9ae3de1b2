use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Work that takes less than this shows nothing.
const SILENT: Duration = Duration::from_millis(500);

/// Shows on standard error that something takes its time: a moving line on a terminal, one plain
/// line elsewhere, and nothing when it is done within half a second.
pub(crate) struct Progress {
    done: Option<Sender<()>>,
    shown: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to wait for `what`, a phrase such as "packing functions/regulate".
    pub(crate) fn of(what: &str) -> Self {
        let (done, wait) = channel();
        let what = what.to_owned();
        let shown = thread::spawn(move || {
            if wait.recv_timeout(SILENT) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = io::stderr().is_terminal().then(|| spinner(&what));
            if bar.is_none() {
                // Progress that cannot be shown is no failure.
                let _ = writeln!(io::stderr(), "{what} ...");
            }
            // Ends with the message or with the sender.
            let _ = wait.recv();
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Self { done: Some(done), shown: Some(shown) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(shown) = self.shown.take() {
            // The thread only shows; its panic would change nothing.
            let _ = shown.join();
        }
    }
}

fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
