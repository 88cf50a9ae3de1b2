//! From bytes to packets, and a PUBLISH from a client or from the control interface.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{MessageId, Properties, QoS, Source, Time, TopicName};
use tomte_broker::SetOutcome;
use tomte_mqtt::codec::{self, Packet, Publish, ReasonCode, Version};

use crate::counter::Counter;
use crate::fan_out::{Incoming, Lazy, Routed};
use crate::flow::{FlowEvent, Hop, HopKind};
use crate::hub::{Ack, AckKind};
use crate::password::Check;
use crate::record;
use crate::{CloseReason, Hub, Slot};

/// Retained messages that one connection has the hub look at in one turn, about: each may mean that all
/// routes are asked.
const LOOKS_PER_TURN: usize = 10_000;

/// A message of the control interface, in the name of a device or function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Who is said to send it.
    pub source: Source,
    /// The topic.
    pub topic: TopicName,
    /// The payload.
    pub payload: Bytes,
    /// The quality of service.
    pub qos: QoS,
    /// Retain it.
    pub retain: bool,
    /// Properties for the receivers.
    pub properties: Option<Box<Properties>>,
}

/// Why a publication was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No route from this source takes this topic.
    #[error("no route from this source takes this topic")]
    NoRoute,
}

impl Hub {
    /// Takes bytes that a connection received. Returns how many were used; the rest is the
    /// beginning of a packet and must be handed over again with what follows it, or, where
    /// [`Hub::has_more`] says so, in the next turn.
    pub fn on_bytes(&mut self, now: Time, slot: Slot, bytes: &[u8]) -> usize {
        let mut used = 0;
        self.n_looks = 0;
        let Some(connection) = self.connection(slot) else { return bytes.len() };
        if connection.check == Check::Waiting {
            return 0;
        }
        loop {
            let Some(connection) = self.connection(slot) else { return bytes.len() };
            if connection.closing.is_some() {
                return bytes.len();
            }
            if self.n_looks > LOOKS_PER_TURN {
                return self.pause(slot, used);
            }
            let version = connection.mqtt.version();
            match codec::frame_len(&bytes[used..], connection.mqtt.max_packet_in()) {
                Ok(Some(length)) if length <= bytes.len() - used => {
                    let frame = &bytes[used..used + length];
                    used += length;
                    match codec::decode(frame, version) {
                        Ok(Packet::Connect(connect))
                            if self.waits_for_password(now, slot, &connect) =>
                        {
                            return used - length;
                        }
                        Ok(packet) => self.on_packet(now, slot, packet),
                        Err(error) => self.refuse_packet(slot, frame, &error),
                    }
                }
                Ok(_) => {
                    if let Some(connection) = self.connection_mut(slot) {
                        connection.mqtt.on_received(now, used > 0, bytes.len() - used);
                    }
                    return used;
                }
                Err(error) => {
                    self.refuse_packet(slot, &bytes[used..], &error);
                    return bytes.len();
                }
            }
        }
    }

    /// Leaves the rest for the next turn, so that others have theirs.
    fn pause(&mut self, slot: Slot, used: usize) -> usize {
        if let Some(connection) = self.connection_mut(slot) {
            connection.has_more = true;
        }
        used
    }

    /// Tells, once, whether the last bytes of a connection hold packets that were left for the next turn.
    pub fn has_more(&mut self, slot: Slot) -> bool {
        self.connection_mut(slot).is_some_and(|c| std::mem::take(&mut c.has_more))
    }

    /// Ends a connection because the host has no room for the rest of the packet that it began.
    pub fn end_unfinished(&mut self, slot: Slot) {
        self.send_disconnect(slot, ReasonCode::QuotaExceeded);
        self.close(slot, CloseReason::Unfinished);
    }

    fn refuse_packet(&mut self, slot: Slot, frame: &[u8], error: &codec::DecodeError) {
        let Some(connection) = self.connection(slot) else { return };
        if connection.session.is_none() {
            return self.refuse_first_packet(slot, frame, error);
        }
        self.send_disconnect(slot, error.reason());
        self.close(slot, CloseReason::Protocol(error.to_string()));
    }

