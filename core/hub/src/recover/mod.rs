//! What the records of a journal say: gathered from the first to the last, before any listener
//! opens. [`restore`] then puts it back into memory.

mod found;
mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;

use tomte_base::{LogPosition, Message, MessageId, Time, TopicFilter, TopicName};

use crate::ledger::Kept;
use crate::packet_ids::{SentId, SentPhase};
use crate::record::{self, BadRecord, Destination, Record};
use crate::session::{Owner, Subscription};
use crate::wills::KeptWill;
use found::FoundMessage;

/// Why the journal could not be taken over.
#[derive(Debug, thiserror::Error)]
#[error("failed to read record {position} of the journal: {source}")]
pub struct RecoverError {
    /// Number of the record.
    pub position: LogPosition,
    /// What is wrong with it.
    pub source: BadRecord,
}

/// Reads a message again from its record.
type ReadMessage<'a> = dyn FnMut(LogPosition, MessageId) -> Option<Arc<Message>> + 'a;

struct FoundSession {
    owner: Owner,
    client_id: String,
    expiry_s: u32,
    kept: Kept,
    left: Option<Time>,
    subscriptions: BTreeMap<TopicFilter, (Subscription, Kept)>,
    sent: BTreeMap<u16, SentId>,
    received: BTreeMap<u16, FoundReceived>,
}

impl FoundSession {
    fn new(owner: Owner, client_id: String, expiry_s: u32, kept: Kept) -> Self {
        let (subscriptions, sent) = (BTreeMap::new(), BTreeMap::new());
        let received = BTreeMap::new();
        let left = None;
        Self { owner, client_id, expiry_s, kept, left, subscriptions, sent, received }
    }

    /// What the journal says of it, from `before` on.
    fn supersede(&mut self, before: LogPosition) {
        self.subscriptions.retain(|_, (_, kept)| kept.position >= before);
        self.sent.retain(|_, sent| sent.kept.position >= before);
        self.received.retain(|_, received| received.position >= before);
    }
}

/// A received packet identifier of QoS 2.
struct FoundReceived {
    position: LogPosition,
    message: Option<MessageId>,
    /// None when only the message names it, because a crash tore its own record off.
    kept: Option<Kept>,
}

