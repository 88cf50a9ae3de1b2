//! What the journal keeps, and its bytes.
//!
//! A record is one tag byte and its fields: numbers little-endian, texts and payloads with a 32-bit
//! length before them. The journal frames and checks records; here a record is only read back.

use bytes::Bytes;
use tomte_base::{
    CallId, DeviceName, FunctionName, LogPosition, Message, MessageId, Properties, QoS, Source,
    Time, TopicFilter, TopicName,
};

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
    /// A QoS 2 message is about to leave for a session under this packet identifier.
    Sending {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
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
    /// A packet identifier of an outbound QoS 2 message is free again.
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
    /// The will of the session's client waits for its delay to pass.
    WillWaits {
        /// The session.
        session: u64,
        /// When it is published.
        due: Time,
        /// The will.
        will: Will,
    },
    /// The will was published, or the client came back in time.
    WillOver {
        /// The session.
        session: u64,
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
}

impl Destination {
    /// Tells whether both mean the same receiver, whatever the way of delivery.
    #[must_use]
    pub fn same_receiver(&self, other: &Destination) -> bool {
        match (self, other) {
            (Self::Session { session: a, .. }, Self::Session { session: b, .. }) => a == b,
            (Self::Call { call: a, .. }, Self::Call { call: b, .. }) => a == b,
            (Self::Hold { device: a, .. }, Self::Hold { device: b, .. }) => a == b,
            _ => false,
        }
    }
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

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("packets and names are far below 4 GiB"));
        self.0.extend_from_slice(bytes);
    }

    fn option(&mut self, bytes: Option<&[u8]>) {
        self.u8(u8::from(bytes.is_some()));
        if let Some(bytes) = bytes {
            self.bytes(bytes);
        }
    }

    fn owner(&mut self, owner: &Owner) {
        self.option(owner.device().map(|name| name.as_str().as_bytes()));
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Device(name) => {
                self.u8(0);
                self.bytes(name.as_str().as_bytes());
            }
            Source::Anonymous => self.u8(1),
            Source::Function(name) => {
                self.u8(2);
                self.bytes(name.as_str().as_bytes());
            }
        }
    }

    fn properties(&mut self, properties: Option<&Properties>) {
        let Some(properties) = properties else { return self.u8(0) };
        self.u8(1);
        self.u8(u8::from(properties.payload_is_utf8));
        self.option(properties.content_type.as_deref().map(str::as_bytes));
        self.option(properties.response_topic.as_deref().map(str::as_bytes));
        self.option(properties.correlation_data.as_deref());
        self.u32(u32::try_from(properties.user.len()).expect("a packet holds fewer"));
        for (name, value) in &properties.user {
            self.bytes(name.as_bytes());
            self.bytes(value.as_bytes());
        }
    }

    fn session_packet(&mut self, tag: u8, session: u64, packet_id: u16) {
        self.u8(tag);
        self.u64(session);
        self.0.extend_from_slice(&packet_id.to_le_bytes());
    }

    fn will(&mut self, will: &Will) {
        self.bytes(will.topic.as_bytes());
        self.bytes(&will.payload);
        self.u8(will.qos as u8 | u8::from(will.retain) << 2);
        self.u32(will.delay_s);
        self.option(will.expiry_s.map(u32::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
        self.properties(will.properties.as_deref());
    }

    fn message(&mut self, message: &Message) {
        self.u64(message.id.0);
        self.bytes(message.topic.as_bytes());
        self.bytes(&message.payload);
        self.u8(message.qos as u8 | u8::from(message.retain) << 2);
        self.source(&message.source);
        self.u64(message.received.0);
        self.u64(message.expires.0);
        self.properties(message.properties.as_deref());
        self.u8(message.hops);
        self.u64(message.cause.map_or(u64::MAX, |id| id.0));
    }

    fn message_and_destinations(&mut self, message: &Message, destinations: &[Destination]) {
        self.message(message);
        self.u32(u32::try_from(destinations.len()).expect("sessions are bounded"));
        for destination in destinations {
            self.destination(destination);
        }
    }

    fn destination(&mut self, destination: &Destination) {
        match destination {
            Destination::Session { session, qos, retain } => {
                self.u8(0);
                self.u64(*session);
                self.u8(*qos as u8 | u8::from(*retain) << 2);
            }
            Destination::Call { function, call, route } => {
                self.u8(1);
                self.bytes(function.as_str().as_bytes());
                self.0.extend_from_slice(&call.0.to_le_bytes());
                self.bytes(route.as_bytes());
            }
            Destination::Hold { device, until } => {
                self.u8(2);
                self.bytes(device.as_str().as_bytes());
                self.u64(until.0);
            }
        }
    }
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
            Self::Sending { session, packet_id, message, order } => {
                w.session_packet(13, *session, *packet_id);
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
            Self::WillWaits { session, due, will } => {
                w.u8(19);
                w.u64(*session);
                w.u64(due.0);
                w.will(will);
            }
            Self::WillOver { session } => {
                w.u8(20);
                w.u64(*session);
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

/// Appends an [`Record::Accepted`] without owning its parts.
pub(crate) fn encode_accepted(out: &mut Vec<u8>, message: &Message, destinations: &[Destination]) {
    let mut w = Writer(out);
    w.u8(6);
    w.message_and_destinations(message, destinations);
}

/// Appends an [`Record::AcceptedFrom`] without owning its parts; `from` is the session and the
/// packet identifier.
pub(crate) fn encode_accepted_from(
    out: &mut Vec<u8>,
    (session, packet_id): (u64, u16),
    message: &Message,
    destinations: &[Destination],
) {
    let mut w = Writer(out);
    w.session_packet(18, session, packet_id);
    w.message_and_destinations(message, destinations);
}

/// Appends a [`Record::Retained`] without owning the message.
pub(crate) fn encode_retained(out: &mut Vec<u8>, message: &Message) {
    let mut w = Writer(out);
    w.u8(8);
    w.message(message);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bad(&self, field: &'static str) -> BadRecord {
        BadRecord { at: self.at, field }
    }

    fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], BadRecord> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.bad(field))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], BadRecord> {
        Ok(self.take(N, field)?.try_into().expect("take returns as many as asked"))
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, BadRecord> {
        Ok(self.array::<1>(field)?[0])
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, BadRecord> {
        self.array(field).map(u32::from_le_bytes)
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, BadRecord> {
        self.array(field).map(u64::from_le_bytes)
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], BadRecord> {
        let length = usize::try_from(self.u32(field)?).map_err(|_| self.bad(field))?;
        self.take(length, field)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, BadRecord> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad(field))
    }

    fn parsed<T, E>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, BadRecord> {
        let text = self.text(field)?;
        parse(text).map_err(|_| self.bad(field))
    }

    fn option<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Option<T>, BadRecord> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.bad(field)),
        }
    }

    fn owner(&mut self) -> Result<Owner, BadRecord> {
        let device = self.option("owner", |r| r.parsed("owner", DeviceName::new))?;
        Ok(device.map_or(Owner::Anonymous, Owner::Device))
    }

    fn qos_and_retain(&mut self) -> Result<(QoS, bool), BadRecord> {
        let bits = self.u8("quality of service")?;
        let qos = QoS::from_bits(bits & 3).ok_or_else(|| self.bad("quality of service"))?;
        Ok((qos, bits & 4 != 0))
    }

    fn source(&mut self) -> Result<Source, BadRecord> {
        match self.u8("source")? {
            0 => self.parsed("source", DeviceName::new).map(Source::Device),
            1 => Ok(Source::Anonymous),
            2 => self.parsed("source", FunctionName::new).map(Source::Function),
            _ => Err(self.bad("source")),
        }
    }

    fn properties(&mut self) -> Result<Properties, BadRecord> {
        let payload_is_utf8 = self.u8("payload format")? == 1;
        let content_type =
            self.option("content type", |r| r.text("content type").map(str::to_owned))?;
        let response_topic =
            self.option("response topic", |r| r.text("response topic").map(str::to_owned))?;
        let correlation_data = self.option("correlation data", |r| {
            r.bytes("correlation data").map(Bytes::copy_from_slice)
        })?;
        let mut user = Vec::new();
        for _ in 0..self.u32("user properties")? {
            let name = self.text("user property")?.to_owned();
            user.push((name, self.text("user property")?.to_owned()));
        }
        Ok(Properties { payload_is_utf8, content_type, response_topic, correlation_data, user })
    }

    fn message(&mut self) -> Result<Message, BadRecord> {
        let id = MessageId(self.u64("message number")?);
        let topic = self.parsed("topic", TopicName::new)?;
        let payload = Bytes::copy_from_slice(self.bytes("payload")?);
        let (qos, retain) = self.qos_and_retain()?;
        Ok(Message {
            id,
            topic,
            payload,
            qos,
            retain,
            source: self.source()?,
            received: Time(self.u64("time")?),
            expires: Time(self.u64("expiry")?),
            properties: self.option("properties", Self::properties)?.map(Box::new),
            hops: self.u8("hops")?,
            cause: Some(self.u64("cause")?).filter(|id| *id != u64::MAX).map(MessageId),
        })
    }

    fn destination(&mut self) -> Result<Destination, BadRecord> {
        match self.u8("destination")? {
            0 => {
                let session = self.u64("session")?;
                let (qos, retain) = self.qos_and_retain()?;
                Ok(Destination::Session { session, qos, retain })
            }
            1 => Ok(Destination::Call {
                function: self.parsed("function", FunctionName::new)?,
                call: CallId(u128::from_le_bytes(self.array("call")?)),
                route: self.text("route")?.to_owned(),
            }),
            2 => Ok(Destination::Hold {
                device: self.parsed("device", DeviceName::new)?,
                until: Time(self.u64("end of the hold")?),
            }),
            _ => Err(self.bad("destination")),
        }
    }

    fn destinations(&mut self) -> Result<Vec<Destination>, BadRecord> {
        let mut destinations = Vec::new();
        for _ in 0..self.u32("destinations")? {
            destinations.push(self.destination()?);
        }
        Ok(destinations)
    }

    fn packet_id(&mut self) -> Result<u16, BadRecord> {
        self.array("packet identifier").map(u16::from_le_bytes)
    }

    fn will(&mut self) -> Result<Will, BadRecord> {
        let topic = self.parsed("topic", TopicName::new)?;
        let payload = Bytes::copy_from_slice(self.bytes("payload")?);
        let (qos, retain) = self.qos_and_retain()?;
        let delay_s = self.u32("will delay")?;
        let expiry_s = self.option("expiry", |r| {
            let bytes = r.bytes("expiry")?.try_into().map_err(|_| r.bad("expiry"))?;
            Ok(u32::from_le_bytes(bytes))
        })?;
        let properties = self.option("properties", Self::properties)?.map(Box::new);
        Ok(Will { topic, payload, qos, retain, delay_s, expiry_s, properties })
    }

    fn subscribed(&mut self) -> Result<Record, BadRecord> {
        let session = self.u64("session")?;
        let filter = self.parsed("filter", TopicFilter::new)?;
        let bits = self.u8("options")?;
        let id = self.u32("subscription identifier")?;
        let options = Subscription::from_bits(bits, id).ok_or_else(|| self.bad("options"))?;
        Ok(Record::Subscribed { session, filter, options })
    }

    /// What follows the tag of a step of QoS 2.
    fn exactly_once(&mut self, tag: u8) -> Result<Record, BadRecord> {
        let (session, packet_id) = (self.u64("session")?, self.packet_id()?);
        Ok(match tag {
            13 | 14 => {
                let message = MessageId(self.u64("message number")?);
                let order = self.u64("order")?;
                if tag == 13 {
                    Record::Sending { session, packet_id, message, order }
                } else {
                    Record::Released { session, packet_id, message, order }
                }
            }
            15 => Record::Completed { session, packet_id },
            16 => Record::Received { session, packet_id },
            17 => Record::ReceiveEnded { session, packet_id },
            _ => Record::AcceptedFrom {
                session,
                packet_id,
                message: self.message()?,
                destinations: self.destinations()?,
            },
        })
    }

    fn record(&mut self) -> Result<Record, BadRecord> {
        let tag = self.u8("tag")?;
        match tag {
            1 => Ok(Record::SessionOpened {
                session: self.u64("session")?,
                owner: self.owner()?,
                client_id: self.text("client identifier")?.to_owned(),
                expiry_s: self.u32("session expiry")?,
            }),
            2 => Ok(Record::SessionLeft {
                session: self.u64("session")?,
                ends: Time(self.u64("end")?),
            }),
            3 => Ok(Record::SessionClosed { session: self.u64("session")? }),
            4 => self.subscribed(),
            5 => Ok(Record::Unsubscribed {
                session: self.u64("session")?,
                filter: self.parsed("filter", TopicFilter::new)?,
            }),
            6 => Ok(Record::Accepted {
                message: self.message()?,
                destinations: self.destinations()?,
            }),
            7 => Ok(Record::Done {
                message: MessageId(self.u64("message number")?),
                destination: self.destination()?,
            }),
            8 => Ok(Record::Retained { message: self.message()? }),
            9 => Ok(Record::RetainedCleared { topic: self.parsed("topic", TopicName::new)? }),
            10 => Ok(Record::Numbers {
                next_message: MessageId(self.u64("next message")?),
                next_session: self.u64("next session")?,
            }),
            12 => Ok(Record::SessionReturned { session: self.u64("session")? }),
            11 => Ok(Record::Superseded { before: LogPosition(self.u64("position")?) }),
            13..=18 => self.exactly_once(tag),
            19 => Ok(Record::WillWaits {
                session: self.u64("session")?,
                due: Time(self.u64("time of the will")?),
                will: self.will()?,
            }),
            20 => Ok(Record::WillOver { session: self.u64("session")? }),
            _ => Err(self.bad("tag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: MessageId(7),
            topic: TopicName::new("a/b").unwrap(),
            payload: Bytes::from_static(b"\x00\xff"),
            qos: QoS::AtLeastOnce,
            retain: true,
            source: Source::Device(DeviceName::new("fan").unwrap()),
            received: Time(9),
            expires: Time::NEVER,
            properties: Some(Box::new(Properties {
                payload_is_utf8: true,
                content_type: Some("text/plain".into()),
                response_topic: None,
                correlation_data: Some(Bytes::from_static(b"c")),
                user: vec![("a".into(), "b".into()), ("a".into(), "c".into())],
            })),
            hops: 3,
            cause: Some(MessageId(6)),
        }
    }

    fn will() -> Will {
        Will {
            topic: TopicName::new("gone").unwrap(),
            payload: Bytes::from_static(b"x"),
            qos: QoS::ExactlyOnce,
            retain: true,
            delay_s: 5,
            expiry_s: Some(9),
            properties: message().properties,
        }
    }

    fn records() -> Vec<Record> {
        let filter = TopicFilter::new("a/+").unwrap();
        let options = Subscription::from_bits(0b0010_1101, 5).unwrap();
        let session = Destination::Session { session: 1, qos: QoS::AtLeastOnce, retain: false };
        let call = Destination::Call {
            function: FunctionName::new("f").unwrap(),
            call: CallId(1 << 100),
            route: "hot".into(),
        };
        let hold = Destination::Hold { device: DeviceName::new("fan").unwrap(), until: Time(1) };
        vec![
            Record::SessionOpened {
                session: 1,
                owner: Owner::Anonymous,
                client_id: "ä".into(),
                expiry_s: 60,
            },
            Record::SessionLeft { session: 1, ends: Time(5) },
            Record::SessionClosed { session: 1 },
            Record::Subscribed { session: 1, filter: filter.clone(), options },
            Record::Unsubscribed { session: 1, filter },
            Record::Accepted {
                message: message(),
                destinations: vec![session.clone(), call, hold],
            },
            Record::Done { message: MessageId(7), destination: session.clone() },
            Record::Retained { message: message() },
            Record::RetainedCleared { topic: TopicName::new("a").unwrap() },
            Record::Numbers { next_message: MessageId(8), next_session: 2 },
            Record::Superseded { before: LogPosition(3) },
            Record::SessionReturned { session: 1 },
            Record::Sending { session: 1, packet_id: 65_535, message: MessageId(7), order: 4 },
            Record::Released { session: 1, packet_id: 1, message: MessageId(7), order: 5 },
            Record::Completed { session: 1, packet_id: 2 },
            Record::Received { session: 1, packet_id: 3 },
            Record::ReceiveEnded { session: 1, packet_id: 3 },
            Record::AcceptedFrom {
                session: 1,
                packet_id: 3,
                message: message(),
                destinations: vec![session],
            },
            Record::WillWaits { session: 1, due: Time(8), will: will() },
            Record::WillOver { session: 1 },
        ]
    }

    #[test]
    fn every_record_reads_back_as_it_was() {
        for record in records() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(Record::decode(&bytes), Ok(record));
        }
    }

    #[test]
    fn a_record_cut_anywhere_or_too_long_is_refused() {
        for record in records() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for cut in 0..bytes.len() {
                assert!(Record::decode(&bytes[..cut]).is_err(), "{record:?} cut at {cut}");
            }
            bytes.push(0);
            assert!(Record::decode(&bytes).is_err(), "{record:?} with one byte more");
        }
    }
}
