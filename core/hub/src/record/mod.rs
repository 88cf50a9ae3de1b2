//! What the journal keeps, and its bytes.
//!
//! A record is one tag byte and its fields: numbers little-endian, texts and payloads with a 32-bit
//! length before them. The journal frames and checks records; here a record is only read back.
//! `fields.rs` has the primitives; beside it is one file for each kind of thing, with its writing
//! and its reading side by side.

mod fields;
mod message;
mod parts;
mod session;
#[cfg(test)]
mod tests;
mod will;

use std::collections::VecDeque;

use tomte_base::{
    CallId, DeviceName, FunctionName, LogPosition, Message, MessageId, QoS, Time, TopicFilter,
    TopicName,
};

use fields::{Reader, Writer};

use crate::fan_out::Receipt;
use crate::session::{Owner, Subscription};
use crate::wills::Will;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A session that outlives its connection began, or its expiry changed.
    SessionOpened {
        /// The session's number, never used twice.
        session: u64,
        /// Whose it is.
        owner: Owner,
        /// The client identifier.
        client_id: String,
        /// How long it is kept after its client went, in seconds.
        expiry_s: u32,
    },
    /// Its client went at that time.
    SessionLeft {
        /// The session.
        session: u64,
        /// When it ends.
        ends: Time,
    },
    /// Its client came back.
    SessionReturned {
        /// The session.
        session: u64,
    },
    /// It ended.
    SessionClosed {
        /// The session.
        session: u64,
    },
    /// It subscribed, or changed the options of a subscription.
    Subscribed {
        /// The session.
        session: u64,
        /// The filter.
        filter: TopicFilter,
        /// The options.
        options: Subscription,
    },
    /// It unsubscribed.
    Unsubscribed {
        /// The session.
        session: u64,
        /// The filter.
        filter: TopicFilter,
    },
    /// A message was accepted for destinations that must get it even after a restart.
    Accepted {
        /// The message.
        message: Message,
        /// Who is still to get it.
        destinations: Vec<Destination>,
    },
    /// One destination of a message needs it no more.
    Done {
        /// The message.
        message: MessageId,
        /// Which destination.
        destination: Destination,
    },
    /// Another destination has a message now, in place of the one with the same receiver.
    Moved {
        /// The message.
        message: MessageId,
        /// The destination that has it.
        destination: Destination,
    },
    /// The retained message of a topic.
    Retained {
        /// The message.
        message: Message,
    },
    /// A topic has no retained message any more.
    RetainedCleared {
        /// The topic.
        topic: TopicName,
    },
    /// Everything that matters was written again, from that position on: what was written before
    /// it and not again is gone.
    Superseded {
        /// The first record that still counts.
        before: LogPosition,
    },
    /// A message is about to leave for a session under this packet identifier: one of QoS 2, or one
    /// of QoS 1 that had waited.
    Sending {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
        /// The quality of service of the delivery.
        qos: QoS,
        /// The message.
        message: MessageId,
        /// Its place among those of the session: smaller ones were sent before.
        order: u64,
    },
    /// The client has the message (PUBREC came); only PUBREL and PUBCOMP are left.
    Released {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
        /// The message, which the session needs no more.
        message: MessageId,
        /// Its place among those of the session: smaller ones were released before.
        order: u64,
    },
    /// A packet identifier of an outbound message is free again. Of one of QoS 1 [`Record::Done`] says
    /// so.
    Completed {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
    },
    /// A QoS 2 message of the session's client was received under this packet identifier.
    Received {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
    },
    /// That packet identifier was released (PUBREL came), or its message was refused.
    ReceiveEnded {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
    },
    /// [`Record::Accepted`] and [`Record::Received`] in one, so that no crash comes between them.
    AcceptedFrom {
        /// The session that sent the message.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
        /// The message.
        message: Message,
        /// Who is still to get it.
        destinations: Vec<Destination>,
    },
    /// A client left a will when it connected; or its connection is gone and the will waits for its
    /// delay to pass.
    WillKept {
        /// The will's number, never used twice.
        number: u64,
        /// The session of the client, which need not be one that is kept.
        session: u64,
        /// Whose it is.
        owner: Owner,
        /// When it is published; none while the client is connected.
        due: Option<Time>,
        /// The will.
        will: Will,
    },
    /// The will was published, or is not needed any more.
    WillOver {
        /// The will's number.
        number: u64,
    },
    /// [`Record::Accepted`] and [`Record::WillOver`] in one, so that no crash comes between them.
    AcceptedWill {
        /// The will's number.
        number: u64,
        /// The message.
        message: Message,
        /// Who is to get it.
        destinations: Vec<Destination>,
    },
    /// [`Record::Accepted`] of a message that is one of several which came of the same one. It counts
    /// once [`Record::AllAccepted`] says that the others are written too.
    AcceptedPart {
        /// The message that they came of.
        of: MessageId,
        /// The message.
        message: Message,
        /// Who is to get it.
        destinations: Vec<Destination>,
    },
    /// All messages that came of one are written and count, and what brought it is dealt with.
    AllAccepted {
        /// The message that they came of.
        of: MessageId,
        /// The session and the packet identifier, where it was one of QoS 2.
        packet: Option<(u64, u16)>,
        /// The will's number, where it was a will that is over now.
        will: Option<u64>,
    },
    /// A message that was written before is still there, for these destinations and no others.
    Confirmed {
        /// The message.
        message: MessageId,
        /// Who is still to get it.
        destinations: Vec<Destination>,
    },
    /// Message numbers below this one were given out before.
    Numbers {
        /// The next number.
        next_message: MessageId,
        /// The next session number.
        next_session: u64,
    },
}