/// What the records say, gathered until the last one was read.
#[derive(Default)]
pub struct Recovery {
    sessions: BTreeMap<u64, FoundSession>,
    messages: BTreeMap<MessageId, FoundMessage>,
    retained: BTreeMap<TopicName, (Message, Kept)>,
    wills: BTreeMap<u64, Box<KeptWill>>,
    /// Messages that came of one, as long as the record is missing that all of them are written.
    parts: BTreeMap<MessageId, Vec<MessageId>>,
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
                let mut found = FoundSession::new(owner, client_id, expiry_s, kept);
                if let Some(old) = self.sessions.remove(&session) {
                    let FoundSession { subscriptions, sent, received, .. } = old;
                    found = FoundSession { subscriptions, sent, received, ..found };
                }
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
                self.accepted(message, destinations, kept);
            }
            Record::AcceptedFrom { session, packet_id, message, destinations } => {
                let id = Some(message.id);
                self.accepted(message, destinations, kept);
                let found = FoundReceived { position: kept.position, message: id, kept: None };
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.received.insert(packet_id, found);
                }
            }
            Record::Received { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    let message = session.received.get(&packet_id).and_then(|old| old.message);
                    let found =
                        FoundReceived { position: kept.position, message, kept: Some(kept) };
                    session.received.insert(packet_id, found);
                }
            }
            Record::ReceiveEnded { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.received.remove(&packet_id);
                }
            }
            Record::Sending { session, packet_id, qos, message, order } => {
                let phase = SentPhase::Open(qos);
                self.sent(session, packet_id, SentId { message, order, phase, kept });
            }
            Record::Released { session, packet_id, message, order } => {
                let phase = SentPhase::Released;
                self.sent(session, packet_id, SentId { message, order, phase, kept });
            }
            Record::Completed { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.sent.remove(&packet_id);
                }
            }
            Record::WillKept { number, session, owner, due, will } => {
                self.next_session = self.next_session.max(number + 1);
                let will = KeptWill { number, session, owner, due, will, kept };
                self.wills.insert(number, Box::new(will));
            }
            Record::WillOver { number } => {
                self.wills.remove(&number);
            }
            Record::AcceptedWill { number, message, destinations } => {
                self.wills.remove(&number);
                self.accepted(message, destinations, kept);
            }
            Record::AcceptedPart { of, message, destinations } => {
                self.next_message = self.next_message.max(of.next());
                self.parts.entry(of).or_default().push(message.id);
                self.accepted(message, destinations, kept);
            }
            Record::AllAccepted { of, packet, will } => {
                self.parts.remove(&of);
                if let Some((session, packet_id)) = packet
                    && let Some(session) = self.sessions.get_mut(&session)
                {
                    let (position, message) = (kept.position, Some(of));
                    let found = FoundReceived { position, message, kept: None };
                    session.received.insert(packet_id, found);
                }
                if let Some(number) = will {
                    self.wills.remove(&number);
                }
            }
            Record::Confirmed { message, destinations } => {
                if let Some(found) = self.messages.get_mut(&message) {
                    found.destinations = destinations.into();
                    found.confirmed = kept.position;
                }
            }
            Record::Done { message, destination } => self.done(message, &destination),
            Record::Moved { message, destination } => self.moved(message, &destination),
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

    fn accepted(&mut self, message: Message, destinations: Vec<Destination>, kept: Kept) {
        self.next_message = self.next_message.max(message.id.next());
        let bytes = u32::try_from(message.topic.len() + message.payload.len());
        let found = FoundMessage {
            id: message.id,
            bytes: bytes.expect("packets are far below 4 GiB"),
            expires: message.expires,
            destinations: destinations.into(),
            kept,
            confirmed: kept.position,
            elsewhere: None,
        };
        self.messages.insert(found.id, found);
    }

    fn sent(&mut self, session: u64, packet_id: u16, sent: SentId) {
        // The message may have been torn off, and its number must not come again.
        self.next_message = self.next_message.max(sent.message.next());
        if let Some(session) = self.sessions.get_mut(&session) {
            session.sent.insert(packet_id, sent);
        }
    }

    /// Forgets messages that came of one with others, of which a crash tore some off.
    fn drop_torn_parts(&mut self) {
        for part in std::mem::take(&mut self.parts).into_values().flatten() {
            self.messages.remove(&part);
        }
    }

    /// Forgets what was written before `before` and not again after it.
    fn supersede(&mut self, before: LogPosition) {
        self.sessions.retain(|_, found| found.kept.position >= before);
        for found in self.sessions.values_mut() {
            found.supersede(before);
        }
        self.messages.retain(|_, found| found.confirmed >= before);
        self.retained.retain(|_, (_, kept)| kept.position >= before);
        self.wills.retain(|_, will| will.kept.position >= before);
    }

    fn moved(&mut self, message: MessageId, destination: &Destination) {
        let Some(found) = self.messages.get_mut(&message) else { return };
        record::move_destination(&mut found.destinations, destination);
    }

    fn done(&mut self, message: MessageId, destination: &Destination) {
        if let Destination::Session { session, sent: Some(sent), .. }
        | Destination::Share { session, sent: Some(sent), .. } = destination
            && let Some(found) = self.sessions.get_mut(session)
        {
            found.sent.remove(&sent.packet_id);
        }
        let Some(found) = self.messages.get_mut(&message) else { return };
        record::remove_destination(&mut found.destinations, destination);
        if found.destinations.is_empty() {
            self.messages.remove(&message);
        }
    }
}
