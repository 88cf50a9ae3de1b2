use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Calls `stop` at each Ctrl-C and at SIGTERM, on a thread of its own.
///
/// # Errors
/// Fails when the system refuses the signal handlers or the thread.
pub(crate) fn on_interrupt(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let listen = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => stop(),
                _ = terminate.recv() => stop(),
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(listen))
        .map(drop)
        .context("failed to start the signal thread")
}
