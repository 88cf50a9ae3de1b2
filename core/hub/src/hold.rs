//! Messages for devices that are away and have no session that would keep them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tomte_base::{ByteSize, DeviceName, Message, MessageId, QoS, Time, TopicFilter};
use tomte_broker::{Overflow, Push, Queue, QueueLimits};
use tomte_route::{Destination as RouteTo, Hold, Route};

use crate::Hub;
use crate::counter::Counter;
use crate::fan_out::hold_full;
use crate::flow::{Hop, HopKind};
use crate::match_set::{MatchSet, MatchedSession};
use crate::record::Destination;
use crate::session::{Delivery, Keeper, Session};
use crate::share_groups::Share;

/// Bytes that one hold keeps, whatever its number of messages.
const MAX_HOLD_BYTES: ByteSize = ByteSize::mib(16);

/// The rule for messages that were held under a route which is no longer there.
const LEFT_OVER: Hold =
    Hold { hold: Duration::from_secs(600), max: 1_000, then: tomte_route::Overflow::DropOldest };

/// Holds of all devices. A device's hold exists only while something is in it.
#[derive(Default)]
pub(crate) struct Holds {
    by_device: BTreeMap<DeviceName, Queue<Delivery>>,
}

impl Holds {
    /// Puts `delivery` into the hold of `device`. Returns what the bounds pushed out.
    pub(crate) fn put(
        &mut self,
        device: &DeviceName,
        delivery: Delivery,
        until: Time,
        rule: &Hold,
    ) -> Vec<Delivery> {
        let bytes = delivery.message.payload.len() + delivery.message.topic.len();
        let queue =
            self.by_device.entry(device.clone()).or_insert_with(|| Queue::new(limits(rule)));
        match queue.push(delivery, bytes, until) {
            Push::Queued => Vec::new(),
            Push::QueuedDropping(old) => old.into_iter().collect(),
            Push::Dropped(new) | Push::Refused(new) => vec![new],
        }
    }

    /// Puts back what a session could not deliver, before what came since. Returns what the bounds pushed
    /// out.
    pub(crate) fn give_back(
        &mut self,
        device: &DeviceName,
        deliveries: Vec<(Delivery, Time)>,
        rule: &Hold,
    ) -> Vec<Delivery> {
        let later = self.by_device.remove(device);
        let later = later.into_iter().flat_map(|mut queue| queue.drain_entries());
        let later = later.map(|(delivery, _, until)| (delivery, until));
        let all = deliveries.into_iter().chain(later.collect::<Vec<_>>());
        all.flat_map(|(delivery, until)| self.put(device, delivery, until, rule)).collect()
    }

    /// Takes what `filter` matches, oldest first. Expired ones go to `expired`.
    pub(crate) fn take(
        &mut self,
        now: Time,
        device: &DeviceName,
        filter: &TopicFilter,
        expired: &mut Vec<Delivery>,
    ) -> Vec<Delivery> {
        let Some(queue) = self.by_device.get_mut(device) else { return Vec::new() };
        queue.expire(now, expired);
        let mut taken = Vec::new();
        queue.remove_where(|delivery| filter.matches(&delivery.message.topic), &mut taken);
        if queue.is_empty() {
            self.by_device.remove(device);
        }
        taken
    }

    /// Returns the message `id` if it is held for `device`.
    pub(crate) fn message(&self, device: &DeviceName, id: MessageId) -> Option<Arc<Message>> {
        let mut messages = self.by_device.get(device)?.iter().map(|delivery| &delivery.message);
        messages.find(|message| message.id == id).cloned()
    }

    /// Removes what is past its time.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(DeviceName, Delivery)> {
        let mut gone = Vec::new();
        for (device, queue) in &mut self.by_device {
            let mut expired = Vec::new();
            queue.expire(now, &mut expired);
            gone.extend(expired.into_iter().map(|delivery| (device.clone(), delivery)));
        }
        self.by_device.retain(|_, queue| !queue.is_empty());
        gone
    }

    /// When the next one is past its time.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.by_device.values().filter_map(Queue::next_expiry).min()
    }

    pub(crate) fn len(&self, device: &DeviceName) -> usize {
        self.by_device.get(device).map_or(0, Queue::len)
    }

    pub(crate) fn total(&self) -> usize {
        self.by_device.values().map(Queue::len).sum()
    }
}

fn limits(rule: &Hold) -> QueueLimits {
    QueueLimits {
        max_messages: rule.max,
        max_bytes: MAX_HOLD_BYTES,
        overflow: match rule.then {
            tomte_route::Overflow::DropOldest => Overflow::DropOldest,
            tomte_route::Overflow::DropNewest => Overflow::DropNewest,
        },
    }
}

/// The first rule that one of the routes has for a device that is away.
fn rule_for<'a>(device: &DeviceName, mut routes: impl Iterator<Item = &'a Route>) -> Option<Hold> {
    routes.find_map(|route| match &route.to {
        RouteTo::Device(to) if to == device => route.on_unavailable,
        _ => None,
    })
}

impl Hub {
    /// The rules of the routes changed: holds that are in use follow them.
    pub(crate) fn set_hold_rules(&mut self) {
        let mut holds = std::mem::take(&mut self.holds);
        for (device, queue) in &mut holds.by_device {
            queue.set_limits(limits(&self.hold_rule(device)));
        }
        self.holds = holds;
    }

