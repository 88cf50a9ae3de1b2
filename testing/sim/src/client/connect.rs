//! How a client connects, and what it forgets when it begins anew.

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Connect, Version, Will};

use super::Link;
use crate::mark::Mark;
use crate::network::End;
use crate::world::World;

/// How long wills wait, in seconds: shorter than any session is kept.
const DELAYS: [u32; 3] = [1, 5, 20];

impl World {
    pub(super) fn connect(&mut self, index: usize) {
        let (device, version) = (self.clients[index].device, self.clients[index].version);
        let conn = self.open_conn(End::Client(index), device, version);
        self.oracle.on_open(conn, device, version);
        let clean = self.chooses_clean(index);
        let receive_maximum = if self.calm { 50 } else { *self.rng.pick(&[1, 3, 20]) };
        let will = self.rng.chance(400) && !self.calm;
        let delayed = version == Version::V5 && self.rng.chance(400);
        let delay_seconds = if delayed { *self.rng.pick(&DELAYS) } else { 0 };
        let largest = (!self.calm && self.rng.chance(100)).then_some(200);
        let client = &mut self.clients[index];
        let is_clean = if version == Version::V5 { client.clean } else { clean };
        let (window, last_ack) = (4, self.now);
        client.link = Some(Link { conn, ready: false, is_clean, window, last_ack });
        let mark = Mark {
            publisher: 1_000 + u32::try_from(index).expect("few"),
            number: client.next_number,
            via: 0,
        };
        client.next_number += 1;
        let (topic, payload) = (format!("will/{index}"), mark.payload(70, 0));
        let mut connect = Connect::new(version, &client.id);
        connect.clean_start = clean;
        connect.keep_alive_seconds = if self.calm { 0 } else { client.keep_alive_s };
        if will {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
            let qos = qos[usize::try_from(mark.number % 3).expect("small")];
            let (topic, payload) = (&topic[..], &payload[..]);
            let retain = mark.number.is_multiple_of(4);
            connect.will =
                Some(Will { qos, retain, topic, payload, delay_seconds, ..Will::default() });
        }
        if version == Version::V5 {
            connect.properties.receive_maximum = Some(receive_maximum);
            connect.properties.maximum_packet_bytes = largest;
            if largest.is_some() {
                self.oracle.on_small_packets(client.device, &client.id);
            }
            connect.properties.session_expiry_seconds =
                Some(if client.clean { 0 } else { client.expiry_s });
        }
        let mut bytes = Vec::new();
        codec::encode_connect(&mut bytes, &connect);
        self.tell(|| format!("client-{index} connects as connection {}, clean {clean}", conn.0));
        self.send_up(conn, &bytes);
    }

    /// Chooses a clean start, and forgets the session with it (MQTT-3.1.2-4).
    fn chooses_clean(&mut self, index: usize) -> bool {
        let client = &self.clients[index];
        let clean = client.clean || client.must_be_clean || (!self.calm && self.rng.chance(60));
        if clean {
            self.clients[index].must_be_clean = true;
        }
        if std::mem::take(&mut self.clients[index].has_ended) || clean {
            self.forget_session(index);
        }
        clean
    }

    /// The session is gone: so is what the client knew of it. A QoS 2 message that was sent is given
    /// up, since it may have arrived.
    pub(super) fn forget_session(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.received.clear();
        client.outbox.retain(|outgoing| outgoing.may_be_sent_anew());
        self.oracle.on_session_forgotten(client.device, &client.id);
    }
}
