//! How what memory holds is written into the journal again: when a session changes, when old
//! segments must go, and when a failed commit must be made good.

use std::collections::HashSet;
use std::ops::Range;

use tomte_base::LogPosition;

use crate::Hub;
use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::packet_ids::KeptIds;
use crate::record::{self, Record};
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

    /// Tells whether parts of it that are read back only after its record stand before `position`.
    pub(crate) fn has_parts_before(&self, position: LogPosition) -> bool {
        let subscriptions = self.subscriptions.iter().filter_map(|subscription| subscription.kept);
        let sent = self.ids.sent.values().map(|sent| sent.kept);
        let received = self.ids.received.values().map(|received| received.kept);
        let mut parts = subscriptions.chain(sent).chain(received);
        parts.any(|kept| kept.position < position)
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

impl Hub {
    /// Writes everything that is alive and lies in `range` of the journal again, so that the
    /// segment can go.
    pub(crate) fn copy_forward(&mut self, range: &Range<LogPosition>) {
        self.rewrite(|kept| range.contains(&kept.position), false);
    }

    /// After a failed commit: writes all that memory holds, so that the journal is whole again.
    pub(crate) fn catch_up(&mut self) {
        if self.outage.is_behind() {
            let before = self.ledger.appended().next();
            self.rewrite(|_| true, true);
            self.note_numbers();
            // Last, so that a torn batch leaves the earlier records in force.
            let superseded = Record::Superseded { before };
            self.ledger.note(|out| superseded.encode(out));
            let appended = self.ledger.appended();
            self.outage.written(appended);
            self.ended.values_mut().for_each(|safe_at| *safe_at = appended);
            if let Some(drop) = &mut self.drop_journal {
                drop.needs = self.ledger.appended();
            }
        }
    }

    /// Writes what `choose` takes again, or, of messages that are safe where they are, only that they
    /// are there.
    fn rewrite(&mut self, choose: impl Fn(&Kept) -> bool, confirm: bool) {
        let receipts = self.receipts();
        let ledger = &mut self.ledger;
        let mut moved = HashSet::new();
        for session in self.sessions.iter_mut().flatten() {
            let Some(kept) = session.kept else { continue };
            // Its parts are read back only after the session, so they move together.
            let moves = choose(&kept);
            if moves {
                moved.insert(session.serial);
                session.write_opened(ledger);
                if session.connection.is_none() {
                    let left = Record::SessionLeft { session: session.serial, ends: session.ends };
                    ledger.note(|out| left.encode(out));
                }
            }
            session.write_parts(ledger, |kept| moves || choose(kept));
        }
        let wills = self.connections.iter_mut().flatten().filter_map(|c| c.will.as_mut());
        for will in wills.filter(|will| choose(&will.kept)) {
            will.write(ledger);
        }
        let wholes = if confirm { self.rewrite_wholes(&receipts) } else { HashSet::new() };
        let ledger = &mut self.ledger;
        // In the order in which they lie in the journal: what the hub writes follows from what came
        // in, not from the order of a hash map.
        let mut stored: Vec<_> =
            self.stored.iter_mut().filter(|(_, stored)| choose(&stored.kept)).collect();
        stored.retain(|(id, _)| !wholes.contains(id));
        stored.sort_unstable_by_key(|(_, stored)| stored.kept.position);
        let mut in_journal = Vec::new();
        for (id, stored) in stored {
            match &stored.body {
                // What is safe need not be written again: that would take as much room once more.
                _ if confirm && stored.kept.position <= ledger.safe() => {
                    ledger.note(|out| {
                        record::encode_confirmed(out, *id, stored.destinations.make_contiguous())
                    });
                }
                Some(_) => stored.write(ledger, receipts.get(id).copied()),
                None => in_journal.push((stored.kept.position, *id)),
            }
        }
        let appended = ledger.appended();
        self.published_wills.iter_mut().for_each(|(position, ..)| *position = appended);
        for session in self.sessions.iter_mut().flatten() {
            let moves = moved.contains(&session.serial);
            session.write_received(ledger, |kept| moves || choose(kept));
        }
        let retained = self.retained_kept.iter_mut().filter(|(_, kept)| choose(kept));
        let mut retained: Vec<_> = retained.collect();
        retained.sort_unstable_by_key(|(_, kept)| kept.position);
        for (topic, kept) in retained {
            let Some(message) = self.retained.get(topic) else { continue };
            ledger.forget(*kept);
            *kept = ledger.keep(|out| record::encode_retained(out, message));
        }
        if !in_journal.is_empty() {
            self.copy_from_journal(in_journal);
        }
    }
}
