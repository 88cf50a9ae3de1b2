//! The machine itself: its parts, its inputs, its clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tomte_base::{LogPosition, MessageId, NumberHash, Time, TopicName};
use tomte_broker::{MatchCache, Retained, TopicTree};
use tomte_scheduler::{Resources, Scheduler, SchedulerLimits};

use tomte_mqtt::codec::{Packet, ReasonCode};

use crate::bodies::Bodies;
use crate::calls::Calls;
use crate::chosen::Chosen;
use crate::connecting::Connecting;
use crate::connection::{CloseReason, Connection, Peer, Slot};
use crate::counter::{Counter, Counters};
use crate::flow::{Flow, FlowEvent};
use crate::hold::Holds;
use crate::ledger::{Kept, Ledger};
use crate::match_set::{Key, MatchSet};
use crate::outage::Outage;
use crate::parts::Whole;
use crate::password::{Attempts, Check};
use crate::record::Record;
use crate::seed::Seed;
use crate::session::{Owner, Session, Subscription};
use crate::share_groups::Shares;
use crate::stalled::Stalled;
use crate::stored::Stored;
use crate::timers::{Timer, Timers};
use crate::{Config, Effect};

/// An acknowledgement that waits for the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) slot: Slot,
    pub(crate) serial: u64,
    pub(crate) kind: AckKind,
    pub(crate) packet_id: u16,
    /// What it says when the journal is safe.
    pub(crate) reason: ReasonCode,
}

/// Which packet an acknowledgement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    /// None: the connection ends, because a message that was not kept cannot be refused otherwise.
    Goodbye,
}

impl Ack {
    /// Tells whether a message of the client is done with, so that it may send another one.
    pub(crate) fn ends_publish(&self) -> bool {
        match self.kind {
            AckKind::Puback | AckKind::Pubcomp => true,
            AckKind::Pubrec => self.reason.is_failure(),
            AckKind::Pubrel | AckKind::Goodbye => false,
        }
    }
}

/// Segments of the journal that nothing needs any more, once what was copied out of them is safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DropJournal {
    before: LogPosition,
    pub(crate) needs: LogPosition,
}

/// The whole hub.
///
/// A turn of the host: hand over what came ([`Hub::on_bytes`] and the others), then take the
/// records ([`Hub::drain_records`]) and commit them, say so ([`Hub::on_durable`] or
/// [`Hub::on_journal_failed`]), then carry out the effects ([`Hub::take_effects`]) and write the
/// outputs ([`Hub::take_dirty`], [`Hub::output`]).
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) tree: TopicTree<Key, Subscription>,
    pub(crate) matches: MatchCache<Arc<MatchSet>>,
    pub(crate) shares: Shares,
    pub(crate) chosen: Chosen,
    pub(crate) retained: Retained,
    pub(crate) retained_kept: HashMap<TopicName, Kept>,
    pub(crate) connections: Vec<Option<Connection>>,
    pub(crate) n_connections: usize,
    pub(crate) sessions: Vec<Option<Session>>,
    pub(crate) free_sessions: Vec<u32>,
    pub(crate) by_client: HashMap<(Owner, Arc<str>), u32>,
    pub(crate) by_serial: HashMap<u64, u32, NumberHash>,
    pub(crate) stored: HashMap<MessageId, Stored, NumberHash>,
    /// Bytes of all of these.
    pub(crate) queued_bytes: u64,
    /// The same messages, each counted once for each of its receivers.
    pub(crate) queued_deliveries: usize,
    pub(crate) bodies: Bodies,
    /// QoS 2 messages that clients have not released yet, in all sessions.
    pub(crate) n_unreleased: usize,
    /// Retained messages that were looked at for the connection whose bytes are taken now.
    pub(crate) n_looks: usize,
    /// Messages that wills became and whose records are not safe yet, with the numbers of the wills.
    pub(crate) published_wills: VecDeque<(LogPosition, MessageId, u64)>,
    /// What the message at hand has become so far, where it may become several.
    pub(crate) parts: Vec<MessageId>,
    /// Messages that became several and whose records are not safe yet.
    pub(crate) wholes: VecDeque<Whole>,
    pub(crate) holds: Holds,
    pub(crate) scheduler: Scheduler,
    pub(crate) calls: Calls,
    pub(crate) ledger: Ledger<Ack>,
    pub(crate) flow: Flow,
    pub(crate) counters: Counters,
    pub(crate) attempts: Attempts,
    pub(crate) connecting: Connecting,
    pub(crate) route_matches: Vec<u64>,
    pub(crate) timers: Timers,
    pub(crate) dirty: Vec<Slot>,
    pub(crate) gated: Vec<Slot>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) next_message: MessageId,
    pub(crate) next_session: u64,
    pub(crate) next_connection: u64,
    /// Whether records were lost to a failed commit, and when they are written again.
    pub(crate) outage: Outage,
    /// Whose kept session ended, and up to where the journal must be safe before it surely has:
    /// never, while records are lost.
    pub(crate) ended: HashMap<(Owner, Arc<str>), LogPosition>,
    pub(crate) drop_journal: Option<DropJournal>,
}

