//! The server's side of one network connection: deadlines, limits of both ends, topic aliases.
//!
//! ```text
//!  new ── waits for CONNECT ──on_connect──▶ connected ──deadline passes──▶ close (0x8D)
//!             │                                │
//!             └─deadline passes──▶ close       └─on_received pushes the deadline
//! ```
//!
//! A [`Connection`] holds no buffer and no socket, and allocates only when aliases are used.

mod alias;
mod error;
mod fitting;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tomte_base::{QoS, Time, TopicName};

use crate::codec::{ConnackProperties, Connect, Publish, Version};
use alias::{InboundAliases, OutboundAliases};
pub use alias::{InboundTopic, MIN_ALIASED_TOPIC_BYTES};
pub use error::{ConnectRefusal, ProtocolError};

/// How much of a large packet moves the deadline as a whole one does, in bytes: a slow line needs
/// longer for it than the keep alive, and single bytes are no sign of life.
const PART_OF_A_PACKET: u32 = 1_000;

/// Largest CONNECT that is taken, in bytes: each of its five fields may be as long as a field can be
/// (client identifier, topic and payload of the will, user, password), with room for properties.
const CONNECT_BYTES: u32 = 384 << 10;

/// What the server allows on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Largest packet from the client, in bytes.
    pub max_packet_in: u32,
    /// Largest CONNECT, in bytes: all that a client can make the server hold before it is known.
    pub max_connect_packet_in: u32,
    /// How many QoS 1 and 2 messages of the client may be unacknowledged, at least 1.
    pub receive_maximum_in: u16,
    /// Highest topic alias that the client may use, 0 for none.
    pub topic_alias_maximum_in: u16,
    /// Most topic aliases that the server uses, 0 for none.
    pub topic_alias_maximum_out: u16,
    /// Highest QoS that the client may publish with.
    pub maximum_qos: QoS,
    /// The client may have messages retained.
    pub retain_available: bool,
    /// Longest keep alive in seconds. An MQTT 5 client that wants a longer one or none is told to
    /// use this one; 3.1.1 has no way to tell.
    pub keep_alive_max: Option<u16>,
    /// How long to wait for CONNECT.
    pub connect_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_packet_in: 1 << 20,
            max_connect_packet_in: CONNECT_BYTES,
            receive_maximum_in: 128,
            topic_alias_maximum_in: 10,
            topic_alias_maximum_out: 16,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            keep_alive_max: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// The state of one network connection. See the [module](self).
#[derive(Debug)]
pub struct Connection {
    deadline: Time,
    /// Longest silence of the client in milliseconds, 0 for no limit.
    silence_ms: u32,
    /// The version of the client, none before CONNECT.
    version: Option<Version>,
    max_packet_in: u32,
    max_packet_out: u32,
    /// How much of a packet was there when the deadline last moved, in bytes.
    partial_in: u32,
    receive_maximum_in: u16,
    receive_maximum_out: u16,
    /// QoS 1 and 2 messages of the client that are not acknowledged yet.
    open_in: u16,
    alias_maximum_in: u16,
    alias_maximum_out: u16,
    keep_alive_max: Option<u16>,
    server_keep_alive: Option<u16>,
    max_connect_packet_in: u32,
    maximum_qos: QoS,
    retain_available: bool,
    /// The client wants reason strings and user properties in every answer.
    wants_details: bool,
    aliases_in: Option<Box<InboundAliases>>,
    aliases_out: Option<Box<OutboundAliases>>,
}

impl Connection {
    /// Starts a connection that waits for CONNECT until the connect timeout passes.
    #[must_use]
    pub fn new(now: Time, limits: ConnectionLimits) -> Self {
        Self {
            deadline: now + limits.connect_timeout,
            silence_ms: 0,
            version: None,
            max_packet_in: limits.max_packet_in,
            max_packet_out: u32::MAX,
            partial_in: 0,
            receive_maximum_in: limits.receive_maximum_in.max(1),
            receive_maximum_out: u16::MAX,
            open_in: 0,
            alias_maximum_in: limits.topic_alias_maximum_in,
            alias_maximum_out: limits.topic_alias_maximum_out,
            keep_alive_max: limits.keep_alive_max,
            server_keep_alive: None,
            max_connect_packet_in: limits.max_connect_packet_in.min(limits.max_packet_in),
            maximum_qos: limits.maximum_qos,
            retain_available: limits.retain_available,
            wants_details: true,
            aliases_in: None,
            aliases_out: None,
        }
    }

