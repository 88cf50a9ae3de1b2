//! The thread that forces what the journal has written to the disk, so that the event loop never
//! waits for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;
use tomte_journal::{SyncHandle, SyncMode};

use crate::problem::chain;

/// How often data is forced to the disk in the mode `process`, at most.
const SYNC_PERIOD: Duration = Duration::from_millis(100);

/// The thread, as the event loop holds it.
pub(crate) struct Syncer {
    state: Arc<(Mutex<SyncState>, Condvar)>,
    mode: SyncMode,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct SyncState {
    wanted: bool,
    stop: bool,
    synced: Option<u64>,
}

impl Syncer {
    /// Starts the thread. In the mode `power`, `waker` is woken when more is safe.
    pub(crate) fn start(handle: SyncHandle, mode: SyncMode, waker: Arc<Waker>) -> io::Result<Self> {
        let state = Arc::new((Mutex::new(SyncState::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || sync_until_stopped(&shared, &handle, mode, &waker))?;
        Ok(Self { state, mode, thread: Some(thread) })
    }

    fn lock(state: &Mutex<SyncState>) -> MutexGuard<'_, SyncState> {
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there is something to force to the disk.
    pub(crate) fn wrote(&self) {
        if self.mode == SyncMode::None {
            return;
        }
        let mut state = Self::lock(&self.state.0);
        if !state.wanted {
            state.wanted = true;
            self.state.1.notify_one();
        }
    }

    /// How far the disk has it, when that changed.
    pub(crate) fn synced_up_to(&self) -> Option<u64> {
        if self.mode != SyncMode::Power {
            return None;
        }
        Self::lock(&self.state.0).synced.take()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        Self::lock(&self.state.0).stop = true;
        self.state.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _it_panicked_and_said_so = thread.join();
        }
    }
}

fn sync_until_stopped(
    (state, changed): &(Mutex<SyncState>, Condvar),
    handle: &SyncHandle,
    mode: SyncMode,
    waker: &Waker,
) {
    loop {
        let mut guard = Syncer::lock(state);
        while !guard.wanted && !guard.stop {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        let stop = guard.stop;
        guard.wanted = false;
        drop(guard);
        match handle.sync() {
            Ok(position) if mode == SyncMode::Power => {
                Syncer::lock(state).synced = Some(position);
                let _the_loop_has_stopped = waker.wake();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = %chain(&error), "failed to force the journal to the disk")
            }
        }
        if stop {
            return;
        }
        if mode != SyncMode::Power {
            std::thread::sleep(SYNC_PERIOD);
        }
    }
}
