//! One message that becomes several: a message rule sends it on under a second topic. The journal
//! has all of them or none.
//!
//! ```text
//! one message ─▶ AcceptedPart ─▶ AcceptedPart ─▶ AllAccepted, with what it came from
//! ```
//!
//! A crash may tear a batch after any record. Parts without their last record are nothing after it,
//! and a client that sends the message again begins anew.

use std::collections::{HashMap, HashSet};

use tomte_base::{LogPosition, MessageId};

use crate::Hub;
use crate::fan_out::Receipt;
use crate::record::Record;

/// Messages that came of one, until the journal is safe with all of them.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Where the last record of it lies.
    pub(crate) position: LogPosition,
    of: MessageId,
    parts: Vec<MessageId>,
    /// The will that it was.
    will: Option<u64>,
}

impl Whole {
    fn record(&self, receipt: Option<Receipt>) -> Record {
        let packet = match receipt {
            Some(Receipt::Packet(session, packet_id)) => Some((session, packet_id)),
            _ => None,
        };
        Record::AllAccepted { of: self.of, packet, will: self.will }
    }
}

impl Hub {
    /// Everything that came of the message `of` is passed on; what was stored of it counts from here.
    pub(crate) fn end_parts(&mut self, of: MessageId, receipt: Option<Receipt>) {
        let parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            return;
        }
        let will = match receipt {
            Some(Receipt::Will(number)) => Some(number),
            _ => None,
        };
        let mut whole = Whole { position: LogPosition::default(), of, parts, will };
        let record = whole.record(receipt);
        self.ledger.note(|out| record.encode(out));
        whole.position = self.ledger.appended();
        self.wholes.push_back(whole);
    }

    /// After a failed commit: writes those again that are not safe. Returns which messages these were.
    pub(crate) fn rewrite_wholes(
        &mut self,
        receipts: &HashMap<MessageId, Receipt>,
    ) -> HashSet<MessageId> {
        let mut written = HashSet::new();
        for whole in &mut self.wholes {
            for part in &whole.parts {
                if let Some(stored) = self.stored.get_mut(part) {
                    stored.write(&mut self.ledger, Some(Receipt::Part(whole.of)));
                    written.insert(*part);
                }
            }
            let record = whole.record(receipts.get(&whole.of).copied());
            self.ledger.note(|out| record.encode(out));
            whole.position = self.ledger.appended();
        }
        written
    }
}
