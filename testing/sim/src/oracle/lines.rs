use std::collections::{HashMap, VecDeque};

use tomte_base::{Source, Time};
use tomte_mqtt::codec::{self, Disconnect, Packet, ReasonCode, Version};

use crate::mark::Mark;
use crate::network::ConnId;

use super::wills::LeftWill;
use super::{Key, Oracle};

/// Which packet the hub owes a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Puback,
    Pubrec,
    Pubcomp,
}

impl Answer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubcomp => "PUBCOMP",
        }
    }
}

/// An answer that is to come. Answers come in the order of what they answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    pub(super) answer: Answer,
    pub(super) packet_id: u16,
    /// Some route takes the message.
    pub(super) allowed: bool,
}

/// A connection as the oracle sees it.
pub(super) struct Line {
    pub(super) device: Option<&'static str>,
    pub(super) version: Version,
    pub(super) key: Option<Key>,
    pub(super) generation: u64,
    pub(super) is_clean: bool,
    /// A session began with it.
    pub(super) has_begun: bool,
    /// The hub must find the session.
    pub(super) must_be_present: bool,
    pub(super) will: Option<LeftWill>,
    /// The hub has done with it, or will not listen any more.
    pub(super) is_dead: bool,
    pub(super) unanswered: HashMap<u16, Vec<String>>,
    pub(super) owed: VecDeque<Owed>,
    /// QoS 2 messages whose PUBREC has not left.
    pub(super) open: HashMap<u16, Option<Mark>>,
    pub(super) largest: u32,
}

impl Line {
    /// Another connection has the client identifier; `resumes` says that it goes on with the session.
    pub(super) fn taken_over(&mut self, resumes: bool) {
        self.is_dead = true;
        // Then a will with a delay is not published, and another one has nothing to wait for.
        self.will.take_if(|will| resumes && !will.delay.is_zero());
    }
}

/// What the counters of the hub say about the bytes that it just took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// It let the client in.
    pub(crate) connected: bool,
    /// It threw the client out after them.
    pub(crate) slow: bool,
    /// It took a message as a new one.
    pub(crate) received: bool,
}

impl Oracle {
    /// A client opened a connection.
    pub(crate) fn on_open(&mut self, id: ConnId, device: Option<&'static str>, version: Version) {
        let line = Line {
            device,
            version,
            key: None,
            generation: 0,
            is_clean: false,
            has_begun: false,
            must_be_present: false,
            will: None,
            is_dead: false,
            unanswered: HashMap::new(),
            owed: VecDeque::new(),
            open: HashMap::new(),
            largest: u32::MAX,
        };
        self.lines.insert(id, line);
    }

    /// The hub took whole packets; only one of them, if it is a QoS 2 PUBLISH.
    pub(crate) fn on_bytes(&mut self, now: Time, id: ConnId, bytes: &[u8], signs: Signs) {
        let mut used = 0;
        while let Ok(Some(length)) = codec::frame_len(&bytes[used..], u32::MAX) {
            if used + length > bytes.len() {
                break;
            }
            let alive = self.lines.get(&id).filter(|line| !line.is_dead);
            let Some(line) = alive else { return };
            if let Ok(packet) = codec::decode(&bytes[used..used + length], line.version) {
                self.on_packet(now, id, &packet, signs);
            }
            used += length;
        }
        if let Some(line) = self.lines.get_mut(&id) {
            line.is_dead |= signs.slow;
        }
    }

    fn on_packet(&mut self, now: Time, id: ConnId, packet: &Packet<'_>, signs: Signs) {
        match packet {
            Packet::Connect(connect) if signs.connected => self.on_connect(now, id, connect),
            Packet::Publish(publish) => self.on_publish(now, id, publish, signs.received),
            Packet::Pubrel(ack) => self.on_pubrel(id, ack.packet_id),
            Packet::Subscribe(subscribe) => self.on_subscribe(id, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                if let Some(kept) = self.kept_of(id) {
                    kept.n_unanswered += 1;
                    for filter in &unsubscribe.filters {
                        kept.subs.remove(*filter);
                    }
                }
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(id, disconnect),
            _ => {}
        }
    }

    fn on_disconnect(&mut self, id: ConnId, disconnect: &Disconnect<'_>) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.is_dead = true;
            if disconnect.reason == ReasonCode::Success {
                line.will = None;
            }
        }
        if let (Some(0), Some(kept)) = (disconnect.session_expiry_seconds, self.kept_of(id)) {
            kept.expiry = std::time::Duration::ZERO;
        }
    }

    /// The hub has done with a connection, and does not listen to it any more.
    pub(crate) fn on_closing(&mut self, id: ConnId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.is_dead = true;
        }
    }

    /// A device lost its identity: the hub has done with its connections.
    pub(crate) fn on_revoked(&mut self, device: &str) {
        let of_it = self.sessions.iter().filter(|((owner, _), _)| *owner == Some(device));
        let lines: Vec<ConnId> = of_it.filter_map(|(_, kept)| kept.line).collect();
        for id in lines {
            self.on_closing(id);
        }
    }

    /// The hub closed its end.
    pub(crate) fn on_closed(&mut self, now: Time, id: ConnId) {
        self.on_closing(id);
        self.leave_will(now, id);
        let Some(kept) = self.kept_of(id) else { return };
        kept.line = None;
        // A client that was never told that it is back has not been.
        kept.left.get_or_insert(now);
        if !kept.is_persistent() {
            let key = self.lines.get(&id).and_then(|line| line.key.clone());
            self.sessions.remove(&key.expect("it has a session"));
        }
    }

    /// Tells one session of a client from another, as far as a CONNACK that left said so.
    pub(crate) fn session_told(&self, id: ConnId) -> Option<u64> {
        self.told.get(&id).copied()
    }

    pub(super) fn version_of(&self, id: ConnId) -> Version {
        self.lines.get(&id).map_or(Version::V311, |line| line.version)
    }
}

pub(super) fn source_of(device: Option<&str>) -> Source {
    device.map_or(Source::Anonymous, |name| {
        Source::Device(tomte_base::DeviceName::new(name).expect("valid"))
    })
}
