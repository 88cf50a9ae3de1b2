//! What clients received, in words or packet by packet, and how their connections ended.

use tomte_mqtt::codec::{self, Packet};

use super::Bed;
use crate::{CloseReason, Slot};

/// What a client received, in words.
pub(in crate::tests) type Words = Vec<String>;

impl Bed {
    /// The bytes that the client received since the last look.
    pub(in crate::tests) fn received_bytes(&mut self, slot: Slot) -> Vec<u8> {
        std::mem::take(&mut self.outputs[slot.0 as usize])
    }

    /// Shows each packet that the client received since the last look.
    pub(in crate::tests) fn each(&mut self, slot: Slot, mut show: impl FnMut(&Packet<'_>)) {
        let (bytes, version) = (self.received_bytes(slot), self.version(slot));
        let mut rest = &bytes[..];
        while let Some(length) = codec::frame_len(rest, u32::MAX).unwrap() {
            show(&codec::decode(&rest[..length], version).unwrap());
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "the hub sent half a packet");
    }

    /// What the client received since the last look, in words.
    pub(in crate::tests) fn received(&mut self, slot: Slot) -> Words {
        let mut words = Vec::new();
        self.each(slot, |packet| words.push(word(packet)));
        words
    }

    /// The PUBLISH packets since the last look: payload, QoS, subscription identifiers.
    pub(in crate::tests) fn identifiers(&mut self, slot: Slot) -> Vec<(String, u8, Vec<u32>)> {
        let found = self.deliveries(slot).into_iter();
        found.map(|(payload, qos, ids, _)| (payload, qos, ids)).collect()
    }

    /// The same with their packet identifiers.
    pub(in crate::tests) fn deliveries(&mut self, slot: Slot) -> Vec<(String, u8, Vec<u32>, u16)> {
        let mut found = Vec::new();
        self.each(slot, |packet| {
            if let Packet::Publish(p) = packet {
                let ids = p.properties.subscription_identifiers().collect();
                let payload = String::from_utf8_lossy(p.payload).into_owned();
                found.push((payload, p.qos as u8, ids, p.packet_id));
            }
        });
        found
    }

    /// The same: payload, packet identifier, DUP.
    pub(in crate::tests) fn publishes(&mut self, slot: Slot) -> Vec<(String, u16, bool)> {
        let mut found = Vec::new();
        self.each(slot, |packet| {
            if let Packet::Publish(p) = packet {
                found.push((String::from_utf8_lossy(p.payload).into_owned(), p.packet_id, p.dup));
            }
        });
        found
    }

    /// Why the hub closed the connection; none while it is open.
    pub(in crate::tests) fn close_reason(&self, slot: Slot) -> Option<&CloseReason> {
        self.closed.iter().find(|(closed, _)| *closed == slot).map(|(_, reason)| reason)
    }

    pub(in crate::tests) fn is_closed(&self, slot: Slot) -> bool {
        self.close_reason(slot).is_some()
    }

    /// Tells whether the connection was closed for a breach of the protocol.
    pub(in crate::tests) fn is_breach(&self, slot: Slot) -> bool {
        matches!(self.close_reason(slot), Some(CloseReason::Protocol(_)))
    }
}

fn word(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connack(c) => format!("connack {:?} present={}", c.reason, c.session_present),
        Packet::Publish(p) => {
            let (dup, retain) =
                (if p.dup { " dup" } else { "" }, if p.retain { " retain" } else { "" });
            let payload = String::from_utf8_lossy(p.payload);
            let alias = p.properties.topic_alias().map(|alias| format!(" alias={alias}"));
            format!(
                "publish {} {payload} qos={} id={}{dup}{retain}{}",
                p.topic,
                p.qos as u8,
                p.packet_id,
                alias.unwrap_or_default()
            )
        }
        Packet::Puback(a) => format!("puback {} {:?}", a.packet_id, a.reason),
        Packet::Pubrec(a) => format!("pubrec {} {:?}", a.packet_id, a.reason),
        Packet::Pubrel(a) => format!("pubrel {} {:?}", a.packet_id, a.reason),
        Packet::Pubcomp(a) => format!("pubcomp {} {:?}", a.packet_id, a.reason),
        Packet::Suback(s) => format!("suback {:?}", s.reasons),
        Packet::Unsuback(s) => format!("unsuback {:?}", s.reasons),
        Packet::Disconnect(d) => format!("disconnect {:?}", d.reason),
        other => format!("{:?}", other.packet_type()),
    }
}
