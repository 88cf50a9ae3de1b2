//! One MQTT session: what both ends must remember about messages in flight, over all connections.
//!
//! A [`Session`] sends and receives. Sending, each message of QoS 1 or 2 has a packet identifier and
//! a phase:
//!
//! ```text
//!          ┌────────────── QoS 1 ──────────────┐
//!  send ──▶│ AtLeastOnce(message) ──on_puback──▶ done
//!          └───────────────────────────────────┘
//!          ┌────────────── QoS 2 ───────────────────────────────────┐
//!  send ──▶│ ExactlyOnce(message) ──on_pubrec──▶ Released ──on_pubcomp──▶ done
//!          │            └──on_pubrec, failed──▶ done                │
//!          └────────────────────────────────────────────────────────┘
//! ```
//!
//! Receiving, the identifiers of QoS 2 messages are remembered from PUBLISH to PUBREL, so that a
//! message that comes again is not passed on again.
//!
//! A new connection begins with [`Session::set_window`], then [`Session::resume`] says what to send
//! again. It sends no more messages than the window allows; call [`Session::next_deferred`] after
//! each acknowledgement for the others. New messages wait until the old ones are sent:
//! [`Session::window`] is zero until then.
//!
//! *Bounds.* In flight: the window, at most 65,535. Received: 65,535, as there are no more identifiers;
//! the receive maximum counts for each connection anew (4.9), so [`crate::connection`] enforces it.
//! Nothing is allocated before the first message.

mod in_flight;
mod state;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use tomte_base::{NumberHash, QoS};

use crate::session::in_flight::InFlight;
pub use state::{Phase, SessionState};

/// How large an empty table may stay, in entries; a larger one is given back.
const KEPT_CAPACITY: usize = 64;

/// An acknowledgement that belongs to no message in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message with packet identifier {packet_id} waits for this acknowledgement")]
pub struct UnknownPacketId {
    /// The identifier that was acknowledged.
    pub packet_id: u16,
    /// A message with this identifier is in flight, but waits for another packet: the peer broke
    /// the protocol. Otherwise it may be a late repetition, which does no harm.
    pub in_use: bool,
}

/// What a PUBREC leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pubrec<M> {
    /// Send PUBREL. The message is no longer needed.
    SendPubrel(M),
    /// The peer refused the message; it is done, send nothing (MQTT-4.3.3-4).
    Ended(M),
    /// The PUBREC came before. Send PUBREL again.
    AlreadyReceived,
}

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos2Receive {
    /// New: pass the message on, then send PUBREC.
    First,
    /// Sent again: send PUBREC, with success, and do not pass the message on (MQTT-4.3.3-10).
    Duplicate,
}

/// A packet to send again on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery<'a, M> {
    /// Send PUBLISH with DUP set.
    Publish {
        /// The packet identifier, the same as before.
        id: u16,
        /// 1 or 2.
        qos: QoS,
        /// The message.
        message: &'a M,
    },
    /// Send PUBREL.
    Pubrel {
        /// The packet identifier, the same as before.
        id: u16,
    },
}

/// One session, generic over the handle `M` of a message. See the [module](self).
#[derive(Clone, Debug)]
pub struct Session<M> {
    in_flight: InFlight<M>,
    /// Identifiers of QoS 2 messages that were received and not yet released.
    received: HashSet<u16, NumberHash>,
    /// Messages that are in flight and not yet sent on this connection, in order.
    #[expect(clippy::box_collection, reason = "seldom there, and one word instead of four")]
    deferred: Option<Box<VecDeque<u16>>>,
    /// How many messages the peer takes at once.
    window: u16,
}

impl<M: Clone> Default for Session<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Clone> Session<M> {
    /// Starts an empty session with the windows of the standard, 65,535 messages each way.
    #[must_use]
    pub fn new() -> Self {
        Self {
            in_flight: InFlight::new(),
            received: HashSet::default(),
            deferred: None,
            window: u16::MAX,
        }
    }

    /// Starts a new connection: the peer takes `receive_maximum` messages at once.
    ///
    /// When more messages are in flight, those past the window are deferred.
    pub fn set_window(&mut self, receive_maximum: u16) {
        self.window = receive_maximum.max(1);
        self.deferred = None;
        if self.in_flight.len() <= usize::from(self.window) {
            return;
        }
        let allowed = usize::from(self.window).saturating_sub(self.in_flight.released());
        let messages =
            self.in_flight.in_order().into_iter().filter(|(_, phase)| !phase.is_released());
        let deferred: VecDeque<u16> = messages.skip(allowed).map(|(id, _)| id).collect();
        self.deferred = Some(deferred).filter(|ids| !ids.is_empty()).map(Box::new);
    }

    /// Returns how many new messages of QoS 1 and 2 may be sent now.
    #[must_use]
    pub fn window(&self) -> usize {
        if self.deferred.is_some() {
            return 0;
        }
        usize::from(self.window).saturating_sub(self.in_flight.len())
    }

    /// Returns how many messages are in flight, deferred ones among them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns the messages in flight that the peer did not acknowledge, in any order.
    pub fn messages(&self) -> impl Iterator<Item = &M> {
        self.in_flight.messages()
    }