impl Hub {
    /// Makes a hub without connections or memory.
    ///
    /// From `seed` follows what clients must not guess, such as the numbers of calls and how topics are
    /// hashed: a host takes it from its source of randomness, the simulator from its own.
    #[must_use]
    pub fn new(
        now: Time,
        config: Config,
        scheduling: SchedulerLimits,
        resources: Box<dyn Resources + Send>,
        seed: u128,
    ) -> Self {
        let (limits, seed) = (&config.limits, Seed::new(seed));
        let hashing = seed.for_hashing();
        let mut hub = Self {
            tree: TopicTree::new(hashing),
            matches: MatchCache::new(hashing),
            shares: Shares::default(),
            chosen: Chosen::default(),
            retained: Retained::new(limits.retained(), hashing),
            retained_kept: HashMap::new(),
            connections: Vec::new(),
            n_connections: 0,
            sessions: Vec::new(),
            free_sessions: Vec::new(),
            by_client: HashMap::new(),
            by_serial: HashMap::default(),
            stored: HashMap::default(),
            queued_bytes: 0,
            queued_deliveries: 0,
            bodies: Bodies::default(),
            n_unreleased: 0,
            n_looks: 0,
            published_wills: VecDeque::new(),
            parts: Vec::new(),
            wholes: VecDeque::new(),
            holds: Holds::default(),
            scheduler: Scheduler::new(scheduling, resources),
            calls: Calls::new(seed),
            ledger: Ledger::new(config.log_limits()),
            flow: Flow::new(&config),
            counters: Counters::default(),
            attempts: Attempts::default(),
            connecting: Connecting::default(),
            route_matches: Vec::new(),
            timers: Timers::default(),
            dirty: Vec::new(),
            gated: Vec::new(),
            effects: Vec::new(),
            next_message: MessageId(1),
            next_session: 1,
            next_connection: 1,
            outage: Outage::default(),
            ended: HashMap::new(),
            drop_journal: None,
            config,
        };
        hub.install_routes();
        hub.install_functions(now);
        hub
    }

    /// A connection was accepted.
    pub fn on_opened(&mut self, now: Time, slot: Slot, peer: Peer) {
        let serial = self.next_connection;
        self.next_connection += 1;
        let mqtt = tomte_mqtt::connection::Connection::new(now, self.connection_limits());
        self.timers.set(Timer::Connection(slot), mqtt.deadline());
        let source = peer.owner.as_ref().map_or(tomte_base::Source::Anonymous, Owner::source);
        let connection = Connection {
            serial,
            owner: peer.owner,
            source,
            passwords: peer.passwords,
            address: peer.address,
            check: Check::default(),
            connecting: true,
            stalled: Stalled::default(),
            mqtt,
            session: None,
            resumed: false,
            will: None,
            out: Vec::new(),
            answers: 0,
            has_more: false,
            dirty: false,
            gate: LogPosition::default(),
            closing: None,
        };
        if self.connections.len() <= slot.index() {
            self.connections.resize_with(slot.index() + 1, || None);
        }
        self.connections[slot.index()] = Some(connection);
        self.n_connections += 1;
        self.note_connecting(slot, serial);
    }

    /// The TLS handshake told who is there.
    pub fn on_identified(&mut self, slot: Slot, owner: Owner) {
        if let Some(connection) = self.connection_mut(slot) {
            connection.source = owner.source();
            connection.owner = Some(owner);
        }
    }

    /// The socket is gone: by the client, by an error, or because an effect asked for it.
    pub fn on_closed(&mut self, now: Time, slot: Slot, reason: &CloseReason) {
        let Some(connection) = self.connections.get_mut(slot.index()).and_then(Option::take) else {
            return;
        };
        self.n_connections -= 1;
        self.timers.clear(Timer::Connection(slot));
        self.timers.clear(Timer::Stalled(slot));
        if connection.connecting {
            self.connecting.left();
        }
        let owner = connection.owner().clone();
        if connection.closing.is_some() {
            // The socket may end before the host comes to the close that was asked for, and the slot may be
            // another connection's by then.
            self.effects.retain(|effect| !matches!(effect, Effect::Close(of, _) if *of == slot));
        }
        let reason = connection.closing.as_ref().unwrap_or(reason);
        match connection.will {
            // Its record stays, and the next start publishes it (MQTT 5, 3.1.2.5).
            Some(_) if *reason == CloseReason::Shutdown => {}
            Some(will) => self.leave_will(now, connection.session, will),
            None => {}
        }
        if let Some(session) = connection.session {
            self.flow.tell(now, || FlowEvent::Disconnected(owner, reason.to_string()));
            self.leave_session(now, session);
        }
    }

