//! A message and who must still get it, in both directions.

use bytes::Bytes;
use tomte_base::{
    CallId, DeviceName, FunctionName, Message, MessageId, Properties, QoS, Source, Time,
    TopicFilter, TopicName,
};

use super::fields::{Reader, Writer};
use super::{BadRecord, Destination, SentAs};

/// Destinations for which room is made before they are read.
const MOST_RESERVED: u32 = 64;

impl Writer<'_> {
    pub(super) fn message(&mut self, message: &Message) {
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

    pub(super) fn source(&mut self, source: &Source) {
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

    pub(super) fn properties(&mut self, properties: Option<&Properties>) {
        let Some(properties) = properties else { return self.u8(0) };
        self.u8(1);
        self.u8(match properties.payload_is_utf8 {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        });
        self.option(properties.content_type.as_deref().map(str::as_bytes));
        self.option(properties.response_topic.as_deref().map(str::as_bytes));
        self.option(properties.correlation_data.as_deref());
        self.u32(u32::try_from(properties.user.len()).expect("a packet holds fewer"));
        for (name, value) in &properties.user {
            self.bytes(name.as_bytes());
            self.bytes(value.as_bytes());
        }
    }

    pub(super) fn message_and_destinations(
        &mut self,
        message: &Message,
        destinations: &[Destination],
    ) {
        self.message(message);
        self.destinations(destinations);
    }

    pub(super) fn destinations(&mut self, destinations: &[Destination]) {
        self.u32(u32::try_from(destinations.len()).expect("sessions are bounded"));
        for destination in destinations {
            self.destination(destination);
        }
    }

    pub(super) fn destination(&mut self, destination: &Destination) {
        match destination {
            Destination::Session { session, qos, retain, sent } => {
                self.u8(0);
                self.u64(*session);
                self.way(*qos, *retain, *sent);
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
            Destination::Share { filter, session, qos, retain, sent } => {
                self.u8(3);
                self.bytes(filter.as_bytes());
                self.u64(*session);
                self.way(*qos, *retain, *sent);
            }
        }
    }

    /// How a delivery goes to a session. One that has not left takes one byte.
    fn way(&mut self, qos: QoS, retain: bool, sent: Option<SentAs>) {
        self.u8(qos as u8 | u8::from(retain) << 2 | u8::from(sent.is_some()) << 3);
        if let Some(SentAs { packet_id, order }) = sent {
            self.0.extend_from_slice(&packet_id.to_le_bytes());
            self.u64(order);
        }
    }
}

impl Reader<'_> {
    pub(super) fn message(&mut self) -> Result<Message, BadRecord> {
        let id = MessageId(self.number("message number")?);
        let topic = self.parsed("topic", TopicName::new)?;
        let payload = Bytes::copy_from_slice(self.bytes("payload")?);
        let (qos, retain, _) = self.way_bits()?;
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

    /// The quality of service, the retain flag, and whether more follows.
    pub(super) fn way_bits(&mut self) -> Result<(QoS, bool, bool), BadRecord> {
        let bits = self.u8("quality of service")?;
        let qos = QoS::from_bits(bits & 3).ok_or_else(|| self.bad("quality of service"))?;
        Ok((qos, bits & 4 != 0, bits & 8 != 0))
    }

    pub(super) fn source(&mut self) -> Result<Source, BadRecord> {
        match self.u8("source")? {
            0 => self.parsed("source", DeviceName::new).map(Source::Device),
            1 => Ok(Source::Anonymous),
            2 => self.parsed("source", FunctionName::new).map(Source::Function),
            _ => Err(self.bad("source")),
        }
    }

    pub(super) fn properties(&mut self) -> Result<Properties, BadRecord> {
        let payload_is_utf8 = match self.u8("payload format")? {
            0 => None,
            1 => Some(true),
            2 => Some(false),
            _ => return Err(self.bad("payload format")),
        };
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

    pub(super) fn destinations(&mut self) -> Result<Vec<Destination>, BadRecord> {
        let n_destinations = self.u32("destinations")?;
        // Exactly as many as there are: recovery holds many of these. But a number is no promise.
        let mut destinations = Vec::with_capacity(n_destinations.min(MOST_RESERVED) as usize);
        for _ in 0..n_destinations {
            destinations.push(self.destination()?);
        }
        Ok(destinations)
    }

    pub(super) fn destination(&mut self) -> Result<Destination, BadRecord> {
        match self.u8("destination")? {
            0 => {
                let session = self.number("session")?;
                let (qos, retain, sent) = self.way()?;
                Ok(Destination::Session { session, qos, retain, sent })
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
            3 => {
                let filter = self.parsed("filter", TopicFilter::new)?;
                let session = self.u64("session")?;
                let (qos, retain, sent) = self.way()?;
                Ok(Destination::Share { filter, session, qos, retain, sent })
            }
            _ => Err(self.bad("destination")),
        }
    }

    fn way(&mut self) -> Result<(QoS, bool, Option<SentAs>), BadRecord> {
        let (qos, retain, has_left) = self.way_bits()?;
        let mut sent = None;
        if has_left {
            let packet_id = self.packet_id()?;
            sent = Some(SentAs { packet_id, order: self.number("order")? });
        }
        Ok((qos, retain, sent))
    }
}
