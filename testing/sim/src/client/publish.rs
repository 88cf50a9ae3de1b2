//! What clients publish: composed, sent, sent again, released.

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Ack, PublishHead, ReasonCode, Version};

use crate::mark::Mark;
use crate::network::ConnId;
use crate::world::World;

const TOPICS: [&str; 8] = ["s/a", "s/b", "s/c", "cmd/x", "cmd/y", "p/1", "loop", "other/z"];

/// A QoS 1 or 2 message that is not acknowledged to its end yet.
pub(super) struct Outgoing {
    pub(super) packet_id: u16,
    head: Message,
    pub(super) sent_on: Option<ConnId>,
    /// PUBREC came.
    is_released: bool,
    /// PUBREL was first sent on an earlier connection, so that it takes nothing of the window of this
    /// one (MQTT 5, 4.9).
    is_left_over: bool,
}

impl Outgoing {
    /// Tells whether another session may begin with it.
    pub(super) fn may_be_sent_anew(&self) -> bool {
        self.head.qos < QoS::ExactlyOnce || self.sent_on.is_none()
    }
}

#[derive(Clone)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    expiry_s: Option<u32>,
}

impl Message {
    /// Its mark, topic and packet identifier, for the log.
    fn word(&self, packet_id: u16) -> String {
        let retain = if self.retain { " retained" } else { "" };
        format!("{} on {}{retain} ({packet_id})", World::word_of(&self.payload), self.topic)
    }
}

impl World {
    pub(super) fn publish_some(&mut self, index: usize) {
        for _ in 0..self.rng.range(1, 6) {
            let message = self.compose(index);
            if message.qos == QoS::AtMostOnce {
                let word = message.word(0);
                self.tell(|| format!("client-{index} publishes {word}"));
                self.send(index, |out, version| encode(out, version, &message, 0, false));
                continue;
            }
            let client = &mut self.clients[index];
            let packet_id = client.packet_id();
            let (head, sent_on) = (message, None);
            client.outbox.push_back(Outgoing {
                packet_id,
                head,
                sent_on,
                is_released: false,
                is_left_over: false,
            });
        }
        self.send_outbox(index);
    }

    fn compose(&mut self, index: usize) -> Message {
        let client = &mut self.clients[index];
        let publisher = u32::try_from(index).expect("few");
        let mark = Mark { publisher, number: client.next_number, via: 0 };
        client.next_number += 1;
        let topic = (*self.rng.pick(&TOPICS)).to_owned();
        let retain = self.rng.chance(120);
        let clears = retain && self.rng.chance(150);
        let value = i64::try_from(self.rng.below(100)).expect("small");
        let padding = if self.rng.chance(100) { self.rng.below(1_500) } else { self.rng.below(30) };
        let v5 = self.clients[index].version == Version::V5;
        let expires = v5 && !retain && self.rng.chance(50);
        Message {
            topic,
            payload: if clears { Vec::new() } else { mark.payload(value, padding) },
            qos: self.choose_qos(),
            retain,
            expiry_s: expires.then(|| u32::try_from(self.rng.range(0, 5)).expect("small")),
        }
    }

    /// Sends what the window has room for; what was sent on an earlier connection is sent again.
    pub(super) fn send_outbox(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(link) = client.link.as_ref().filter(|link| link.ready) else { return };
        let (conn, version) = (link.conn, client.version);
        let mut bytes = Vec::new();
        let (mut again, mut words) = (0, String::new());
        let mut room = link.window;
        for outgoing in &mut client.outbox {
            outgoing.is_left_over |= outgoing.is_released && outgoing.sent_on != Some(conn);
            if room == 0 && !outgoing.is_left_over {
                break;
            }
            room -= usize::from(!outgoing.is_left_over);
            if outgoing.sent_on == Some(conn) {
                continue;
            }
            let dup = outgoing.sent_on.is_some();
            again += u64::from(dup);
            outgoing.sent_on = Some(conn);
            if outgoing.is_released {
                let ack = Ack::success(outgoing.packet_id);
                codec::encode_pubrel(&mut bytes, version, &ack);
                words += &format!(" PUBREL {}", outgoing.packet_id);
                continue;
            }
            encode(&mut bytes, version, &outgoing.head, outgoing.packet_id, dup);
            words += &format!(" {}", outgoing.head.word(outgoing.packet_id));
        }
        self.coverage.add("client: sent a message again", again);
        if !bytes.is_empty() {
            self.tell(|| format!("client-{index} publishes{words}"));
            self.send_up(conn, &bytes);
        }
    }

    /// PUBREC came: the hub has the message, or does not want it.
    pub(super) fn got_pubrec(&mut self, index: usize, packet_id: u16, reason: ReasonCode) {
        let client = &mut self.clients[index];
        let at = client.outbox.iter().position(|outgoing| outgoing.packet_id == packet_id);
        match at.map(|at| (at, &mut client.outbox[at])) {
            Some((at, _)) if reason.is_failure() => drop(client.outbox.remove(at)),
            Some((_, outgoing)) => outgoing.is_released = true,
            None => {}
        }
        if reason.is_failure() {
            return self.send_outbox(index);
        }
        self.send(index, |out, version| {
            codec::encode_pubrel(out, version, &Ack::success(packet_id));
        });
    }

    /// PUBACK or PUBCOMP came on the connection that the message was sent on.
    pub(super) fn got_end(&mut self, index: usize, id: ConnId, packet_id: u16) {
        let outbox = &mut self.clients[index].outbox;
        outbox.retain(|outgoing| outgoing.packet_id != packet_id || outgoing.sent_on != Some(id));
        self.send_outbox(index);
    }
}

fn encode(out: &mut Vec<u8>, version: Version, message: &Message, packet_id: u16, dup: bool) {
    let head = PublishHead {
        dup,
        qos: message.qos,
        retain: message.retain,
        topic: &message.topic,
        packet_id,
        message_expiry_seconds: message.expiry_s,
        ..PublishHead::default()
    };
    codec::encode_publish(out, version, &head, &message.payload);
}
