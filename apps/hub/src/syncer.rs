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
    synced: Synced,
}

/// What the thread has to say. One does not cover the other: the journal may have been begun anew between a
/// failure and a success, and what was safe before a failure still is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// The disk has everything up to this position.
    pub(crate) up_to: Option<u64>,
    /// The disk refused; the journal takes no more records until it is begun anew.
    pub(crate) failed: bool,
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

    /// What the thread found out since the last look.
    pub(crate) fn take_synced(&self) -> Synced {
        std::mem::take(&mut Self::lock(&self.state.0).synced)
    }

    /// Says that a sync failed, as the thread does.
    #[cfg(test)]
    pub(crate) fn tell_failed(&self) {
        Self::lock(&self.state.0).synced.tell(None);
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
        Syncer::lock(state).synced.tell(synced.ok());
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

impl Synced {
    /// Notes what a sync said: the position that it came to, or none.
    fn tell(&mut self, synced: Option<u64>) {
        match synced {
            Some(position) => self.up_to = Some(position),
            None => self.failed = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use mio::{Events, Poll, Token};
    use tomte_journal::{Fault, Journal, JournalConfig, MemoryDisk, Operation};

    use super::*;

    const FAILED: Synced = Synced { up_to: None, failed: true };

    fn up_to(position: u64) -> Synced {
        Synced { up_to: Some(position), failed: false }
    }

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
                let synced = self.syncer.take_synced();
                if synced != Synced::default() {
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
        assert_eq!(bed.said(), up_to(1));
        bed.fail_next_sync();
        bed.write(2);
        assert_eq!(bed.said(), FAILED);
        bed.journal.append(3, b"record");
        assert!(bed.journal.commit().unwrap_err().is_poisoned());
        bed.journal.discard_batch();
        bed.journal.begin_anew().unwrap();
        bed.write(4);
        assert_eq!(bed.said(), up_to(4));
    }

    #[test]
    fn a_failed_sync_is_told_in_the_mode_process_too() {
        let mut bed = bed(SyncMode::Process);
        bed.fail_next_sync();
        bed.write(1);
        assert_eq!(bed.said(), FAILED);
    }

    #[test]
    fn a_failure_and_a_success_do_not_cover_each_other() {
        for told in [[Some(1), None, Some(2)], [None, Some(1), Some(2)], [Some(1), Some(2), None]] {
            let mut synced = Synced::default();
            told.into_iter().for_each(|told| synced.tell(told));
            assert_eq!(synced, Synced { up_to: Some(2), failed: true }, "{told:?}");
        }
    }
}
