//! One turn of the daemon, step by step as it makes it, with a crash between any two steps.

use std::time::Duration;

use tomte_base::{LogPosition, error_chain};
use tomte_core_hub::{CloseReason, Counter, Effect, FetchFor, Record, Wanted};
use tomte_journal::{Fault, Operation, SyncMode, WriteError};

use crate::host::read_one;
use crate::world::{Event, Input, World};

/// Where in its turn the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    BeforeCommit,
    InCommit,
    AfterCommit,
    BeforeEffects,
    InOutput,
    AfterTurn,
}

const CRASH_POINTS: [(CrashPoint, &str); 6] = [
    (CrashPoint::BeforeCommit, "crash: before the commit"),
    (CrashPoint::InCommit, "crash: in the middle of the commit"),
    (CrashPoint::AfterCommit, "crash: after the commit"),
    (CrashPoint::BeforeEffects, "crash: before the effects"),
    (CrashPoint::InOutput, "crash: between two outputs"),
    (CrashPoint::AfterTurn, "crash: between two turns"),
];

/// The process died.
struct Died;

/// How often one turn may find that there is still something to do.
const MAX_ROUNDS: usize = 1_000;

impl World {
    /// The hub takes what came and does what follows.
    pub(crate) fn turn(&mut self) {
        let chance = if self.calm { 0 } else { self.settings.crash };
        let always_torn = self.settings.always_torn;
        // With nothing to tear the process lives on, so it is asked more often.
        let chance = if always_torn { 4 * chance } else { chance };
        let crash = self.rng.chance(chance).then(|| *self.rng.pick(&CRASH_POINTS));
        let torn = CRASH_POINTS[1];
        let crash = crash.map(|point| if always_torn { torn } else { point });
        let point = crash.map(|(point, _)| point);
        let Some(host) = &mut self.host else { return };
        host.is_woken = false;
        if self.turn_until(point).is_err() {
            let name = crash.map_or("crash", |(_, name)| name);
            self.coverage.hit(name);
            self.crash(name);
        }
    }

