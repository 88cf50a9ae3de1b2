//! Clients: they connect, subscribe, publish, leave, vanish, and stop reading.

mod receive;

use std::collections::{BTreeMap, VecDeque};

use tomte_base::{QoS, Time};
use tomte_mqtt::codec::{
    self, Connect, Disconnect, PublishHead, RetainHandling, Subscribe, Subscription, Unsubscribe,
    Version, Will,
};

use crate::mark::Mark;
use crate::network::{ConnId, End};
use crate::world::{Event, World};

const TOPICS: [&str; 8] = ["s/a", "s/b", "s/c", "cmd/x", "cmd/y", "p/1", "loop", "other/z"];
const FILTERS: [&str; 9] = ["s/#", "s/a", "s/+", "r/#", "cmd/#", "p/#", "#", "+/a", "will/+"];
/// What every client subscribes to in the end, so that nothing is left for it.
const ALL_HELD: &str = "cmd/#";

/// A QoS 1 message that is not acknowledged yet.
struct Outgoing {
    packet_id: u16,
    head: Message,
    sent_on: Option<ConnId>,
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

struct Link {
    conn: ConnId,
    ready: bool,
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
        let qos = if self.rng.chance(800) { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        (*self.rng.pick(&FILTERS), qos)
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
                let (filter, qos) = self.choose_filter();
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

    fn connect(&mut self, index: usize) {
        let (device, version) = (self.clients[index].device, self.clients[index].version);
        let conn = self.open_conn(End::Client(index), device, version);
        self.oracle.on_open(conn, device, version);
        let clean = if self.calm {
            self.clients[index].clean
        } else {
            self.clients[index].clean || self.rng.chance(60)
        };
        let receive_maximum = if self.calm { 50 } else { *self.rng.pick(&[1, 3, 20]) };
        let will = self.rng.chance(400) && !self.calm;
        let largest = (!self.calm && self.rng.chance(100)).then_some(200);
        let client = &mut self.clients[index];
        client.link = Some(Link { conn, ready: false, window: 4, last_ack: self.now });
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
            let qos =
                if mark.number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            let retain = mark.number.is_multiple_of(3);
            connect.will =
                Some(Will { qos, retain, topic: &topic, payload: &payload, ..Will::default() });
        }
        if version == Version::V5 {
            connect.properties.receive_maximum = Some(receive_maximum);
            connect.properties.maximum_packet_bytes = largest;
            connect.properties.session_expiry_seconds =
                Some(if client.clean { 0 } else { client.expiry_s });
        }
        let mut bytes = Vec::new();
        codec::encode_connect(&mut bytes, &connect);
        self.tell(|| format!("client-{index} connects as connection {}, clean {clean}", conn.0));
        self.send_up(conn, &bytes);
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
            asked.no_local = self.rng.chance(150);
            asked.retain_as_published = self.rng.chance(300);
            asked.retain_handling = *self.rng.pick(&[
                RetainHandling::Send,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]);
        }
        let packet_id = self.clients[index].packet_id();
        let identifier = (v5 && self.rng.chance(300)).then_some(7);
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
        }
        let mut bytes = Vec::new();
        codec::encode_disconnect(&mut bytes, version, &disconnect);
        self.tell(|| format!("client-{index} leaves"));
        self.send_up(link.conn, &bytes);
        self.end_up(link.conn);
    }

    fn publish_some(&mut self, index: usize) {
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
            client.outbox.push_back(Outgoing { packet_id, head: message, sent_on: None });
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
            qos: if self.rng.chance(750) { QoS::AtLeastOnce } else { QoS::AtMostOnce },
            retain,
            expiry_s: expires.then(|| u32::try_from(self.rng.range(0, 5)).expect("small")),
        }
    }

    /// Sends what the window has room for; what was sent on an earlier connection is sent again.
    fn send_outbox(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(link) = client.link.as_ref().filter(|link| link.ready) else { return };
        let (conn, version) = (link.conn, client.version);
        let mut bytes = Vec::new();
        let (mut again, mut words) = (0, String::new());
        for outgoing in client.outbox.iter_mut().take(link.window) {
            if outgoing.sent_on == Some(conn) {
                continue;
            }
            let dup = outgoing.sent_on.is_some();
            again += u64::from(dup);
            encode(&mut bytes, version, &outgoing.head, outgoing.packet_id, dup);
            words += &format!(" {}", outgoing.head.word(outgoing.packet_id));
            outgoing.sent_on = Some(conn);
        }
        self.coverage.add("client: sent a message again", again);
        if !bytes.is_empty() {
            self.tell(|| format!("client-{index} publishes{words}"));
            self.send_up(conn, &bytes);
        }
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
