use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tomte_base::{QoS, Source, Time, topic_matches};
use tomte_core_hub::{Owner, Will};
use tomte_mqtt::codec::{self, Connect, Disconnect, Packet, ReasonCode, Subscribe, Version};

use crate::network::ConnId;

use super::duties::{Cause, Duty};
use super::messages::Incoming;
use super::{Key, Oracle};

/// A subscription as the client knows it.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    /// The lower one, while two may be in force.
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    /// SUBACK has left.
    pub(super) is_confirmed: bool,
}

/// A session that the hub has, or may have.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Tells this session from an earlier one with the same key.
    pub(super) generation: u64,
    expiry: Duration,
    /// CONNACK has left.
    pub(super) is_confirmed: bool,
    line: Option<ConnId>,
    /// When its client went, until it is told that it is back.
    left: Option<Time>,
    pub(super) subs: BTreeMap<String, Sub>,
    /// The hub may know of subscriptions that are not in `subs`: a crash came between.
    pub(super) is_uncertain: bool,
    n_unanswered: u32,
}

impl Kept {
    pub(super) fn is_persistent(&self) -> bool {
        !self.expiry.is_zero()
    }

    pub(super) fn on_crash(&mut self) {
        self.is_uncertain |= self.n_unanswered > 0 || !self.is_confirmed;
        self.n_unanswered = 0;
        self.line = None;
    }

    pub(super) fn on_recovered(&mut self, now: Time) {
        self.left.get_or_insert(now);
    }

    /// Tells whether it has surely not come to its end.
    pub(super) fn is_alive(&self, now: Time) -> bool {
        self.line.is_some() || self.left.is_none_or(|left| now < left + self.expiry)
    }
}

