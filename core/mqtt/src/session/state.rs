use tomte_base::QoS;

use crate::session::{Redelivery, Session};

/// Where a message in flight is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase<M> {
    /// QoS 1, sent, waits for PUBACK.
    AtLeastOnce(M),
    /// QoS 2, sent, waits for PUBREC.
    ExactlyOnce(M),
    /// QoS 2, the peer has it, PUBREL waits for PUBCOMP.
    Released,
}

impl<M> Phase<M> {
    /// Returns the first phase of a message of `qos`, `None` for QoS 0.
    pub(crate) fn sent(qos: QoS, message: M) -> Option<Self> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Phase::AtLeastOnce(message)),
            QoS::ExactlyOnce => Some(Phase::ExactlyOnce(message)),
        }
    }

    pub(crate) const fn is_released(&self) -> bool {
        matches!(self, Phase::Released)
    }

    pub(crate) fn message(&self) -> Option<&M> {
        match self {
            Phase::AtLeastOnce(message) | Phase::ExactlyOnce(message) => Some(message),
            Phase::Released => None,
        }
    }

    pub(crate) fn into_message(self) -> Option<M> {
        match self {
            Phase::AtLeastOnce(message) | Phase::ExactlyOnce(message) => Some(message),
            Phase::Released => None,
        }
    }

    pub(crate) fn redelivery(&self, id: u16) -> Redelivery<'_, M> {
        match self {
            Phase::AtLeastOnce(message) => {
                Redelivery::Publish { id, qos: QoS::AtLeastOnce, message }
            }
            Phase::ExactlyOnce(message) => {
                Redelivery::Publish { id, qos: QoS::ExactlyOnce, message }
            }
            Phase::Released => Redelivery::Pubrel { id },
        }
    }
}

/// All that a session remembers, plain, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState<M> {
    /// Messages on their way to the peer, with their packet identifiers, in order.
    pub in_flight: Vec<(u16, Phase<M>)>,
    /// Packet identifiers of QoS 2 messages that were received and not yet released, ascending.
    pub received_qos2: Vec<u16>,
    /// The packet identifier to try next, so that one is not used again right after a restart.
    pub next_packet_id: u16,
}

impl<M> Default for SessionState<M> {
    fn default() -> Self {
        Self { in_flight: Vec::new(), received_qos2: Vec::new(), next_packet_id: 1 }
    }
}

/// A session that is stored as a whole, or piece by piece as a log replays it.
impl<M: Clone> Session<M> {
    /// Returns what the session remembers.
    #[must_use]
    pub fn save(&self) -> SessionState<M> {
        let in_order = self.in_flight.in_order().into_iter();
        let mut received_qos2: Vec<u16> = self.received.iter().copied().collect();
        received_qos2.sort_unstable();
        SessionState {
            in_flight: in_order.map(|(id, phase)| (id, phase.clone())).collect(),
            received_qos2,
            next_packet_id: self.in_flight.next_id(),
        }
    }

    /// Returns the session that [`save`](Self::save) saw. The identifier 0 is ignored.
    #[must_use]
    pub fn restore(state: SessionState<M>) -> Self {
        let mut session = Self::new();
        for (id, phase) in state.in_flight {
            session.restore_in_flight(id, phase);
        }
        for id in state.received_qos2 {
            session.restore_received(id);
        }
        session.in_flight.set_next_id(state.next_packet_id);
        session
    }

    /// Puts back one message in flight, behind those that were put back before. New identifiers
    /// start behind it. The identifier 0 is ignored.
    pub fn restore_in_flight(&mut self, id: u16, phase: Phase<M>) {
        if id != 0 {
            self.in_flight.put(id, phase);
        }
    }

    /// Puts back one received QoS 2 identifier. The identifier 0 is ignored.
    pub fn restore_received(&mut self, id: u16) {
        if id != 0 {
            self.received.insert(id);
        }
    }
}