/// Who must get a message even after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A session that outlives its connection.
    Session {
        /// The session's number.
        session: u64,
        /// The quality of service of the delivery.
        qos: QoS,
        /// Sent with the retain flag.
        retain: bool,
        /// Where it left with QoS 1 as soon as it was accepted. In [`Record::Done`]: where it had left
        /// later, which ends with it.
        sent: Option<SentAs>,
    },
    /// A call of a function.
    Call {
        /// The function.
        function: FunctionName,
        /// The call.
        call: CallId,
        /// The name of the route that led to it.
        route: String,
    },
    /// A device that had no session for it.
    Hold {
        /// The device.
        device: DeviceName,
        /// When the hold ends.
        until: Time,
    },
    /// A group that shares a subscription, by way of one of its members.
    Share {
        /// The filter with `$share/` and the name.
        filter: TopicFilter,
        /// The session's number of the member. It may be one that ends with its connection: then
        /// another member gets the message after a restart.
        session: u64,
        /// The quality of service of the delivery.
        qos: QoS,
        /// Sent with the retain flag.
        retain: bool,
        /// Where it left with QoS 1 as soon as it was accepted, for a session that is kept.
        sent: Option<SentAs>,
    },
}

/// As what a message left for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SentAs {
    /// Its packet identifier.
    pub packet_id: u16,
    /// Its place among those of the session: smaller ones were sent before.
    pub order: u64,
}

impl Destination {
    /// A session that the message has not left for.
    pub(crate) fn session(session: u64, qos: QoS, retain: bool) -> Self {
        Self::Session { session, qos, retain, sent: None }
    }