    /// Tells whether the session remembers nothing in either direction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.len() == 0 && self.received.is_empty()
    }

    /// Puts `message` in flight and returns its packet identifier, `None` when the window is full.
    ///
    /// `qos` is 1 or 2; a message of QoS 0 has no place here and gets `None`.
    pub fn send(&mut self, qos: QoS, message: M) -> Option<u16> {
        if self.window() == 0 {
            return None;
        }
        self.in_flight.insert(Phase::sent(qos, message)?)
    }

    /// Ends the QoS 1 message `id` and returns it.
    ///
    /// # Errors
    /// Fails with [`UnknownPacketId`] when no QoS 1 message has this identifier.
    pub fn on_puback(&mut self, id: u16) -> Result<M, UnknownPacketId> {
        match self.in_flight.get(id) {
            Some(Phase::AtLeastOnce(_)) => self.end(id),
            other => Err(UnknownPacketId { packet_id: id, in_use: other.is_some() }),
        }
    }

    /// Notes that the peer has the QoS 2 message `id`, or refused it if `failed`.
    ///
    /// # Errors
    /// Fails with [`UnknownPacketId`] when no QoS 2 message has this identifier; an MQTT 5 peer is
    /// then sent PUBREL with Packet Identifier not found.
    pub fn on_pubrec(&mut self, id: u16, failed: bool) -> Result<Pubrec<M>, UnknownPacketId> {
        match self.in_flight.get(id) {
            Some(Phase::ExactlyOnce(_)) if failed => self.end(id).map(Pubrec::Ended),
            Some(Phase::ExactlyOnce(_)) => {
                self.forget_deferred(id);
                let unknown = UnknownPacketId { packet_id: id, in_use: true };
                self.in_flight.release(id).map(Pubrec::SendPubrel).ok_or(unknown)
            }
            Some(Phase::Released) => Ok(Pubrec::AlreadyReceived),
            other => Err(UnknownPacketId { packet_id: id, in_use: other.is_some() }),
        }
    }

    /// Ends the QoS 2 message `id`.
    ///
    /// # Errors
    /// Fails with [`UnknownPacketId`] when no PUBREL with this identifier is unanswered.
    pub fn on_pubcomp(&mut self, id: u16) -> Result<(), UnknownPacketId> {
        match self.in_flight.get(id) {
            Some(Phase::Released) => {
                self.in_flight.remove(id);
                Ok(())
            }
            other => Err(UnknownPacketId { packet_id: id, in_use: other.is_some() }),
        }
    }

    fn end(&mut self, id: u16) -> Result<M, UnknownPacketId> {
        self.forget_deferred(id);
        let message = self.in_flight.remove(id).and_then(Phase::into_message);
        message.ok_or(UnknownPacketId { packet_id: id, in_use: false })
    }

    /// Takes `id` from the deferred messages: the peer had it from an earlier connection.
    fn forget_deferred(&mut self, id: u16) {
        if let Some(deferred) = &mut self.deferred {
            deferred.retain(|deferred| *deferred != id);
            if deferred.is_empty() {
                self.deferred = None;
            }
        }
    }

    /// Returns what to send on a new connection, in the order of the first sending (MQTT-4.6.0-1);
    /// PUBRELs are in the order of their PUBRECs (MQTT-4.6.0-4). Deferred messages are not among
    /// them.
    pub fn resume(&self) -> impl Iterator<Item = Redelivery<'_, M>> {
        let deferred: HashSet<u16, NumberHash> =
            self.deferred.iter().flat_map(|ids| ids.iter().copied()).collect();
        let in_order = self.in_flight.in_order().into_iter();
        in_order
            .filter(move |(id, _)| !deferred.contains(id))
            .map(|(id, phase)| phase.redelivery(id))
    }

    /// Returns the next message in flight that was not yet sent on this connection, if the window
    /// has room for it now. To be called after each acknowledgement until it returns `None`.
    pub fn next_deferred(&mut self) -> Option<Redelivery<'_, M>> {
        let deferred = self.deferred.as_mut()?;
        if self.in_flight.len().saturating_sub(deferred.len()) >= usize::from(self.window) {
            return None;
        }
        let id = deferred.pop_front()?;
        if deferred.is_empty() {
            self.deferred = None;
        }
        self.in_flight.get(id).map(|phase| phase.redelivery(id))
    }

    /// Notes a QoS 2 PUBLISH from the peer and tells whether it is new.
    ///
    /// A message that is refused with a failing PUBREC is done with at once: call
    /// [`on_pubrel`](Self::on_pubrel) for it.
    pub fn receive_qos2(&mut self, id: u16) -> Qos2Receive {
        if self.received.insert(id) { Qos2Receive::First } else { Qos2Receive::Duplicate }
    }

    /// Returns how many QoS 2 messages of the peer are not released yet, whatever connection brought
    /// them.
    #[must_use]
    pub fn unreleased(&self) -> usize {
        self.received.len()
    }

    /// Forgets the received QoS 2 message `id` and tells whether it was known. The answer is
    /// PUBCOMP either way, in MQTT 5 with Packet Identifier not found if it was not.
    pub fn on_pubrel(&mut self, id: u16) -> bool {
        let known = self.received.remove(&id);
        if self.received.is_empty() && self.received.capacity() > KEPT_CAPACITY {
            self.received = HashSet::default();
        }
        known
    }

    /// Ends the session: returns the messages in flight that the peer did not acknowledge, in order,
    /// and forgets everything.
    pub fn drain(&mut self) -> Vec<M> {
        self.deferred = None;
        self.received = HashSet::default();
        self.in_flight.drain().into_iter().filter_map(Phase::into_message).collect()
    }
}
