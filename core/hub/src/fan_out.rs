//! Who gets a message: one look into the topic tree, the conditions of the routes it finds, then
//! every receiver in turn.
//!
//! The message is copied only when somebody must keep it: a receiver with QoS 1, a function, a
//! hold, the retained store, a trace. QoS 0 to connected clients goes from the read buffer of the
//! publisher straight into the write buffers of the receivers.

use std::sync::Arc;

use bytes::Bytes;
use tomte_base::{DeviceName, Message, MessageId, Properties, QoS, Source, Time, TopicName};
use tomte_route::{Destination as RouteTo, MessageView};

use crate::Hub;
use crate::counter::Counter;
use crate::encode::Encoder;
use crate::flow::{FlowEvent, Hop, HopKind};
use crate::match_set::MatchSet;
use crate::record::Destination;
use crate::session::{Delivery, Keeper};
use crate::share_groups::Share;

/// A message as it arrives, nothing copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) source: &'a Source,
    pub(crate) properties: Option<&'a Properties>,
    pub(crate) from_session: Option<u32>,
    /// What it came from, if the journal must not take that for a new one after a crash.
    pub(crate) receipt: Option<Receipt>,
    pub(crate) expires: Time,
    pub(crate) hops: u8,
    pub(crate) cause: Option<MessageId>,
}

/// What the journal ties a message to, in one record with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// A QoS 2 message: its session and packet identifier.
    Packet(u64, u16),
    /// A will that is over with this message.
    Will(u64),
    /// The message of which it and others came; all of them count, or none.
    Part(MessageId),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    /// Its number.
    pub(crate) message: MessageId,
    /// A route from this source takes this topic, whatever its condition.
    pub(crate) allowed: bool,
    /// Somebody is to get it: a subscription, a hold or a function takes it. What then keeps it from
    /// a client, such as No Local or the size of its packets, does not matter.
    pub(crate) matched: bool,
    /// Nobody got it, because the journal cannot keep it now.
    pub(crate) refused: bool,
}

/// Copies the message once, when the first receiver needs it.
pub(crate) struct Lazy<'a> {
    incoming: &'a Incoming<'a>,
    topic: &'a TopicName,
    id: MessageId,
    now: Time,
    receipt: Option<Receipt>,
    message: Option<Arc<Message>>,
}

impl<'a> Lazy<'a> {
    pub(crate) fn new(
        incoming: &'a Incoming<'a>,
        topic: &'a TopicName,
        id: MessageId,
        now: Time,
    ) -> Self {
        Self { incoming, topic, id, now, receipt: incoming.receipt, message: None }
    }

    /// It is one of several messages that come of `of`.
    pub(crate) fn is_part_of(&mut self, of: MessageId) {
        self.receipt = Some(Receipt::Part(of));
    }

    pub(crate) fn incoming(&self) -> &'a Incoming<'a> {
        self.incoming
    }

    pub(crate) fn id(&self) -> MessageId {
        self.id
    }

    pub(crate) fn get(&mut self) -> &Arc<Message> {
        self.message.get_or_insert_with(|| {
            let incoming = self.incoming;
            Arc::new(Message {
                id: self.id,
                topic: self.topic.clone(),
                payload: Bytes::copy_from_slice(incoming.payload),
                qos: incoming.qos,
                retain: incoming.retain,
                source: incoming.source.clone(),
                received: self.now,
                expires: incoming.expires,
                properties: incoming.properties.cloned().map(Box::new),
                hops: incoming.hops,
                cause: incoming.cause,
            })
        })
    }
}