    /// Takes over what CONNECT says: version, keep alive, the limits of the client.
    ///
    /// # Errors
    /// Fails with [`ConnectRefusal`] when there was a CONNECT before, when a 3.1.1 client has neither
    /// an identifier nor a clean session, or when the will is one that it may not publish. The connection is then to be closed.
    pub fn on_connect(&mut self, now: Time, connect: &Connect<'_>) -> Result<(), ConnectRefusal> {
        if self.version.is_some() {
            return Err(ConnectRefusal::SecondConnect);
        }
        let nameless = connect.client_id.is_empty() && !connect.clean_start;
        if connect.version == Version::V311 && nameless {
            return Err(ConnectRefusal::NoClientId);
        }
        self.check_will(connect)?;
        let properties = &connect.properties;
        self.version = Some(connect.version);
        self.max_packet_out = properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        self.receive_maximum_out = properties.receive_maximum.unwrap_or(u16::MAX);
        self.wants_details = properties.request_problem_information.unwrap_or(true);
        let aliases = properties.topic_alias_maximum.unwrap_or(0);
        self.alias_maximum_out = self.alias_maximum_out.min(aliases);
        if connect.version == Version::V311 {
            self.alias_maximum_in = 0;
        }
        self.agree_on_keep_alive(connect);
        self.deadline = self.next_deadline(now);
        Ok(())
    }

    fn check_will(&mut self, connect: &Connect<'_>) -> Result<(), ConnectRefusal> {
        let Some(will) = &connect.will else { return Ok(()) };
        // A refusal is told in the client's version.
        let refusal = if will.qos > self.maximum_qos {
            ConnectRefusal::WillQos { maximum: self.maximum_qos as u8 }
        } else if will.retain && !self.retain_available {
            ConnectRefusal::WillRetain
        } else {
            return Ok(());
        };
        self.version = Some(connect.version);
        Err(refusal)
    }

    fn agree_on_keep_alive(&mut self, connect: &Connect<'_>) {
        let wanted = connect.keep_alive_seconds;
        self.server_keep_alive = self
            .keep_alive_max
            .filter(|max| connect.version == Version::V5 && (wanted == 0 || wanted > *max));
        let seconds = self.server_keep_alive.unwrap_or(wanted);
        self.silence_ms = u32::from(seconds) * 1_500;
    }

    fn next_deadline(&self, now: Time) -> Time {
        match self.silence_ms {
            0 => Time::NEVER,
            millis => now + Duration::from_millis(millis.into()),
        }
    }

    /// Notes what the client sent: whether a packet is whole now, and how many bytes of the next one
    /// are there. The keep-alive deadline moves with each packet (MQTT-3.1.2-22), and with every
    /// thousand bytes of a large one.
    ///
    /// Before CONNECT it does not: a client cannot stretch the connect timeout.
    pub fn on_received(&mut self, now: Time, is_whole: bool, partial: usize) {
        let partial = u32::try_from(partial).unwrap_or(u32::MAX);
        let grown = partial.saturating_sub(self.partial_in) >= PART_OF_A_PACKET;
        if !is_whole && !grown {
            return;
        }
        self.partial_in = partial;
        if self.version.is_some() {
            self.deadline = self.next_deadline(now);
        }
    }

