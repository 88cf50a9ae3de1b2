//! A message that the journal has, and where each of its destinations stands.

use std::collections::VecDeque;
use std::sync::Arc;

use tomte_base::{Message, MessageId, QoS, Time};

use super::ReadMessage;
use crate::ledger::Kept;
use crate::record::{Destination, SentAs};
use crate::session::{Delivery, Keeper, Session, matching_identifiers};

/// A message, without what it says: that stays in the journal.
pub(super) struct FoundMessage {
    pub(super) id: MessageId,
    /// Bytes of its topic and payload.
    pub(super) bytes: u32,
    pub(super) expires: Time,
    pub(super) destinations: VecDeque<Destination>,
    pub(super) kept: Kept,
    /// The last record that says that it is there.
    pub(super) confirmed: tomte_base::LogPosition,
    /// None while all its destinations get it from a queue. Once it is there, the destinations stay
    /// as they are.
    pub(super) elsewhere: Option<Box<Elsewhere>>,
}

/// How a destination gets a message after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From a queue.
    Waits,
    /// It is on its way.
    InFlight,
    /// It has it, although the record of that was torn off.
    Over,
}

/// What is found of a message that had left for a session.
pub(super) enum Left {
    Message(Delivery),
    /// Its record cannot be read.
    Unreadable,
}

/// Where the destinations of a message stand. A message may be on its way to each of thousands of
/// sessions, so that none of them may search through all the others.
pub(super) struct Elsewhere {
    /// One for each destination.
    places: Vec<Place>,
    /// The destinations that name a session, by the session's number.
    by_session: Vec<(u64, usize)>,
    /// The destinations that are holds.
    holds: Vec<usize>,
    /// What the message says, once for all that it is on its way to.
    body: Option<Arc<Message>>,
}

impl Elsewhere {
    fn of(destinations: &VecDeque<Destination>) -> Self {
        let (mut by_session, mut holds) = (Vec::new(), Vec::new());
        for (at, destination) in destinations.iter().enumerate() {
            match destination {
                Destination::Session { session, .. } | Destination::Share { session, .. } => {
                    by_session.push((*session, at));
                }
                Destination::Hold { .. } => holds.push(at),
                Destination::Call { .. } => {}
            }
        }
        by_session.sort_unstable();
        Self { places: vec![Place::Waits; destinations.len()], by_session, holds, body: None }
    }

    /// The places of the destinations that name a session, first come first.
    fn named(&self, session: u64) -> impl Iterator<Item = usize> {
        let first = self.by_session.partition_point(|(serial, _)| *serial < session);
        let named = self.by_session[first..].iter().take_while(move |(s, _)| *s == session);
        named.map(|(_, at)| *at)
    }
}

impl FoundMessage {
    /// How the destination at `at` gets the message.
    pub(super) fn place(&self, at: usize) -> Place {
        self.elsewhere.as_ref().map_or(Place::Waits, |elsewhere| elsewhere.places[at])
    }

    fn elsewhere(&mut self) -> &mut Elsewhere {
        let destinations = &self.destinations;
        self.elsewhere.get_or_insert_with(|| Box::new(Elsewhere::of(destinations)))
    }

    /// The first destination that `session` stands for and that is not accounted for yet: itself, or a
    /// group of which it is a member, or else the hold of its device. `as_sent` tells it from others by its
    /// quality of service and by what its record says of its leaving.
    fn destination_of(
        &mut self,
        session: &Session,
        as_sent: (QoS, Option<SentAs>),
    ) -> Option<usize> {
        self.elsewhere();
        let elsewhere = self.elsewhere.as_deref()?;
        let waits = |at: &usize| elsewhere.places[*at] == Place::Waits;
        let named = elsewhere.named(session.serial).filter(waits).find(|at| {
            matches!(
                self.destinations[*at],
                Destination::Session { qos, sent, .. } | Destination::Share { qos, sent, .. }
                    if (qos, sent) == as_sent
            )
        });
        let held = elsewhere.holds.iter().copied().filter(waits).find(|at| {
            matches!(
                &self.destinations[*at],
                Destination::Hold { device, .. } if session.owner.device() == Some(device)
            )
        });
        named.or(held)
    }

    /// A session has the message, although the record of that was torn off.
    pub(super) fn is_over_for(&mut self, session: &Session) {
        if let Some(at) = self.destination_of(session, (QoS::ExactlyOnce, None)) {
            self.elsewhere().places[at] = Place::Over;
        }
    }

    /// A session is gone for which the message had left with QoS 2: no other member of its group
    /// gets it (MQTT-4.8.2-5).
    pub(super) fn has_left_for(&mut self, session: u64) {
        let left: Vec<usize> = (0..self.destinations.len())
            .filter(|at| {
                let destination = &self.destinations[*at];
                matches!(destination, Destination::Share { session: serial, .. } if *serial == session)
            })
            .collect();
        for at in left {
            self.elsewhere().places[at] = Place::Over;
        }
    }

    /// Puts the message in flight to `session`, if it is for it. What cannot be read is over: the
    /// client may have it, and gets it under no other identifier.
    pub(super) fn left_for(
        &mut self,
        session: &Session,
        as_sent: (QoS, Option<SentAs>),
        read: &mut ReadMessage<'_>,
    ) -> Option<Left> {
        let at = self.destination_of(session, as_sent)?;
        let (retain, keeper) = match &self.destinations[at] {
            Destination::Session { retain, .. } => (*retain, Keeper::Session),
            Destination::Share { filter, retain, .. } => (*retain, Keeper::Share(filter.clone())),
            Destination::Hold { device, until } => (false, Keeper::Hold(device.clone(), *until)),
            Destination::Call { .. } => return None,
        };
        let (position, id) = (self.kept.position, self.id);
        let elsewhere = self.elsewhere();
        if elsewhere.body.is_none() {
            elsewhere.body = read(position, id);
        }
        let Some(message) = elsewhere.body.clone() else {
            elsewhere.places[at] = Place::Over;
            return Some(Left::Unreadable);
        };
        elsewhere.places[at] = Place::InFlight;
        let subscription_ids = match &keeper {
            Keeper::Share(filter) => session.identifier(filter),
            _ => matching_identifiers(&session.subscriptions, &message.topic),
        };
        let qos = as_sent.0;
        Some(Left::Message(Delivery { message, qos, retain, keeper, subscription_ids }))
    }
}