/// A connection as the oracle sees it.
pub(super) struct Line {
    device: Option<&'static str>,
    version: Version,
    pub(super) key: Option<Key>,
    pub(super) generation: u64,
    is_clean: bool,
    /// The hub must find the session.
    must_be_present: bool,
    will: Option<(String, Vec<u8>, QoS, bool)>,
    /// The hub has done with it, or will not listen any more.
    is_dead: bool,
    unanswered: HashMap<u16, Vec<String>>,
    pub(super) acks: VecDeque<(u16, bool)>,
    pub(super) largest: u32,
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
            must_be_present: false,
            will: None,
            is_dead: false,
            unanswered: HashMap::new(),
            acks: VecDeque::new(),
            largest: u32::MAX,
        };
        self.lines.insert(id, line);
    }

    /// The hub took whole packets. `connected` says that it let the client in, `slow` that it threw
    /// the client out after them.
    pub(crate) fn on_bytes(
        &mut self,
        now: Time,
        id: ConnId,
        bytes: &[u8],
        connected: bool,
        slow: bool,
    ) {
        let mut used = 0;
        while let Ok(Some(length)) = codec::frame_len(&bytes[used..], u32::MAX) {
            if used + length > bytes.len() {
                break;
            }
            let alive = self.lines.get(&id).filter(|line| !line.is_dead);
            let Some(line) = alive else { return };
            if let Ok(packet) = codec::decode(&bytes[used..used + length], line.version) {
                self.on_packet(now, id, &packet, connected);
            }
            used += length;
        }
        if let Some(line) = self.lines.get_mut(&id) {
            line.is_dead |= slow;
        }
    }

    fn on_packet(&mut self, now: Time, id: ConnId, packet: &Packet<'_>, connected: bool) {
        match packet {
            Packet::Connect(connect) if connected => self.on_connect(now, id, connect),
            Packet::Publish(publish) => {
                let Some(line) = self.lines.get(&id) else { return };
                let Some(key) = line.key.clone() else { return };
                let source = source_of(line.device);
                let is_acked = publish.qos == QoS::AtLeastOnce;
                let cause =
                    if is_acked { Cause::Ack(id, publish.packet_id) } else { Cause::Nobody };
                let incoming = Incoming {
                    source,
                    from: Some(key),
                    topic: publish.topic,
                    payload: publish.payload,
                    qos: publish.qos,
                    retain: publish.retain,
                    expires: publish.properties.message_expiry_seconds().is_some(),
                    cause,
                };
                let decision = self.take_message(now, incoming);
                self.expected.received += 1;
                if let Some(line) = self.lines.get_mut(&id).filter(|_| is_acked) {
                    line.acks.push_back((publish.packet_id, decision.allowed));
                }
            }
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

    /// The session of a connection, if the connection still has it.
    pub(super) fn kept_of(&mut self, id: ConnId) -> Option<&mut Kept> {
        let line = self.lines.get(&id)?;
        let kept = self.sessions.get_mut(line.key.as_ref()?)?;
        (kept.generation == line.generation && kept.line == Some(id)).then_some(kept)
    }

    fn on_connect(&mut self, now: Time, id: ConnId, connect: &Connect<'_>) {
        let expiry = self.expiry(connect);
        let Some(line) = self.lines.get_mut(&id) else { return };
        let key: Key = (line.device, connect.client_id.to_owned());
        line.key = Some(key.clone());
        self.keys.insert(id, key.clone());
        line.is_clean = connect.clean_start;
        line.largest = connect.properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        line.will = connect
            .will
            .as_ref()
            .map(|will| (will.topic.to_owned(), will.payload.to_vec(), will.qos, will.retain));
        let found = self.sessions.remove(&key);
        if let Some(old) = found.as_ref().and_then(|kept| kept.line)
            && let Some(old) = self.lines.get_mut(&old)
        {
            old.is_dead = true;
        }
        // One that came to its end is replaced, even if no CONNACK tells the client so.
        let found =
            found.filter(|kept| !connect.clean_start && kept.is_persistent() && kept.is_alive(now));
        let must_be_present = found.as_ref().is_some_and(|kept| kept.is_confirmed);
        self.n_generations += 1;
        let fresh = Kept {
            generation: self.n_generations,
            expiry,
            is_confirmed: false,
            line: None,
            left: None,
            subs: BTreeMap::new(),
            // What a crash left behind goes only with a CONNACK.
            is_uncertain: self.n_crashes > 0,
            n_unanswered: 0,
        };
        let mut kept = found.unwrap_or(fresh);
        kept.expiry = expiry;
        kept.line = Some(id);
        kept.n_unanswered += 1;
        let line = self.lines.get_mut(&id).expect("looked up above");
        line.generation = kept.generation;
        line.must_be_present = must_be_present;
        self.sessions.insert(key, kept);
        self.excuse_holds(id);
    }

    fn expiry(&self, connect: &Connect<'_>) -> Duration {
        let longest = self.limits.max_session_expiry;
        match connect.version {
            Version::V311 if connect.clean_start => Duration::ZERO,
            Version::V311 => longest,
            Version::V5 => {
                let seconds = connect.properties.session_expiry_seconds.unwrap_or(0);
                Duration::from_secs(seconds.into()).min(longest)
            }
        }
    }

    fn on_subscribe(&mut self, id: ConnId, subscribe: &Subscribe<'_>) {
        let filters = subscribe.subscriptions.iter().map(|s| s.filter.to_owned()).collect();
        if let Some(line) = self.lines.get_mut(&id) {
            line.unanswered.insert(subscribe.packet_id, filters);
        }
        let Some(kept) = self.kept_of(id) else { return };
        kept.n_unanswered += 1;
        for asked in &subscribe.subscriptions {
            let fresh = Sub { qos: asked.qos, no_local: asked.no_local, is_confirmed: false };
            let sub = kept.subs.entry(asked.filter.to_owned()).or_insert(fresh);
            sub.qos = sub.qos.min(asked.qos);
            sub.no_local |= asked.no_local;
        }
        self.excuse_holds(id);
    }

    /// What is held for a device goes to its session as soon as that asks for the topic; with QoS 0
    /// nobody promises that it arrives.
    fn excuse_holds(&mut self, id: ConnId) {
        let Some(device) = self.lines.get(&id).and_then(|line| line.device) else { return };
        let Some(kept) = self.kept_of(id) else { return };
        let filters: Vec<String> = kept
            .subs
            .iter()
            .filter(|(_, sub)| sub.qos == QoS::AtMostOnce)
            .map(|(filter, _)| filter.clone())
            .collect();
        let published = &self.published;
        let is_excused = |duty: &Duty| match duty {
            Duty::Held(name, mark) if *name == device => {
                let topic = published.get(mark).map_or("", |known| known.topic.as_str());
                filters.iter().any(|filter| topic_matches(filter, topic))
            }
            _ => false,
        };
        self.firm.retain(|duty| !is_excused(duty));
        for duties in self.pending.values_mut() {
            duties.retain(|duty| !is_excused(duty));
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
            kept.expiry = Duration::ZERO;
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
        if let Some(line) = self.lines.get_mut(&id) {
            line.is_dead = true;
        }
        let will = self.lines.get_mut(&id).and_then(|line| Some((line.device, line.will.take()?)));
        if let Some((device, (topic, payload, qos, retain))) = will {
            self.take_will(now, source_of(device), (&topic, &payload), qos, retain);
        }
        let Some(kept) = self.kept_of(id) else { return };
        kept.line = None;
        // A client that was never told that it is back has not been.
        kept.left.get_or_insert(now);
        if !kept.is_persistent() {
            let key = self.lines.get(&id).and_then(|line| line.key.clone());
            self.sessions.remove(&key.expect("it has a session"));
        }
    }

    /// The hub publishes a will.
    fn take_will(
        &mut self,
        now: Time,
        source: Source,
        (topic, payload): (&str, &[u8]),
        qos: QoS,
        retain: bool,
    ) {
        self.expected.wills += 1;
        let (from, expires, cause) = (None, false, Cause::Nobody);
        let incoming = Incoming { source, from, topic, payload, qos, retain, expires, cause };
        self.take_message(now, incoming);
    }

    /// The journal had the will of a client that lost its connection with the process.
    pub(crate) fn on_will_after_crash(&mut self, now: Time, owner: &Owner, will: &Will) {
        let content = (will.topic.as_str(), &will.payload[..]);
        self.take_will(now, owner.source(), content, will.qos, will.retain);
    }

    /// CONNACK leaves.
    pub(super) fn connack_leaves(&mut self, id: ConnId, present: bool) -> Option<(Key, bool)> {
        let line = self.lines.get(&id)?;
        let (key, must, clean) = (line.key.clone()?, line.must_be_present, line.is_clean);
        let generation = line.generation;
        if must && !present {
            self.blame(|| format!("the session {} was kept, and the hub does not know it", key.1));
        }
        if clean && present {
            self.blame(|| format!("{} asked for a clean session and got an old one", key.1));
        }
        let next = self.n_generations + 1;
        let kept = self.sessions.get_mut(&key).filter(|kept| kept.generation == generation)?;
        kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        if !present && !clean {
            // The old one had come to its end, or was never safe.
            kept.generation = next;
            kept.subs.retain(|_, _| false);
            self.n_generations = next;
        }
        if !present {
            kept.is_uncertain = false;
        }
        kept.is_confirmed = true;
        kept.left = None;
        let (generation, persistent) = (kept.generation, kept.is_persistent());
        self.lines.get_mut(&id)?.generation = generation;
        Some((key, persistent))
    }

    /// SUBACK leaves. Returns the session and the filters that were granted, if it is persistent.
    pub(super) fn suback_leaves(
        &mut self,
        id: ConnId,
        packet_id: u16,
        reasons: &[ReasonCode],
    ) -> Option<(Key, Vec<String>)> {
        let filters = self.lines.get_mut(&id)?.unanswered.remove(&packet_id)?;
        let key = self.lines.get(&id)?.key.clone()?;
        let kept = self.kept_of(id)?;
        kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        let mut granted = Vec::new();
        for (filter, reason) in filters.into_iter().zip(reasons) {
            // It may have been unsubscribed meanwhile.
            let Some(sub) = kept.subs.get_mut(&filter) else { continue };
            if !reason.is_failure() {
                sub.is_confirmed = true;
                granted.push(filter);
            } else if !sub.is_confirmed {
                kept.subs.remove(&filter);
            }
        }
        kept.is_persistent().then_some((key, granted))
    }

    pub(super) fn unsuback_leaves(&mut self, id: ConnId) {
        if let Some(kept) = self.kept_of(id) {
            kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        }
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
