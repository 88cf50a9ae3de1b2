//! Clients: they connect, subscribe, publish, leave, vanish, and stop reading.

mod connect;
mod publish;
mod receive;

use std::collections::{BTreeMap, HashSet, VecDeque};

use tomte_base::{QoS, Time};
use tomte_mqtt::codec::{
    self, Disconnect, RetainHandling, Subscribe, Subscription, Unsubscribe, Version,
};

use crate::network::ConnId;
use crate::oracle::{GROUPS, group_of};
use crate::world::{Event, World};
use publish::Outgoing;
pub(crate) use receive::Answer;

const FILTERS: [&str; 10] =
    ["s/#", "s/a", "s/+", "r/#", "cmd/#", "p/#", "m/#", "#", "+/a", "will/+"];
/// What every client subscribes to in the end, so that nothing is left for it.
const ALL_HELD: &str = "cmd/#";

struct Link {
    conn: ConnId,
    ready: bool,
    /// The session ends with the connection.
    is_clean: bool,
    /// Messages that may be on their way unacknowledged.
    window: usize,
    /// Deliveries are answered in their order.
    last_ack: Time,
}

/// One client identifier and who uses it.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) device: Option<&'static str>,
    version: Version,
    clean: bool,
    expiry_s: u32,
    keep_alive_s: u16,
    link: Option<Link>,
    outbox: VecDeque<Outgoing>,
    /// Packet identifiers of QoS 2 messages that were received and not released.
    received: HashSet<u16>,
    /// The session of the last CONNACK, by the oracle's count.
    generation: Option<u64>,
    /// Its last session ended with its connection, whatever the next CONNACK says.
    has_ended: bool,
    /// It forgot its session and may not take it up again (MQTT-3.2.2-4).
    must_be_clean: bool,
    wanted: BTreeMap<&'static str, QoS>,
    next_number: u32,
    next_packet_id: u16,
    /// The hub did not let it in the last time.
    pub(crate) is_refused: bool,
}

impl Client {
    fn packet_id(&mut self) -> u16 {
        self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
        self.next_packet_id
    }
}

impl World {
    pub(crate) fn make_clients(&mut self) {
        for index in 0..self.settings.n_clients {
            let device = match index {
                0..=2 => Some(crate::table::DEVICES[index]),
                _ if self.rng.chance(300) => Some(*self.rng.pick(&crate::table::DEVICES)),
                _ => None,
            };
            let version = if self.rng.chance(500) { Version::V5 } else { Version::V311 };
            let n_filters = self.rng.range(0, 3);
            let wanted = (0..n_filters).map(|_| self.choose_filter()).collect();
            let client = Client {
                id: format!("client-{index}"),
                device,
                version,
                clean: self.rng.chance(350),
                expiry_s: *self.rng.pick(&[30, 600, 3_600, u32::MAX]),
                keep_alive_s: *self.rng.pick(&[0, 0, 5, 60]),
                link: None,
                outbox: VecDeque::new(),
                received: HashSet::new(),
                generation: None,
                has_ended: false,
                must_be_clean: false,
                wanted,
                next_number: 1,
                next_packet_id: 0,
                is_refused: false,
            };
            self.clients.push(client);
            let first = self.rng.millis(1, 100);
            self.after(first, Event::Act(index));
        }
    }

    fn choose_filter(&mut self) -> (&'static str, QoS) {
        let qos = self.choose_qos();
        (*self.rng.pick(&FILTERS), qos)
    }

    /// A group and a quality of service with which its members keep what they get.
    fn choose_group(&mut self) -> (&'static str, QoS) {
        let qos = *self.rng.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
        (self.rng.pick(&GROUPS).filter, qos)
    }

