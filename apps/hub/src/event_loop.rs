//! The thread that owns the hub machine.
//!
//! One turn: wait; read every socket that has something into one shared buffer and hand it to the
//! machine; take what other threads sent; commit the journal once; tell the machine that it is
//! safe; carry out its effects; write every connection once. Acknowledgements therefore leave after
//! the write that they wait for, at the price of one system call per turn and not per message
//! (`docs/decisions/0003`).

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tomte_base::{DeviceName, LogPosition, Time};
use tomte_core_hub::{
    CallError, CallReply, CheckId, CloseReason, Counter, Effect, Hub, Owner, PasswordCheck, Peer,
    Slot,
};
use tomte_identity::Identity;
use tomte_journal::{Journal, SyncMode, WriteError};

use crate::clock::Clock;
use crate::convert;
use crate::event::Event;
use crate::farewell::Farewells;
use crate::fetcher::Fetcher;
use crate::flow_stream::FlowSender;
use crate::listener::{Binding, Listener};
use crate::password_checker::PasswordChecker;
use crate::problem::chain;
use crate::refusals::{self, RefusalLog};
use crate::socket::{PasswordStep, ReadOutcome, Socket};
use crate::syncer::{Synced, Syncer};
use crate::websocket::Carrier;

/// Bytes of the buffer that every socket is read into.
const READ_BUFFER_BYTES: usize = 256 << 10;
/// Events that one wait returns at most.
const EVENTS_PER_TURN: usize = 1_024;
/// Events of other threads that one turn takes at most, so that sockets get their turn.
const INBOX_PER_TURN: usize = 1_024;
/// Connections that one turn accepts at most from one listener.
const ACCEPTS_PER_TURN: usize = 256;
/// Bytes of half received packets that all connections together may hold.
const PARTIAL_BYTES: usize = 64 << 20;
/// Capacity of an output buffer that an idle connection may keep.
const IDLE_OUTPUT_BYTES: usize = 0;
/// How long the loop waits for acknowledgements and goodbyes to be written when it stops.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// How long a journal that a failed sync has closed is left alone before the disk is tried again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

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
    free_slots: Vec<u32>,
    /// Sockets that may hold more than the last read took.
    unread: Vec<u32>,
    partial_bytes: usize,
    buffer: Vec<u8>,
    journal: Journal,
    mode: SyncMode,
    syncer: Syncer,
    fetcher: Fetcher,
    /// When a journal that is closed after a failed sync may be begun anew.
    retry_journal_at: Time,
    identity: Arc<Identity>,
    replies: Vec<(u64, oneshot::Sender<Result<CallReply, CallError>>)>,
    next_request: u64,
    flow: Option<FlowSender>,
    dirty: Vec<Slot>,
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
            free_slots: Vec::new(),
            unread: Vec::new(),
            partial_bytes: 0,
            buffer: vec![0; READ_BUFFER_BYTES],
            journal: parts.journal,
            mode: parts.mode,
            syncer,
            fetcher,
            retry_journal_at: Time::default(),
            identity: parts.identity,
            replies: Vec::new(),
            next_request: 1,
            flow: None,
            dirty: Vec::new(),
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
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = self.clock.now();
            for event in &events {
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
            self.publish_flow();
            self.farewells.close_due(now);
            if self.is_stopped(now) {
                return Ok(());
            }
        }
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
        let deadline = deadlines.chain(self.farewells.next_deadline()).min();
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
            self.write(now, Slot(slot));
        }
    }

    /// Tells whether the socket did not take all of its output. The others wait for the end of the
    /// turn: a publisher's PUBACK would else be written before the message that it published.
    fn is_blocked(&self, slot: u32) -> bool {
        self.sockets.get(slot as usize).and_then(Option::as_ref).is_some_and(|s| s.blocked)
    }

    fn listen(&mut self, bindings: Vec<Binding>) -> io::Result<()> {
        for old in &mut self.listeners {
            self.poll.registry().deregister(&mut old.socket)?;
        }
        let mut old = std::mem::take(&mut self.listeners);
        for binding in bindings {
            match binding {
                Binding::New(listener) => self.listeners.push(listener),
                Binding::Keep { name, admission } => {
                    let kept = old.iter().position(|listener| listener.name == name);
                    if let Some(at) = kept {
                        self.listeners.push(Listener { admission, ..old.swap_remove(at) });
                    }
                }
            }
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            self.poll.registry().register(&mut listener.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    fn accept(&mut self, now: Time, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get(index) else { return };
            match listener.socket.accept() {
                Ok((stream, address)) => self.open(now, index, stream, address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(listener = listener.name, %error, "failed to accept a connection");
                    return;
                }
            }
        }
        // There may be more: the event comes once, so ask for it again.
        let listener = &mut self.listeners[index];
        let token = Token(FIRST_LISTENER + index);
        let again =
            self.poll.registry().reregister(&mut listener.socket, token, Interest::READABLE);
        if let Err(error) = again {
            tracing::warn!(listener = listener.name, %error, "failed to watch the listener");
        }
    }

    fn open(
        &mut self,
        now: Time,
        listener: usize,
        stream: mio::net::TcpStream,
        address: SocketAddr,
    ) {
        let n_open = self.sockets.len() - self.free_slots.len();
        if n_open >= self.max_connections {
            self.hub.count(Counter::RefusedConnection);
            let why = format!("{n_open} connections are open: limits.max_connections is reached");
            self.refusals.refused(now, "too many connections", why);
            return;
        }
        let admission = &self.listeners[listener].admission;
        let without = admission.without;
        let mut peer =
            Peer { owner: None, passwords: without.passwords, address: Some(address.ip()) };
        let mut socket = match &admission.tls {
            None => {
                peer.owner = without.anonymous.then_some(Owner::Anonymous);
                Socket::plain(stream, without)
            }
            Some(config) => match Socket::tls(stream, Arc::clone(config), without) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "failed to begin a TLS session");
                    return;
                }
            },
        };
        socket.origins = Arc::clone(&admission.origins);
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            u32::try_from(self.sockets.len() - 1).expect("connections are bounded")
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(slot as usize);
        if let Err(error) = self.poll.registry().register(socket.stream_mut(), token, interest) {
            tracing::warn!(%error, "failed to watch a connection");
            self.free_slots.push(slot);
            return;
        }
        self.sockets[slot as usize] = Some(socket);
        self.hub.on_opened(now, Slot(slot), peer);
    }

    fn read_again(&mut self, now: Time) {
        for slot in std::mem::take(&mut self.unread) {
            self.read(now, slot);
        }
    }

    /// Reads once and hands what came to the machine.
    fn read(&mut self, now: Time, slot: u32) {
        let Some(socket) = self.sockets.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        if socket.check == PasswordStep::Waiting {
            return;
        }
        let answered = std::mem::take(&mut socket.check) == PasswordStep::Answered;
        let kept = socket.partial.len();
        if kept >= self.buffer.len() / 2 {
            // A packet larger than the buffer is on its way.
            let wanted = (kept * 2).max(READ_BUFFER_BYTES);
            self.buffer.resize(wanted, 0);
        }
        self.buffer[..kept].copy_from_slice(&socket.partial);
        let outcome = socket.read(&mut self.buffer[kept..]);
        let (n, more) = match outcome {
            Ok(ReadOutcome::Some(n)) => (n, true),
            Ok(ReadOutcome::Drained(n)) => (n, false),
            Ok(ReadOutcome::Ended) => return self.close(now, Slot(slot), &CloseReason::Lost),
            Err(error) => {
                if let Some(counter) = refusals::counter_of_failure(&error) {
                    self.hub.count(counter);
                    self.refusals.refused(now, "TLS", &error);
                }
                return self.close(now, Slot(slot), &CloseReason::Lost);
            }
        };
        if !self.identify(now, slot) {
            return;
        }
        if n > 0 || answered {
            self.take_in(now, slot, kept, n);
        }
        if more && self.sockets[slot as usize].is_some() {
            self.unread.push(slot);
        }
    }

    /// Once the handshake is over, finds out which device it is. Tells whether the socket is still
    /// there.
    fn identify(&mut self, now: Time, slot: u32) -> bool {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return false };
        if socket.identified || socket.is_handshaking() {
            return true;
        }
        socket.identified = true;
        let (certificate, without) = (socket.peer_certificate(), socket.without);
        let (counter, why) = match certificate.map(|shown| self.identity.device_of(&shown)) {
            Some(Ok(device)) => {
                self.hub.on_identified(Slot(slot), Owner::Device(device));
                return true;
            }
            None if without.anonymous => {
                self.hub.on_identified(Slot(slot), Owner::Anonymous);
                return true;
            }
            // CONNECT will have to tell.
            None if without.passwords => return true,
            Some(Err(refusal)) => (refusals::counter_of_identity(refusal), refusal.to_string()),
            None => (Counter::CertificateMissing, "the client showed no certificate".to_owned()),
        };
        self.hub.count(counter);
        self.refusals.refused(now, "certificate", &why);
        self.close(now, Slot(slot), &CloseReason::Refused(why));
        false
    }

    /// Hands over what is in the buffer: `kept` bytes from before, and `n` that came.
    fn take_in(&mut self, now: Time, slot: u32, kept: usize, n: usize) {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return };
        if matches!(socket.carrier, Carrier::Unknown) {
            socket.carrier.choose(self.buffer[0], &socket.origins);
        }
        let Carrier::WebSocket(websocket) = &mut socket.carrier else {
            return self.hand_over(now, slot, kept + n);
        };
        let received = websocket.receive(&mut self.buffer[..kept + n], kept);
        let has_answer = websocket.has_answer();
        if received.is_mqtt && received.filled > 0 {
            self.hand_over(now, slot, received.filled);
        } else {
            self.keep(now, slot, 0..received.filled);
        }
        if let Some(reason) = received.end {
            self.count_websocket(&reason);
            self.begin_close(now, Slot(slot), reason);
        } else if has_answer {
            self.write(now, Slot(slot));
        }
    }

    fn count_websocket(&mut self, reason: &CloseReason) {
        match reason {
            CloseReason::Refused(_) => self.hub.count(Counter::RefusedWebSocket),
            CloseReason::Protocol(_) => self.hub.count(Counter::ProtocolErrors),
            _ => {}
        }
    }

    fn hand_over(&mut self, now: Time, slot: u32, filled: usize) {
        let used = self.hub.on_bytes(now, Slot(slot), &self.buffer[..filled]);
        self.keep(now, slot, used..filled);
    }

    /// Keeps that part of the buffer until more comes.
    fn keep(&mut self, now: Time, slot: u32, rest: Range<usize>) {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return };
        self.partial_bytes -= socket.partial.len();
        let rest = &self.buffer[rest];
        if rest.is_empty() {
            // An idle connection holds no buffer.
            socket.partial = Vec::new();
            return;
        }
        socket.partial.clear();
        socket.partial.extend_from_slice(rest);
        self.partial_bytes += rest.len();
        if self.partial_bytes > PARTIAL_BYTES {
            let why = "half received packets fill the memory that all connections share";
            self.close(now, Slot(slot), &CloseReason::Protocol(why.to_owned()));
        }
    }

    fn take_inbox(&mut self, now: Time) {
        self.awake.store(false, std::sync::atomic::Ordering::Release);
        for _ in 0..INBOX_PER_TURN {
            match self.inbox.try_recv() {
                Ok(event) => self.on_event(now, event),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
        self.awake.store(true, std::sync::atomic::Ordering::Release);
    }

    fn on_event(&mut self, now: Time, event: Event) {
        match event {
            Event::WorkerReady(worker) => self.hub.on_worker_ready(now, worker),
            Event::WorkerExited(worker, exit) => self.hub.on_worker_exited(now, worker, exit),
            Event::CallAnswered { call, worker, answer, reply } => {
                let known = self.hub.on_call_answered(now, call, worker, answer);
                let _the_worker_has_gone = reply.send(known);
            }
            Event::Call { function, payload, subject, client_context, reply } => {
                let request = self.next_request;
                self.next_request += 1;
                match self.hub.call(now, request, function, payload, subject, client_context) {
                    Ok(_) => self.replies.push((request, reply)),
                    Err(error) => {
                        let _nobody_waits = reply.send(Err(error));
                    }
                }
            }
            Event::Fetched(to, found) => self.hub.on_fetched(now, to, found),
            Event::Publish { publication, reply } => {
                let (message, result) = self.hub.publish(now, &publication);
                let _nobody_waits = reply.send((message, result));
            }
            Event::Deploy { config, listeners, reply } => {
                self.max_connections = config.limits.max_connections as usize;
                self.hub.deploy(now, *config);
                if let Some(Err(error)) = listeners.map(|bindings| self.listen(bindings)) {
                    tracing::error!(%error, "failed to watch the new listeners");
                }
                let _nobody_waits = reply.send(());
            }
            Event::Ask(look) => look(&mut self.hub, now),
            Event::WatchFlow(sender) => {
                self.hub.watch_flow(true);
                self.flow = Some(sender);
            }
            Event::PasswordChecked(id, device) => self.on_password_checked(now, id, device),
            Event::Revoke(device) => self.hub.revoke(&device),
            Event::Shutdown => {
                if self.stopping.is_none() {
                    self.stopping = Some(now + STOP_GRACE);
                    self.hub.shutdown(now);
                }
            }
        }
    }

    /// Begins the check of a password; its connection is not read until the answer is there.
    fn check_password(&mut self, now: Time, check: PasswordCheck) {
        let id = check.id;
        if let Some(socket) = self.sockets[id.slot.0 as usize].as_mut() {
            socket.check = PasswordStep::Waiting;
        }
        if !self.passwords.check(check) {
            self.on_password_checked(now, id, None);
        }
    }

    /// The device may have lost its password, and the client may have gone, in the meantime.
    fn on_password_checked(&mut self, now: Time, id: CheckId, device: Option<DeviceName>) {
        let device = device.filter(|name| self.identity.password_hash(name.as_str()).is_some());
        if !self.hub.on_password_checked(now, id, device) {
            return;
        }
        if let Some(socket) = self.sockets[id.slot.0 as usize].as_mut() {
            socket.check = PasswordStep::Answered;
            // Events that came meanwhile are gone, so that all must be read that is there.
            self.unread.push(id.slot.0);
            self.read(now, id.slot.0);
        }
    }

    /// Writes the records of this turn, and tells the machine how far they are safe.
    fn commit(&mut self, now: Time) {
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
    fn sync_failed(&mut self, now: Time) {
        self.hub.on_journal_failed(false);
        self.begin_journal_anew(now);
    }

    fn commit_failed(&mut self, now: Time, error: &WriteError) {
        tracing::error!(error = %chain(error), "the journal could not be written; what waits for it is refused");
        self.journal.discard_batch();
        self.hub.on_journal_failed(error.is_full());
        if error.is_poisoned() {
            self.begin_journal_anew(now);
        }
    }

    /// In the mode `power` the journal goes on in a new segment, and the machine writes into it what
    /// the disk lost. In the others only a new process can tell what is left.
    fn begin_journal_anew(&mut self, now: Time) {
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

    fn perform_effects(&mut self, now: Time) {
        for effect in self.hub.take_effects() {
            match effect {
                Effect::Close(slot, reason) => self.begin_close(now, slot, reason),
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

    fn reply(&mut self, reply: CallReply) {
        let at = self.replies.iter().position(|(request, _)| *request == reply.request);
        if let Some(at) = at {
            let (_, sender) = self.replies.swap_remove(at);
            let _nobody_waits = sender.send(Ok(reply));
        }
    }

    /// Closes the socket once its last output is written.
    fn begin_close(&mut self, now: Time, slot: Slot, reason: CloseReason) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        tracing::debug!(slot = slot.0, %reason, "closing a connection");
        self.refusals.closed(now, &reason);
        socket.closing = Some(reason);
        self.write(now, slot);
    }

    fn write_dirty(&mut self, now: Time) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.hub.take_dirty(&mut dirty);
        for slot in &dirty {
            self.write(now, *slot);
        }
        self.dirty = dirty;
    }

    fn write(&mut self, now: Time, slot: Slot) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        if !self.hub.may_write(slot) {
            // What waits tells of something that is not safe yet; a goodbye does not wait for it.
            if let Some(reason) = socket.closing.clone() {
                self.close(now, slot, &reason);
            }
            return;
        }
        let Some(output) = self.hub.output(slot) else { return };
        let (had_output, waiting) = (!output.is_empty(), output.len());
        let written = socket.write(output);
        if output.is_empty() && output.capacity() > IDLE_OUTPUT_BYTES {
            *output = Vec::new();
        }
        let progress = output.len() < waiting;
        let was_blocked = std::mem::replace(&mut socket.blocked, matches!(written, Ok(false)));
        match written {
            Ok(true) => {
                if let Some(reason) = socket.closing.clone() {
                    socket.close_notify();
                    self.close(now, slot, &reason);
                } else if had_output {
                    if was_blocked {
                        self.hub.on_written(slot);
                    }
                    self.hub.on_writable(now, slot);
                }
            }
            // A socket that is to be closed is not waited for: its reader is too slow or gone.
            Ok(false) => match socket.closing.clone() {
                Some(reason) => self.close(now, slot, &reason),
                None => self.hub.on_unwritten(now, slot, progress),
            },
            Err(_) => self.close(now, slot, &CloseReason::Lost),
        }
    }

    fn close(&mut self, now: Time, slot: Slot, reason: &CloseReason) {
        let Some(mut socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::take) else {
            return;
        };
        self.partial_bytes -= socket.partial.len();
        let _it_is_closed_anyway = self.poll.registry().deregister(socket.stream_mut());
        let reason = socket.closing.take().unwrap_or_else(|| reason.clone());
        self.farewells.keep(now, socket.into_stream(), &reason);
        self.hub.on_closed(now, slot, &reason);
        self.free_slots.push(slot.0);
    }

    fn publish_flow(&mut self) {
        let Some(sender) = &self.flow else { return };
        if sender.receiver_count() == 0 {
            self.hub.watch_flow(false);
            self.flow = None;
            return;
        }
        for (at, event) in self.hub.take_flow() {
            let _nobody_watches = sender.send(convert::flow_event(at, event));
        }
    }

    fn is_stopped(&self, now: Time) -> bool {
        let Some(at_last) = self.stopping else { return false };
        let all_closed = self.sockets.len() == self.free_slots.len();
        (all_closed && !self.hub.has_records()) || now >= at_last
    }
}