    fn turn_until(&mut self, crash: Option<CrashPoint>) -> Result<(), Died> {
        let inbox = self.host.as_mut().map(|host| std::mem::take(&mut host.inbox));
        // What the disk says is looked at after what clients say.
        let (synced, inputs): (Vec<_>, Vec<_>) = inbox
            .unwrap_or_default()
            .into_iter()
            .partition(|input| matches!(input, Input::Synced(_)));
        if let Some(host) = &self.host {
            self.oracle.on_turn(host.hub.journal_is_whole());
        }
        for input in inputs {
            self.take_input(input);
        }
        let now = self.hub_now();
        let Some(host) = &mut self.host else { return Ok(()) };
        if host.hub.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.oracle.on_deadline(now);
            host.hub.on_deadline(now);
            if host.hub.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.oracle.blame(|| "a deadline stays due after on_deadline".to_owned());
            }
        }
        for input in synced {
            self.take_input(input);
        }
        self.note_passed_on();
        self.die_at(crash, CrashPoint::BeforeCommit)?;
        self.commit(crash)?;
        self.die_at(crash, CrashPoint::BeforeEffects)?;
        self.perform_effects();
        self.write_dirty(crash)?;
        self.die_at(crash, CrashPoint::AfterTurn)?;
        self.check_bounds();
        self.note_passed_on();
        self.look_again();
        Ok(())
    }

    /// Tells the oracle how many messages groups have passed on, before any of them can arrive.
    pub(crate) fn note_passed_on(&mut self) {
        let before = self.oracle.totals().get(&Counter::PassedOn).copied().unwrap_or(0);
        let Some(host) = &self.host else { return };
        let n = before + host.hub.counters().get(Counter::PassedOn);
        self.oracle.note_passed_on(n);
    }

    fn die_at(&self, crash: Option<CrashPoint>, here: CrashPoint) -> Result<(), Died> {
        if crash == Some(here) { Err(Died) } else { Ok(()) }
    }

    /// What closing a connection led to is for the next turn, which must not wait for an event.
    fn look_again(&mut self) {
        if self.host.as_ref().is_some_and(|host| host.hub.has_work()) {
            self.wake_hub(Duration::ZERO);
        }
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Opened(conn) => self.accept(conn),
            Input::Bytes(conn, bytes) => self.read(conn, &bytes),
            Input::Closed(conn) => self.close(conn, &CloseReason::Lost),
            Input::Writable(conn) => {
                if let (Some(slot), Some(host)) = (self.conns[conn.0].slot, &mut self.host) {
                    host.hub.on_room(slot);
                }
            }
            Input::Deploy(table) => self.deploy(table),
            Input::Synced(synced) => self.synced(synced),
            Input::Fetch(to, wanted) => self.fetch(to, &wanted),
            Input::Call(function) => self.operator_calls(function),
            Input::Revoke(device) => self.revoke(device),
            Input::WorkerReady(worker) => self.worker_ready(worker),
            Input::WorkerExited(worker, exit) => self.worker_exited(worker, exit),
            Input::WorkerAnswered(worker, nth, answer) => self.worker_answered(worker, nth, answer),
        }
    }

    /// The thread that reads the journal has done so.
    fn fetch(&mut self, to: FetchFor, wanted: &[Wanted]) {
        let now = self.hub_now();
        let Some(host) = &mut self.host else { return };
        self.coverage.hit(match to {
            FetchFor::Session(_) => "journal: messages were read back for a session",
            FetchFor::Copy => "journal: messages were read back to be copied",
        });
        let reader = host.journal.reader();
        let (rng, coverage, bad_read) = (&mut self.rng, &mut self.coverage, self.settings.bad_read);
        let read = |wanted: &Wanted| {
            let fails = rng.chance(bad_read);
            if fails {
                coverage.hit("journal: a record could not be read back");
            }
            (*wanted, read_one(&reader, wanted.position).filter(|_| !fails))
        };
        let found = wanted.iter().map(read).collect();
        host.hub.on_fetched(now, to, found);
    }

    fn commit(&mut self, crash: Option<CrashPoint>) -> Result<(), Died> {
        let now = self.hub_now();
        for _ in 0..MAX_ROUNDS {
            if !self.host.as_mut().is_some_and(|host| host.hub.must_commit(now)) {
                return Ok(());
            }
            if crash == Some(CrashPoint::InCommit) {
                self.tear_write();
            }
            self.commit_once(crash)?;
        }
        self.oracle.blame(|| "the records of one turn never end".to_owned());
        Ok(())
    }

    /// The process dies while the system writes: some first part of the batch is in the file.
    fn tear_write(&mut self) {
        let short = Some(self.rng.below(400));
        self.disk.fail(Fault { operation: Operation::Write, countdown: 0, errno: 5, short });
        self.disk.fail(Fault {
            operation: Operation::Truncate,
            countdown: 0,
            errno: 5,
            short: None,
        });
    }

    fn commit_once(&mut self, crash: Option<CrashPoint>) -> Result<(), Died> {
        let (now, mode) = (self.hub_now(), self.settings.mode);
        let Some(host) = &mut self.host else { return Ok(()) };
        let (journal, mut batch) = (&mut host.journal, Vec::new());
        host.hub.drain_records(|position, bytes| {
            journal.append(position.0, bytes);
            batch.push((position.0, Record::decode(bytes)));
        });
        let mut committed = journal.commit();
        let is_closed = committed.as_ref().is_err_and(WriteError::is_poisoned);
        if is_closed && mode != SyncMode::Power && self.begin_journal_anew() {
            let Some(host) = &mut self.host else { return Ok(()) };
            committed = host.journal.commit();
        }
        if crash == Some(CrashPoint::InCommit) {
            return Err(Died);
        }
        for (_, record) in &batch {
            match record {
                Err(error) => self.oracle.blame(|| format!("a record does not read back: {error}")),
                Ok(Record::Superseded { .. }) => {
                    self.coverage.hit("journal: caught up after a failure")
                }
                Ok(_) => {}
            }
        }
        let Some(host) = &mut self.host else { return Ok(()) };
        match committed {
            Ok(commit) => {
                let records = batch.into_iter().filter_map(|(at, record)| Some((at, record.ok()?)));
                host.written.extend(records);
                if mode == SyncMode::Process {
                    host.make_safe(commit.written_up_to);
                }
                if crash == Some(CrashPoint::AfterCommit) {
                    return Err(Died);
                }
                if commit.rolled.is_some() {
                    self.coverage.hit("journal: a segment was begun");
                    host.hub.on_rolled();
                }
                if mode == SyncMode::Process {
                    host.hub.on_durable(now, LogPosition(commit.written_up_to));
                    host.hub.on_readable_again(LogPosition(commit.written_up_to));
                }
                self.want_sync();
            }
            Err(error) => {
                let what = error_chain(&error);
                self.log.tell(self.now, || format!("journal: {what}"));
                self.coverage.hit(if error.is_full() {
                    "disk: a commit was refused for a full disk"
                } else {
                    "disk: a commit failed"
                });
                host.journal.discard_batch();
                host.hub.on_journal_failed(now, error.is_full());
                if error.is_poisoned() {
                    self.begin_journal_anew();
                }
            }
        }
        self.note_ended_calls();
        Ok(())
    }

    pub(crate) fn note_ended_calls(&mut self) {
        let Some(host) = &mut self.host else { return };
        for (function, mark) in std::mem::take(&mut host.durable.ended_calls) {
            self.oracle.call_ended(&function, mark);
        }
    }

    fn perform_effects(&mut self) {
        let effects = self.host.as_mut().map(|host| host.hub.take_effects());
        for effect in effects.unwrap_or_default() {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let Some(host) = &mut self.host else { return };
        match effect {
            Effect::Close(slot, reason) => {
                if !host.hub.is_closing(slot) {
                    return;
                }
                let Some(socket) = host.socket(slot) else { return };
                socket.closing = Some(reason);
                self.oracle.on_closing(socket.conn);
                host.closing.push(slot);
            }
            Effect::Reply(reply) => {
                let known = host.requests.iter().position(|request| *request == reply.request);
                match known {
                    Some(at) => drop(host.requests.swap_remove(at)),
                    None => self.oracle.blame(|| format!("reply {} comes twice", reply.request)),
                }
            }
            Effect::Fetch(to, wanted) => {
                let late = self.rng.span(Duration::from_millis(5));
                self.after(late, Event::HubOf(self.incarnation, Input::Fetch(to, wanted)));
            }
            Effect::CheckPassword(check) => {
                self.oracle.blame(|| format!("{check:?} on a listener without passwords"));
            }
            Effect::DropJournal(before) => {
                self.coverage.hit("journal: old segments were dropped");
                if let Err(error) = host.journal.drop_before(before.0) {
                    self.log.tell(self.now, || format!("journal: {error}"));
                }
            }
            Effect::StartWorker { worker, function, .. } => self.start_worker(worker, &function),
            Effect::StopWorker { worker, .. } => self.stop_worker(worker),
            Effect::Assign(assignment) => self.assign(assignment),
        }
    }

    fn write_dirty(&mut self, crash: Option<CrashPoint>) -> Result<(), Died> {
        let mut dirty = Vec::new();
        if let Some(host) = &mut self.host {
            host.hub.take_dirty(&mut dirty);
        }
        let is_closing = |world: &mut Self, slot| {
            let socket = world.host.as_mut().and_then(|host| host.socket(slot));
            socket.is_none_or(|socket| socket.closing.is_some())
        };
        dirty.retain(|slot| !is_closing(self, *slot));
        // Those that are to be closed come last: what the hub makes of that is for the next turn.
        dirty.extend(
            self.host.as_mut().map(|host| std::mem::take(&mut host.closing)).unwrap_or_default(),
        );
        for slot in dirty {
            self.write(slot);
            if crash == Some(CrashPoint::InOutput) && self.rng.chance(500) {
                return Err(Died);
            }
        }
        self.die_at(crash, CrashPoint::InOutput)
    }
}