    /// Tells whether both mean the same receiver, whatever the way of delivery.
    #[must_use]
    pub fn same_receiver(&self, other: &Destination) -> bool {
        match (self, other) {
            (Self::Session { session: a, .. }, Self::Session { session: b, .. }) => a == b,
            (Self::Call { call: a, .. }, Self::Call { call: b, .. }) => a == b,
            (Self::Hold { device: a, .. }, Self::Hold { device: b, .. }) => a == b,
            (Self::Share { filter: a, .. }, Self::Share { filter: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// Removes the destination with the same receiver. Tells whether there was one.
pub(crate) fn remove_destination(
    destinations: &mut VecDeque<Destination>,
    done: &Destination,
) -> bool {
    let at = destinations.iter().position(|kept| kept.same_receiver(done));
    at.and_then(|at| destinations.remove(at)).is_some()
}

/// Puts `new` in place of the destination with the same receiver, as the last one: of several that
/// mean one session, the first is the first that it got. Tells whether there was one.
pub(crate) fn move_destination(
    destinations: &mut VecDeque<Destination>,
    new: &Destination,
) -> bool {
    let is_there = remove_destination(destinations, new);
    if is_there {
        destinations.push_back(new.clone());
    }
    is_there
}

/// Why bytes of the journal are not a record of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record ends or changes form at byte {at} while reading {field}")]
pub struct BadRecord {
    /// Offset in the record.
    pub at: usize,
    /// What was being read.
    pub field: &'static str,
}

impl Record {
    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        match self {
            Self::SessionOpened { session, owner, client_id, expiry_s } => {
                w.u8(1);
                w.u64(*session);
                w.owner(owner);
                w.bytes(client_id.as_bytes());
                w.u32(*expiry_s);
            }
            Self::SessionLeft { session, ends } => {
                w.u8(2);
                w.u64(*session);
                w.u64(ends.0);
            }
            Self::SessionReturned { session } => {
                w.u8(12);
                w.u64(*session);
            }
            Self::SessionClosed { session } => {
                w.u8(3);
                w.u64(*session);
            }
            Self::Subscribed { session, filter, options } => {
                w.u8(4);
                w.u64(*session);
                w.bytes(filter.as_bytes());
                w.u8(options.to_bits());
                w.u32(options.id.map_or(0, std::num::NonZeroU32::get));
            }
            Self::Unsubscribed { session, filter } => {
                w.u8(5);
                w.u64(*session);
                w.bytes(filter.as_bytes());
            }
            Self::Accepted { message, destinations } => {
                encode_accepted(out, message, destinations);
            }
            Self::Done { message, destination } => {
                w.u8(7);
                w.u64(message.0);
                w.destination(destination);
            }
            Self::Moved { message, destination } => {
                w.u8(30);
                w.u64(message.0);
                w.destination(destination);
            }
            Self::Retained { message } => {
                w.u8(8);
                w.message(message);
            }
            Self::RetainedCleared { topic } => {
                w.u8(9);
                w.bytes(topic.as_bytes());
            }
            Self::Superseded { before } => {
                w.u8(11);
                w.u64(before.0);
            }
            Self::Sending { session, packet_id, qos, message, order } => {
                let tag = if *qos == QoS::ExactlyOnce { 13 } else { 25 };
                w.session_packet(tag, *session, *packet_id);
                w.u64(message.0);
                w.u64(*order);
            }
            Self::Released { session, packet_id, message, order } => {
                w.session_packet(14, *session, *packet_id);
                w.u64(message.0);
                w.u64(*order);
            }
            Self::Completed { session, packet_id } => w.session_packet(15, *session, *packet_id),
            Self::Received { session, packet_id } => w.session_packet(16, *session, *packet_id),
            Self::ReceiveEnded { session, packet_id } => {
                w.session_packet(17, *session, *packet_id);
            }
            Self::AcceptedFrom { session, packet_id, message, destinations } => {
                encode_accepted_from(out, (*session, *packet_id), message, destinations);
            }
            Self::WillKept { number, session, owner, due, will } => {
                w.u8(19);
                w.u64(*number);
                w.u64(*session);
                w.owner(owner);
                w.u64(due.map_or(u64::MAX, |due| due.0));
                w.will(will);
            }
            Self::WillOver { number } => {
                w.u8(20);
                w.u64(*number);
            }
            Self::AcceptedWill { number, message, destinations } => {
                encode_accepted_will(out, *number, message, destinations);
            }
            Self::AcceptedPart { of, message, destinations } => {
                w.accepted_part(*of, message, destinations);
            }
            Self::AllAccepted { of, packet, will } => w.all_accepted(*of, *packet, *will),
            Self::Confirmed { message, destinations } => {
                encode_confirmed(out, *message, destinations);
            }
            Self::Numbers { next_message, next_session } => {
                w.u8(10);
                w.u64(next_message.0);
                w.u64(*next_session);
            }
        }
    }

    /// Reads one record.
    ///
    /// # Errors
    /// Fails with [`BadRecord`] when the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut r = Reader { bytes, at: 0 };
        let record = r.record()?;
        if r.at != bytes.len() { Err(r.bad("the end")) } else { Ok(record) }
    }
}

/// Reads the message of a record that says that one was accepted, and not to whom it goes: there may
/// be thousands.
pub(crate) fn accepted_message(bytes: &[u8]) -> Option<Message> {
    let mut r = Reader { bytes, at: 0 };
    match r.u8("tag").ok()? {
        6 => {}
        18 => {
            r.number("session").ok()?;
            r.packet_id().ok()?;
        }
        21 | 23 => {
            r.number("number of the will, or of the first message").ok()?;
        }
        _ => return None,
    }
    r.message().ok()
}

/// Appends an [`Record::Accepted`] without owning its parts.
fn encode_accepted(out: &mut Vec<u8>, message: &Message, destinations: &[Destination]) {
    let mut w = Writer(out);
    w.u8(6);
    w.message_and_destinations(message, destinations);
}

/// Appends an [`Record::AcceptedFrom`] without owning its parts; `from` is the session and the
/// packet identifier.
fn encode_accepted_from(
    out: &mut Vec<u8>,
    (session, packet_id): (u64, u16),
    message: &Message,
    destinations: &[Destination],
) {
    let mut w = Writer(out);
    w.session_packet(18, session, packet_id);
    w.message_and_destinations(message, destinations);
}

/// Appends the record of a message that was accepted, tied to what it came from.
pub(crate) fn encode_accepted_by(
    out: &mut Vec<u8>,
    receipt: Option<Receipt>,
    message: &Message,
    destinations: &[Destination],
) {
    match receipt {
        None => encode_accepted(out, message, destinations),
        Some(Receipt::Packet(session, packet_id)) => {
            encode_accepted_from(out, (session, packet_id), message, destinations);
        }
        Some(Receipt::Will(number)) => encode_accepted_will(out, number, message, destinations),
        Some(Receipt::Part(of)) => Writer(out).accepted_part(of, message, destinations),
    }
}

/// Appends a [`Record::AcceptedWill`] without owning its parts.
fn encode_accepted_will(
    out: &mut Vec<u8>,
    number: u64,
    message: &Message,
    destinations: &[Destination],
) {
    let mut w = Writer(out);
    w.u8(21);
    w.u64(number);
    w.message_and_destinations(message, destinations);
}

/// Appends a [`Record::Confirmed`] without owning its parts.
pub(crate) fn encode_confirmed(
    out: &mut Vec<u8>,
    message: MessageId,
    destinations: &[Destination],
) {
    let mut w = Writer(out);
    w.u8(22);
    w.u64(message.0);
    w.destinations(destinations);
}

/// Appends a [`Record::Retained`] without owning the message.
pub(crate) fn encode_retained(out: &mut Vec<u8>, message: &Message) {
    let mut w = Writer(out);
    w.u8(8);
    w.message(message);
}

impl Reader<'_> {
    fn record(&mut self) -> Result<Record, BadRecord> {
        let tag = self.u8("tag")?;
        match tag {
            1 => Ok(Record::SessionOpened {
                session: self.number("session")?,
                owner: self.owner()?,
                client_id: self.text("client identifier")?.to_owned(),
                expiry_s: self.u32("session expiry")?,
            }),
            2 => Ok(Record::SessionLeft {
                session: self.number("session")?,
                ends: Time(self.u64("end")?),
            }),
            3 => Ok(Record::SessionClosed { session: self.number("session")? }),
            4 => self.subscribed(),
            5 => Ok(Record::Unsubscribed {
                session: self.number("session")?,
                filter: self.parsed("filter", TopicFilter::new)?,
            }),
            6 => Ok(Record::Accepted {
                message: self.message()?,
                destinations: self.destinations()?,
            }),
            7 => Ok(Record::Done {
                message: MessageId(self.number("message number")?),
                destination: self.destination()?,
            }),
            8 => Ok(Record::Retained { message: self.message()? }),
            9 => Ok(Record::RetainedCleared { topic: self.parsed("topic", TopicName::new)? }),
            10 => Ok(Record::Numbers {
                next_message: MessageId(self.number("next message")?),
                next_session: self.number("next session")?,
            }),
            12 => Ok(Record::SessionReturned { session: self.number("session")? }),
            11 => Ok(Record::Superseded { before: LogPosition(self.u64("position")?) }),
            13..=18 | 25 => self.packet(tag),
            19 => Ok(Record::WillKept {
                number: self.number("number of the will")?,
                session: self.number("session")?,
                owner: self.owner()?,
                due: Some(self.u64("time of the will")?).filter(|due| *due != u64::MAX).map(Time),
                will: self.will()?,
            }),
            20 => Ok(Record::WillOver { number: self.number("number of the will")? }),
            21 => Ok(Record::AcceptedWill {
                number: self.number("number of the will")?,
                message: self.message()?,
                destinations: self.destinations()?,
            }),
            22 => Ok(Record::Confirmed {
                message: MessageId(self.number("message number")?),
                destinations: self.destinations()?,
            }),
            23 => self.accepted_part(),
            24 => self.all_accepted(),
            30 => Ok(Record::Moved {
                message: MessageId(self.u64("message number")?),
                destination: self.destination()?,
            }),
            _ => Err(self.bad("tag")),
        }
    }
}