    /// Ends a connection: what waits is written, then the host closes the socket.
    pub(crate) fn close(&mut self, slot: Slot, reason: CloseReason) {
        let Some(connection) = self.connection_mut(slot) else { return };
        if connection.closing.is_some() {
            return;
        }
        connection.closing = Some(reason.clone());
        self.leave_connecting(slot);
        let counter = match &reason {
            CloseReason::Protocol(_) => Some(Counter::ProtocolErrors),
            CloseReason::KeepAlive => Some(Counter::KeepAliveTimeouts),
            CloseReason::ConnectTimeout => Some(Counter::ConnectTimeouts),
            CloseReason::TakenOver => Some(Counter::TakeOvers),
            CloseReason::SlowReader => Some(Counter::SlowReaders),
            CloseReason::Unfinished => Some(Counter::Unfinished),
            CloseReason::Refused(_) => Some(Counter::RefusedConnect),
            _ => None,
        };
        if let Some(counter) = counter {
            self.counters.add(counter);
        }
        self.effects.push(Effect::Close(slot, reason));
    }

    pub(crate) fn connection(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot.index()).and_then(Option::as_ref)
    }

    pub(crate) fn connection_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.connections.get_mut(slot.index()).and_then(Option::as_mut)
    }

    pub(crate) fn session_mut(&mut self, session: u32) -> Option<&mut Session> {
        self.sessions.get_mut(session as usize).and_then(Option::as_mut)
    }

    /// Appends the answer to what a client sent. One that asks and does not read the answers is
    /// thrown out when they pass the limit of its buffer.
    pub(crate) fn answer(&mut self, slot: Slot, packet: Packet<'_>) {
        let limit = self.config.limits.output_high_water;
        let Some(connection) = self.connection_mut(slot) else { return };
        if connection.closing.is_some() {
            return;
        }
        let start = connection.out.len();
        if !connection.mqtt.encode(&mut connection.out, packet) {
            // It must not be sent (MQTT-3.1.2-24), and the client would wait for it for ever.
            let what = "an answer is larger than the client allows";
            return self.breach(slot, ReasonCode::PacketTooLarge, what);
        }
        let added = connection.out.len() - start;
        connection.answers = connection.answers.min(start) + added;
        let reads = connection.answers <= limit.max(added);
        self.mark_dirty(slot);
        if !reads {
            self.close(slot, CloseReason::SlowReader);
        }
    }

    /// Marks a connection as having something to write.
    pub(crate) fn mark_dirty(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot.index()).and_then(Option::as_mut)
        else {
            return;
        };
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Hands each record of this turn to `write`, with its position. Returns how many there were.
    ///
    /// After a failed commit everything that memory holds is among them, so that nothing is
    /// acknowledged on the strength of a record that was lost. Before it is time for that there are
    /// none.
    pub fn drain_records(&mut self, write: impl FnMut(LogPosition, &[u8])) -> usize {
        if self.fail_if_closed() {
            return 0;
        }
        self.catch_up();
        let n_records = self.ledger.drain(write);
        self.counters.add_n(Counter::Records, n_records as u64);
        n_records
    }

    /// Tells whether [`Hub::drain_records`] would find something.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.ledger.has_records()
    }

    /// Tells whether the host must write the records now. Those that say no more than that a QoS 1
    /// delivery is done may wait a little, so that they cost no write of their own: after a crash
    /// the client would get its message once more.
    ///
    /// After [`Hub::on_journal_failed`] it says no for a second, and what waits for a commit is refused.
    pub fn must_commit(&mut self, now: Time) -> bool {
        !self.fail_if_closed() && self.ledger.must_commit(now)
    }

    /// The journal is safe up to `position`: what waited for it is acknowledged.
    pub fn on_durable(&mut self, _now: Time, position: LogPosition) {
        while let Some(ack) = self.ledger.release(position) {
            self.send_ack(ack);
        }
        let settled = self.ledger.settled();
        self.outage.safe_up_to(settled);
        self.ended.retain(|_, safe_at| *safe_at > settled);
        let mut still_gated = Vec::new();
        for slot in std::mem::take(&mut self.gated) {
            match self.connection(slot) {
                Some(connection) if connection.gate > settled => still_gated.push(slot),
                Some(_) => self.mark_dirty(slot),
                None => {}
            }
        }
        self.gated = still_gated;
        self.compact();
    }

    /// The host began a new segment of the journal: later records go there.
    pub fn on_rolled(&mut self) {
        self.ledger.rolled();
    }

    fn compact(&mut self) {
        if self.outage.is_behind() {
            return;
        }
        let range = self.ledger.to_copy().filter(|_| !self.bodies.is_copying());
        if let Some(range) = range {
            self.copy_forward(&range);
        }
        if let Some(before) = self.ledger.droppable() {
            // What goes may be all that tells which numbers were given out.
            self.note_numbers();
            self.drop_journal = Some(DropJournal { before, needs: self.ledger.appended() });
        }
        let settled = self.ledger.settled();
        if let Some(drop) = self.drop_journal.take_if(|drop| drop.needs <= settled) {
            self.effects.push(Effect::DropJournal(drop.before));
        }
    }

    /// Takes what the host must do.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Moves the connections that have something to write to `slots`.
    pub fn take_dirty(&mut self, slots: &mut Vec<Slot>) {
        slots.clear();
        slots.append(&mut self.dirty);
        let settled = self.ledger.settled();
        let (connections, gated) = (&mut self.connections, &mut self.gated);
        slots.retain(|slot| {
            let Some(connection) = connections.get_mut(slot.index()).and_then(Option::as_mut)
            else {
                return false;
            };
            connection.dirty = false;
            let open = connection.gate <= settled;
            if !open {
                gated.push(*slot);
            }
            open
        });
    }

    /// Tells whether the host has something to do without waiting for more input: records to
    /// commit, effects to carry out, connections to write.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.effects.is_empty() || self.ledger.is_urgent()
    }

    /// Tells whether the machine has asked for the end of a connection.
    #[must_use]
    pub fn is_closing(&self, slot: Slot) -> bool {
        self.connection(slot).is_some_and(|connection| connection.closing.is_some())
    }

    /// Tells whether the bytes that wait for a connection may leave: what they tell the client is
    /// safe in the journal.
    #[must_use]
    pub fn may_write(&self, slot: Slot) -> bool {
        self.connection(slot).is_some_and(|connection| connection.gate <= self.ledger.settled())
    }

    /// The bytes that wait for a connection. The host takes from the front what it could write and
    /// leaves the rest. None while they have to wait for the journal: then the connection is among
    /// those of [`Hub::take_dirty`] as soon as they may go.
    pub fn output(&mut self, slot: Slot) -> Option<&mut Vec<u8>> {
        let settled = self.ledger.settled();
        let connection = self.connection_mut(slot).filter(|connection| connection.gate <= settled);
        connection.map(|connection| &mut connection.out)
    }

    /// The socket takes bytes again: the connection is among those of the next [`Hub::take_dirty`]. To
    /// write at once would let out what the records of this turn must come before.
    pub fn on_room(&mut self, slot: Slot) {
        self.mark_dirty(slot);
    }

    /// The host wrote what waited, and there is room again: sends what had to wait for it.
    pub fn on_writable(&mut self, now: Time, slot: Slot) {
        if let Some(session) = self.connection(slot).and_then(|c| c.session) {
            self.pump(now, session);
        }
    }

    /// Ends everything for a stop of the process: connections are closed, workers stopped.
    pub fn shutdown(&mut self, now: Time) {
        for index in 0..self.connections.len() {
            let slot = Slot(u32::try_from(index).expect("connections are bounded"));
            if self.connection(slot).is_some() {
                self.send_disconnect(slot, ReasonCode::ServerShuttingDown);
                self.close(slot, CloseReason::Shutdown);
            }
        }
        let mut out = Vec::new();
        self.scheduler.shutdown(now, &mut out);
        self.perform_scheduling(now, out);
        // There is no later.
        self.outage.open();
        self.note_numbers();
    }

    /// Keeps the numbers given out so far, so that none comes twice.
    pub(crate) fn note_numbers(&mut self) {
        let numbers =
            Record::Numbers { next_message: self.next_message, next_session: self.next_session };
        self.ledger.note(|out| numbers.encode(out));
    }

    /// Counts what only the host sees: a handshake that failed, a request that was refused.
    pub fn count(&mut self, counter: Counter) {
        self.counters.add(counter);
    }

    /// What was counted since the hub started.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
