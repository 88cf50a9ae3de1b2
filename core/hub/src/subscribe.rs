//! SUBSCRIBE and UNSUBSCRIBE: what a session wants, and whether a route could ever feed it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use tomte_base::{Message, QoS, SharedFilter, Source, Time, TopicError, TopicFilter};
use tomte_mqtt::codec::{
    Packet, ReasonCode, Suback, Subscribe, Subscription as Asked, Unsuback, Unsubscribe,
};
use tomte_route::Feed;

use crate::counter::Counter;
use crate::record::{Destination, Record};
use crate::session::{Delivery, Keeper, KeptSubscription, Session, Subscription};
use crate::share_groups::{is_shared, matched_filter};
use crate::{Hub, Slot};

/// What a subscription was granted, or why not.
type Granted = Result<TopicFilter, (ReasonCode, String)>;

/// Says what is wrong with the first filter that is none (4.7.1). One that is merely too deep for this
/// hub is well formed, and of one that names no group as it should (4.8.2) no standard says that it ends
/// the connection: both are refused in SUBACK.
fn malformed<'a>(filters: impl Iterator<Item = &'a str>) -> Option<String> {
    let fault = |filter| match TopicFilter::new(filter) {
        Ok(_) | Err(TopicError::TooManyLevels { .. }) => None,
        Err(error) => Some(error.to_string()),
    };
    filters.filter(|filter| !is_shared(filter)).find_map(fault)
}

impl Hub {
    pub(crate) fn on_subscribe(&mut self, now: Time, slot: Slot, subscribe: &Subscribe<'_>) {
        let Some(index) = self.connection(slot).and_then(|c| c.session) else { return };
        if let Some(what) = malformed(subscribe.subscriptions.iter().map(|asked| asked.filter)) {
            return self.breach(slot, ReasonCode::MalformedPacket, &what);
        }
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        let mut why = None;
        let mut fresh = Vec::new();
        for (n_before, asked) in subscribe.subscriptions.iter().enumerate() {
            let granted = match self.check_number(n_before) {
                Ok(()) => self.subscribe_one(slot, index, asked, subscribe.subscription_identifier),
                Err(why) => Err(why),
            };
            match granted {
                Ok((filter, is_new)) => {
                    reasons.push(match asked.qos {
                        QoS::AtMostOnce => ReasonCode::Success,
                        QoS::AtLeastOnce => ReasonCode::GrantedQos1,
                        QoS::ExactlyOnce => ReasonCode::GrantedQos2,
                    });
                    fresh.push((filter, is_new, asked.retain_handling as u8));
                }
                Err((reason, text)) => {
                    self.counters.add(Counter::RefusedSubscribe);
                    self.tell_dropped(now, slot, asked.filter, Counter::RefusedSubscribe);
                    reasons.push(reason);
                    why.get_or_insert(text);
                }
            }
        }
        let packet_id = subscribe.packet_id;
        let suback =
            Suback { packet_id, reason_string: why.as_deref(), reasons, ..Suback::default() };
        self.answer(slot, Packet::Suback(suback));
        // Of a filter that is there twice, the last one counts: it brings what is retained once.
        let mut seen = HashSet::new();
        let mut last: Vec<_> =
            fresh.into_iter().rev().filter(|f| seen.insert(f.0.clone())).collect();
        last.reverse();
        for (filter, is_new, retain_handling) in last {
            let sends = retain_handling == 0 || (retain_handling == 1 && is_new);
            // A group gets no retained messages (MQTT 5, 4.8.2).
            if sends && !is_shared(&filter) {
                self.send_retained(now, index, &filter);
            }
            self.send_held(now, index, &filter);
        }
        self.gate_if_persistent(slot, index);
    }

    fn subscribe_one(
        &mut self,
        slot: Slot,
        index: u32,
        asked: &Asked<'_>,
        identifier: Option<u32>,
    ) -> Result<(TopicFilter, bool), (ReasonCode, String)> {
        let filter = self.check_subscription(slot, index, asked)?;
        let options = Subscription {
            qos: asked.qos,
            no_local: asked.no_local,
            retain_as_published: asked.retain_as_published,
            retain_handling: asked.retain_handling as u8,
            id: identifier.and_then(NonZeroU32::new),
        };
        let session = self.sessions[index as usize].as_mut().expect("the connection has it");
        let kept = session.is_persistent().then(|| {
            let record =
                Record::Subscribed { session: session.serial, filter: filter.clone(), options };
            self.ledger.keep(|out| record.encode(out))
        });
        let subscription = KeptSubscription { filter: filter.clone(), options, kept };
        let old = match session.subscription(&filter) {
            Some(at) => Some(std::mem::replace(&mut session.subscriptions[at], subscription)),
            None => {
                session.subscriptions.push(subscription);
                None
            }
        };
        if let Some(kept) = old.as_ref().and_then(|old| old.kept) {
            self.ledger.forget(kept);
        }
        self.enter_subscription(index, &filter, options);
        Ok((filter, old.is_none()))
    }