    fn choose_qos(&mut self) -> QoS {
        match self.rng.below(100) {
            0..=22 => QoS::AtMostOnce,
            23..=61 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    /// A client does something, then thinks about the next thing.
    pub(crate) fn act(&mut self, index: usize) {
        if self.calm || self.acts_left == 0 {
            return;
        }
        self.acts_left -= 1;
        let pause = self.rng.span(self.settings.pause);
        self.after(pause, Event::Act(index));
        let Some(link) = &self.clients[index].link else { return self.connect(index) };
        let (conn, ready) = (link.conn, link.ready);
        if !ready {
            // An impatient client gives up, a patient one waits.
            if self.rng.chance(50) {
                self.cut(conn);
            }
            return;
        }
        if self.rng.chance(self.settings.stall) && self.conns[conn.0].reading {
            self.coverage.hit("client: stopped reading");
            self.conns[conn.0].reading = false;
            let span = self.rng.millis(50, 4_000);
            self.after(span, Event::ReadAgain(conn));
        }
        match self.rng.below(100) {
            0..=69 => self.publish_some(index),
            70..=79 => {
                let v5 = self.clients[index].version == Version::V5;
                let (filter, qos) = if v5 && self.rng.chance(350) {
                    self.choose_group()
                } else {
                    self.choose_filter()
                };
                self.clients[index].wanted.insert(filter, qos);
                self.subscribe(index, filter, qos);
            }
            80..=83 => self.unsubscribe(index),
            84..=89 => self.leave(index),
            90..=92 => self.cut(conn),
            93..=95 => {
                // A second connection with the same identifier.
                self.connect(index);
            }
            _ => self.send(index, |out, _| codec::encode_pingreq(out)),
        }
    }

    /// Writes a packet on the client's connection.
    fn send(&mut self, index: usize, encode: impl FnOnce(&mut Vec<u8>, Version)) {
        let Some(conn) = self.clients[index].link.as_ref().map(|link| link.conn) else { return };
        let mut bytes = Vec::new();
        encode(&mut bytes, self.clients[index].version);
        self.send_up(conn, &bytes);
    }

    fn subscribe(&mut self, index: usize, filter: &'static str, qos: QoS) {
        let v5 = self.clients[index].version == Version::V5;
        let mut asked = Subscription::new(filter, qos);
        if v5 {
            asked.no_local = group_of(filter).is_none() && self.rng.chance(150);
            asked.retain_as_published = self.rng.chance(300);
            asked.retain_handling = *self.rng.pick(&[
                RetainHandling::Send,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]);
        }
        let packet_id = self.clients[index].packet_id();
        let identifier = (v5 && self.rng.chance(300)).then_some(7);
        let identifier = group_of(filter).or(identifier);
        self.tell(|| format!("client-{index} subscribes to {filter} with QoS {}", qos as u8));
        self.send(index, |out, version| {
            let subscribe = Subscribe {
                packet_id,
                subscription_identifier: identifier,
                subscriptions: vec![asked],
                ..Subscribe::default()
            };
            codec::encode_subscribe(out, version, &subscribe);
        });
    }

    fn unsubscribe(&mut self, index: usize) {
        let filter = *self.rng.pick(&FILTERS);
        self.clients[index].wanted.remove(filter);
        let packet_id = self.clients[index].packet_id();
        self.tell(|| format!("client-{index} unsubscribes from {filter}"));
        self.coverage.hit("client: unsubscribed");
        self.send(index, |out, version| {
            let filters = vec![filter];
            codec::encode_unsubscribe(
                out,
                version,
                &Unsubscribe { packet_id, filters, ..Unsubscribe::default() },
            );
        });
    }

    fn leave(&mut self, index: usize) {
        let Some(link) = self.clients[index].link.take() else { return };
        let version = self.clients[index].version;
        let mut disconnect = Disconnect::default();
        if version == Version::V5 && self.rng.chance(200) {
            disconnect.reason = codec::ReasonCode::DisconnectWithWill;
        }
        if version == Version::V5 && self.rng.chance(100) {
            disconnect.session_expiry_seconds = Some(0);
            self.clients[index].has_ended = true;
        }
        let mut bytes = Vec::new();
        codec::encode_disconnect(&mut bytes, version, &disconnect);
        self.tell(|| format!("client-{index} leaves"));
        self.send_up(link.conn, &bytes);
        self.end_up(link.conn);
    }

    pub(crate) fn forget_refusal(&mut self, index: usize) {
        self.clients[index].is_refused = false;
    }

    /// Connects every client that is not, to collect what was promised.
    pub(crate) fn reconnect_all(&mut self) {
        for index in 0..self.clients.len() {
            let is_refused = self.clients[index].is_refused;
            if self.clients[index].link.is_none() && !is_refused {
                self.connect(index);
            }
        }
    }

    /// Tells whether every client is connected and has all its answers.
    pub(crate) fn clients_are_at_rest(&self) -> bool {
        self.clients.iter().all(|client| {
            let is_done =
                client.link.as_ref().is_some_and(|link| link.ready) && client.outbox.is_empty();
            is_done || client.is_refused
        })
    }
}
