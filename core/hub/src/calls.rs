//! Calls of functions: one door for all of them, and what happens with their results.
//!
//! ```text
//!   message matches a route ─┐
//!                            ├─> accepted ─> queued ─> assigned ─> returned ─> result is published
//!   operator calls ──────────┘       │          │           └────> failed
//!                                 refused     expired
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{CallId, FunctionName, Message, QoS, Source, Time, WorkerId};
use tomte_scheduler::{Call, CallFailure, CallKind, Effect as Scheduling, Refusal, WorkerExit};

use crate::Hub;
use crate::counter::Counter;
use crate::effect::{Assignment, CallReply, Effect};
use crate::fan_out::Incoming;
use crate::flow::{Hop, HopKind};
use crate::record::Destination;
use crate::seed::Seed;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The function returned this.
    Returned(Bytes),
    /// The code raised or returned an error: its JSON form.
    Handled(Bytes),
    /// The platform ended it: time, memory, crash.
    Unhandled(CallFailure),
}

/// Why a call was not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The scheduler refused it.
    #[error("the call of {function} was refused: {refusal}")]
    Refused {
        /// The function.
        function: FunctionName,
        /// Why.
        refusal: Refusal,
    },
}

impl CallError {
    /// Tells whether the same call may be accepted later.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let Self::Refused { refusal, .. } = self;
        matches!(
            refusal,
            Refusal::QueueFull { .. }
                | Refusal::QueueBytesFull { .. }
                | Refusal::FunctionQueueFull { .. }
        )
    }
}

/// How the calls of one function ended since the hub started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedCalls {
    /// Calls that returned a result.
    pub succeeded: u64,
    /// Calls that failed, by the code or by the platform.
    pub failed: u64,
}

enum Origin {
    Message { message: Arc<Message>, route: String },
    Operator { request: u64 },
}

struct Entry {
    function: FunctionName,
    payload: Bytes,
    subject: Option<String>,
    client_context: Option<Bytes>,
    origin: Origin,
    arrived: Time,
    assigned: Option<(Time, WorkerId)>,
}

/// The calls that wait or run.
pub(crate) struct Calls {
    entries: HashMap<CallId, Entry>,
    /// Calls that each worker has finished.
    finished: HashMap<WorkerId, u64>,
    ended: BTreeMap<FunctionName, EndedCalls>,
    seed: Seed,
    given: u64,
}

impl Calls {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            entries: HashMap::new(),
            finished: HashMap::new(),
            ended: BTreeMap::new(),
            seed,
            given: 0,
        }
    }

    /// Makes an identifier for a client that brings none, in mosquitto's form. Nobody can guess it,
    /// and so nobody can take the session over.
    pub(crate) fn next_client_id(&mut self) -> String {
        format!("auto-{}", self.next_id())
    }

    /// Makes the next id.
    fn next_id(&mut self) -> CallId {
        self.given += 1;
        CallId(self.seed.id(self.given))
    }

    pub(crate) fn ended(&self) -> &BTreeMap<FunctionName, EndedCalls> {
        &self.ended
    }

    /// Returns the message that led to a call, as long as the call waits or runs.
    pub(crate) fn message(&self, call: CallId) -> Option<Arc<Message>> {
        match &self.entries.get(&call)?.origin {
            Origin::Message { message, .. } => Some(Arc::clone(message)),
            Origin::Operator { .. } => None,
        }
    }

    fn count_end(&mut self, function: &FunctionName, outcome: &CallOutcome) {
        let ended = self.ended.entry(function.clone()).or_default();
        match outcome {
            CallOutcome::Returned(_) => ended.succeeded += 1,
            CallOutcome::Handled(_) | CallOutcome::Unhandled(_) => ended.failed += 1,
        }
    }

    pub(crate) fn finished_by(&self, worker: WorkerId) -> u64 {
        self.finished.get(&worker).copied().unwrap_or(0)
    }
}

impl Hub {
    /// Accepts a call for a message that a route sends to `function`.
    pub(crate) fn call_for_message(
        &mut self,
        now: Time,
        function: FunctionName,
        route: &str,
        message: Arc<Message>,
    ) -> Option<Destination> {
        if message.hops >= self.config.limits.max_hops {
            self.counters.add(Counter::DropHopLimit);
            self.flow.hop(message.id, || hop_limit(now, &function, message.hops));
            return None;
        }
        let call = self.calls.next_id();
        self.enter_call_for_message(now, call, function.clone(), route, &message)
            .then(|| Destination::Call { function, call, route: route.to_owned() })
    }