    fn on_packet(&mut self, now: Time, slot: Slot, packet: Packet<'_>) {
        let has_session = self.connection(slot).is_some_and(|c| c.session.is_some());
        match packet {
            Packet::Connect(connect) if !has_session => self.on_connect(now, slot, &connect),
            Packet::Connect(_) => {
                self.breach(slot, ReasonCode::ProtocolError, "a second CONNECT (MQTT-3.1.0-2)")
            }
            _ if !has_session => {
                self.close(
                    slot,
                    CloseReason::Protocol(
                        "the first packet was no CONNECT (MQTT-3.1.0-1)".to_owned(),
                    ),
                );
            }
            Packet::Publish(publish) => self.on_publish(now, slot, &publish),
            Packet::Puback(ack) => self.on_puback(now, slot, &ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(now, slot, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(now, slot, &unsubscribe),
            Packet::Pingreq => self.on_pingreq(slot),
            Packet::Disconnect(disconnect) => self.on_disconnect(now, slot, &disconnect),
            Packet::Pubrec(ack) => self.on_pubrec(now, slot, &ack),
            Packet::Pubrel(ack) => self.on_pubrel(slot, &ack),
            Packet::Pubcomp(ack) => self.on_pubcomp(now, slot, &ack),
            Packet::Auth(_) => {
                let what = "AUTH after a CONNECT without a method (MQTT-4.12.0-7)";
                self.breach(slot, ReasonCode::ProtocolError, what);
            }
            other => {
                let what = format!("a client does not send {:?}", other.packet_type());
                self.breach(slot, ReasonCode::ProtocolError, &what);
            }
        }
    }

    /// Ends a connection for a breach of the protocol.
    pub(crate) fn breach(&mut self, slot: Slot, reason: ReasonCode, what: &str) {
        self.send_disconnect(slot, reason);
        self.close(slot, CloseReason::Protocol(what.to_owned()));
    }

    fn on_pingreq(&mut self, slot: Slot) {
        self.answer(slot, Packet::Pingresp);
    }

    fn on_publish(&mut self, now: Time, slot: Slot, publish: &Publish<'_>) {
        let Some(connection) = self.connections[slot.index()].as_mut() else { return };
        let mqtt = &mut connection.mqtt;
        let resolved =
            mqtt.resolve_alias(publish).and_then(|t| mqtt.on_publish(publish.qos).map(|()| t));
        let topic = match resolved {
            Ok(topic) => topic,
            Err(error) => {
                self.breach(slot, error.reason(), &error.to_string());
                return;
            }
        };
        if let Err(error) = check_topic(&topic) {
            self.breach(slot, ReasonCode::TopicNameInvalid, &error);
            return;
        }
        let session = connection.session;
        if publish.qos == QoS::ExactlyOnce && !self.receive_exactly_once(slot, publish.packet_id) {
            return;
        }
        let Some(connection) = self.connections[slot.index()].as_mut() else { return };
        // The source is taken out and put back, so that it need not be copied for each message.
        let source = std::mem::replace(&mut connection.source, Source::Anonymous);
        let properties = publish.properties.to_owned_properties();
        let expiry_s = publish.properties.message_expiry_seconds();
        let incoming = Incoming {
            topic: &topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            source: &source,
            properties: properties.as_deref(),
            from_session: session,
            receipt: None,
            expires: expiry_s.map_or(Time::NEVER, |s| now + Duration::from_secs(u64::from(s))),
            hops: 0,
            cause: None,
        };
        self.counters.add(Counter::Received);
        let receipt = match publish.qos {
            QoS::ExactlyOnce => self.receipt(session, publish.packet_id),
            _ => None,
        };
        let routed = self.fan_out(now, &Incoming { receipt, ..incoming });
        if let Some(connection) = self.connections[slot.index()].as_mut() {
            connection.source = source;
        }
        if routed.refused {
            self.refuse_publish(slot, publish);
        } else if publish.qos > QoS::AtMostOnce {
            self.answer_publish(slot, publish, routed);
        }
    }

    /// Answers a QoS 1 or 2 message as soon as the journal has what it led to.
    fn answer_publish(&mut self, slot: Slot, publish: &Publish<'_>, routed: Routed) {
        let Some(connection) = self.connection(slot) else { return };
        let (serial, session) = (connection.serial, connection.session);
        let (version, packet_id) = (connection.mqtt.version(), publish.packet_id);
        if !routed.allowed {
            self.counters.add(Counter::RefusedPublish);
        }
        // MQTT 5, 3.5.2.1: PUBREC may say that nobody subscribed; it does not, as in mosquitto.
        let reason = match version {
            Version::V5 if !routed.allowed => ReasonCode::NotAuthorized,
            Version::V5 if !routed.matched && publish.qos == QoS::AtLeastOnce => {
                ReasonCode::NoMatchingSubscribers
            }
            _ => ReasonCode::Success,
        };
        let kind = match (publish.qos, session) {
            (QoS::ExactlyOnce, Some(index)) if reason.is_failure() => {
                self.end_received(index, packet_id);
                AckKind::Pubrec
            }
            (QoS::ExactlyOnce, Some(index)) => {
                self.keep_received(index, packet_id, Some(routed.message));
                AckKind::Pubrec
            }
            _ => AckKind::Puback,
        };
        self.acknowledge(Ack { slot, serial, kind, packet_id, reason });
    }

    /// Publishes in the name of somebody else, as the control interface may.
    ///
    /// # Errors
    /// Fails with [`Refused::NoRoute`] when no route from the source takes the topic. The message
    /// has a number and a trace all the same.
    pub fn publish(
        &mut self,
        now: Time,
        publication: &Publication,
    ) -> (MessageId, Result<(), Refused>) {
        let incoming = Incoming {
            topic: &publication.topic,
            payload: &publication.payload,
            qos: publication.qos,
            retain: publication.retain,
            source: &publication.source,
            properties: publication.properties.as_deref(),
            from_session: None,
            receipt: None,
            expires: Time::NEVER,
            hops: 0,
            cause: None,
        };
        self.counters.add(Counter::Received);
        let routed = self.fan_out(now, &incoming);
        (routed.message, if routed.allowed { Ok(()) } else { Err(Refused::NoRoute) })
    }

    /// Keeps or clears the retained message of a topic (MQTT 5, 3.3.1.3).
    pub(crate) fn retain(&mut self, now: Time, lazy: &mut Lazy<'_>) {
        let message = Arc::clone(lazy.get());
        if message.payload.is_empty() {
            self.retained.clear(&message.topic);
            self.forget_retained(&message.topic);
            return;
        }
        if let SetOutcome::Refused(_) = self.retained.set(Arc::clone(&message)) {
            // Better none than an old one: the new one takes its place (MQTT-3.3.1-5).
            self.retained.clear(&message.topic);
            self.forget_retained(&message.topic);
            self.counters.add(Counter::DropRetainedFull);
            self.flow.hop(message.id, || Hop {
                at: now,
                kind: HopKind::Retain,
                subject: String::new(),
                verdict: "refused",
                detail: "the store of retained messages is full".to_owned(),
                bad: true,
            });
            return;
        }
        if let Some(old) = self.retained_kept.remove(&message.topic) {
            self.ledger.forget(old);
        }
        let kept = self.ledger.keep(|out| record::encode_retained(out, &message));
        self.retained_kept.insert(message.topic.clone(), kept);
        if message.expires != Time::NEVER {
            self.arm_sweep();
        }
    }

    /// The journal need not keep the topic's retained message any more.
    pub(crate) fn forget_retained(&mut self, topic: &TopicName) {
        if let Some(kept) = self.retained_kept.remove(topic) {
            self.ledger.forget(kept);
            let cleared = record::Record::RetainedCleared { topic: topic.clone() };
            self.ledger.note(|out| cleared.encode(out));
        }
    }

    /// Tells the live view about a packet that was refused before it became a message.
    pub(crate) fn tell_dropped(&mut self, now: Time, slot: Slot, topic: &str, counter: Counter) {
        let Some(source) = self.connection(slot).map(|c| c.source.clone()) else { return };
        self.flow.tell(now, || FlowEvent::Dropped(source, topic.to_owned(), counter.name()));
    }
}

/// The codec has checked text and wildcards; here the hub's own limits.
fn check_topic(topic: &str) -> Result<(), String> {
    let levels = topic.bytes().filter(|byte| *byte == b'/').count() + 1;
    if levels > tomte_base::MAX_TOPIC_LEVELS {
        return Err(format!(
            "the topic has {levels} levels, at most {} are allowed",
            tomte_base::MAX_TOPIC_LEVELS
        ));
    }
    Ok(())
}
