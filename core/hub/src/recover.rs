//! From the journal back to memory, before any listener opens; and from memory forward into the
//! journal, when old segments must go or a failed commit must be made good.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tomte_base::{DeviceName, LogPosition, Message, MessageId, Time, TopicFilter, TopicName};

use tomte_route::Hold;

use crate::Hub;
use crate::counter::Counter;
use crate::flow::{Hop, HopKind};
use crate::hub::{Ack, Stored, Timer};
use crate::ledger::{Kept, Ledger};
use crate::record::{self, BadRecord, Destination, Record};
use crate::session::{Delivery, Keeper, KeptSubscription, Owner, Subscription};

/// Why the journal could not be taken over.
#[derive(Debug, thiserror::Error)]
#[error("failed to read record {position} of the journal: {source}")]
pub struct RecoverError {
    /// Number of the record.
    pub position: LogPosition,
    /// What is wrong with it.
    pub source: BadRecord,
}

/// The rule for messages that were held under a route which is no longer there.
const LEFT_OVER: Hold =
    Hold { hold: Duration::from_secs(600), max: 1_000, then: tomte_route::Overflow::DropOldest };

struct FoundSession {
    owner: Owner,
    client_id: String,
    expiry_s: u32,
    kept: Kept,
    left: Option<Time>,
    subscriptions: BTreeMap<TopicFilter, (Subscription, Kept)>,
}

struct FoundMessage {
    message: Message,
    destinations: Vec<Destination>,
    kept: Kept,
}

/// What the records say, gathered until the last one was read.
#[derive(Default)]
pub struct Recovery {
    sessions: BTreeMap<u64, FoundSession>,
    messages: BTreeMap<MessageId, FoundMessage>,
    retained: BTreeMap<TopicName, (Message, Kept)>,
    next_message: MessageId,
    next_session: u64,
}

impl Recovery {
    /// Takes in one record of the journal; they come in order.
    ///
    /// # Errors
    /// Fails with [`RecoverError`] when the bytes are no record of this version.
    pub fn on_record(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), RecoverError> {
        let record = Record::decode(bytes).map_err(|source| RecoverError { position, source })?;
        let kept = Kept { position, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        self.take_in(record, kept);
        Ok(())
    }

    fn take_in(&mut self, record: Record, kept: Kept) {
        match record {
            Record::SessionOpened { session, owner, client_id, expiry_s } => {
                self.next_session = self.next_session.max(session + 1);
                let subscriptions =
                    self.sessions.remove(&session).map(|old| old.subscriptions).unwrap_or_default();
                let found =
                    FoundSession { owner, client_id, expiry_s, kept, left: None, subscriptions };
                self.sessions.insert(session, found);
            }
            Record::SessionLeft { session, ends } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.left = Some(ends);
                }
            }
            Record::SessionReturned { session } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.left = None;
                }
            }
            Record::SessionClosed { session } => {
                self.sessions.remove(&session);
            }
            Record::Subscribed { session, filter, options } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.subscriptions.insert(filter, (options, kept));
                }
            }
            Record::Unsubscribed { session, filter } => {
                if let Some(found) = self.sessions.get_mut(&session) {
                    found.subscriptions.remove(&filter);
                }
            }
            Record::Accepted { message, destinations } => {
                self.next_message = self.next_message.max(message.id.next());
                self.messages.insert(message.id, FoundMessage { message, destinations, kept });
            }
            Record::Done { message, destination } => self.done(message, &destination),
            Record::Retained { message } => {
                self.next_message = self.next_message.max(message.id.next());
                self.retained.insert(message.topic.clone(), (message, kept));
            }
            Record::RetainedCleared { topic } => {
                self.retained.remove(&topic);
            }
            Record::Superseded { before } => self.supersede(before),
            Record::Numbers { next_message, next_session } => {
                self.next_message = self.next_message.max(next_message);
                self.next_session = self.next_session.max(next_session);
            }
        }
    }

    /// Forgets what was written before `before` and not again after it.
    fn supersede(&mut self, before: LogPosition) {
        self.sessions.retain(|_, found| found.kept.position >= before);
        for found in self.sessions.values_mut() {
            found.subscriptions.retain(|_, (_, kept)| kept.position >= before);
        }
        self.messages.retain(|_, found| found.kept.position >= before);
        self.retained.retain(|_, (_, kept)| kept.position >= before);
    }

    fn done(&mut self, message: MessageId, destination: &Destination) {
        let Some(found) = self.messages.get_mut(&message) else { return };
        found.destinations.retain(|kept| !kept.same_receiver(destination));
        if found.destinations.is_empty() {
            self.messages.remove(&message);
        }
    }
}

