//! Which messages that wait are in memory, and how the others come back from the journal.
//!
//! A message that waits in a queue is in memory until the journal has it and newer ones need the room;
//! then only its number, its place in the journal and who is to get it are left. When its turn comes
//! near, the host reads it back ([`Effect::Fetch`], [`Hub::on_fetched`]):
//!
//! ```text
//!   queued ─▶ in memory ─ the journal has it, no room ─▶ in the journal only
//!                  ▲                                          │
//!                  └──── read back: its turn is near, ────────┤
//!                        or its segment must go               └─ cannot be read ─▶ dropped, counted
//! ```
//!
//! Messages on their way to a client, in holds and in calls are in memory; each of these is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tomte_base::{LogPosition, Message, MessageId, Time};

use crate::Hub;
use crate::counter::Counter;
use crate::effect::{Effect, FetchFor, Wanted};
use crate::fan_out::Receipt;
use crate::flow::{Hop, HopKind};
use crate::ledger::Kept;
use crate::record::{self, Destination};
use crate::session::Waiting;
use crate::stored::Stored;

/// Messages that are read at once for one session, at most.
const FETCH: usize = 256;
/// Bytes that are read at once for one session; one message at least.
const FETCH_BYTES: u64 = 256 << 10;
/// Bytes that are read at once to be copied out of an old segment; one message at least.
const COPY_BYTES: u64 = 1 << 20;
/// Memory of a message besides its topic and payload, in bytes, about.
const MESSAGE_BYTES: usize = 256;

/// The messages in memory that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    in_memory: VecDeque<MessageId>,
    n_in_memory: usize,
    bytes: u64,
    /// A message that was queued and is about to be stored.
    queued: Option<MessageId>,
    /// Messages of an old segment that are still to be copied.
    to_copy: VecDeque<MessageId>,
    /// Some of them are being read.
    is_copying: bool,
}

impl Bodies {
    fn enter(&mut self, stored: &mut Stored) {
        let Some(message) = stored.body.as_ref().filter(|_| !stored.waits) else { return };
        stored.waits = true;
        self.in_memory.push_back(message.id);
        self.n_in_memory += 1;
        self.bytes += memory_of(message);
    }

    /// The message leaves memory, or is not needed any more.
    pub(crate) fn leave(&mut self, stored: &mut Stored) {
        if let Some(message) = stored.body.take().filter(|_| stored.waits) {
            stored.waits = false;
            self.n_in_memory -= 1;
            self.bytes -= memory_of(&message);
        }
    }

    /// Tells whether a segment is being copied.
    pub(crate) fn is_copying(&self) -> bool {
        self.is_copying || !self.to_copy.is_empty()
    }
}

/// Returns about how many bytes of memory a message takes.
fn memory_of(message: &Message) -> u64 {
    (MESSAGE_BYTES + message.topic.len() + message.payload.len()) as u64
}

impl Hub {
    /// A message was put into a queue; it may be stored already, or about to be.
    pub(crate) fn note_queued(&mut self, message: MessageId) {
        match self.stored.get_mut(&message) {
            Some(stored) => self.bodies.enter(stored),
            None => self.bodies.queued = Some(message),
        }
    }

    /// A message is stored: it counts as waiting if a queue took it.
    pub(crate) fn enter_stored(&mut self, id: MessageId, mut stored: Stored) {
        if self.bodies.queued.take() == Some(id) {
            // It stays for long, and there may be many.
            stored.destinations.shrink_to_fit();
            self.bodies.enter(&mut stored);
        }
        self.stored.insert(id, stored);
    }

    /// The host can read the journal back up to `position`, and goes on to be able to: messages that
    /// wait there may leave memory, and need not be written again after a failed commit. What a host
    /// may yet cut off, because a sync of it can fail, is not among that, and neither is what it has
    /// only gathered.
    pub fn on_readable_again(&mut self, position: LogPosition) {
        self.ledger.safe_up_to(position);
        let safe = self.ledger.safe();
        while self.published_wills.pop_front_if(|(at, ..)| *at <= safe).is_some() {}
        while self.wholes.pop_front_if(|whole| whole.position <= safe).is_some() {}
        self.make_room_in_memory();
    }

