//! The records of a turn, on their way to the journal.

use tomte_base::{LogPosition, Time};
use tomte_journal::{Commit, SyncMode, WriteError};

use super::EventLoop;
use crate::problem::chain;
use crate::syncer::Synced;

impl EventLoop {
    /// Writes the records of this turn, and tells the machine how far they are safe.
    pub(super) fn commit(&mut self, now: Time) {
        let Synced { up_to, failed } = self.syncer.take_synced();
        if let Some(position) = up_to.filter(|_| self.mode == SyncMode::Power).map(LogPosition) {
            self.hub.on_durable(now, position);
            self.hub.on_readable_again(position);
        }
        if failed {
            self.sync_failed(now);
        }
        // What is released may write records of its own: copies, removals.
        let is_last = self.stopping.is_some();
        while self.hub.must_commit(now) || (is_last && self.hub.has_records()) {
            let journal = &mut self.journal;
            self.hub.drain_records(|position, record| journal.append(position.0, record));
            match self.write_batch() {
                Ok(commit) => {
                    if commit.rolled.is_some() {
                        self.hub.on_rolled();
                    }
                    self.syncer.wrote();
                    if self.mode != SyncMode::Power {
                        self.hub.on_durable(now, LogPosition(commit.written_up_to));
                        // Without safety some of it is not even written.
                        let written = self.journal.written_up_to();
                        self.hub.on_readable_again(LogPosition(written));
                    }
                }
                Err(error) => self.commit_failed(now, &error),
            }
        }
    }

    /// Writes the batch. Without power safety a journal that is closed may be opened again before: what was
    /// written is written once more, and nobody needs to be refused.
    fn write_batch(&mut self) -> Result<Commit, WriteError> {
        match self.journal.commit() {
            Err(error) if error.is_poisoned() && self.mode != SyncMode::Power => {
                if self.begin_journal_anew() { self.journal.commit() } else { Err(error) }
            }
            result => result,
        }
    }

    /// The disk did not take what was written. In the mode `power` whatever waits for it is refused; in the
    /// others nothing waits for a sync.
    fn sync_failed(&mut self, now: Time) {
        // It may have been heard of already, from a commit.
        if !self.journal.is_closed() {
            return;
        }
        if self.mode == SyncMode::Power {
            self.journal.discard_batch();
            self.hub.on_journal_failed(now, false);
        }
        self.begin_journal_anew();
    }

    fn commit_failed(&mut self, now: Time, error: &WriteError) {
        tracing::error!(error = %chain(error), "the journal could not be written; what waits for it is refused");
        self.journal.discard_batch();
        self.hub.on_journal_failed(now, error.is_full());
        // In the other modes that was tried before.
        if error.is_poisoned() && self.mode == SyncMode::Power {
            self.begin_journal_anew();
        }
    }

    /// Opens a journal that a failure has closed. In the mode `power` it goes on in a new segment, and the
    /// machine writes into it what the disk lost. How often that is tried follows from how often the machine
    /// asks for a commit.
    fn begin_journal_anew(&mut self) -> bool {
        match self.journal.begin_anew() {
            Ok(position) => {
                tracing::warn!(position, "the journal goes on after a failure of the disk");
                if self.mode == SyncMode::Power {
                    self.hub.on_rolled();
                }
                true
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the journal stays closed; messages that must be kept are refused");
                false
            }
        }
    }
}