    /// Accepts the call under an id that is already known, as recovery does. Tells whether it was
    /// accepted.
    pub(crate) fn enter_call_for_message(
        &mut self,
        now: Time,
        call: CallId,
        function: FunctionName,
        route: &str,
        message: &Arc<Message>,
    ) -> bool {
        let entry = Entry {
            payload: message.payload.clone(),
            subject: Some(message.topic.to_string()),
            client_context: None,
            origin: Origin::Message { message: Arc::clone(message), route: route.to_owned() },
            arrived: now,
            assigned: None,
            function,
        };
        self.flow.opened(message.id);
        let function = entry.function.clone();
        match self.enter(
            now,
            call,
            entry,
            format!("route:{route}"),
            CallKind::Event,
            message.expires,
        ) {
            Ok(()) => true,
            Err(refusal) => {
                self.counters.add(Counter::DropCallRefused);
                self.flow.closed(message.id);
                self.flow.hop(message.id, || refused(now, &function, &refusal));
                false
            }
        }
    }

    /// Accepts a call of somebody who waits for its result: [`Effect::Reply`] with `request`.
    ///
    /// # Errors
    /// Fails with [`CallError::Refused`] when the function is unknown, its queue is full, or it can
    /// never fit the machine.
    pub fn call(
        &mut self,
        now: Time,
        request: u64,
        function: FunctionName,
        payload: Bytes,
        subject: Option<String>,
        client_context: Option<Bytes>,
    ) -> Result<CallId, CallError> {
        let call = self.calls.next_id();
        let entry = Entry {
            function: function.clone(),
            payload,
            subject,
            client_context,
            origin: Origin::Operator { request },
            arrived: now,
            assigned: None,
        };
        self.enter(now, call, entry, "operator".to_owned(), CallKind::Request, Time::NEVER)
            .map_err(|refusal| CallError::Refused { function, refusal })?;
        Ok(call)
    }

    /// Gives up on a call; whoever waits for it is told. Tells whether it was still there.
    pub fn cancel_call(&mut self, now: Time, call: CallId) -> bool {
        let mut out = Vec::new();
        let cancelled = self.scheduler.cancel(now, call, &mut out);
        self.perform_scheduling(now, out);
        cancelled
    }

    fn enter(
        &mut self,
        now: Time,
        id: CallId,
        entry: Entry,
        source: String,
        kind: CallKind,
        expires: Time,
    ) -> Result<(), Refusal> {
        let function = self.config.functions.get(&entry.function);
        let call = Call {
            id,
            function: entry.function.clone(),
            priority: function.map(|f| f.limits.priority).unwrap_or_default(),
            arrived: now,
            expires,
            source,
            kind,
            bytes: entry.payload.len(),
        };
        self.calls.entries.insert(id, entry);
        let mut out = Vec::new();
        let submitted = self.scheduler.submit(now, call, &mut out);
        if submitted.is_err() {
            self.calls.entries.remove(&id);
        } else {
            self.counters.add(Counter::CallsAccepted);
        }
        self.perform_scheduling(now, out);
        submitted
    }

    /// A worker asked for its next call.
    pub fn on_worker_ready(&mut self, now: Time, worker: WorkerId) {
        let mut out = Vec::new();
        self.scheduler.on_worker_ready(now, worker, &mut out);
        self.perform_scheduling(now, out);
    }

    /// A worker is gone, or could not be made.
    pub fn on_worker_exited(&mut self, now: Time, worker: WorkerId, exit: WorkerExit) {
        self.calls.finished.remove(&worker);
        let mut out = Vec::new();
        self.scheduler.on_worker_exited(now, worker, exit, &mut out);
        self.perform_scheduling(now, out);
    }

    /// A worker answered a call: with what the function returned, or with the error of its code.
    /// Tells whether the worker really ran this call.
    pub fn on_call_answered(
        &mut self,
        now: Time,
        call: CallId,
        worker: WorkerId,
        answer: Result<Bytes, Bytes>,
    ) -> bool {
        let assigned = self.calls.entries.get(&call).and_then(|entry| entry.assigned);
        if assigned.is_none_or(|(_, to)| to != worker) {
            return false;
        }
        *self.calls.finished.entry(worker).or_default() += 1;
        let outcome = answer.map_or_else(CallOutcome::Handled, CallOutcome::Returned);
        self.end_call(now, call, outcome);
        let mut out = Vec::new();
        self.scheduler.on_call_finished(now, call, worker, &mut out);
        self.perform_scheduling(now, out);
        true
    }

    /// Turns what the scheduler decided into effects.
    pub(crate) fn perform_scheduling(&mut self, now: Time, decisions: Vec<Scheduling>) {
        for decision in decisions {
            match decision {
                Scheduling::StartWorker { worker, function, version } => {
                    self.effects.push(Effect::StartWorker { worker, function, version });
                }
                Scheduling::StopWorker { worker, reason } => {
                    self.effects.push(Effect::StopWorker { worker, reason });
                }
                Scheduling::Assign { call, worker, deadline } => {
                    self.assign(now, call, worker, deadline);
                }
                Scheduling::Fail { call, failure, .. } => {
                    self.end_call(now, call, CallOutcome::Unhandled(failure));
                }
            }
        }
    }

