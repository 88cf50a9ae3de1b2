//! The thread that forces what the journal has written to the disk, so that the event loop never
//! waits for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;
use tomte_journal::{Disk, SyncHandle, SyncMode};

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
    synced: Option<Synced>,
}

/// What the thread has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// The disk has everything up to this position.
    UpTo(u64),
    /// The disk refused; the journal takes no more records until it is begun anew.
    Failed,
}

impl Syncer {
    /// Starts the thread. In the mode `power`, `waker` is woken when more is safe; in every mode
    /// when the disk refuses.
    pub(crate) fn start<D: Disk>(
        handle: SyncHandle<D>,
        mode: SyncMode,
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
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

    /// What the thread found out since the last look. A failure stays until it was seen.
    pub(crate) fn take_synced(&self) -> Option<Synced> {
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

fn sync_until_stopped<D: Disk>(
    (state, changed): &(Mutex<SyncState>, Condvar),
    handle: &SyncHandle<D>,
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
        let synced = handle.sync();
        if let Err(error) = &synced {
            tracing::error!(error = %chain(error), "failed to force the journal to the disk");
        }
        let is_news = mode == SyncMode::Power || synced.is_err();
        tell(&mut Syncer::lock(state), synced.ok());
        if is_news {
            let _the_loop_has_stopped = waker.wake();
        }
        if stop {
            return;
        }
        if mode != SyncMode::Power {
            std::thread::sleep(SYNC_PERIOD);
        }
    }
}

/// Notes what a sync said, in such a way that a failure is not covered by what came after it.
fn tell(state: &mut SyncState, synced: Option<u64>) {
    state.synced = match (state.synced, synced) {
        (Some(Synced::Failed), _) | (_, None) => Some(Synced::Failed),
        (_, Some(position)) => Some(Synced::UpTo(position)),
    };
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use mio::{Events, Poll, Token};
    use tomte_journal::{Fault, Journal, JournalConfig, MemoryDisk, Operation};

    use super::*;

    struct Bed {
        disk: MemoryDisk,
        journal: Journal<MemoryDisk>,
        syncer: Syncer,
        poll: Poll,
    }

    fn bed(mode: SyncMode) -> Bed {
        let disk = MemoryDisk::new();
        let config = JournalConfig { mode, ..JournalConfig::new(Path::new("journal")) };
        let (journal, _) = Journal::open_on(disk.clone(), &config, |_, _| Ok(())).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let syncer = Syncer::start(journal.sync_handle(), mode, waker).unwrap();
        Bed { disk, journal, syncer, poll }
    }

    impl Bed {
        fn write(&mut self, position: u64) {
            self.journal.append(position, b"record");
            self.journal.commit().unwrap();
            self.syncer.wrote();
        }

        /// What the thread says; the event loop is woken for it.
        fn said(&mut self) -> Synced {
            let began = Instant::now();
            let mut events = Events::with_capacity(1);
            while began.elapsed() < Duration::from_secs(10) {
                self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
                if let Some(synced) = self.syncer.take_synced() {
                    return synced;
                }
            }
            panic!("the thread says nothing")
        }

        fn fail_next_sync(&self) {
            let (operation, short) = (Operation::SyncFile, None);
            self.disk.fail(Fault { operation, countdown: 0, errno: 5, short });
        }
    }

    /// Proves a part of: MQT-2.
    #[test]
    fn a_failed_sync_is_told_and_after_a_new_beginning_the_next_one_counts() {
        let mut bed = bed(SyncMode::Power);
        bed.write(1);
        assert_eq!(bed.said(), Synced::UpTo(1));
        bed.fail_next_sync();
        bed.write(2);
        assert_eq!(bed.said(), Synced::Failed);
        bed.journal.append(3, b"record");
        assert!(bed.journal.commit().unwrap_err().is_poisoned());
        bed.journal.discard_batch();
        bed.journal.begin_anew().unwrap();
        bed.write(4);
        assert_eq!(bed.said(), Synced::UpTo(4));
    }

    #[test]
    fn a_failed_sync_is_told_in_the_mode_process_too() {
        let mut bed = bed(SyncMode::Process);
        bed.fail_next_sync();
        bed.write(1);
        assert_eq!(bed.said(), Synced::Failed);
    }

    #[test]
    fn a_failure_is_not_covered_by_a_later_success() {
        let mut state = SyncState::default();
        tell(&mut state, Some(1));
        tell(&mut state, None);
        tell(&mut state, Some(2));
        assert_eq!(state.synced, Some(Synced::Failed));
    }
}
