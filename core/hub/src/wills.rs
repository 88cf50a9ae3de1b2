//! Wills: what is published in the name of a client whose connection ended badly, at once or after
//! its delay (MQTT 5, 3.1.3.2.2).
//!
//! ```text
//!                ┌─ DISCONNECT ────────────────────────────────▶ over
//!   CONNECT ─▶ left ─ connection lost, no delay ───────────────▶ published
//!                └─ connection lost ─▶ waits ─ its time came ──▶ published
//!                                        └─ the client came back ─▶ over
//! ```
//!
//! A will is in the journal from before CONNACK until it is over. When the process stops or dies, all
//! connections are lost: recovery does what would have been done then.

use std::time::Duration;

use bytes::Bytes;
use tomte_base::{Properties, QoS, Time, TopicName};
use tomte_mqtt::codec;

use crate::fan_out::{Incoming, Receipt};
use crate::hub::Ack;
use crate::ledger::{Kept, Ledger};
use crate::record::Record;
use crate::session::Owner;
use crate::timers::Timer;
use crate::{Hub, Slot};

/// What a client leaves behind to be published when its connection ends badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The topic.
    pub topic: TopicName,
    /// The payload.
    pub payload: Bytes,
    /// The quality of service.
    pub qos: QoS,
    /// Retain it.
    pub retain: bool,
    /// How long to wait for the client to come back, in seconds.
    pub delay_s: u32,
    /// How long it is of use once it is published, in seconds.
    pub expiry_s: Option<u32>,
    /// Properties for the receivers.
    pub properties: Option<Box<Properties>>,
}

impl Will {
    fn of(will: &codec::Will<'_>) -> Self {
        Self {
            topic: TopicName::new(will.topic).expect("a CONNECT with another topic was refused"),
            payload: Bytes::copy_from_slice(will.payload),
            qos: will.qos,
            retain: will.retain,
            delay_s: will.delay_seconds,
            expiry_s: will.message_expiry_seconds,
            properties: will.properties.clone(),
        }
    }
}

/// A will that is not over, with its record.
#[derive(Clone, Debug)]
pub(crate) struct KeptWill {
    /// Its number in the journal, never used twice.
    pub(crate) number: u64,
    pub(crate) session: u64,
    pub(crate) owner: Owner,
    /// When it is published; none while the client is connected.
    pub(crate) due: Option<Time>,
    pub(crate) will: Will,
    pub(crate) kept: Kept,
}

impl KeptWill {
    /// Writes it into the journal, where it replaces what was there of it.
    pub(crate) fn write(&mut self, ledger: &mut Ledger<Ack>) {
        if self.kept != Kept::default() {
            ledger.forget(self.kept);
        }
        let record = Record::WillKept {
            number: self.number,
            session: self.session,
            owner: self.owner.clone(),
            due: self.due,
            will: self.will.clone(),
        };
        self.kept = ledger.keep(|out| record.encode(out));
    }
}

impl Hub {
    /// A client left a will with its CONNECT. It is in the journal before CONNACK leaves.
    pub(crate) fn keep_will(&mut self, slot: Slot, session: u64, will: &codec::Will<'_>) {
        let number = self.next_session;
        self.next_session += 1;
        let Some(connection) = self.connection(slot) else { return };
        let (owner, kept) = (connection.owner().clone(), Kept::default());
        let mut will =
            Box::new(KeptWill { number, session, owner, due: None, will: Will::of(will), kept });
        will.write(&mut self.ledger);
        let connection = self.connection_mut(slot).expect("looked up above");
        connection.will = Some(will);
    }

    /// A will is not needed any more.
    pub(crate) fn forget_will(&mut self, will: &KeptWill) {
        self.ledger.forget(will.kept);
        let over = Record::WillOver { number: will.number };
        self.ledger.note(|out| over.encode(out));
    }

    /// A connection ended badly: its will is published now, or waits in its session.
    pub(crate) fn leave_will(&mut self, now: Time, session: Option<u32>, mut will: Box<KeptWill>) {
        let waits = session.and_then(|index| self.sessions.get_mut(index as usize)?.as_mut());
        // A session that ends with its connection ends the delay too.
        let waits = waits.filter(|session| will.will.delay_s > 0 && session.is_persistent());
        let Some(session) = waits else { return self.publish_will(now, &will) };
        let due = now + Duration::from_secs(u64::from(will.will.delay_s));
        will.due = Some(due);
        will.write(&mut self.ledger);
        self.timers.set(Timer::Will(session.serial), due);
        if let Some(older) = session.will.replace(will) {
            self.forget_will(&older);
        }
    }

    /// The client came back before its will was due (MQTT-3.1.3-9).
    pub(crate) fn cancel_will(&mut self, index: u32) {
        if let Some(will) = self.session_mut(index).and_then(|session| session.will.take()) {
            self.timers.clear(Timer::Will(will.session));
            self.forget_will(&will);
        }
    }

    /// The delay of a will is over, unless its client came back and left another one.
    pub(crate) fn check_will(&mut self, now: Time, serial: u64) {
        let Some(&index) = self.by_serial.get(&serial) else { return };
        let Some(session) = self.session_mut(index) else { return };
        let due = session.will.take_if(|will| will.due.is_some_and(|due| due <= now));
        if let Some(will) = due {
            self.publish_will(now, &will);
        }
    }

    /// Publishes a will whose connection ended badly (MQTT-3.1.2-8), whose time came, or whose
    /// session ended. Then it is over.
    pub(crate) fn publish_will(&mut self, now: Time, kept: &KeptWill) {
        let will = &kept.will;
        let expiry = will.expiry_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let incoming = Incoming {
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            source: &kept.owner.source(),
            properties: will.properties.as_deref(),
            // The client is its publisher, also for No Local (MQTT-3.8.3-3).
            from_session: self.by_serial.get(&kept.session).copied(),
            receipt: Some(Receipt::Will(kept.number)),
            expires: expiry.map_or(Time::NEVER, |expiry| now + expiry),
            hops: 0,
            cause: None,
        };
        self.fan_out(now, &incoming);
        // After what it led to, which says so too when it is in the journal: a commit that a crash
        // tears neither loses the will nor publishes it twice.
        self.forget_will(kept);
    }

    /// Takes over a will that the journal kept, after everything else. The connection of its client
    /// is lost now, if it was not before.
    pub(crate) fn recover_will(&mut self, now: Time, mut will: Box<KeptWill>) {
        self.ledger.still_kept(will.kept);
        let index = self.by_serial.get(&will.session).copied();
        let Some(due) = will.due.take() else { return self.leave_will(now, index, will) };
        let Some(session) = index.and_then(|index| self.session_mut(index)) else {
            return self.publish_will(now, &will);
        };
        will.due = Some(due);
        let serial = session.serial;
        if let Some(older) = session.will.replace(will) {
            self.forget_will(&older);
        }
        self.timers.set(Timer::Will(serial), due);
    }
}
