//! The thread that owns the hub machine.
//!
//! One turn: wait; read every socket that has something into one shared buffer and hand it to the
//! machine; take what other threads sent; commit the journal once; tell the machine that it is
//! safe; carry out its effects; write every connection once; close those that are done. Acknowledgements
//! therefore leave after the write that they wait for, at the price of one system call per turn and not
//! per message (`docs/decisions/0003`). Nothing leaves before the records of its turn are written, and
//! nothing that the machine does after that leaves in the same turn.

mod accept;
mod inbox;
mod journal;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tomte_base::Time;
use tomte_core_hub::{CallError, CallReply, Effect, Hub, Slot};
use tomte_identity::Identity;
use tomte_journal::{Journal, SyncMode};

use crate::clock::Clock;
use crate::event::Event;
use crate::farewell::Farewells;
use crate::fetcher::Fetcher;
use crate::flow_stream::FlowSender;
use crate::listener::{Binding, Listener};
use crate::password_checker::PasswordChecker;
use crate::refusals::RefusalLog;
use crate::socket::Socket;
use crate::syncer::Syncer;

/// Bytes of the buffer that every socket is read into.
const READ_BUFFER_BYTES: usize = 256 << 10;
/// Events that one wait returns at most.
const EVENTS_PER_TURN: usize = 1_024;
const WAKER: Token = Token(usize::MAX);
const FIRST_LISTENER: usize = usize::MAX - 64;

/// What the loop shares with other threads.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: std::sync::mpsc::Sender<Event>,
    waker: Arc<Waker>,
    awake: Arc<std::sync::atomic::AtomicBool>,
}

impl Inbox {
    /// Hands an event to the loop. Nothing happens when it has stopped.
    pub(crate) fn send(&self, event: Event) {
        let _the_loop_has_stopped = self.sender.send(event);
        if !self.awake.swap(true, std::sync::atomic::Ordering::AcqRel) {
            let _the_loop_has_stopped = self.waker.wake();
        }
    }

    /// Looks at the machine.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Hub, Time) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Ask(Box::new(move |hub, now| {
            let _nobody_waits = reply.send(look(hub, now));
        })));
        answer.await.map_err(|_| anyhow::anyhow!("the hub is stopping"))
    }
}

/// What the loop is made of.
pub(crate) struct EventLoop {
    hub: Hub,
    clock: Clock,
    poll: Poll,
    inbox: Receiver<Event>,
    awake: Arc<std::sync::atomic::AtomicBool>,
    effects: UnboundedSender<Effect>,
    listeners: Vec<Listener>,
    sockets: Vec<Option<Socket>>,
    farewells: Farewells,
    /// When the listeners are asked once more for connections that could not be accepted.
    accept_again_at: Option<Time>,
    free_slots: Vec<u32>,
    /// Sockets that may hold more than the last read took.
    unread: Vec<u32>,
    partial_bytes: usize,
    buffer: Vec<u8>,
    journal: Journal,
    mode: SyncMode,
    syncer: Syncer,
    fetcher: Fetcher,
    identity: Arc<Identity>,
    replies: Vec<(u64, oneshot::Sender<Result<CallReply, CallError>>)>,
    next_request: u64,
    flow: Option<FlowSender>,
    dirty: Vec<Slot>,
    /// Sockets that are closed once the output of the turn is written, or that failed with it.
    closing: Vec<Slot>,
    stopping: Option<Time>,
    max_connections: usize,
    passwords: PasswordChecker,
    refusals: RefusalLog,
}

/// What [`EventLoop::new`] needs.
pub(crate) struct Parts {
    pub(crate) hub: Hub,
    pub(crate) clock: Clock,
    pub(crate) effects: UnboundedSender<Effect>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) journal: Journal,
    pub(crate) mode: SyncMode,
    pub(crate) identity: Arc<Identity>,
    pub(crate) max_connections: usize,
}