impl Hub {
    /// Sends a message where the routes say. Its receivers, the journal and the trace have it when
    /// this returns; acknowledgements are the caller's matter.
    pub(crate) fn fan_out(&mut self, now: Time, incoming: &Incoming<'_>) -> Routed {
        let set = self.match_set(incoming.topic);
        let id = self.take_message_number();
        let mut lazy = Lazy::new(incoming, &set.topic, id, now);
        let traced = self.flow.admit(now);
        if traced {
            let message = Arc::clone(lazy.get());
            self.flow.begin(&message);
        }
        let view = MessageView::new(
            incoming.topic,
            incoming.payload,
            incoming.source,
            incoming.properties,
        );
        let allowed = self.choose(now, incoming, &set, id, &view);
        if self.chosen.is_empty() {
            self.count_unrouted(now, incoming, id, allowed);
            return Routed { message: id, allowed, matched: false, refused: false };
        }
        if self.cannot_keep(now, incoming, &set, id) {
            return Routed { message: id, allowed, matched: true, refused: true };
        }
        let becomes_several = !self.chosen.renamed.is_empty();
        if becomes_several {
            lazy.is_part_of(id);
        }
        let n_withheld = self.counters.get(Counter::Withheld);
        let rules = self.chosen.has_rules().then(|| self.apply_rules(now, &set, &view, &lazy));
        let mut n_receivers = self.deliver(now, &set, &mut lazy);
        if let Some((n_renamed, told)) = rules {
            n_receivers += n_renamed;
            self.tell_withheld(now, &set, id, &told);
        }
        if becomes_several {
            self.end_parts(id, incoming.receipt);
        }
        let matched = n_receivers > 0;
        let is_withheld = self.counters.get(Counter::Withheld) > n_withheld;
        if !matched && !incoming.retain && !is_withheld {
            self.counters.add(Counter::DropNoSubscriber);
            self.flow.hop(id, || no_subscriber(now));
        }
        Routed { message: id, allowed, matched, refused: false }
    }

    /// Gives the message to whom the routes chose. Returns how many receivers there were.
    pub(crate) fn deliver(&mut self, now: Time, set: &MatchSet, lazy: &mut Lazy<'_>) -> usize {
        let incoming = lazy.incoming();
        let mut durable = Vec::new();
        let n_subscribed = self.send_to_sessions(now, incoming, set, lazy, &mut durable);
        let n_held = self.put_into_holds(now, set, lazy, &mut durable);
        let n_called = self.call_functions(now, lazy, &mut durable);
        let chosen = &self.chosen;
        let is_for_sessions =
            chosen.subscribers || !chosen.devices.is_empty() || !chosen.only.is_empty();
        if incoming.retain && is_for_sessions {
            self.retain(now, lazy);
        }
        if !durable.is_empty() {
            let receipt = lazy.receipt;
            self.store(lazy.get(), durable, receipt);
        }
        n_subscribed + n_held + n_called
    }

    pub(crate) fn take_message_number(&mut self) -> MessageId {
        let id = self.next_message;
        self.next_message = id.next();
        id
    }

