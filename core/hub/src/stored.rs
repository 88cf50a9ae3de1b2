//! Messages that the journal keeps: each one once, with those who still need it.

use std::collections::VecDeque;
use std::sync::Arc;

use tomte_base::{Message, MessageId, QoS};

use crate::Hub;
use crate::fan_out::Receipt;
use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::record::{self, Destination};

/// A message that the journal keeps, and who still needs it.
#[derive(Debug)]
pub(crate) struct Stored {
    /// None while it is in the journal only.
    pub(crate) body: Option<Arc<Message>>,
    /// It is in memory, and among those that may leave it.
    pub(crate) waits: bool,
    /// Bytes of its topic and payload.
    pub(crate) bytes: u32,
    pub(crate) kept: Kept,
    /// In the order of sending, in which most are done: the first is found at once, and goes without
    /// moving the others.
    pub(crate) destinations: VecDeque<Destination>,
}

impl Stored {
    /// Writes the message into the journal again, with those who are still to get it. It is in
    /// memory.
    pub(crate) fn write(&mut self, ledger: &mut Ledger<Ack>, receipt: Option<Receipt>) {
        let Some(message) = &self.body else { return };
        ledger.forget(self.kept);
        let destinations = self.destinations.make_contiguous();
        self.kept =
            ledger.keep(|out| record::encode_accepted_by(out, receipt, message, destinations));
    }
}

impl Hub {
    /// Writes the message and its destinations to the journal.
    pub(crate) fn store(
        &mut self,
        message: &Arc<Message>,
        destinations: Vec<Destination>,
        receipt: Option<Receipt>,
    ) {
        let kept = self
            .ledger
            .keep(|out| record::encode_accepted_by(out, receipt, message, &destinations));
        match receipt {
            Some(Receipt::Will(number)) => {
                self.published_wills.push_back((kept.position, message.id, number));
            }
            Some(Receipt::Part(_)) => self.parts.push(message.id),
            Some(Receipt::Packet(..)) | None => {}
        }
        let body = Some(Arc::clone(message));
        let bytes = message.topic.len() + message.payload.len();
        let bytes = u32::try_from(bytes).expect("packets are far below 4 GiB");
        self.queued_bytes += u64::from(bytes);
        self.queued_deliveries += destinations.len();
        let destinations = destinations.into();
        self.enter_stored(message.id, Stored { body, waits: false, bytes, kept, destinations });
    }

    /// Takes a message out of those that the journal keeps.
    pub(crate) fn take_stored(&mut self, message: MessageId) -> Option<Stored> {
        let mut stored = self.stored.remove(&message)?;
        self.ledger.forget(stored.kept);
        self.queued_bytes -= u64::from(stored.bytes);
        self.queued_deliveries -= stored.destinations.len();
        self.bodies.leave(&mut stored);
        Some(stored)
    }

    /// One destination of a stored message needs it no more.
    pub(crate) fn done(&mut self, message: MessageId, destination: &Destination) {
        let Some(stored) = self.stored.get_mut(&message) else { return };
        if !record::remove_destination(&mut stored.destinations, destination) {
            return;
        }
        self.queued_deliveries -= 1;
        if stored.destinations.is_empty() {
            self.take_stored(message);
        }
        // Without it a client would get a message of QoS 1 twice, as QoS 1 allows.
        let may_wait = match destination {
            Destination::Session { qos, .. } => *qos == QoS::AtLeastOnce,
            Destination::Hold { .. } | Destination::Call { .. } | Destination::Share { .. } => {
                false
            }
        };
        let record = crate::Record::Done { message, destination: destination.clone() };
        if may_wait {
            self.ledger.note_in_time(|out| record.encode(out));
        } else {
            self.ledger.note(|out| record.encode(out));
        }
    }
}
