use tomte_base::{QoS, Time};
use tomte_core_hub::Counter;
use tomte_mqtt::codec::{Ack, Publish};

use crate::durable::Durable;
use crate::mark::Mark;
use crate::network::ConnId;

use super::duties::Cause;
use super::lines::{Answer, Owed, source_of};
use super::messages::Incoming;
use super::{Key, Oracle};

impl Oracle {
    /// The hub took a PUBLISH, as a new message if it `received` one. With QoS 2 it may have known
    /// the message already.
    pub(super) fn on_publish(
        &mut self,
        now: Time,
        id: ConnId,
        publish: &Publish<'_>,
        received: bool,
    ) {
        let Some(line) = self.lines.get(&id) else { return };
        let Some(key) = line.key.clone() else { return };
        let (source, generation) = (source_of(line.device), line.generation);
        if publish.qos == QoS::ExactlyOnce && !self.is_new(id, &key, publish, received) {
            return self.owe(id, Answer::Pubrec, publish.packet_id, true);
        }
        let packet_id = publish.packet_id;
        let cause = match publish.qos {
            QoS::AtMostOnce => Cause::Nobody,
            QoS::AtLeastOnce => Cause::Ack(id, packet_id),
            QoS::ExactlyOnce => Cause::Receipt(key.clone(), generation, packet_id),
        };
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
        // A message of QoS 2 that was refused comes again as a new one: what the first promised is void.
        self.pending.remove(&incoming.cause);
        let decision = self.take_message(now, incoming);
        self.expected.received += 1;
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.owe(id, Answer::Puback, packet_id, decision.allowed),
            QoS::ExactlyOnce => {
                let mark = Mark::read(publish.payload).map(|(mark, _)| mark);
                if let Some(line) = self.lines.get_mut(&id) {
                    line.open.insert(packet_id, mark);
                }
                self.owe(id, Answer::Pubrec, packet_id, decision.allowed);
            }
        }
    }

    fn owe(&mut self, id: ConnId, answer: Answer, packet_id: u16, allowed: bool) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.owed.push_back(Owed { answer, packet_id, allowed });
        }
    }

    /// Tells whether a QoS 2 message is new to the hub, and blames a hub that is wrong about it.
    fn is_new(&mut self, id: ConnId, key: &Key, publish: &Publish<'_>, received: bool) -> bool {
        let packet_id = publish.packet_id;
        let is_known = self.kept_of(id).is_some_and(|kept| kept.received.contains_key(&packet_id));
        if received && is_known {
            self.blame(|| format!("{} sends {packet_id} again, it is passed on again", key.1));
        }
        if !received {
            let mark = Mark::read(publish.payload).map(|(mark, _)| mark);
            let was_taken = mark.is_none_or(|mark| self.published.contains_key(&mark));
            if !was_taken || !publish.dup {
                self.blame(|| format!("{} sends {packet_id}, it is not passed on", key.1));
            }
        }
        received
    }

    /// The hub took a PUBREL: the packet identifier may stand for another message.
    pub(super) fn on_pubrel(&mut self, id: ConnId, packet_id: u16) {
        if let Some(kept) = self.kept_of(id) {
            kept.received.remove(&packet_id);
        }
        self.owe(id, Answer::Pubcomp, packet_id, true);
    }

    /// PUBREC leaves: the hub has the message, and knows it until PUBREL.
    pub(super) fn pubrec_leaves(&mut self, id: ConnId, ack: &Ack<'_>, durable: &Durable) {
        let packet_id = ack.packet_id;
        let Some(line) = self.lines.get_mut(&id) else { return };
        let mark = line.open.remove(&packet_id).flatten();
        let (Some(key), generation) = (line.key.clone(), line.generation) else { return };
        let cause = Cause::Receipt(key.clone(), generation, packet_id);
        self.taken_over_by_hub(&cause, ack, durable);
        let Some(kept) = self.kept_of(id).filter(|_| !ack.reason.is_failure()) else { return };
        kept.received.insert(packet_id, mark);
        let is_kept = durable.has_received(key.0, &key.1, packet_id);
        if kept.is_persistent() && !is_kept {
            self.blame(|| {
                format!("PUBREC {packet_id} for {} leaves before the journal knows it", key.1)
            });
        }
    }

    /// PUBCOMP leaves: the next message with this packet identifier is a new one.
    pub(super) fn pubcomp_leaves(&mut self, id: ConnId, packet_id: u16, durable: &Durable) {
        let Some(key) = self.lines.get(&id).and_then(|line| line.key.clone()) else { return };
        if self.kept_of(id).is_some() && durable.has_received(key.0, &key.1, packet_id) {
            self.blame(|| {
                format!("PUBCOMP {packet_id} for {} leaves, the journal still knows it", key.1)
            });
        }
    }

    /// A client does not know of its session any more.
    pub(crate) fn on_session_forgotten(&mut self, device: Option<&'static str>, id: &str) {
        let seen = self.seen.entry((device, id.to_owned())).or_default();
        seen.epoch += 1;
        seen.open.clear();
    }

    /// A message of QoS 2 all the way reaches a client once, as long as the client knows its session.
    /// By each of its groups it is another one.
    pub(super) fn check_once(
        &mut self,
        key: &Key,
        (group, mark): (u32, Mark),
        publish: &Publish<'_>,
    ) {
        let Some(published) = self.published.get(&mark) else { return };
        let is_once = publish.qos == QoS::ExactlyOnce
            && !publish.retain
            && !published.retain
            && !published.is_held;
        let seen = self.seen.entry(key.clone()).or_default();
        if is_once && !seen.once.insert((seen.epoch, group, mark)) {
            self.blame(|| format!("{} receives {mark} of QoS 2 twice", key.1));
        }
    }

    /// Tells whether a message was published with QoS 2.
    pub(super) fn is_once(&self, mark: Mark) -> bool {
        self.published.get(&mark).is_some_and(|known| known.qos == QoS::ExactlyOnce)
    }

    /// How many QoS 2 messages reached a client.
    pub(crate) fn n_once(&self) -> u64 {
        self.seen.values().map(|seen| seen.once.len() as u64).sum()
    }

    /// A drop that a crash undoes brings a message back.
    pub(super) fn has_dropped(&self) -> bool {
        let dropped = [Counter::DropQueueFull, Counter::DropTooLarge, Counter::DropUnreadable];
        dropped.iter().any(|counter| self.totals.get(counter).is_some_and(|n| *n > 0))
    }
}