/// Leaves out sessions that a newer one of the same client replaced. The record of their end can be
/// missing: it was lost to a failed commit, and what was to make that good was torn by a crash.
fn newest_of_each_client(
    sessions: BTreeMap<u64, FoundSession>,
    ledger: &mut Ledger<Ack>,
) -> BTreeMap<u64, FoundSession> {
    let mut newest = HashMap::new();
    for (serial, found) in &sessions {
        newest.insert((found.owner.clone(), found.client_id.clone()), *serial);
    }
    let (current, replaced): (BTreeMap<_, _>, BTreeMap<_, _>) =
        sessions.into_iter().partition(|(serial, found)| {
            newest.get(&(found.owner.clone(), found.client_id.clone())) == Some(serial)
        });
    for session in replaced.into_keys() {
        let closed = Record::SessionClosed { session };
        ledger.note(|out| closed.encode(out));
    }
    current
}

impl Hub {
    /// Takes over what the journal kept: sessions with their subscriptions and queues, retained
    /// messages, holds, calls. `segments` are the journal's as (first
    /// position, bytes), `next` is the number of its next record.
    pub fn recover(
        &mut self,
        now: Time,
        recovery: Recovery,
        segments: Vec<(LogPosition, u64)>,
        next: LogPosition,
    ) {
        self.ledger.restored(segments, next);
        self.next_message = recovery.next_message.max(self.next_message);
        self.next_session = recovery.next_session.max(self.next_session);
        for (serial, found) in newest_of_each_client(recovery.sessions, &mut self.ledger) {
            self.recover_session(now, serial, found);
        }
        for (message, kept) in recovery.retained.into_values() {
            self.ledger.still_kept(kept);
            self.retained_kept.insert(message.topic.clone(), kept);
            // A limit that was lowered since then refuses it; the next message replaces it anyway.
            let _outcome = self.retained.set(Arc::new(message));
        }
        for found in recovery.messages.into_values() {
            self.recover_message(now, found);
        }
        self.arm_sweep();
    }

    fn recover_session(&mut self, now: Time, serial: u64, found: FoundSession) {
        self.ledger.still_kept(found.kept);
        let ends = found.left.unwrap_or_else(|| now + crate::connect::expiry(found.expiry_s));
        let index = self.add_session(serial, found.owner, &found.client_id, found.expiry_s);
        for (filter, (options, kept)) in found.subscriptions {
            self.ledger.still_kept(kept);
            self.tree.insert(&filter, crate::fan_out::Key::Session(index), options);
            let session = self.session_mut(index).expect("it was just added");
            session.subscriptions.push(KeptSubscription { filter, options, kept: Some(kept) });
        }
        let session = self.session_mut(index).expect("it was just added");
        session.kept = Some(found.kept);
        session.ends = ends;
        self.timers.push(std::cmp::Reverse((ends, Timer::Session(serial))));
    }

    fn recover_message(&mut self, now: Time, found: FoundMessage) {
        self.ledger.still_kept(found.kept);
        let message = Arc::new(found.message);
        let stored = Stored {
            message: Arc::clone(&message),
            kept: found.kept,
            destinations: found.destinations.clone(),
        };
        self.stored.insert(message.id, stored);
        for destination in found.destinations {
            if !self.recover_destination(now, &message, &destination) {
                self.done(message.id, &destination);
            }
        }
    }

    /// Puts a message back where it waited. Tells whether somebody still waits for it.
    fn recover_destination(
        &mut self,
        now: Time,
        message: &Arc<Message>,
        destination: &Destination,
    ) -> bool {
        match destination {
            Destination::Session { session, qos, retain } => {
                let Some(&index) = self.by_serial.get(session) else { return false };
                let delivery = Delivery {
                    message: Arc::clone(message),
                    qos: *qos,
                    retain: *retain,
                    keeper: Keeper::Session,
                    subscription_ids: None,
                };
                self.enqueue(now, index, delivery)
            }
            Destination::Call { function, call, route } => {
                self.enter_call_for_message(now, *call, function.clone(), route, message)
            }
            Destination::Hold { device, until } => {
                self.recover_hold(device, message, *until);
                true
            }
        }
    }