    /// Evaluates the routes that the tree found. Returns whether one of them takes messages from
    /// this source at all.
    fn choose(
        &mut self,
        now: Time,
        incoming: &Incoming<'_>,
        set: &MatchSet,
        id: MessageId,
        view: &MessageView<'_>,
    ) -> bool {
        self.chosen.clear();
        let mut allowed = false;
        for &index in &set.routes {
            let route = &self.config.table.routes()[index as usize];
            if !route.from.iter().any(|pattern| pattern.matches(incoming.source)) {
                continue;
            }
            allowed = true;
            if let Some(condition) = &route.when {
                match condition.evaluate(view) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.flow
                            .hop(id, || not_matched(now, &route.label, condition.text(), None));
                        continue;
                    }
                    Err(error) => {
                        self.counters.add(Counter::ConditionErrors);
                        let error = error.to_string();
                        self.flow.hop(id, || {
                            not_matched(now, &route.label, condition.text(), Some(error))
                        });
                        continue;
                    }
                }
            }
            self.route_matches[index as usize] += 1;
            self.flow.hop(id, || matched(now, route));
            let chooses_device = route.rule.only.is_some() && route.to != RouteTo::Subscribers;
            if chooses_device && !self.rule_takes_device(now, id, index, view) {
                self.chosen.withhold(index, &self.config.table.routes()[index as usize]);
                continue;
            }
            self.chosen.add(index, &self.config.table.routes()[index as usize]);
        }
        self.pass_over(now, id);
        allowed
    }

    fn count_unrouted(&mut self, now: Time, incoming: &Incoming<'_>, id: MessageId, allowed: bool) {
        let counter = match (allowed, self.chosen.nobody) {
            (false, _) => Counter::DropNoRoute,
            (true, true) => Counter::DropToNobody,
            (true, false) => Counter::DropNoMatch,
        };
        self.counters.add(counter);
        self.flow.hop(id, || unrouted(now, incoming, counter));
        if !self.flow.is_traced(id) {
            self.flow.tell(now, || {
                FlowEvent::Dropped(
                    incoming.source.clone(),
                    incoming.topic.to_owned(),
                    counter.name(),
                )
            });
        }
    }

    /// Tells whether the routes chose this session, whose owner is that device.
    pub(crate) fn is_chosen(&self, session: u32, device: Option<&DeviceName>) -> bool {
        self.chosen.subscribers
            || self.chosen.sessions.binary_search(&session).is_ok()
            || device.is_some_and(|device| {
                let routes = self.config.table.routes();
                let to_it = |index: &u32| matches!(&routes[*index as usize].to, RouteTo::Device(d) if d == device);
                self.chosen.devices.iter().any(to_it)
            })
    }

    /// Returns how many sessions the routes and their subscriptions chose.
    fn send_to_sessions(
        &mut self,
        now: Time,
        incoming: &Incoming<'_>,
        set: &MatchSet,
        lazy: &mut Lazy<'_>,
        durable: &mut Vec<Destination>,
    ) -> usize {
        let n_receivers = set.sessions.len() + set.shares.len();
        let mut encoder = Encoder::new(now, incoming, &set.topic, n_receivers);
        let mut n_chosen = 0;
        for matched in &set.sessions {
            let Some(session) = self.sessions[matched.session as usize].as_ref() else { continue };
            if !self.is_chosen(matched.session, session.owner.device()) {
                continue;
            }
            n_chosen += 1;
            let Some(matched) = set.reached(matched, incoming.from_session) else { continue };
            let qos = incoming.qos.min(matched.options.qos);
            let retain = incoming.retain && matched.options.retain_as_published;
            if qos == QoS::AtMostOnce {
                let outcome = self.send_at_most_once(matched, retain, &mut encoder);
                self.trace_outcome(now, lazy.id, matched.session, outcome);
                continue;
            }
            let serial = session.serial;
            let keeper = match session.is_persistent() {
                true => Keeper::Session,
                false => self.hold_behind(now, matched, qos, set),
            };
            let delivery = Delivery {
                message: Arc::clone(lazy.get()),
                qos,
                retain,
                keeper: keeper.clone(),
                subscription_ids: matched.ids.clone(),
            };
            self.flow.opened(lazy.id);
            let outcome = self.send_acknowledged(now, matched.session, delivery, &mut encoder);
            self.trace_outcome(now, lazy.id, matched.session, outcome);
            if !outcome.is_taken() {
                self.flow.closed(lazy.id);
                continue;
            }
            match keeper {
                Keeper::Session => {
                    let sent = outcome.sent_as();
                    durable.push(Destination::Session { session: serial, qos, retain, sent });
                }
                Keeper::Hold(device, until) => durable.push(Destination::Hold { device, until }),
                Keeper::Nobody | Keeper::Share(_) => {}
            }
        }
        if !set.shares.is_empty() {
            n_chosen += self.send_to_shares(now, set, lazy, &mut encoder, durable);
        }
        n_chosen
    }

    /// Holds the message for chosen devices that no session stands for.
    fn put_into_holds(
        &mut self,
        now: Time,
        set: &MatchSet,
        lazy: &mut Lazy<'_>,
        durable: &mut Vec<Destination>,
    ) -> usize {
        let mut n_held = 0;
        let mut held_for: Vec<DeviceName> = Vec::new();
        for index in self.chosen.devices.clone() {
            let route = &self.config.table.routes()[index as usize];
            let RouteTo::Device(device) = &route.to else { continue };
            // Two routes to one device are one delivery, held or not.
            if held_for.contains(device) || self.is_reachable(device, set, lazy.incoming.qos) {
                continue;
            }
            let Some(rule) = route.on_unavailable else {
                let device = device.clone();
                self.flow.hop(lazy.id, || unavailable(now, &device));
                continue;
            };
            let (device, until) = (device.clone(), now + rule.hold);
            held_for.push(device.clone());
            let message = Arc::clone(lazy.get());
            let is_durable = message.qos > QoS::AtMostOnce;
            let delivery = Delivery {
                qos: message.qos,
                retain: false,
                keeper: if is_durable {
                    Keeper::Hold(device.clone(), until)
                } else {
                    Keeper::Nobody
                },
                message,
                subscription_ids: None,
            };
            if is_durable {
                durable.push(Destination::Hold { device: device.clone(), until });
            }
            self.flow.hop(lazy.id, || held(now, &device, &rule));
            for dropped in self.holds.put(&device, delivery, until, &rule) {
                self.counters.add(Counter::DropHoldFull);
                self.flow.hop(dropped.message.id, || hold_full(now, &device, rule.max));
                if dropped.message.id == lazy.id {
                    durable.retain(
                        |d| !matches!(d, Destination::Hold { device: d, .. } if *d == device),
                    );
                } else {
                    self.hold_done(&dropped);
                }
            }
            self.arm_sweep();
            n_held += 1;
        }
        n_held
    }

    /// Tells whether a session of `device` took the message, or could have.
    pub(crate) fn is_reachable(&self, device: &DeviceName, set: &MatchSet, qos: QoS) -> bool {
        let groups = set.shares.iter().filter_map(|share| self.shares.get(*share));
        set.sessions.iter().chain(groups.flat_map(Share::members)).any(|matched| {
            self.sessions[matched.session as usize].as_ref().is_some_and(|session| {
                let acknowledged = qos.min(matched.options.qos) > QoS::AtMostOnce;
                session.owner.device() == Some(device)
                    && (session.connection.is_some() || (session.is_persistent() && acknowledged))
            })
        })
    }

    fn call_functions(
        &mut self,
        now: Time,
        lazy: &mut Lazy<'_>,
        durable: &mut Vec<Destination>,
    ) -> usize {
        let mut n_called = 0;
        for index in self.chosen.functions.clone() {
            let route = &self.config.table.routes()[index as usize];
            let RouteTo::Function(function) = &route.to else { continue };
            let (function, label) = (function.clone(), route.label.clone());
            let message = Arc::clone(lazy.get());
            if let Some(destination) = self.call_for_message(now, function, &label, message) {
                if lazy.incoming.qos > QoS::AtMostOnce {
                    durable.push(destination);
                }
                n_called += 1;
            }
        }
        n_called
    }
}

