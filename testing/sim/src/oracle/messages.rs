use std::collections::BTreeSet;

use tomte_base::{FunctionName, QoS, Source, Time, topic_matches};

use crate::mark::Mark;
use crate::table::{Decision, second_topic};

use super::duties::{Cause, Duty};
use super::sessions::Kept;
use super::{Key, Oracle, group_of};

/// A message as the hub takes it.
#[derive(Clone)]
pub(super) struct Incoming<'a> {
    pub(super) source: Source,
    pub(super) from: Option<Key>,
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) expires: bool,
    pub(super) cause: Cause,
}

/// What is known of a message that was published at least once.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) source: Source,
    pub(super) topic: String,
    pub(super) value: i64,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// How often the hub took it.
    pub(super) times: u32,
    pub(super) to_all: bool,
    pub(super) to_devices: BTreeSet<&'static str>,
    pub(super) to_functions: BTreeSet<&'static str>,
    /// Crashes before the hub took it first.
    pub(super) n_crashes: u64,
    /// Messages that were passed on in groups before.
    pub(super) n_passed_on: u64,
    /// A route holds it for a device that is away.
    pub(super) is_held: bool,
}

/// A message that may be the retained one of its topic; without a mark it cleared the topic.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) mark: Option<Mark>,
    pub(super) is_acknowledged: bool,
}

impl Oracle {
    /// The hub takes a message: judges where it goes, and notes what is promised once it is
    /// acknowledged.
    pub(super) fn take_message(&mut self, now: Time, incoming: Incoming<'_>) -> Decision {
        let read = Mark::read(incoming.payload);
        let value = read.map(|(_, value)| value);
        let decision = self.tables[self.table].decide(&incoming.source, incoming.topic, value);
        self.expected.count(&decision);
        let mut duties = Vec::new();
        if incoming.retain && decision.is_for_sessions() {
            duties.push(self.note_retained(incoming.topic, read.map(|(mark, _)| mark)));
        }
        if let Some((mark, value)) = read {
            if incoming.qos > QoS::AtMostOnce && !incoming.expires {
                self.promise_sessions(now, &incoming, &decision, mark, &mut duties);
                self.promise_shares(now, &incoming, &decision, mark, &mut duties);
                self.promise_holds(&incoming, &decision, mark, &mut duties);
                let calls = decision.functions.iter().filter(|_| mark.depth() < self.max_hops());
                duties.extend(calls.map(|name| Duty::Call((*name).to_owned(), mark)));
            }
            self.note_published(&incoming, &decision, mark, value);
            self.take_second(now, &incoming, &decision, (mark, value), &mut duties);
        }
        if incoming.cause != Cause::Nobody && !duties.is_empty() {
            self.pending.entry(incoming.cause).or_default().extend(duties);
        }
        decision
    }

    /// The copy on a second topic, which comes with the first one or not at all.
    fn take_second(
        &mut self,
        now: Time,
        first: &Incoming<'_>,
        decision: &Decision,
        (mark, value): (Mark, i64),
        duties: &mut Vec<Duty>,
    ) {
        let Some(decision) = &decision.second else { return };
        let topic = second_topic(first.topic);
        let mark = mark.on(&topic);
        let copy = Incoming { topic: &topic, retain: false, ..first.clone() };
        if copy.qos > QoS::AtMostOnce && !copy.expires {
            self.promise_sessions(now, &copy, decision, mark, duties);
        }
        self.note_published(&copy, decision, mark, value);
    }

    fn max_hops(&self) -> u32 {
        u32::from(self.limits.max_hops)
    }

    fn note_retained(&mut self, topic: &str, mark: Option<Mark>) -> Duty {
        let candidates = self.retained.entry(topic.to_owned()).or_default();
        candidates.push(Candidate { mark, is_acknowledged: false });
        Duty::Retained(topic.to_owned(), candidates.len() - 1)
    }

    fn note_published(
        &mut self,
        incoming: &Incoming<'_>,
        decision: &Decision,
        mark: Mark,
        value: i64,
    ) {
        let fresh = || Published {
            source: incoming.source.clone(),
            topic: incoming.topic.to_owned(),
            value,
            qos: incoming.qos,
            retain: false,
            times: 0,
            to_all: false,
            to_devices: BTreeSet::new(),
            to_functions: BTreeSet::new(),
            n_crashes: self.n_crashes,
            n_passed_on: self.n_passed_on,
            is_held: false,
        };
        let known = self.published.entry(mark).or_insert_with(fresh);
        known.times += 1;
        known.retain |= incoming.retain;
        known.to_all |= decision.subscribers;
        known.to_devices.extend(decision.devices.iter().map(|(name, _)| *name));
        known.to_devices.extend(&decision.chosen);
        known.to_functions.extend(&decision.functions);
        known.is_held |= decision.devices.iter().any(|(_, held)| *held);
    }

