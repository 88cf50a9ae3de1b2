//! Message rules: routes that choose among their receivers, send a message on under a second topic,
//! or withhold it from everybody else.
//!
//! A message on its second topic is a message of its own, caused by the first one. It goes to the
//! destination of its route and never through the table again. So a message leads to at most one
//! more for each rule that matches it, however the topics of the rules follow each other.
//!
//! Who is not chosen gets nothing, also where the choice cannot be told.

use std::collections::HashSet;
use std::sync::Arc;

use tomte_base::{DeviceName, Message, MessageId, NumberHash, Time, TopicName};
use tomte_route::condition::MAX_RULE_WORK;
use tomte_route::{Destination as RouteTo, EvaluationError, MessageView, Route};

use crate::Hub;
use crate::chosen::Chosen;
use crate::counter::Counter;
use crate::fan_out::{Incoming, Lazy, Receipt};
use crate::flow::{Hop, HopKind};
use crate::match_set::MatchSet;
use crate::session::Session;

/// Whom the rules gave a message on its second topic, and whom they refused it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    got: HashSet<u32, NumberHash>,
    refused: HashSet<u32, NumberHash>,
}

/// Why a receiver is not chosen.
type No = (String, Option<EvaluationError>);

impl Hub {
    /// Passes over the routes to subscribers and devices that do not withhold the message, when one
    /// that does has matched.
    pub(crate) fn pass_over(&mut self, now: Time, id: MessageId) {
        let Some(by) = self.chosen.withheld_by else { return };
        let routes = self.config.table.routes();
        let n_before = self.chosen.n_receiving();
        self.chosen.keep_only(|index| {
            let route = &routes[index as usize];
            route.rule.withhold || matches!(route.to, RouteTo::Function(_))
        });
        if self.chosen.n_receiving() < n_before {
            let label = &routes[by as usize].label;
            self.flow.hop(id, || Hop {
                at: now,
                kind: HopKind::Route,
                subject: label.clone(),
                verdict: "withholds",
                detail: "other routes to subscribers and devices are passed over".to_owned(),
                bad: false,
            });
        }
    }

    /// Tells whether the rule of a route to one device chooses it.
    pub(crate) fn rule_takes_device(
        &mut self,
        now: Time,
        id: MessageId,
        index: u32,
        view: &MessageView<'_>,
    ) -> bool {
        let route = &self.config.table.routes()[index as usize];
        let RouteTo::Device(device) = &route.to else { return true };
        let Err((text, error)) = self.choose_receiver(index, Some(device), view, &mut work())
        else {
            return true;
        };
        let (device, label) = (device.to_string(), route.label.clone());
        self.counters.add(Counter::Withheld);
        self.flow.hop(id, || withheld(now, device, &label, &text, error.as_ref()));
        false
    }

    /// Sends the message on under its second topics, and finds whom rules choose on its own one.
    pub(crate) fn apply_rules(
        &mut self,
        now: Time,
        set: &MatchSet,
        view: &MessageView<'_>,
        lazy: &Lazy<'_>,
    ) -> (usize, Told) {
        let mut told = Told::default();
        let mut n_receivers = 0;
        let first = std::mem::take(&mut self.chosen);
        for &index in &first.renamed {
            n_receivers += self.send_renamed(now, index, view, lazy, &mut told);
        }
        self.chosen = first;
        if !self.chosen.only.is_empty() && !self.chosen.subscribers {
            let rules = self.chosen.only.clone();
            self.chosen.sessions =
                self.choose_among(now, set, &rules, view, lazy.id(), &mut told.refused);
        }
        (n_receivers, told)
    }

    /// Sends a message on under the second topic of a route. Returns how many receivers there were.
    fn send_renamed(
        &mut self,
        now: Time,
        index: u32,
        view: &MessageView<'_>,
        first: &Lazy<'_>,
        told: &mut Told,
    ) -> usize {
        let Some(topic) = self.second_topic(now, index, view, first.id()) else { return 0 };
        let set = self.match_set(&topic);
        let incoming = Incoming {
            topic: &topic,
            retain: false,
            receipt: Some(Receipt::Part(first.id())),
            cause: Some(first.id()),
            ..*first.incoming()
        };
        let id = self.take_message_number();
        let mut lazy = Lazy::new(&incoming, &set.topic, id, now);
        if self.flow.is_traced(first.id()) {
            let message = Arc::clone(lazy.get());
            self.flow.begin(&message);
        }
        self.chosen = self.chosen_by(now, index, &set, view, id, told);
        for matched in &set.sessions {
            let session = self.sessions.get(matched.session as usize).and_then(Option::as_ref);
            if session.is_some_and(|s| self.is_chosen(matched.session, s.owner.device())) {
                told.got.insert(matched.session);
            }
        }
        let n_receivers = self.deliver(now, &set, &mut lazy);
        if n_receivers == 0 {
            self.flow.hop(id, || crate::fan_out::no_subscriber(now));
        }
        n_receivers
    }