    /// More filters than a session may have are not looked at one by one.
    fn check_number(&self, n_before: usize) -> Result<(), (ReasonCode, String)> {
        let limit = self.config.limits.max_subscriptions;
        if n_before < limit as usize {
            return Ok(());
        }
        Err((ReasonCode::QuotaExceeded, format!("a session may have {limit} subscriptions")))
    }

    fn check_subscription(&self, slot: Slot, index: u32, asked: &Asked<'_>) -> Granted {
        let session = self.sessions[index as usize].as_ref().expect("the connection has it");
        if session.subscription(asked.filter).is_none() {
            let quota = self.check_quota(session, asked.filter);
            quota.map_err(|why| (ReasonCode::QuotaExceeded, why))?;
        }
        let parsed = SharedFilter::parse(asked.filter)
            .map_err(|error| (ReasonCode::TopicFilterInvalid, error.to_string()))?;
        let source = self.connection(slot).map_or(Source::Anonymous, |c| c.source.clone());
        match self.config.table.feed(&source, &parsed.filter) {
            Feed::Fed => {}
            Feed::Withheld(route) => {
                // Nobody may, so it is no matter of who this client is (MQTT 5, 3.9.3).
                let why = format!("{} sends {} to nobody", route.label, asked.filter);
                return Err((ReasonCode::UnspecifiedError, why));
            }
            Feed::Missing => {
                let why = format!("no route could ever feed {} to {source}", asked.filter);
                return Err((ReasonCode::NotAuthorized, why));
            }
        }
        // With the name of a group it may have too many levels.
        TopicFilter::new(asked.filter)
            .map_err(|error| (ReasonCode::TopicFilterInvalid, error.to_string()))
    }

    /// Says which limit one more subscription would pass.
    fn check_quota(&self, session: &Session, filter: &str) -> Result<(), String> {
        let limits = &self.config.limits;
        if session.subscriptions.len() >= limits.max_subscriptions as usize {
            return Err(format!("a session may have {} subscriptions", limits.max_subscriptions));
        }
        let bytes = session.filter_bytes() + filter.len();
        if bytes as u64 > limits.max_subscription_bytes.0 {
            let limit = limits.max_subscription_bytes;
            return Err(format!("the topic filters of a session may have {limit} together"));
        }
        if is_shared(filter) && self.shares.bytes_with(filter) as u64 > limits.max_group_bytes.0 {
            let limit = limits.max_group_bytes;
            return Err(format!("the filters of all groups may have {limit} together"));
        }
        Ok(())
    }

    pub(crate) fn on_unsubscribe(&mut self, _now: Time, slot: Slot, unsubscribe: &Unsubscribe<'_>) {
        let Some(index) = self.connection(slot).and_then(|c| c.session) else { return };
        if let Some(what) = malformed(unsubscribe.filters.iter().copied()) {
            return self.breach(slot, ReasonCode::MalformedPacket, &what);
        }
        let reasons =
            unsubscribe.filters.iter().map(|filter| self.unsubscribe_one(index, filter)).collect();
        let unsuback =
            Unsuback { packet_id: unsubscribe.packet_id, reasons, ..Unsuback::default() };
        self.answer(slot, Packet::Unsuback(unsuback));
        self.gate_if_persistent(slot, index);
    }

    fn unsubscribe_one(&mut self, index: u32, filter: &str) -> ReasonCode {
        let Some(session) = self.sessions[index as usize].as_mut() else {
            return ReasonCode::NoSubscriptionExisted;
        };
        let Some(at) = session.subscription(filter) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        let gone = session.subscriptions.remove(at);
        let serial = session.serial;
        self.leave_subscription(index, &gone.filter);
        if let Some(kept) = gone.kept {
            self.ledger.forget(kept);
            let record = Record::Unsubscribed { session: serial, filter: gone.filter };
            self.ledger.note(|out| record.encode(out));
        }
        ReasonCode::Success
    }

