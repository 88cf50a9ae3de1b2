//! How a session is written into the journal again: when it changes, and when old segments must go.

use crate::exactly_once::KeptIds;
use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::record::Record;
use crate::session::Session;

impl Session {
    /// Writes all that the journal keeps of the session.
    pub(crate) fn rewrite(&mut self, ledger: &mut Ledger<Ack>) {
        self.write_opened(ledger);
        self.write_parts(ledger, |_| true);
        self.write_received(ledger, |_| true);
    }

    /// Writes that the session is there. What is read back only after this record must follow.
    pub(crate) fn write_opened(&mut self, ledger: &mut Ledger<Ack>) {
        if let Some(old) = self.kept.take() {
            ledger.forget(old);
        }
        let opened = Record::SessionOpened {
            session: self.serial,
            owner: self.owner.clone(),
            client_id: self.client_id.to_string(),
            expiry_s: self.expiry_s,
        };
        self.kept = Some(ledger.keep(|out| opened.encode(out)));
    }

    /// Writes those of its subscriptions, messages on their way and its will that `choose` takes.
    pub(crate) fn write_parts(&mut self, ledger: &mut Ledger<Ack>, choose: impl Fn(&Kept) -> bool) {
        for subscription in &mut self.subscriptions {
            let Some(kept) = subscription.kept.filter(&choose) else { continue };
            ledger.forget(kept);
            let subscribed = Record::Subscribed {
                session: self.serial,
                filter: subscription.filter.clone(),
                options: subscription.options,
            };
            subscription.kept = Some(ledger.keep(|out| subscribed.encode(out)));
        }
        for (packet_id, sent) in self.ids.sent.iter_mut().filter(|(_, sent)| choose(&sent.kept)) {
            ledger.forget(sent.kept);
            let record = KeptIds::sent_record(self.serial, *packet_id, sent);
            sent.kept = ledger.keep(|out| record.encode(out));
        }
        if let Some(will) = self.will.as_mut().filter(|will| choose(&will.kept)) {
            will.write(ledger);
        }
    }

    /// Writes those of the received packet identifiers that `choose` takes. They come after the
    /// messages that they brought: an identifier without its message would lose the message.
    pub(crate) fn write_received(
        &mut self,
        ledger: &mut Ledger<Ack>,
        choose: impl Fn(&Kept) -> bool,
    ) {
        let chosen = self.ids.received.iter_mut().filter(|(_, received)| choose(&received.kept));
        for (packet_id, received) in chosen {
            ledger.forget(received.kept);
            let record = Record::Received { session: self.serial, packet_id: *packet_id };
            received.kept = ledger.keep(|out| record.encode(out));
        }
    }
}