    fn second_topic(
        &mut self,
        now: Time,
        index: u32,
        view: &MessageView<'_>,
        id: MessageId,
    ) -> Option<TopicName> {
        let route = &self.config.table.routes()[index as usize];
        let template = route.rule.publish_as.as_ref()?;
        match template.render(view.topic()) {
            Ok(topic) => Some(topic),
            Err(error) => {
                self.counters.add(Counter::ConditionErrors);
                self.flow.hop(id, || Hop {
                    at: now,
                    kind: HopKind::Route,
                    subject: route.label.clone(),
                    verdict: "dropped",
                    detail: format!("publish_as {template}: {error}"),
                    bad: true,
                });
                None
            }
        }
    }

    /// Whom one route chooses.
    fn chosen_by(
        &mut self,
        now: Time,
        index: u32,
        set: &MatchSet,
        view: &MessageView<'_>,
        id: MessageId,
        told: &mut Told,
    ) -> Chosen {
        let route = &self.config.table.routes()[index as usize];
        let mut chosen = Chosen::default();
        match &route.to {
            RouteTo::Subscribers if route.rule.only.is_some() => {
                chosen.sessions =
                    self.choose_among(now, set, &[index], view, id, &mut told.refused);
            }
            RouteTo::Subscribers => chosen.subscribers = true,
            RouteTo::Device(_) => chosen.devices.push(index),
            RouteTo::Function(_) => chosen.functions.push(index),
            RouteTo::Nobody => chosen.nobody = true,
        }
        chosen
    }

    /// Returns the sessions that one of the rules chooses among those that match a topic, in order.
    fn choose_among(
        &mut self,
        now: Time,
        set: &MatchSet,
        rules: &[u32],
        view: &MessageView<'_>,
        id: MessageId,
        refused: &mut HashSet<u32, NumberHash>,
    ) -> Vec<u32> {
        let (mut chosen, mut left) = (Vec::new(), work());
        for index in self.subscribed(set) {
            let Some(session) = self.sessions.get(index as usize).and_then(Option::as_ref) else {
                continue;
            };
            let device = session.owner.device();
            if self.is_chosen(index, device) {
                continue;
            }
            let mut no = None;
            let is_chosen = rules.iter().any(|rule| {
                let verdict = self.choose_receiver(*rule, device, view, &mut left);
                no = verdict.err().map(|no| (*rule, no));
                no.is_none()
            });
            match no {
                _ if is_chosen => chosen.push(index),
                Some((rule, no)) => {
                    refused.insert(index);
                    self.refuse(now, id, index, rule, &no);
                }
                None => {}
            }
        }
        chosen
    }