    fn assign(&mut self, now: Time, call: CallId, worker: WorkerId, deadline: Time) {
        let Some(entry) = self.calls.entries.get_mut(&call) else { return };
        entry.assigned = Some((now, worker));
        self.effects.push(Effect::Assign(Assignment {
            worker,
            call,
            function: entry.function.clone(),
            payload: entry.payload.clone(),
            subject: entry.subject.clone(),
            client_context: entry.client_context.clone(),
            deadline,
        }));
    }

    fn end_call(&mut self, now: Time, call: CallId, outcome: CallOutcome) {
        let Some(entry) = self.calls.entries.remove(&call) else { return };
        self.counters.add(match &outcome {
            CallOutcome::Returned(_) => Counter::CallsSucceeded,
            CallOutcome::Handled(_) => Counter::CallsHandled,
            CallOutcome::Unhandled(_) => Counter::CallsUnhandled,
        });
        self.calls.count_end(&entry.function, &outcome);
        let started = entry.assigned.map_or(now, |(at, _)| at);
        let (queued, ran) = (started - entry.arrived, now - started);
        match &entry.origin {
            Origin::Operator { request } => self.effects.push(Effect::Reply(CallReply {
                request: *request,
                call,
                outcome,
                queued,
                ran,
                worker: entry.assigned.map(|(_, worker)| worker),
            })),
            Origin::Message { message, route } => {
                let calls_before = entry
                    .assigned
                    .map(|(_, worker)| self.calls.finished_by(worker))
                    .map(|n| n.saturating_sub(1));
                self.flow
                    .hop(message.id, || ended(now, &entry, &outcome, queued, ran, calls_before));
                if let CallOutcome::Returned(result) = &outcome {
                    self.publish_result(now, &entry.function, message, result);
                }
                // What the hub itself interrupts by stopping is still to be done: the journal keeps it.
                if matches!(outcome, CallOutcome::Unhandled(CallFailure::ShuttingDown)) {
                    return;
                }
                let (function, route) = (entry.function.clone(), route.clone());
                self.done(message.id, &Destination::Call { function, call, route });
                self.flow.closed(message.id);
            }
        }
    }

    /// Publishes what a function returned on its result topic. `null`, what a handler without a
    /// return value returns, is no message.
    fn publish_result(
        &mut self,
        now: Time,
        function: &FunctionName,
        cause: &Message,
        result: &Bytes,
    ) {
        let config = self.config.functions.get(function);
        let Some(topic) = config.and_then(|config| config.result_topic.clone()) else { return };
        if result.is_empty() || result.as_ref() == b"null" {
            return;
        }
        let incoming = Incoming {
            topic: &topic,
            payload: result,
            qos: QoS::AtLeastOnce,
            retain: false,
            source: &Source::Function(function.clone()),
            properties: None,
            from_session: None,
            receipt: None,
            expires: Time::NEVER,
            hops: cause.hops.saturating_add(1),
            cause: Some(cause.id),
        };
        self.fan_out(now, &incoming);
    }
}

fn hop(at: Time, function: &FunctionName, verdict: &'static str, detail: String, bad: bool) -> Hop {
    Hop { at, kind: HopKind::Function, subject: function.to_string(), verdict, detail, bad }
}

fn refused(at: Time, function: &FunctionName, refusal: &Refusal) -> Hop {
    hop(at, function, "refused", refusal.to_string(), true)
}

fn hop_limit(at: Time, function: &FunctionName, hops: u8) -> Hop {
    let detail =
        format!("the message went through {hops} functions already, which is the limit max_hops");
    hop(at, function, "dropped", detail, true)
}

fn ended(
    at: Time,
    entry: &Entry,
    outcome: &CallOutcome,
    queued: Duration,
    ran: Duration,
    calls_before: Option<u64>,
) -> Hop {
    let worker = match (entry.assigned, calls_before) {
        (Some((_, worker)), Some(0)) => format!(", new worker {worker}"),
        (Some((_, worker)), _) => format!(", warm worker {worker}"),
        (None, _) => String::new(),
    };
    let times = format!("queued {}{worker}, ran {}", millis(queued), millis(ran));
    let function = &entry.function;
    match outcome {
        CallOutcome::Returned(result) => {
            hop(at, function, "ok", format!("{times}, returned {} bytes", result.len()), false)
        }
        CallOutcome::Handled(error) => {
            let error = String::from_utf8_lossy(&error[..error.len().min(300)]).into_owned();
            hop(at, function, "failed", format!("{times}, the code raised {error}"), true)
        }
        CallOutcome::Unhandled(failure) => {
            hop(at, function, "failed", format!("{times}, {failure}"), true)
        }
    }
}

/// Writes a span as milliseconds with one decimal.
pub(crate) fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}
