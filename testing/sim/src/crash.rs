//! The process dies and comes back; the disk fails, fills, and loses its power.

use std::time::Duration;

use tomte_journal::{Disk, Fault, MemoryDisk, Operation, SyncMode};

use crate::host::Host;
use crate::network::ConnId;
use crate::world::{Event, World};

impl World {
    /// The process dies now; in the mode `power` perhaps with the whole machine.
    pub(crate) fn crash(&mut self, why: &str) {
        let Some(host) = self.host.take() else { return };
        self.tell(|| format!("the hub dies: {why}"));
        self.coverage.hit("crash");
        self.take_counters(&host);
        let (safe, mut lost) = (host.durable.last, !host.hub.journal_is_whole());
        drop(host);
        if self.settings.mode == SyncMode::Power && self.rng.chance(700) {
            lost |= self.cut_power();
        }
        if lost {
            self.oracle.on_identifiers_lost(ConnId(self.conns.len()));
        }
        self.renew_disk();
        self.workers.clear();
        self.oracle.on_crash(safe);
        for id in 0..self.conns.len() {
            let conn = &mut self.conns[id];
            if conn.slot.take().is_some() || conn.alive {
                // What was on its way may still arrive, or not.
                let late = self.rng.span(Duration::from_millis(30));
                self.conns[id].alive &= self.rng.chance(500);
                self.after(late, Event::DownEnd(ConnId(id)));
            }
        }
        let down = if self.calm { Duration::ZERO } else { self.rng.millis(1, 2_000) };
        self.after(down, Event::Recover);
    }

    /// Tells whether bytes were lost.
    fn cut_power(&mut self) -> bool {
        self.coverage.hit("crash: power cut");
        let mut lost = false;
        let rng = &mut self.rng;
        let kept = rng.below(3);
        self.disk.cut_power(|n| {
            let keep = match kept {
                0 => 0,
                1 => n,
                _ => rng.below(n + 1),
            };
            lost |= keep < n;
            keep
        });
        if lost {
            self.coverage.hit("crash: a power cut lost bytes");
        }
        lost
    }

    /// The same files without the faults that were to come.
    pub(crate) fn renew_disk(&mut self) {
        let fresh = MemoryDisk::new();
        for name in self.disk.list().unwrap_or_default() {
            fresh.set_content(&name, &self.disk.content(&name).unwrap_or_default());
        }
        self.disk = fresh;
    }

    pub(crate) fn restart(&mut self) {
        self.coverage.hit("crash: started anew by an operator");
        self.crash("an operator starts it anew");
    }

    /// Starts the process.
    pub(crate) fn recover(&mut self) {
        if self.host.is_some() {
            return;
        }
        self.incarnation += 1;
        let fails = !self.calm && self.settings.crash > 0 && self.rng.chance(100);
        if fails {
            self.disk.fail(Fault {
                operation: *self.rng.pick(&[Operation::Truncate, Operation::SyncFile]),
                countdown: 0,
                errno: 5,
                short: None,
            });
        }
        match Host::start(self) {
            Ok(host) => {
                self.tell(|| "the hub is up".to_owned());
                self.coverage.hit("recovery");
                let now = self.now + self.skew;
                self.oracle.on_recovered(now, host.durable.last);
                for left in host.durable.wills() {
                    self.coverage.hit("will: published after a crash");
                    self.oracle.on_will_after_crash(now, &left);
                }
                self.host = Some(host);
                self.note_passed_on();
                if fails && self.rng.chance(500) {
                    self.coverage.hit("crash: right after the recovery");
                    self.crash("right after its recovery");
                    return;
                }
                if !self.calm && self.rng.chance(self.settings.relapse) {
                    self.coverage.hit("crash: soon after the recovery");
                    let soon = self.rng.span(Duration::from_millis(100));
                    self.after(soon, Event::Restart(self.incarnation));
                }
                self.note_ended_calls();
                self.wake_hub(Duration::ZERO);
            }
            // A fault that was to hit the process before hits this one.
            Err(error) if !self.calm && error.contains("(os error 5)") => {
                self.tell(|| format!("the recovery fails: {error}"));
                self.coverage.hit("crash: the recovery failed and was tried again");
                self.renew_disk();
                self.after(Duration::from_millis(500), Event::Recover);
            }
            Err(error) => self.oracle.blame(|| format!("the journal does not open: {error}")),
        }
    }

    /// Something happens to the disk.
    pub(crate) fn disk_fault(&mut self) {
        let countdown = u32::try_from(self.rng.below(3)).expect("small");
        let short = self.rng.chance(500).then(|| self.rng.below(300));
        let fault = |operation, errno| Fault { operation, countdown, errno, short };
        match self.rng.below(12) {
            0..=4 => self.fill_disk(),
            5 | 6 => self.disk.fail(fault(Operation::Write, 28)),
            7 | 8 => self.disk.fail(fault(Operation::Write, 5)),
            9 => self.disk.fail(Fault { short: short.or(Some(1)), ..fault(Operation::Write, 0) }),
            10 => self.disk.fail(fault(Operation::Create, 28)),
            _ if self.rng.chance(300) => self.disk.fail(fault(Operation::SyncFile, 5)),
            _ => self.disk.fail(fault(Operation::Remove, 5)),
        }
    }

    fn fill_disk(&mut self) {
        let names = self.disk.list().unwrap_or_default();
        let used: usize =
            names.iter().filter_map(|name| self.disk.content(name)).map(|c| c.len()).sum();
        let room = self.rng.below(600);
        self.tell(|| format!("disk: {room} bytes are left"));
        self.coverage.hit("disk: full for a while");
        self.disk.set_capacity(Some(used + room));
        let span = self.rng.millis(20, 3_000);
        self.after(span, Event::DiskHasRoom);
    }

    pub(crate) fn disk_has_room(&mut self) {
        self.tell(|| "disk: has room again".to_owned());
        self.disk.set_capacity(None);
    }
}