    /// The sessions that subscribed to a topic, alone or in a group, in order.
    fn subscribed(&self, set: &MatchSet) -> Vec<u32> {
        let groups = set.shares.iter().filter_map(|share| self.shares.get(*share));
        let members = groups.flat_map(crate::share_groups::Share::members);
        let mut sessions: Vec<u32> =
            set.sessions.iter().chain(members).map(|matched| matched.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// Asks a rule whether it chooses a device, or a client without an identity.
    fn choose_receiver(
        &self,
        rule: u32,
        device: Option<&DeviceName>,
        view: &MessageView<'_>,
        left: &mut u64,
    ) -> Result<(), No> {
        let table = &self.config.table;
        let Some(only) = &table.routes()[rule as usize].rule.only else { return Ok(()) };
        match table.with_receiver(device, |receiver| only.chooses(view, receiver, left)) {
            Ok(true) => Ok(()),
            Ok(false) => Err((only.text().to_owned(), None)),
            Err(error) => Err((only.text().to_owned(), Some(error))),
        }
    }

    /// Tells whether a rule would refuse a receiver, for `why`.
    pub(crate) fn would_refuse(
        &self,
        now: Time,
        rule: u32,
        device: Option<&DeviceName>,
        name: &str,
        view: &MessageView<'_>,
    ) -> Option<Hop> {
        let (text, error) = self.choose_receiver(rule, device, view, &mut work()).err()?;
        let label = &self.config.table.routes()[rule as usize].label;
        let told = withheld(now, name.to_owned(), label, &text, error.as_ref());
        Some(Hop { verdict: "would be withheld", ..told })
    }

    fn refuse(&mut self, now: Time, id: MessageId, index: u32, rule: u32, (text, error): &No) {
        self.counters.add(Counter::Withheld);
        if self.flow.is_traced(id) {
            let name = self.name_of(index);
            let label = &self.config.table.routes()[rule as usize].label;
            self.flow.hop(id, || withheld(now, name, label, text, error.as_ref()));
        }
    }

    /// Counts and tells from whom a message was withheld who would have got it without the rule.
    pub(crate) fn tell_withheld(&mut self, now: Time, set: &MatchSet, id: MessageId, told: &Told) {
        let Some(by) = self.chosen.withheld_by else { return };
        for index in set.sessions.iter().map(|matched| matched.session) {
            let Some(session) = self.sessions.get(index as usize).and_then(Option::as_ref) else {
                continue;
            };
            let device = session.owner.device();
            let has_it = self.is_chosen(index, device) || told.got.contains(&index);
            if has_it || told.refused.contains(&index) || !self.was_passed_over(device) {
                continue;
            }
            self.withhold_from(now, id, by, self.name_of(index));
        }
        for &at in &set.shares {
            let Some(share) = self.shares.get(at).filter(|_| !self.is_share_chosen(at)) else {
                continue;
            };
            let mut members = share.members().map(|member| member.session);
            let lost = |index: u32| {
                let session = self.sessions.get(index as usize).and_then(Option::as_ref);
                session.is_some_and(|session| self.was_passed_over(session.owner.device()))
            };
            let is_lost = members.any(|index| lost(index) && !told.refused.contains(&index));
            drop(members);
            if is_lost {
                let name = share.filter.to_string();
                self.withhold_from(now, id, by, name);
            }
        }
    }

    fn withhold_from(&mut self, now: Time, id: MessageId, by: u32, name: String) {
        self.counters.add(Counter::Withheld);
        let label = &self.config.table.routes()[by as usize].label;
        self.flow.hop(id, || Hop {
            at: now,
            kind: HopKind::Delivery,
            subject: name,
            verdict: "withheld",
            detail: format!("{label} does not choose it"),
            bad: true,
        });
    }

    fn was_passed_over(&self, device: Option<&DeviceName>) -> bool {
        let routes = self.config.table.routes();
        let to_it = |index: &u32| match &routes[*index as usize].to {
            RouteTo::Device(name) => device == Some(name),
            _ => true,
        };
        self.chosen.passed_over.iter().any(to_it)
    }

    /// Tells whether the routes lead the message from its source to this session now.
    pub(crate) fn may_have(&self, session: &Session, message: &Message) -> bool {
        let Message { topic, payload, source, properties, .. } = message;
        let view = MessageView::new(topic, payload, source, properties.as_deref());
        let matching = self
            .config
            .table
            .routes()
            .iter()
            .enumerate()
            .filter(|(_, route)| route.topic.matches(topic) && route.takes(source, &view));
        let matching: Vec<(usize, &Route)> = matching.collect();
        if matching.iter().any(|(_, route)| route.to == RouteTo::Nobody) {
            return false;
        }
        let is_withheld = matching.iter().any(|(_, route)| route.rule.withhold);
        let leads_to_it = |(index, route): &(usize, &Route)| {
            route.feeds(&session.owner.source())
                && route.rule.publish_as.is_none()
                && (!is_withheld || route.rule.withhold)
                && self.rule_chooses(*index, session, &view)
        };
        let by_its_topic = || matching.iter().any(leads_to_it);
        match self.may_have_renamed(session, message) {
            None => by_its_topic(),
            // A message with a cause that went through no function came by a rule.
            Some(by_rule) => by_rule && (message.hops == 0 || by_its_topic()),
        }
    }

    fn rule_chooses(&self, index: usize, session: &Session, view: &MessageView<'_>) -> bool {
        let index = u32::try_from(index).expect("a manifest has fewer routes");
        self.choose_receiver(index, session.owner.device(), view, &mut work()).is_ok()
    }

    /// The same for a message that perhaps came on its second topic, none for any other. What a rule
    /// chose by is not known any more, so the message may go to another receiver only where no rule
    /// that makes this topic chooses.
    fn may_have_renamed(&self, session: &Session, message: &Message) -> Option<bool> {
        message.cause?;
        let makers = self.config.table.routes().iter().filter(|route| {
            route.rule.publish_as.as_ref().is_some_and(|to| to.makes().matches(&message.topic))
                && route.takes_from(&message.source)
        });
        let makers: Vec<&Route> = makers.collect();
        if makers.is_empty() && message.hops > 0 {
            return None;
        }
        let source = session.owner.source();
        let none_chooses = makers.iter().all(|route| route.rule.only.is_none());
        Some(none_chooses && makers.iter().any(|route| route.feeds(&source)))
    }
}

/// The work that rules may do for one message.
fn work() -> u64 {
    MAX_RULE_WORK
}

fn withheld(
    at: Time,
    name: String,
    label: &str,
    only: &str,
    error: Option<&EvaluationError>,
) -> Hop {
    let why =
        error.map_or_else(|| "is false".to_owned(), |error| format!("cannot be told: {error}"));
    let detail = format!("{label}: only {only} {why}");
    Hop { at, kind: HopKind::Delivery, subject: name, verdict: "withheld", detail, bad: true }
}
