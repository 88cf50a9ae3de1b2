//! The way that messages took, for `why` and for the live view.
//!
//! The last messages are remembered with every hop, up to a bound and up to a number per second:
//! a flood of messages must not pay for being watched.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{Message, MessageId, Source, Time, TokenBucket, TopicName};

use crate::{Config, Limits, Owner};

/// Bytes of a payload that a trace shows.
const SNIPPET_BYTES: usize = 256;
/// Hops that one trace remembers; a message to 10,000 subscribers is told by its first ones.
const MAX_HOPS_PER_TRACE: usize = 64;

/// The stations of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopKind {
    /// The sender's connection and identity.
    Connection,
    /// Checks before any route.
    Admission,
    /// One entry of the route table.
    Route,
    /// A call of a function.
    Function,
    /// Delivery to a session.
    Delivery,
    /// Kept for a device that is away.
    Hold,
    /// Kept as the topic's retained message.
    Retain,
}

impl HopKind {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Admission => "admission",
            Self::Route => "route",
            Self::Function => "function",
            Self::Delivery => "delivery",
            Self::Hold => "hold",
            Self::Retain => "retain",
        }
    }
}

/// What happened to a message at one station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// When.
    pub at: Time,
    /// The station.
    pub kind: HopKind,
    /// Which function, device, or nothing.
    pub subject: String,
    /// The outcome in a word or two.
    pub verdict: &'static str,
    /// The rest, in words.
    pub detail: String,
    /// It stopped the message or lost a copy of it.
    pub bad: bool,
}

/// A message and the way that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its number.
    pub message: MessageId,
    /// The message that led to it.
    pub cause: Option<MessageId>,
    /// Who sent it.
    pub source: Source,
    /// Its topic.
    pub topic: TopicName,
    /// The first bytes of its payload.
    pub payload: Bytes,
    /// Length of the whole payload in bytes.
    pub payload_bytes: usize,
    /// When it was accepted.
    pub received: Time,
    /// What happened to it.
    pub hops: Vec<Hop>,
    /// Calls and deliveries that are still under way.
    pub open: u32,
}

/// Something for the live view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// A client connected.
    Connected(Owner),
    /// A client went, with the reason.
    Disconnected(Owner, String),
    /// A message was accepted.
    Published(Box<Trace>),
    /// Something happened to a message.
    Hop(MessageId, Hop),
    /// A message was refused before it got a number: sender, topic, counter's name.
    Dropped(Source, String, &'static str),
}

fn budget(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.traces_per_second, Duration::from_secs(1))
}

pub(crate) struct Flow {
    traces: VecDeque<Trace>,
    capacity: usize,
    budget: TokenBucket,
    watched: bool,
    events: Vec<(Time, FlowEvent)>,
}

impl Flow {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            traces: VecDeque::new(),
            capacity: limits.traces,
            budget: budget(limits),
            watched: false,
            events: Vec::new(),
        }
    }

    /// Changes how many messages are remembered, and how many of them in a second.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.capacity = limits.traces;
        let n_too_many = self.traces.len().saturating_sub(self.capacity);
        self.traces.drain(..n_too_many);
        self.budget = budget(limits);
    }

    /// Turns the live view on or off.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.watched = watched;
        self.events.clear();
    }

    pub(crate) fn take_events(&mut self) -> Vec<(Time, FlowEvent)> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn tell(&mut self, now: Time, event: impl FnOnce() -> FlowEvent) {
        if self.watched {
            self.events.push((now, event()));
        }
    }

    /// Asks whether the next message may be traced.
    pub(crate) fn admit(&mut self, now: Time) -> bool {
        self.capacity > 0 && self.budget.take(now)
    }

    /// Begins the trace of `message`.
    pub(crate) fn begin(&mut self, message: &Message) {
        if self.traces.len() >= self.capacity {
            self.traces.pop_front();
        }
        let trace = Trace {
            message: message.id,
            cause: message.cause,
            source: message.source.clone(),
            topic: message.topic.clone(),
            payload: Bytes::copy_from_slice(
                &message.payload[..message.payload.len().min(SNIPPET_BYTES)],
            ),
            payload_bytes: message.payload.len(),
            received: message.received,
            hops: Vec::new(),
            open: 0,
        };
        self.tell(message.received, || FlowEvent::Published(Box::new(trace.clone())));
        self.traces.push_back(trace);
    }

    pub(crate) fn is_traced(&self, message: MessageId) -> bool {
        self.find(message).is_some()
    }

    fn find(&self, message: MessageId) -> Option<usize> {
        // Most messages are newer than the last one that was traced: no search for those.
        if self.traces.back().is_none_or(|last| message > last.message) {
            return None;
        }
        self.traces.binary_search_by_key(&message, |trace| trace.message).ok()
    }

    /// Adds what `hop` makes to the trace of `message`, if it has one.
    pub(crate) fn hop(&mut self, message: MessageId, hop: impl FnOnce() -> Hop) {
        let Some(index) = self.find(message) else { return };
        let trace = &mut self.traces[index];
        let hop = hop();
        if self.watched {
            self.events.push((hop.at, FlowEvent::Hop(message, hop.clone())));
        }
        if trace.hops.len() < MAX_HOPS_PER_TRACE {
            trace.hops.push(hop);
        }
    }

    /// Says that `n` more calls or deliveries of `message` are under way.
    pub(crate) fn opened(&mut self, message: MessageId) {
        if let Some(index) = self.find(message) {
            self.traces[index].open += 1;
        }
    }

    /// Says that one of them came to an end.
    pub(crate) fn closed(&mut self, message: MessageId) {
        if let Some(index) = self.find(message) {
            let open = &mut self.traces[index].open;
            *open = open.saturating_sub(1);
        }
    }

    pub(crate) fn get(&self, message: MessageId) -> Option<&Trace> {
        self.find(message).map(|index| &self.traces[index])
    }

    /// The last message that `accept` agrees with.
    pub(crate) fn last(&self, accept: impl Fn(&Trace) -> bool) -> Option<&Trace> {
        self.traces.iter().rev().find(|trace| accept(trace))
    }

    /// A message and all that followed from it, in order of acceptance.
    pub(crate) fn chain(&self, first: MessageId) -> Vec<&Trace> {
        let mut chain: Vec<&Trace> = self.get(first).into_iter().collect();
        for trace in self.traces.iter().filter(|trace| trace.message > first) {
            if trace.cause.is_some_and(|cause| chain.iter().any(|known| known.message == cause)) {
                chain.push(trace);
            }
        }
        chain
    }
}