impl EventLoop {
    pub(crate) fn new(parts: Parts) -> io::Result<(Self, Inbox)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, inbox) = std::sync::mpsc::channel();
        let awake = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let syncer = Syncer::start(parts.journal.sync_handle(), parts.mode, Arc::clone(&waker))?;
        let inbox_of_others = Inbox { sender, waker, awake: Arc::clone(&awake) };
        let fetcher = Fetcher::start(parts.journal.reader(), inbox_of_others.clone())?;
        let identity = Arc::clone(&parts.identity);
        let passwords = PasswordChecker::start(identity, inbox_of_others.clone())?;
        let mut this = Self {
            hub: parts.hub,
            clock: parts.clock,
            poll,
            inbox,
            awake,
            effects: parts.effects,
            listeners: Vec::new(),
            sockets: Vec::new(),
            farewells: Farewells::default(),
            accept_again_at: None,
            free_slots: Vec::new(),
            unread: Vec::new(),
            partial_bytes: 0,
            buffer: vec![0; READ_BUFFER_BYTES],
            journal: parts.journal,
            mode: parts.mode,
            syncer,
            fetcher,
            identity: parts.identity,
            replies: Vec::new(),
            next_request: 1,
            flow: None,
            dirty: Vec::new(),
            closing: Vec::new(),
            stopping: None,
            max_connections: parts.max_connections,
            passwords,
            refusals: RefusalLog::default(),
        };
        this.listen(parts.listeners.into_iter().map(Binding::New).collect())?;
        Ok((this, inbox_of_others))
    }

    /// Runs until [`Event::Shutdown`] and the last goodbyes.
    ///
    /// # Errors
    /// Fails when the system's event queue fails; nothing can be served then.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            self.turn(&mut events)?;
            if self.is_stopped(self.clock.now()) {
                return Ok(());
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, self.timeout()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let now = self.clock.now();
        for event in &*events {
            self.on_ready(now, event);
        }
        self.read_again(now);
        self.take_inbox(now);
        if self.hub.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.hub.on_deadline(now);
        }
        self.commit(now);
        self.perform_effects(now);
        self.write_dirty(now);
        self.close_closing(now);
        self.publish_flow();
        self.farewells.close_due(now);
        self.accept_again(now);
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.unread.is_empty()
            || self.hub.has_work()
            || self.awake.load(std::sync::atomic::Ordering::Acquire)
        {
            return Some(Duration::ZERO);
        }
        let until = |time: Time| time - self.clock.now();
        let deadlines = self.hub.next_deadline().into_iter().chain(self.stopping);
        let deadlines = deadlines.chain(self.farewells.next_deadline());
        let deadline = deadlines.chain(self.accept_again_at).min();
        // Round up: a wait that ends a little too early would spin until the deadline.
        deadline.map(|time| until(time) + Duration::from_micros(900))
    }

    fn on_ready(&mut self, now: Time, event: &mio::event::Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if token.0 >= FIRST_LISTENER {
            self.accept(now, token.0 - FIRST_LISTENER);
            return;
        }
        let slot = u32::try_from(token.0).expect("slots are 32-bit numbers");
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(now, slot);
        }
        if event.is_read_closed() {
            // The end may stand behind what was just read, and is not told again.
            self.unread.push(slot);
        }
        if event.is_writable() && self.is_blocked(slot) {
            self.hub.on_room(Slot(slot));
        }
    }

    /// Tells whether the socket did not take all of its output.
    fn is_blocked(&self, slot: u32) -> bool {
        self.sockets.get(slot as usize).and_then(Option::as_ref).is_some_and(|s| s.blocked)
    }

    fn perform_effects(&mut self, now: Time) {
        for effect in self.hub.take_effects() {
            match effect {
                // Another connection may have the slot by now.
                Effect::Close(slot, reason) if self.hub.is_closing(slot) => {
                    self.close_after_output(now, slot, reason);
                }
                Effect::Close(..) => {}
                Effect::CheckPassword(check) => self.check_password(now, check),
                Effect::Reply(reply) => self.reply(reply),
                Effect::Fetch(to, wanted) => self.fetcher.fetch(to, wanted),
                Effect::DropJournal(before) => {
                    if let Err(error) = self.journal.drop_before(before.0) {
                        tracing::error!(%error, "failed to remove old segments of the journal");
                    }
                }
                other => {
                    let _the_pool_has_stopped = self.effects.send(other);
                }
            }
        }
    }

    fn is_stopped(&self, now: Time) -> bool {
        let Some(at_last) = self.stopping else { return false };
        let all_closed = self.sockets.len() == self.free_slots.len();
        (all_closed && !self.hub.has_records()) || now >= at_last
    }
}
