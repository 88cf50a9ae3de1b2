//! The records of a turn, on their way to the journal.

use std::time::Duration;

use tomte_base::{LogPosition, Time};
use tomte_journal::{SyncMode, WriteError};

use super::EventLoop;
use crate::problem::chain;
use crate::syncer::Synced;

/// How long a journal that a failed sync has closed is left alone before the disk is tried again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Writes the records of this turn, and tells the machine how far they are safe.
    pub(super) fn commit(&mut self, now: Time) {
        match self.syncer.take_synced() {
            Some(Synced::UpTo(synced)) if self.mode == SyncMode::Power => {
                self.hub.on_durable(now, LogPosition(synced));
                self.hub.on_readable_again(LogPosition(synced));
            }
            Some(Synced::UpTo(_)) | None => {}
            Some(Synced::Failed) => self.sync_failed(now),
        }
        // What is released may write records of its own: copies, removals.
        let is_last = self.stopping.is_some();
        while self.hub.must_commit(now) || (is_last && self.hub.has_records()) {
            let journal = &mut self.journal;
            self.hub.drain_records(|position, record| journal.append(position.0, record));
            match self.journal.commit() {
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

    /// The disk did not take what was written: whatever waits for it is refused.
    pub(super) fn sync_failed(&mut self, now: Time) {
        self.hub.on_journal_failed(false);
        self.begin_journal_anew(now);
    }

    pub(super) fn commit_failed(&mut self, now: Time, error: &WriteError) {
        tracing::error!(error = %chain(error), "the journal could not be written; what waits for it is refused");
        self.journal.discard_batch();
        self.hub.on_journal_failed(error.is_full());
        if error.is_poisoned() {
            self.begin_journal_anew(now);
        }
    }

    /// In the mode `power` the journal goes on in a new segment, and the machine writes into it what
    /// the disk lost. In the others only a new process can tell what is left.
    pub(super) fn begin_journal_anew(&mut self, now: Time) {
        if self.mode != SyncMode::Power || now < self.retry_journal_at {
            return;
        }
        self.retry_journal_at = now + JOURNAL_RETRY;
        match self.journal.begin_anew() {
            Ok(position) => {
                tracing::warn!(position, "the journal goes on after a failure of the disk");
                self.hub.on_rolled();
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the journal stays closed");
            }
        }
    }
}