    /// Sends the retained messages that match, where a route leads from their source to this
    /// session.
    fn send_retained(&mut self, now: Time, index: u32, filter: &TopicFilter) {
        let Some(session) = self.sessions[index as usize].as_ref() else { return };
        let Some(at) = session.subscription(filter) else { return };
        let options = session.subscriptions[at].options;
        let mut found = Vec::new();
        self.retained.matching(filter, |message| found.push(Arc::clone(message)));
        self.n_looks += found.len();
        let n_found = found.len();
        for (at, message) in found.into_iter().enumerate() {
            if let Some(why) = self.takes_no_more(index, &message, options.qos) {
                // Which of the rest the routes would bring it is not asked any more.
                self.counters.add_n(why, (n_found - at) as u64);
                return;
            }
            if message.expires <= now || !self.may_receive(index, &message) {
                continue;
            }
            let delivery = Delivery {
                qos: message.qos.min(options.qos),
                retain: true,
                keeper: Keeper::Nobody,
                subscription_ids: options.identifiers(),
                message,
            };
            let delivery = self.keep_retained(index, delivery);
            self.send_now(now, index, delivery);
        }
    }

    /// A retained message with QoS 1 or 2 is a message of its own for a session that outlives its
    /// connection: it must come to its end after a restart too, whatever is retained then.
    fn keep_retained(&mut self, index: u32, delivery: Delivery) -> Delivery {
        let session = self.sessions[index as usize].as_ref();
        let kept = session.filter(|s| s.is_persistent() && delivery.qos > QoS::AtMostOnce);
        let Some(session) = kept.map(|session| session.serial) else { return delivery };
        let id = self.next_message;
        self.next_message = id.next();
        let message = Arc::new(Message { id, ..(*delivery.message).clone() });
        let (qos, retain) = (delivery.qos, delivery.retain);
        self.store(&message, vec![Destination::session(session, qos, retain)], None);
        Delivery { message, keeper: Keeper::Session, ..delivery }
    }

    /// Tells why the session takes no more retained messages now, if it does not.
    fn takes_no_more(&self, index: u32, message: &Message, most: QoS) -> Option<Counter> {
        let session = self.sessions[index as usize].as_ref()?;
        if message.qos.min(most) > QoS::AtMostOnce {
            let has_room = session.queue.has_room(message.topic.len() + message.payload.len());
            return (!has_room).then_some(Counter::DropQueueFull);
        }
        let connection = session.connection.and_then(|slot| self.connection(slot));
        let takes = connection.is_some_and(|c| c.out.len() <= self.config.limits.output_high_water);
        (!takes).then_some(Counter::DropSlowReader)
    }

    fn may_receive(&self, index: u32, message: &Message) -> bool {
        let session = self.sessions[index as usize].as_ref();
        session.is_some_and(|session| self.may_have(session, message))
    }

    /// Sends what was held for the device while it was away.
    fn send_held(&mut self, now: Time, index: u32, filter: &TopicFilter) {
        let Some(session) = self.sessions[index as usize].as_ref() else { return };
        let Some(device) = session.owner.device().cloned() else { return };
        let Some(at) = session.subscription(filter) else { return };
        let options = session.subscriptions[at].options;
        let mut expired = Vec::new();
        let matched = matched_filter(filter);
        for held in self.holds.take(now, &device, &matched, &mut expired) {
            let qos = held.qos.min(options.qos);
            if qos == QoS::AtMostOnce {
                self.hold_done(&held);
            }
            let subscription_ids = options.identifiers();
            self.send_now(now, index, Delivery { qos, subscription_ids, ..held });
        }
        for delivery in &expired {
            self.hold_expired(now, &device, delivery);
        }
    }

    /// A device came back to a session that it subscribed with before: what was held for it
    /// meanwhile takes its place among what its queue holds.
    pub(crate) fn return_held(&mut self, now: Time, index: u32) {
        let Some(session) = self.sessions[index as usize].as_ref() else { return };
        let Some(device) = session.owner.device().cloned() else { return };
        let (mut held, mut expired) = (Vec::new(), Vec::new());
        for subscription in &session.subscriptions {
            let (filter, options) = (matched_filter(&subscription.filter), subscription.options);
            let taken = self.holds.take(now, &device, &filter, &mut expired);
            held.extend(taken.into_iter().map(|held| {
                let (qos, subscription_ids) = (held.qos.min(options.qos), options.identifiers());
                Delivery { qos, subscription_ids, ..held }
            }));
        }
        held.sort_by_key(|delivery| delivery.message.id);
        let (acknowledged, at_most_once): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|delivery| delivery.qos > QoS::AtMostOnce);
        for delivery in at_most_once {
            self.hold_done(&delivery);
            self.send_now(now, index, delivery);
        }
        self.merge_into_queue(index, acknowledged);
        for delivery in &expired {
            self.hold_expired(now, &device, delivery);
        }
    }
}
