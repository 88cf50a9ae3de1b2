use tomte_journal::SyncMode;
use tomte_mqtt::codec::{Ack, Packet, ReasonCode, Version};

use crate::durable::Durable;
use crate::network::ConnId;

use super::Oracle;
use super::duties::{Cause, Duty};
use super::lines::{Answer, Owed};

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
            Packet::Puback(ack) => self.answer_leaves(id, Answer::Puback, ack, durable),
            Packet::Pubrec(ack) => self.answer_leaves(id, Answer::Pubrec, ack, durable),
            Packet::Pubcomp(ack) => self.answer_leaves(id, Answer::Pubcomp, ack, durable),
            _ => {}
        }
    }

    fn answer_leaves(&mut self, id: ConnId, answer: Answer, ack: &Ack<'_>, durable: &Durable) {
        let version = self.version_of(id);
        let expected = self.lines.get_mut(&id).and_then(|line| line.owed.pop_front());
        let packet_id = ack.packet_id;
        let is_it = |owed: &Owed| owed.answer == answer && owed.packet_id == packet_id;
        let Some(Owed { allowed, .. }) = expected.filter(is_it) else {
            let name = answer.name();
            self.blame(|| {
                format!("{name} {packet_id} leaves, {expected:?} comes first (MQTT-4.6.0-2)")
            });
            return;
        };
        if answer == Answer::Pubcomp {
            return self.pubcomp_leaves(id, packet_id, durable);
        }
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
        match answer {
            Answer::Pubrec => self.pubrec_leaves(id, ack, durable),
            _ => self.taken_over_by_hub(&Cause::Ack(id, packet_id), ack, durable),
        }
    }

    /// The hub says that it has a message, or that it has not.
    pub(super) fn taken_over_by_hub(&mut self, cause: &Cause, ack: &Ack<'_>, durable: &Durable) {
        if ack.reason.is_failure() {
            self.pending.remove(cause);
            return;
        }
        // One that was taken on an earlier connection may have come to its end since.
        let promised = self.pending.get(cause).into_iter().flatten();
        let open = promised.filter(|duty| !self.is_done(duty) && !self.has_run(duty));
        let lost = open.filter_map(|duty| match duty {
            Duty::Session(_, _, mark)
            | Duty::Shared(_, mark)
            | Duty::Held(_, mark)
            | Duty::Call(_, mark) => Some(*mark),
            Duty::Retained(..) => None,
        });
        if let Some(mark) = lost.into_iter().find(|mark| !durable.holds(*mark)) {
            self.note_unkept(mark);
        }
        self.make_firm(cause);
    }
}
