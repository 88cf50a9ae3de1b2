use tomte_journal::SyncMode;
use tomte_mqtt::codec::{Ack, Packet, ReasonCode, Version};

use crate::durable::Durable;
use crate::network::ConnId;

use super::Oracle;
use super::duties::{Cause, Duty};

impl Oracle {
    /// A packet's last byte leaves the hub. What it acknowledges must be safe.
    pub(crate) fn on_left(
        &mut self,
        id: ConnId,
        packet: &Packet<'_>,
        durable: &Durable,
        mode: SyncMode,
    ) {
        debug_assert!(mode != SyncMode::None, "this mode promises nothing");
        match packet {
            Packet::Connack(connack) if !connack.reason.is_failure() => {
                let Some((key, true)) = self.connack_leaves(id, connack.session_present) else {
                    return;
                };
                if !durable.has_session(key.0, &key.1, &[]) {
                    self.blame(|| {
                        format!("CONNACK for {} leaves before the journal has its session", key.1)
                    });
                }
            }
            Packet::Suback(suback) => {
                let Some((key, granted)) =
                    self.suback_leaves(id, suback.packet_id, &suback.reasons)
                else {
                    return;
                };
                if !granted.is_empty() && !durable.has_session(key.0, &key.1, &granted) {
                    self.blame(|| {
                        format!("SUBACK for {} leaves before the journal has {granted:?}", key.1)
                    });
                }
            }
            Packet::Unsuback(_) => self.unsuback_leaves(id),
            Packet::Puback(ack) => self.puback_leaves(id, ack, durable),
            _ => {}
        }
    }

    fn puback_leaves(&mut self, id: ConnId, ack: &Ack<'_>, durable: &Durable) {
        let version = self.version_of(id);
        let expected = self.lines.get_mut(&id).and_then(|line| line.acks.pop_front());
        let packet_id = ack.packet_id;
        let Some((_, allowed)) = expected.filter(|(expected, _)| *expected == packet_id) else {
            self.blame(|| {
                format!("PUBACK {packet_id} leaves, {expected:?} comes first (MQTT-4.6.0-2)")
            });
            return;
        };
        if version == Version::V5 {
            let refused = ack.reason == ReasonCode::NotAuthorized;
            let not_stored = ack.reason.is_failure() && !refused;
            if refused == allowed && !not_stored {
                let reason = ack.reason;
                self.blame(|| {
                    format!("a publish with allowed = {allowed} is answered with {reason:?}")
                });
            }
        }
        let cause = Cause::Ack(id, packet_id);
        if ack.reason.is_failure() {
            self.pending.remove(&cause);
            return;
        }
        let kept = self.pending.get(&cause).into_iter().flatten();
        let lost = kept.filter_map(|duty| match duty {
            Duty::Session(_, _, mark) | Duty::Held(_, mark) | Duty::Call(_, mark) => Some(*mark),
            Duty::Retained(..) => None,
        });
        if let Some(mark) = lost.into_iter().find(|mark| !durable.holds(*mark)) {
            self.note_unkept(mark);
        }
        self.make_firm(&cause);
    }
}
