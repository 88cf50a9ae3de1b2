//! The thread that forces written records to the disk.

use std::time::Duration;

use tomte_base::{LogPosition, error_chain};
use tomte_journal::SyncMode;

use crate::world::{Event, Input, World};

impl World {
    /// Schedules a sync. In the mode `process` it only bounds what a power cut takes.
    pub(crate) fn want_sync(&mut self) {
        let late = match self.settings.mode {
            SyncMode::Power => self.rng.span(Duration::from_millis(15)),
            _ => Duration::from_millis(100),
        };
        let Some(host) = &mut self.host else { return };
        if !std::mem::replace(&mut host.sync_is_due, true) {
            self.after(late, Event::Sync(self.incarnation));
        }
    }

    /// The thread that syncs does so; the hub learns of it a little later.
    pub(crate) fn sync(&mut self) {
        let Some(host) = &mut self.host else { return };
        host.sync_is_due = false;
        let result = host.sync.sync().map_err(|error| error_chain(&error));
        let late = self.rng.span(Duration::from_millis(2));
        self.after(late, Event::HubOf(self.incarnation, Input::Synced(result)));
    }

    pub(crate) fn synced(&mut self, result: Result<u64, String>) {
        let now = self.hub_now();
        let Some(host) = &mut self.host else { return };
        match result {
            Ok(position) => {
                if self.settings.mode == SyncMode::Power {
                    host.make_safe(position);
                    host.hub.on_durable(now, LogPosition(position));
                    host.hub.on_readable_again(LogPosition(position));
                }
            }
            Err(error) => {
                self.log.tell(self.now, || format!("journal: {error}"));
                self.coverage.hit("disk: a sync failed");
                if !host.journal.is_closed() {
                    return;
                }
                // In the other modes nothing waits for a sync.
                if self.settings.mode == SyncMode::Power {
                    host.journal.discard_batch();
                    host.hub.on_journal_failed(now, false);
                }
                self.begin_journal_anew();
            }
        }
        self.note_ended_calls();
    }

    /// Opens a journal that a failure has closed, as the daemon does: in the mode `power` it goes on in a
    /// new segment. When the disk still fails, an operator must come. Tells whether it is open.
    pub(crate) fn begin_journal_anew(&mut self) -> bool {
        let Some(host) = &mut self.host else { return false };
        match host.journal.begin_anew() {
            Ok(next) => {
                self.coverage.hit("journal: went on after a failed sync");
                if self.settings.mode == SyncMode::Power {
                    // What was cut off will never be safe.
                    host.written.retain(|(position, _)| *position < next);
                    host.hub.on_rolled();
                }
                true
            }
            Err(error) => {
                let what = error_chain(&error);
                self.log.tell(self.now, || format!("journal: {what}"));
                self.call_for_restart();
                false
            }
        }
    }

    /// The journal takes no more: an operator starts the process anew after a while.
    pub(crate) fn call_for_restart(&mut self) {
        let late = self.rng.millis(50, 3_000);
        let Some(host) = &mut self.host else { return };
        if !std::mem::replace(&mut host.is_poisoned, true) {
            self.after(late, Event::Restart(self.incarnation));
        }
    }
}