    /// Puts a message into the hold of a device after a restart.
    fn recover_hold(&mut self, device: &DeviceName, message: &Arc<Message>, until: Time) {
        let rule = self.hold_rule(device);
        for dropped in self.holds.put(device, held(device, message, until), until, &rule) {
            self.counters.add(Counter::DropHoldFull);
            self.hold_done(&dropped);
        }
        self.arm_sweep();
    }

    /// Puts back into their holds what a session that ended had not delivered, in its order.
    pub(crate) fn give_back_held(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries.into_iter().rev() {
            let Keeper::Hold(device, until) = &delivery.keeper else { continue };
            let rule = self.hold_rule(device);
            let message = held(device, &delivery.message, *until);
            self.holds.give_back(device, message, *until, &rule);
        }
        self.arm_sweep();
    }

    fn hold_rule(&self, device: &DeviceName) -> Hold {
        let routes = self.config.table.routes().iter();
        routes
            .filter(|route| matches!(&route.to, tomte_route::Destination::Device(d) if d == device))
            .find_map(|route| route.on_unavailable)
            .unwrap_or(LEFT_OVER)
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

    /// Writes everything that is alive and lies in `range` of the journal again, so that the
    /// segment can go.
    pub(crate) fn copy_forward(&mut self, range: &Range<LogPosition>) {
        self.rewrite(|kept| range.contains(&kept.position));
        self.note_numbers();
    }

    /// After a failed commit: writes all that memory holds, so that the journal is whole again.
    pub(crate) fn catch_up(&mut self) {
        if std::mem::take(&mut self.journal_behind) {
            let before = self.ledger.appended().next();
            self.rewrite(|_| true);
            self.note_numbers();
            // Last, so that a torn batch leaves the earlier records in force.
            let superseded = Record::Superseded { before };
            self.ledger.note(|out| superseded.encode(out));
            if let Some(drop) = &mut self.drop_journal {
                drop.needs = self.ledger.appended();
            }
        }
    }

    fn rewrite(&mut self, choose: impl Fn(&Kept) -> bool) {
        let ledger = &mut self.ledger;
        for session in self.sessions.iter_mut().flatten() {
            let Some(kept) = session.kept else { continue };
            // A subscription is read back only after its session, so they move together.
            let moves = choose(&kept);
            if moves {
                ledger.forget(kept);
                let opened = Record::SessionOpened {
                    session: session.serial,
                    owner: session.owner.clone(),
                    client_id: session.client_id.to_string(),
                    expiry_s: session.expiry_s,
                };
                session.kept = Some(ledger.keep(|out| opened.encode(out)));
                if session.connection.is_none() {
                    let left = Record::SessionLeft { session: session.serial, ends: session.ends };
                    ledger.note(|out| left.encode(out));
                }
            }
            for subscription in &mut session.subscriptions {
                let Some(kept) = subscription.kept.filter(|kept| moves || choose(kept)) else {
                    continue;
                };
                ledger.forget(kept);
                let subscribed = Record::Subscribed {
                    session: session.serial,
                    filter: subscription.filter.clone(),
                    options: subscription.options,
                };
                subscription.kept = Some(ledger.keep(|out| subscribed.encode(out)));
            }
        }
        // In the order in which they lie in the journal: what the hub writes follows from what came
        // in, not from the order of a hash map.
        let mut stored: Vec<_> = self.stored.values_mut().filter(|s| choose(&s.kept)).collect();
        stored.sort_unstable_by_key(|stored| stored.kept.position);
        for stored in stored {
            ledger.forget(stored.kept);
            stored.kept = ledger
                .keep(|out| record::encode_accepted(out, &stored.message, &stored.destinations));
        }
        let retained = self.retained_kept.iter_mut().filter(|(_, kept)| choose(kept));
        let mut retained: Vec<_> = retained.collect();
        retained.sort_unstable_by_key(|(_, kept)| kept.position);
        for (topic, kept) in retained {
            let Some(message) = self.retained.get(topic) else { continue };
            ledger.forget(*kept);
            *kept = ledger.keep(|out| record::encode_retained(out, message));
        }
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
