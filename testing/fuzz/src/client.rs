//! A client that watches what the hub sends to it: the form of packets, their order, identifiers,
//! the window, and that each answer is to something that was asked.

use std::collections::HashSet;

use tomte_base::QoS;
use tomte_mqtt::codec::{Connect, Packet, Publish, Version, connect_version, decode, frame_len};

/// What one connection has said and heard.
pub(crate) struct Client {
    version: Version,
    /// Sent and not used by the hub yet.
    pending: Vec<u8>,
    connected: bool,
    /// Nothing may come any more.
    ended: bool,
    window: usize,
    max_packet: usize,
    alias_maximum: u16,
    /// Identifiers of messages from the hub that were not answered to their end.
    open_in: HashSet<u16>,
    asked: Asked,
}

/// Identifiers that an answer may have.
#[derive(Default)]
struct Asked {
    publish1: HashSet<u16>,
    publish2: HashSet<u16>,
    pubrel: HashSet<u16>,
    pubrec: HashSet<u16>,
    subscribe: HashSet<u16>,
    unsubscribe: HashSet<u16>,
    n_pings: usize,
}

impl Client {
    pub(crate) fn new(hub_window: u16) -> Self {
        Self {
            version: Version::V311,
            pending: Vec::new(),
            connected: false,
            ended: false,
            window: usize::from(hub_window),
            max_packet: usize::MAX,
            alias_maximum: 0,
            open_in: HashSet::new(),
            asked: Asked::default(),
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Adds `bytes` to what was not used yet and returns all of it.
    pub(crate) fn sends(&mut self, bytes: &[u8]) -> &[u8] {
        self.pending.extend_from_slice(bytes);
        let (mut at, pending) = (0, std::mem::take(&mut self.pending));
        while let Ok(Some(length)) = frame_len(&pending[at..], u32::MAX)
            && let Some(frame) = pending.get(at..at + length)
        {
            let version = connect_version(frame).unwrap_or(self.version);
            if let Ok(packet) = decode(frame, version) {
                self.note(&packet);
            }
            at += length;
        }
        self.pending = pending;
        &self.pending
    }

    pub(crate) fn used(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
    }

    fn note(&mut self, packet: &Packet<'_>) {
        let asked = &mut self.asked;
        match packet {
            Packet::Connect(connect) if !self.connected => self.note_connect(connect),
            Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => {
                asked.publish1.insert(publish.packet_id);
            }
            Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce => {
                asked.publish2.insert(publish.packet_id);
            }
            Packet::Pubrel(ack) => {
                asked.pubrel.insert(ack.packet_id);
            }
            Packet::Pubrec(ack) => {
                asked.pubrec.insert(ack.packet_id);
                if ack.reason.is_failure() {
                    self.open_in.remove(&ack.packet_id);
                }
            }
            Packet::Puback(ack) | Packet::Pubcomp(ack) => {
                self.open_in.remove(&ack.packet_id);
            }
            Packet::Subscribe(subscribe) => {
                asked.subscribe.insert(subscribe.packet_id);
            }
            Packet::Unsubscribe(unsubscribe) => {
                asked.unsubscribe.insert(unsubscribe.packet_id);
            }
            Packet::Pingreq => asked.n_pings += 1,
            _ => {}
        }
    }

    fn note_connect(&mut self, connect: &Connect<'_>) {
        let properties = &connect.properties;
        self.version = connect.version;
        self.window = self.window.min(usize::from(properties.receive_maximum.unwrap_or(u16::MAX)));
        self.max_packet = properties
            .maximum_packet_bytes
            .map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        self.alias_maximum = properties.topic_alias_maximum.unwrap_or(0);
    }

    /// Takes whole packets from the hub.
    pub(crate) fn receives(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = frame_len(rest, u32::MAX).expect("the hub sends packets");
            let length = length.filter(|length| *length <= rest.len()).expect("whole packets");
            let (frame, after) = rest.split_at(length);
            let packet = decode(frame, self.version);
            let packet = packet.unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
            assert!(!self.ended, "{packet:?} came after the end");
            self.check(&packet, frame.len());
            rest = after;
        }
    }

    fn check(&mut self, packet: &Packet<'_>, length: usize) {
        if !self.connected {
            let Packet::Connack(connack) = packet else { panic!("{packet:?} before CONNACK") };
            self.connected = !connack.reason.is_failure();
            self.ended = !self.connected;
            return;
        }
        assert!(length <= self.max_packet, "{length} bytes of {packet:?} (MQTT-3.1.2-24)");
        let asked = &mut self.asked;
        let was_asked = match packet {
            Packet::Publish(publish) => return self.check_publish(publish),
            Packet::Puback(ack) => asked.publish1.contains(&ack.packet_id),
            Packet::Pubrec(ack) => asked.publish2.contains(&ack.packet_id),
            Packet::Pubcomp(ack) => asked.pubrel.contains(&ack.packet_id),
            // After CONNACK it may be the continuation of an earlier connection.
            Packet::Pubrel(_) => true,
            Packet::Suback(suback) => asked.subscribe.contains(&suback.packet_id),
            Packet::Unsuback(unsuback) => asked.unsubscribe.contains(&unsuback.packet_id),
            Packet::Pingresp => asked.n_pings > 0,
            Packet::Disconnect(_) => {
                self.ended = true;
                self.version == Version::V5
            }
            _ => false,
        };
        assert!(was_asked, "{packet:?} answers nothing");
    }

    fn check_publish(&mut self, publish: &Publish<'_>) {
        if publish.qos == QoS::AtMostOnce {
            return;
        }
        let id = publish.packet_id;
        assert!(self.open_in.insert(id), "the identifier {id} is in use");
        let n_open = self.open_in.len();
        assert!(n_open <= self.window, "{n_open} are open, {} fit", self.window);
        let alias = publish.properties.topic_alias().unwrap_or(0);
        assert!(alias <= self.alias_maximum, "the alias {alias} is too large (MQTT-3.1.2-26)");
    }
}