    pub(crate) fn make_room_in_memory(&mut self) {
        let limit = self.config.limits.queue_memory.0;
        while self.bodies.bytes > limit {
            let Some(oldest) = self.bodies.in_memory.pop_front() else { break };
            let Some(stored) = self.stored.get_mut(&oldest).filter(|stored| stored.waits) else {
                continue;
            };
            if stored.kept.position > self.ledger.safe() {
                self.bodies.in_memory.push_front(oldest);
                break;
            }
            self.bodies.leave(stored);
        }
        // Those that were delivered meanwhile are still in the list.
        if self.bodies.in_memory.len() > 2 * self.bodies.n_in_memory + 1_024 {
            let stored = &self.stored;
            self.bodies.in_memory.retain(|id| stored.get(id).is_some_and(|stored| stored.waits));
        }
    }

    /// Asks for as many of the messages at the front of a session's queue as fit into its window: they
    /// are sent as soon as they come, so that what was read does not have to leave memory again.
    ///
    /// It does not wait until there is room for many. A client whose system holds small packets back
    /// until the last one is acknowledged (Nagle's algorithm) would wait for ours, which holds its
    /// acknowledgement back as long as it has nothing to send. What is acknowledged during one read
    /// makes the next one larger.
    pub(crate) fn fetch_for_window(&mut self, index: u32) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let connection =
            session.connection.and_then(|slot| self.connections[slot.index()].as_ref());
        let high_water = self.config.limits.output_high_water;
        let can_send = connection.is_some_and(|connection| connection.out.len() <= high_water);
        if session.is_fetching || !can_send {
            return;
        }
        let stored = &self.stored;
        let away = |waiting: &Waiting| match waiting {
            Waiting::Whole(_) => None,
            Waiting::Stored(waiting) => {
                let stored = stored.get(&waiting.message).filter(|stored| stored.body.is_none())?;
                Some((waiting.message, stored.kept))
            }
        };
        let free = session.machine.window();
        let is_away = session.queue.get(0).is_some_and(|waiting| away(waiting).is_some());
        if !is_away || free == 0 {
            return;
        }
        let near = session.queue.iter().take(free.min(FETCH)).filter_map(away);
        let wanted = take_up_to(FETCH_BYTES, near);
        session.is_fetching = true;
        let to = FetchFor::Session(session.serial);
        self.effects.push(Effect::Fetch(to, wanted));
    }

    /// Copies messages that are in the journal only out of a segment that must go.
    pub(crate) fn copy_from_journal(&mut self, mut messages: Vec<(LogPosition, MessageId)>) {
        messages.sort_unstable();
        self.bodies.to_copy = messages.into_iter().map(|(_, message)| message).collect();
        self.fetch_to_copy();
    }

    fn fetch_to_copy(&mut self) {
        if self.bodies.is_copying {
            return;
        }
        let stored = &self.stored;
        let mut wanted = Vec::new();
        while wanted.is_empty() && !self.bodies.to_copy.is_empty() {
            let (mut bytes, mut n) = (0, 0);
            for message in &self.bodies.to_copy {
                if n > 0 && bytes >= COPY_BYTES {
                    break;
                }
                n += 1;
                if let Some(stored) = stored.get(message) {
                    bytes += u64::from(stored.kept.bytes);
                    wanted.push(Wanted { message: *message, position: stored.kept.position });
                }
            }
            self.bodies.to_copy.drain(..n);
        }
        if !wanted.is_empty() {
            self.bodies.is_copying = true;
            self.effects.push(Effect::Fetch(FetchFor::Copy, wanted));
        }
    }

    /// The host read records that [`Effect::Fetch`] asked for: each with its bytes, or none when it
    /// could not be read, which the host has written into its log.
    pub fn on_fetched(&mut self, now: Time, to: FetchFor, found: Vec<(Wanted, Option<Vec<u8>>)>) {
        let (mut again, mut copied) = (Vec::new(), Vec::new());
        for (wanted, record) in found {
            let body = record.and_then(|record| message_of(&record, wanted.message)).map(Arc::new);
            let body = body.or_else(|| self.still_in_memory(wanted.message));
            let Some(stored) = self.stored.get_mut(&wanted.message) else { continue };
            match body {
                _ if stored.body.is_some() => copied.push(wanted.message),
                Some(message) => {
                    stored.body = Some(message);
                    self.bodies.enter(stored);
                    copied.push(wanted.message);
                }
                // It was copied to another place meanwhile.
                None if stored.kept.position != wanted.position => {
                    again.push(Wanted { position: stored.kept.position, ..wanted });
                }
                None => self.lose(now, wanted.message),
            }
        }
        match to {
            _ if !again.is_empty() => self.effects.push(Effect::Fetch(to, again)),
            FetchFor::Session(serial) => self.fetched_for(now, serial),
            FetchFor::Copy => self.bodies.is_copying = false,
        }
        if to == FetchFor::Copy {
            self.copy_fetched(&copied);
            self.fetch_to_copy();
        }
        self.make_room_in_memory();
    }

    /// A message whose record cannot be read is in memory all the same while it is on its way to
    /// somebody, held, called, or in the queue of a group's member.
    fn still_in_memory(&self, id: MessageId) -> Option<Arc<Message>> {
        let destinations = &self.stored.get(&id)?.destinations;
        destinations.iter().find_map(|destination| match destination {
            Destination::Session { session, .. } | Destination::Share { session, .. } => {
                let session = self.sessions[*self.by_serial.get(session)? as usize].as_ref()?;
                session.whole_message(id)
            }
            Destination::Call { call, .. } => self.calls.message(*call),
            Destination::Hold { device, .. } => self.holds.message(device, id),
        })
    }

    fn fetched_for(&mut self, now: Time, serial: u64) {
        let Some(&index) = self.by_serial.get(&serial) else { return };
        if let Some(session) = self.session_mut(index) {
            session.is_fetching = false;
            self.pump(now, index);
        }
    }

    fn copy_fetched(&mut self, messages: &[MessageId]) {
        let receipts = self.receipts();
        for id in messages {
            let Some(stored) = self.stored.get_mut(id) else { continue };
            stored.write(&mut self.ledger, receipts.get(id).copied());
        }
    }

    /// What the journal ties messages to.
    pub(crate) fn receipts(&self) -> HashMap<MessageId, Receipt> {
        let sessions = self.sessions.iter().flatten();
        let packets = sessions.flat_map(|session| session.receipts());
        let wills = self.published_wills.iter();
        packets.chain(wills.map(|(_, message, will)| (*message, Receipt::Will(*will)))).collect()
    }

    /// A message that is in the journal only cannot be read any more: nobody gets it from a queue,
    /// and it is said so.
    fn lose(&mut self, now: Time, id: MessageId) {
        let Some(stored) = self.stored.get(&id) else { return };
        for destination in stored.destinations.clone() {
            if let Destination::Session { session, .. } = &destination
                && let Some(&index) = self.by_serial.get(session)
            {
                let mut removed = Vec::new();
                if let Some(session) = self.session_mut(index) {
                    session.queue.remove_where(|waiting| waiting.id() == id, &mut removed);
                }
                for _ in removed {
                    self.counters.add(Counter::DropUnreadable);
                    self.flow.closed(id);
                }
                let subject = self.name_of(index);
                self.flow.hop(id, || unreadable(now, subject));
            }
            self.done(id, &destination);
        }
    }
}

/// Takes from the front what fits into `bytes`, one message at least.
fn take_up_to(bytes: u64, messages: impl Iterator<Item = (MessageId, Kept)>) -> Vec<Wanted> {
    let (mut wanted, mut taken) = (Vec::new(), 0);
    for (message, kept) in messages {
        taken += u64::from(kept.bytes);
        if !wanted.is_empty() && taken > bytes {
            break;
        }
        wanted.push(Wanted { message, position: kept.position });
    }
    wanted
}

/// Reads the message `id` from the bytes of its record.
pub(crate) fn message_of(record: &[u8], id: MessageId) -> Option<Message> {
    record::accepted_message(record).filter(|message| message.id == id)
}

fn unreadable(at: Time, subject: String) -> Hop {
    Hop {
        at,
        kind: HopKind::Delivery,
        subject,
        verdict: "dropped",
        detail: "it waited in the journal, and could not be read back".to_owned(),
        bad: true,
    }
}