    /// Who keeps a message of QoS 1 on its way to a session that ends with its connection, which may be
    /// dead while nobody knows it: the hold of its device, if a route has one and no other session of the
    /// device gets the message. One of QoS 2 could come twice, and is dropped with its session.
    pub(crate) fn hold_behind(
        &self,
        now: Time,
        matched: &MatchedSession,
        qos: QoS,
        set: &MatchSet,
    ) -> Keeper {
        let session_of = |matched: &MatchedSession| {
            self.sessions.get(matched.session as usize).and_then(Option::as_ref)
        };
        let is_asked = qos == QoS::AtLeastOnce && self.journal_is_whole();
        // One without a connection is about to end, and counts as away.
        let session = session_of(matched).filter(|s| is_asked && s.connection.is_some());
        let device = session.and_then(|session| session.owner.device());
        let Some(device) = device else { return Keeper::Nobody };
        let routes = self.config.table.routes();
        let routes = self.chosen.devices.iter().map(|index| &routes[*index as usize]);
        let Some(rule) = rule_for(device, routes) else { return Keeper::Nobody };
        let groups = set.shares.iter().filter_map(|share| self.shares.get(*share));
        let others = set.sessions.iter().chain(groups.flat_map(Share::members));
        let mut others = others.filter(|other| other.session != matched.session);
        if others.any(|other| session_of(other).and_then(|s| s.owner.device()) == Some(device)) {
            return Keeper::Nobody;
        }
        Keeper::Hold(device.clone(), now + rule.hold)
    }

    /// Puts a message into the hold of a device after a restart.
    pub(crate) fn recover_hold(
        &mut self,
        device: &DeviceName,
        message: &Arc<Message>,
        until: Time,
    ) {
        let rule = self.hold_rule(device);
        for dropped in self.holds.put(device, held(device, message, until), until, &rule) {
            self.counters.add(Counter::DropHoldFull);
            self.hold_done(&dropped);
        }
        self.arm_sweep();
    }

    /// Puts back into their holds what a session that ended had not delivered, in its order. Where the
    /// device is there with another session that subscribed to it, it goes on to that one.
    pub(crate) fn give_back_held(&mut self, now: Time, deliveries: Vec<Delivery>) {
        let mut by_device: BTreeMap<DeviceName, Vec<(Delivery, Time)>> = BTreeMap::new();
        for delivery in deliveries {
            let Keeper::Hold(device, until) = delivery.keeper else { continue };
            self.flow.hop(delivery.message.id, || held_again(now, &device));
            let message = held(&device, &delivery.message, until);
            by_device.entry(device).or_default().push((message, until));
        }
        for (device, deliveries) in by_device {
            let rule = self.hold_rule(&device);
            for dropped in self.holds.give_back(&device, deliveries, &rule) {
                self.counters.add(Counter::DropHoldFull);
                self.flow.hop(dropped.message.id, || hold_full(now, &device, rule.max));
                self.hold_done(&dropped);
            }
            for index in self.open_sessions_of(&device) {
                self.return_held(now, index);
                self.pump(now, index);
            }
        }
        self.arm_sweep();
    }

    fn open_sessions_of(&self, device: &DeviceName) -> Vec<u32> {
        let is_open = |session: &Session| {
            let connection = session.connection.and_then(|slot| self.connection(slot));
            session.owner.device() == Some(device)
                && connection.is_some_and(|c| c.closing.is_none())
        };
        let sessions = (0u32..).zip(&self.sessions);
        let open = sessions.filter(|(_, session)| session.as_ref().is_some_and(is_open));
        open.map(|(index, _)| index).collect()
    }

    fn hold_rule(&self, device: &DeviceName) -> Hold {
        rule_for(device, self.config.table.routes().iter()).unwrap_or(LEFT_OVER)
    }

    /// A hold needs the message no more.
    pub(crate) fn hold_done(&mut self, delivery: &Delivery) {
        if let Keeper::Hold(device, until) = &delivery.keeper {
            let destination = Destination::Hold { device: device.clone(), until: *until };
            self.done(delivery.message.id, &destination);
        }
    }

    pub(crate) fn hold_expired(&mut self, now: Time, device: &DeviceName, delivery: &Delivery) {
        self.counters.add(Counter::DropHoldExpired);
        self.flow.hop(delivery.message.id, || Hop {
            at: now,
            kind: HopKind::Hold,
            subject: device.to_string(),
            verdict: "dropped",
            detail: "the device did not come back in time".to_owned(),
            bad: true,
        });
        self.hold_done(delivery);
    }
}

fn held_again(at: Time, device: &DeviceName) -> Hop {
    Hop {
        at,
        kind: HopKind::Hold,
        subject: device.to_string(),
        verdict: "held",
        detail: "the connection ended before the device had acknowledged it".to_owned(),
        bad: false,
    }
}

/// A message as the hold of a device keeps it.
fn held(device: &DeviceName, message: &Arc<Message>, until: Time) -> Delivery {
    Delivery {
        message: Arc::clone(message),
        qos: message.qos,
        retain: false,
        keeper: Keeper::Hold(device.clone(), until),
        subscription_ids: None,
    }
}