fn matched(at: Time, route: &tomte_route::Route) -> Hop {
    let when =
        route.when.as_ref().map(|when| format!("when {}, ", when.text())).unwrap_or_default();
    let detail = format!("{when}to {}{}", route.to, route.describe_rule());
    Hop {
        at,
        kind: HopKind::Route,
        subject: route.label.clone(),
        verdict: "matched",
        detail,
        bad: false,
    }
}

fn not_matched(at: Time, label: &str, condition: &str, error: Option<String>) -> Hop {
    let bad = error.is_some();
    let detail = match error {
        Some(error) => format!("when {condition}: {error}"),
        None => format!("when {condition} is false"),
    };
    let subject = label.to_owned();
    Hop { at, kind: HopKind::Route, subject, verdict: "not matched", detail, bad }
}

fn unrouted(at: Time, incoming: &Incoming<'_>, counter: Counter) -> Hop {
    let detail = match counter {
        Counter::DropToNobody => "a route sends it to nobody, whatever others say".to_owned(),
        Counter::DropNoMatch => "no route's condition held".to_owned(),
        _ => format!("no route from {} takes {}", incoming.source, incoming.topic),
    };
    let (kind, subject) = (HopKind::Admission, String::new());
    Hop { at, kind, subject, verdict: "dropped", detail, bad: true }
}

pub(crate) fn no_subscriber(at: Time) -> Hop {
    Hop {
        at,
        kind: HopKind::Delivery,
        subject: String::new(),
        verdict: "dropped",
        detail: "a route matched, but nobody had subscribed to the topic".to_owned(),
        bad: true,
    }
}

fn unavailable(at: Time, device: &DeviceName) -> Hop {
    Hop {
        at,
        kind: HopKind::Delivery,
        subject: device.to_string(),
        verdict: "dropped",
        detail: "the device has no session that subscribed to the topic, and the route has no on_unavailable"
            .to_owned(),
        bad: true,
    }
}

fn held(at: Time, device: &DeviceName, rule: &tomte_route::Hold) -> Hop {
    let detail = format!("the device is away; held for {}", tomte_base::format_duration(rule.hold));
    Hop {
        at,
        kind: HopKind::Hold,
        subject: device.to_string(),
        verdict: "held",
        detail,
        bad: false,
    }
}

pub(crate) fn hold_full(at: Time, device: &DeviceName, max: u32) -> Hop {
    let detail = format!("the hold for the device was full ({max} messages)");
    Hop {
        at,
        kind: HopKind::Hold,
        subject: device.to_string(),
        verdict: "dropped",
        detail,
        bad: true,
    }
}