    /// Sessions that surely exist, outlive their connection and asked for the topic.
    fn promise_sessions(
        &self,
        now: Time,
        incoming: &Incoming<'_>,
        decision: &Decision,
        mark: Mark,
        duties: &mut Vec<Duty>,
    ) {
        for (key, kept) in &self.sessions {
            let is_own = incoming.from.as_ref() == Some(key);
            let mut matching =
                kept.subs.iter().filter(|(filter, _)| topic_matches(filter, incoming.topic));
            let wants =
                matching.clone().any(|(_, sub)| sub.is_confirmed && sub.qos > QoS::AtMostOnce);
            if wants
                && decision.permits(key.0)
                && kept.is_persistent()
                && kept.is_confirmed
                && kept.is_alive(now)
                && !(is_own && matching.any(|(_, sub)| sub.no_local))
            {
                duties.push(Duty::Session(key.clone(), kept.generation, mark));
            }
        }
    }

    /// Devices for which a route holds what they do not get: they surely have no session for the topic,
    /// or one that ends with its connection and gets the message with QoS 1.
    fn promise_holds(
        &self,
        incoming: &Incoming<'_>,
        decision: &Decision,
        mark: Mark,
        duties: &mut Vec<Duty>,
    ) {
        for (device, is_held) in &decision.devices {
            let sessions = self.sessions.iter().filter(|((owner, _), _)| *owner == Some(*device));
            let able: Vec<_> = sessions
                .filter(|(_, kept)| {
                    kept.is_uncertain
                        || kept.subs.keys().any(|filter| topic_matches(filter, incoming.topic))
                })
                .collect();
            let must_be_held = match able[..] {
                [] => self.unended.iter().all(|(owner, _)| *owner != Some(*device)),
                [(key, kept)] => self.is_held_behind(incoming, key, kept),
                _ => false,
            };
            let duty = Duty::Held(device, mark);
            if *is_held && must_be_held && !duties.contains(&duty) {
                duties.push(duty);
            }
        }
    }

    /// Tells whether the only session of a device surely gets a message with QoS 1, and ends with its
    /// connection.
    fn is_held_behind(&self, incoming: &Incoming<'_>, key: &Key, kept: &Kept) -> bool {
        let is_own = incoming.from.as_ref() == Some(key);
        let subs = kept.subs.iter().filter(|(filter, _)| topic_matches(filter, incoming.topic));
        let (mut qos, mut is_sure) = (QoS::AtMostOnce, true);
        for (filter, sub) in subs {
            qos = qos.max(sub.qos);
            is_sure &= sub.is_confirmed && !(is_own && sub.no_local) && group_of(filter).is_none();
        }
        let is_there = kept.is_confirmed && !kept.is_uncertain && kept.left.is_none();
        // Of the client's own one the lower is known, while two may be in force.
        is_sure &= qos >= QoS::AtLeastOnce && incoming.qos == QoS::AtLeastOnce;
        let is_held = self.journal_is_whole && !kept.is_persistent();
        is_there && is_sure && is_held
    }

    /// A worker is given a call: some route must have led there.
    pub(crate) fn on_assigned(
        &mut self,
        function: &FunctionName,
        subject: Option<&str>,
        read: Option<(Mark, i64)>,
    ) {
        let (Some(subject), Some((mark, _))) = (subject, read) else { return };
        let known = self.published.get(&mark);
        let permitted = known.is_some_and(|published| {
            published.topic == subject && published.to_functions.contains(function.as_str())
        });
        if !permitted {
            self.blame(|| format!("{function} is called with {mark}, but no route leads there"));
        }
    }

    /// The hub took the answer of a worker; what the function returned is published.
    pub(crate) fn on_answered(
        &mut self,
        now: Time,
        function: &str,
        mark: Option<Mark>,
        returned: Option<&[u8]>,
    ) {
        let (Some(mark), Some(payload)) = (mark, returned) else { return };
        self.answered_calls.insert((function.to_owned(), mark));
        let Some(topic) = self.tables[self.table].result_topic(function) else { return };
        let name = FunctionName::new(function).expect("valid");
        let cause = Cause::Call(function.to_owned(), mark);
        // An earlier run of the same call promised nothing that lasts.
        self.pending.remove(&cause);
        let incoming = Incoming {
            source: Source::Function(name),
            from: None,
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            expires: false,
            cause,
        };
        self.take_message(now, incoming);
    }
}
