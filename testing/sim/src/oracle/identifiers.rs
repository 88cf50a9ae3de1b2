use tomte_mqtt::codec::Publish;

use crate::coverage::Coverage;
use crate::mark::Mark;
use crate::network::ConnId;

use super::Oracle;

impl Oracle {
    /// A message with a packet identifier reached a client. As long as the client has not answered, the
    /// identifier stands for that message, whatever dies in between: else a late answer would be taken
    /// for one to another message, which nobody would get then.
    pub(crate) fn on_identified(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        coverage: &mut Coverage,
    ) {
        let Some(key) = self.keys.get(&id).filter(|_| id >= self.identified_from).cloned() else {
            return;
        };
        let mark = Mark::read(publish.payload).map(|(mark, _)| mark.on(publish.topic));
        let packet_id = publish.packet_id;
        let seen = self.seen.entry(key.clone()).or_default();
        let Some((before, n_crashes)) = seen.open.insert(packet_id, (mark, self.n_crashes)) else {
            return;
        };
        if before != mark {
            self.blame(|| {
                format!("{} receives {mark:?} as {packet_id}, which is {before:?} to it", key.1)
            });
        } else if !publish.dup {
            self.blame(|| format!("{} receives {mark:?} as {packet_id} again without DUP", key.1));
        } else if n_crashes < self.n_crashes {
            coverage.hit("delivery: sent again under its identifier after a crash");
        }
    }

    /// A client answers a delivery: the identifier may stand for another one.
    pub(crate) fn on_delivery_answered(&mut self, id: ConnId, packet_id: u16) {
        let seen = self.keys.get(&id).and_then(|key| self.seen.get_mut(key));
        if let Some(seen) = seen {
            seen.open.remove(&packet_id);
        }
    }

    /// A client takes only small packets now: what does not fit is dropped, and its identifier is free.
    pub(crate) fn on_small_packets(&mut self, device: Option<&'static str>, id: &str) {
        if let Some(seen) = self.seen.get_mut(&(device, id.to_owned())) {
            seen.open.clear();
        }
    }

    /// What was written last is lost, with the identifiers of QoS 1 that went over the connections
    /// before `next`.
    pub(crate) fn on_identifiers_lost(&mut self, next: ConnId) {
        self.seen.values_mut().for_each(|seen| seen.open.clear());
        self.identified_from = self.identified_from.max(next);
    }
}
