//! What clients do with what they receive.

use std::time::Duration;

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Ack, Packet};

use super::ALL_HELD;
use crate::network::{ConnId, End};
use crate::world::{Event, World};

impl World {
    /// Bytes arrived at the client's end.
    pub(crate) fn client_received(&mut self, id: ConnId, bytes: &[u8]) {
        if self.conns[id.0].end == End::Stranger {
            return;
        }
        let mut buffer = std::mem::take(&mut self.conns[id.0].partial);
        buffer.extend_from_slice(bytes);
        let version = self.conns[id.0].version;
        let mut used = 0;
        while let Ok(Some(length)) = codec::frame_len(&buffer[used..], u32::MAX) {
            if used + length > buffer.len() {
                break;
            }
            let frame = buffer[used..used + length].to_vec();
            used += length;
            if let Ok(packet) = codec::decode(&frame, version) {
                match self.conns[id.0].end {
                    End::Client(index) => self.client_packet(index, id, &packet),
                    _ => self.checker_packet(id, &packet),
                }
            }
        }
        buffer.drain(..used);
        self.conns[id.0].partial = buffer;
    }

    fn client_packet(&mut self, index: usize, id: ConnId, packet: &Packet<'_>) {
        let is_current = self.clients[index].link.as_ref().is_some_and(|link| link.conn == id);
        match packet {
            Packet::Publish(publish) => {
                let text = Self::word_of(publish.payload);
                let (qos, dup) = (publish.qos as u8, if publish.dup { ", again" } else { "" });
                let topic = publish.topic;
                self.tell(|| format!("client-{index} receives {text} on {topic}, QoS {qos}{dup}"));
                self.oracle.on_delivered(id, publish, &mut self.coverage);
                if publish.qos > QoS::AtMostOnce && is_current {
                    self.answer(index, id, publish.packet_id);
                }
            }
            _ if !is_current => {}
            Packet::Connack(connack) => self.client_connack(index, connack),
            Packet::Puback(ack) => {
                let (packet_id, reason) = (ack.packet_id, ack.reason);
                self.tell(|| format!("client-{index} gets PUBACK {packet_id} {reason:?}"));
                let outbox = &mut self.clients[index].outbox;
                outbox.retain(|outgoing| {
                    outgoing.packet_id != packet_id || outgoing.sent_on != Some(id)
                });
                self.send_outbox(index);
            }
            _ => {}
        }
    }

    fn client_connack(&mut self, index: usize, connack: &codec::Connack<'_>) {
        let (reason, present) = (connack.reason, connack.session_present);
        self.tell(|| format!("client-{index} gets CONNACK {reason:?}, session present {present}"));
        if reason.is_failure() {
            self.clients[index].is_refused = true;
            return;
        }
        self.clients[index].is_refused = false;
        let Some(link) = &mut self.clients[index].link else { return };
        link.ready = true;
        link.window = usize::from(connack.properties.receive_maximum.unwrap_or(4));
        if !present || self.rng.chance(200) {
            for (filter, qos) in self.clients[index].wanted.clone() {
                self.subscribe(index, filter, qos);
            }
        }
        if self.calm && self.clients[index].device.is_some() {
            self.subscribe(index, ALL_HELD, QoS::AtLeastOnce);
        }
        self.send_outbox(index);
    }

    /// Answers a delivery soon, in order, or never on this connection.
    fn answer(&mut self, index: usize, id: ConnId, packet_id: u16) {
        if !self.calm && self.rng.chance(self.settings.forget_ack) {
            self.coverage.hit("client: never answered a delivery");
            return;
        }
        let late = self.rng.span(Duration::from_millis(if self.calm { 5 } else { 60 }));
        let Some(link) = &mut self.clients[index].link else { return };
        link.last_ack = link.last_ack.max(self.now + late);
        let at = link.last_ack;
        self.at(at, Event::Ack(index, id, packet_id));
    }

    pub(crate) fn acknowledge(&mut self, index: usize, id: ConnId, packet_id: u16) {
        if self.clients[index].link.as_ref().is_some_and(|link| link.conn == id) {
            self.send(index, |out, version| {
                codec::encode_puback(out, version, &Ack::success(packet_id));
            });
        }
    }

    /// The client's end of a connection is closed.
    pub(crate) fn client_lost(&mut self, id: ConnId) {
        self.conns[id.0].alive = false;
        let End::Client(index) = self.conns[id.0].end else { return };
        let client = &mut self.clients[index];
        if client.link.as_ref().is_some_and(|link| link.conn == id) {
            client.link = None;
            if self.calm {
                let late = self.rng.millis(1, 20);
                self.after(late, Event::Calm);
            }
        }
    }
}