    /// Returns when to close the connection if the client stays silent, [`Time::NEVER`] when it may
    /// be silent for ever. Once connected, the reason is Keep Alive timeout.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Tells whether CONNECT was taken over.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.version.is_some()
    }

    /// Returns the version of the client; before CONNECT it is 3.1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version.unwrap_or(Version::V311)
    }

    /// Returns the largest packet that the client may send now, in bytes: the limit for
    /// [`frame_len`](crate::codec::frame_len).
    #[must_use]
    pub fn max_packet_in(&self) -> u32 {
        match self.version {
            Some(_) => self.max_packet_in,
            None => self.max_connect_packet_in,
        }
    }

    /// Returns how many QoS 1 and 2 messages the client takes at once (3.1.2.11.3).
    #[must_use]
    pub fn receive_maximum_out(&self) -> u16 {
        self.receive_maximum_out
    }

    /// Returns the keep alive that CONNACK must order, in seconds (3.2.2.3.14).
    #[must_use]
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.server_keep_alive
    }

    /// Returns the properties of CONNACK that follow from the limits; those that say nothing new to
    /// the client are left out.
    #[must_use]
    pub fn connack_properties(&self) -> ConnackProperties<'static> {
        let whole = u32::try_from(crate::codec::MAX_PACKET_BYTES).unwrap_or(u32::MAX);
        ConnackProperties {
            receive_maximum: Some(self.receive_maximum_in).filter(|max| *max < u16::MAX),
            maximum_qos: Some(self.maximum_qos).filter(|qos| *qos < QoS::ExactlyOnce),
            retain_available: Some(false).filter(|_| !self.retain_available),
            maximum_packet_bytes: Some(self.max_packet_in).filter(|max| *max < whole),
            topic_alias_maximum: Some(self.alias_maximum_in).filter(|max| *max > 0),
            server_keep_alive_seconds: self.server_keep_alive,
            ..ConnackProperties::default()
        }
    }

    /// Tells whether a packet of `len` bytes is within the client's limit (MQTT-3.1.2-24).
    #[must_use]
    pub fn may_send(&self, len: usize) -> bool {
        let allowed = u32::try_from(len).is_ok_and(|len| len <= self.max_packet_out);
        allowed && len <= crate::codec::MAX_PACKET_BYTES
    }

    /// Checks that a client may send `publish` and returns its topic, with the alias resolved.
    ///
    /// # Errors
    /// Fails with [`ProtocolError`] when its QoS or retaining it is not supported, when the alias is past the limit or unknown, when a topic given
    /// with an alias is not a topic name, or when there is a subscription identifier, which only
    /// servers send.
    pub fn resolve_alias<'p>(
        &mut self,
        publish: &Publish<'p>,
    ) -> Result<InboundTopic<'p>, ProtocolError> {
        if publish.qos > self.maximum_qos {
            return Err(ProtocolError::QosNotSupported { maximum: self.maximum_qos as u8 });
        }
        if publish.retain && !self.retain_available {
            return Err(ProtocolError::RetainNotSupported);
        }
        if publish.properties.is_empty() {
            return Ok(InboundTopic::Sent(publish.topic));
        }
        if publish.properties.subscription_identifiers().next().is_some() {
            return Err(ProtocolError::SubscriptionIdentifierFromClient);
        }
        let Some(alias) = publish.properties.topic_alias() else {
            return Ok(InboundTopic::Sent(publish.topic));
        };
        if alias > self.alias_maximum_in {
            return Err(ProtocolError::AliasTooLarge { alias, maximum: self.alias_maximum_in });
        }
        let aliases = self.aliases_in.get_or_insert_default();
        aliases.resolve(alias, publish.topic).map(InboundTopic::Aliased)
    }

    /// Tells whether the client takes topic aliases.
    #[must_use]
    pub fn takes_aliases(&self) -> bool {
        self.alias_maximum_out > 0
    }

    /// Chooses how to name `topic` in a PUBLISH to the client: the alias, and whether the topic name
    /// has to go with it. Without an alias it always has to.
    ///
    /// The packet must then be sent, in this order with others, or the client misses the meaning of
    /// the alias. Topics shorter than [`MIN_ALIASED_TOPIC_BYTES`] get none.
    pub fn alias_out(&mut self, topic: &TopicName) -> (Option<u16>, bool) {
        if self.alias_maximum_out == 0 || topic.len() < MIN_ALIASED_TOPIC_BYTES {
            return (None, true);
        }
        let aliases = self.aliases_out.get_or_insert_default();
        aliases.choose(topic, self.alias_maximum_out)
    }

    /// Counts a message from the client against the receive maximum until
    /// [`on_publish_done`](Self::on_publish_done).
    ///
    /// # Errors
    /// Fails with [`ProtocolError::ReceiveMaximumExceeded`] when an MQTT 5 client sends more than it
    /// may (3.3.4). A 3.1.1 client does not know the limit: stop reading from it while
    /// [`open_publishes`](Self::open_publishes) is at the limit.
    pub fn on_publish(&mut self, qos: QoS) -> Result<(), ProtocolError> {
        if qos == QoS::AtMostOnce {
            return Ok(());
        }
        if self.version == Some(Version::V5) && self.open_in >= self.receive_maximum_in {
            let maximum = self.receive_maximum_in;
            return Err(ProtocolError::ReceiveMaximumExceeded { maximum });
        }
        self.open_in = self.open_in.saturating_add(1);
        Ok(())
    }

    /// Notes that a PUBACK, a PUBCOMP or a PUBREC that reports failure was sent (4.9).
    pub fn on_publish_done(&mut self) {
        self.open_in = self.open_in.saturating_sub(1);
    }

    /// Returns how many QoS 1 and 2 messages of the client are not acknowledged yet.
    #[must_use]
    pub fn open_publishes(&self) -> u16 {
        self.open_in
    }
}
