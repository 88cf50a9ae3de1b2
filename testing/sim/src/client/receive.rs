//! What clients do with what they receive.

use std::time::Duration;

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Ack, Packet, Publish};

use super::ALL_HELD;
use crate::network::{ConnId, End};
use crate::world::{Event, World};

/// What a client answers to what it received.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Puback(u16),
    Pubrec(u16),
    Pubcomp(u16),
}

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
            Packet::Publish(publish) => self.client_publish(index, id, publish, is_current),
            _ if !is_current => {}
            Packet::Connack(connack) => self.client_connack(index, id, connack),
            Packet::Puback(ack) => {
                let (packet_id, reason) = (ack.packet_id, ack.reason);
                self.tell(|| format!("client-{index} gets PUBACK {packet_id} {reason:?}"));
                self.got_end(index, id, packet_id);
            }
            Packet::Pubrec(ack) => {
                let (packet_id, reason) = (ack.packet_id, ack.reason);
                self.tell(|| format!("client-{index} gets PUBREC {packet_id} {reason:?}"));
                self.got_pubrec(index, packet_id, reason);
            }
            Packet::Pubcomp(ack) => self.got_end(index, id, ack.packet_id),
            Packet::Pubrel(ack) => {
                self.clients[index].received.remove(&ack.packet_id);
                self.answer(index, id, Answer::Pubcomp(ack.packet_id));
            }
            _ => {}
        }
    }

    /// A message arrived. One of QoS 2 counts once until it is released.
    fn client_publish(
        &mut self,
        index: usize,
        id: ConnId,
        publish: &Publish<'_>,
        is_current: bool,
    ) {
        let text = Self::word_of(publish.payload);
        let (qos, dup) = (publish.qos as u8, if publish.dup { ", again" } else { "" });
        let (topic, packet_id) = (publish.topic, publish.packet_id);
        self.tell(|| {
            format!("client-{index} receives {text} on {topic} as {packet_id}, QoS {qos}{dup}")
        });
        if publish.qos > QoS::AtMostOnce && is_current {
            self.oracle.on_identified(id, publish, &mut self.coverage);
        }
        if publish.qos == QoS::ExactlyOnce {
            // What a connection brings that the client has left is not acknowledged, and comes again.
            if !is_current {
                return;
            }
            self.answer(index, id, Answer::Pubrec(packet_id));
            if !self.clients[index].received.insert(packet_id) {
                self.coverage.hit("client: knew a QoS 2 message already");
                return;
            }
        } else if publish.qos == QoS::AtLeastOnce && is_current {
            self.answer(index, id, Answer::Puback(packet_id));
        }
        self.oracle.on_delivered(id, publish, &mut self.coverage);
    }

    fn client_connack(&mut self, index: usize, id: ConnId, connack: &codec::Connack<'_>) {
        let (reason, present) = (connack.reason, connack.session_present);
        self.tell(|| format!("client-{index} gets CONNACK {reason:?}, session present {present}"));
        if reason.is_failure() {
            self.clients[index].is_refused = true;
            return;
        }
        self.clients[index].is_refused = false;
        self.clients[index].must_be_clean &= present;
        // A session that ended and began again while a CONNACK was lost on the way cannot be told from
        // one that went on; a client that never loses one is assumed.
        let generation = self.oracle.session_told(id);
        if !present || generation != self.clients[index].generation {
            self.forget_session(index);
        }
        self.clients[index].generation = generation;
        let Some(link) = &mut self.clients[index].link else { return };
        link.ready = true;
        self.clients[index].has_ended |= link.is_clean;
        let Some(link) = &mut self.clients[index].link else { return };
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
    fn answer(&mut self, index: usize, id: ConnId, answer: Answer) {
        if !self.calm && self.rng.chance(self.settings.forget_ack) {
            self.coverage.hit("client: never answered a delivery");
            return;
        }
        let late = self.rng.span(Duration::from_millis(if self.calm { 5 } else { 60 }));
        let Some(link) = &mut self.clients[index].link else { return };
        link.last_ack = link.last_ack.max(self.now + late);
        let at = link.last_ack;
        self.at(at, Event::Ack(index, id, answer));
    }

    pub(crate) fn acknowledge(&mut self, index: usize, id: ConnId, answer: Answer) {
        if self.clients[index].link.as_ref().is_none_or(|link| link.conn != id) {
            return;
        }
        if let Answer::Puback(packet_id) | Answer::Pubrec(packet_id) = answer {
            self.oracle.on_delivery_answered(id, packet_id);
        }
        self.send(index, |out, version| match answer {
            Answer::Puback(id) => codec::encode_puback(out, version, &Ack::success(id)),
            Answer::Pubrec(id) => codec::encode_pubrec(out, version, &Ack::success(id)),
            Answer::Pubcomp(id) => codec::encode_pubcomp(out, version, &Ack::success(id)),
        });
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
