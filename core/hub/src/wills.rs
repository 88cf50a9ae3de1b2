//! Wills: what is published in the name of a client whose connection ended badly, at once or after
//! its delay (MQTT 5, 3.1.3.2.2).

use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{Properties, QoS, Time, TopicName};
use tomte_mqtt::codec;

use crate::Hub;
use crate::fan_out::Incoming;
use crate::hub::Timer;
use crate::ledger::Kept;
use crate::record::Record;
use crate::session::Owner;

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
    pub(crate) fn of(will: &codec::Will<'_>) -> Box<Self> {
        Box::new(Self {
            topic: TopicName::new(will.topic).expect("the codec checked it"),
            payload: Bytes::copy_from_slice(will.payload),
            qos: will.qos,
            retain: will.retain,
            delay_s: will.delay_seconds,
            expiry_s: will.message_expiry_seconds,
            properties: will.properties.clone(),
        })
    }
}

/// A will whose delay runs, with its record.
#[derive(Clone, Debug)]
pub(crate) struct WaitingWill {
    pub(crate) due: Time,
    pub(crate) will: Box<Will>,
    pub(crate) kept: Kept,
}

impl WaitingWill {
    /// The record of it.
    pub(crate) fn record(&self, session: u64) -> Record {
        Record::WillWaits { session, due: self.due, will: (*self.will).clone() }
    }
}

impl Hub {
    /// A connection ended badly: its will is published now, or waits in its session.
    pub(crate) fn leave_will(
        &mut self,
        now: Time,
        owner: &Owner,
        session: Option<u32>,
        will: Box<Will>,
    ) {
        let waits = session.and_then(|index| self.sessions.get_mut(index as usize)?.as_mut());
        // A session that ends with its connection ends the delay too.
        let waits = waits.filter(|session| will.delay_s > 0 && session.is_persistent());
        let Some(session) = waits else { return self.publish_will(now, owner, &will) };
        let due = now + Duration::from_secs(u64::from(will.delay_s));
        let mut waiting = WaitingWill { due, will, kept: Kept::default() };
        let record = waiting.record(session.serial);
        waiting.kept = self.ledger.keep(|out| record.encode(out));
        self.timers.push(Reverse((due, Timer::Will(session.serial))));
        session.will = Some(waiting);
    }

    /// The client came back before its will was due (MQTT-3.1.3-9).
    pub(crate) fn cancel_will(&mut self, index: u32) {
        let Some(session) = self.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(waiting) = session.will.take() else { return };
        self.ledger.forget(waiting.kept);
        let over = Record::WillOver { session: session.serial };
        self.ledger.note(|out| over.encode(out));
    }

    /// The delay of a will is over, unless its client came back and left another one.
    pub(crate) fn check_will(&mut self, now: Time, serial: u64) {
        let Some(&index) = self.by_serial.get(&serial) else { return };
        let Some(session) = self.session_mut(index) else { return };
        let Some(waiting) = session.will.take_if(|waiting| waiting.due <= now) else { return };
        let owner = session.owner.clone();
        self.publish_waiting_will(now, &owner, serial, &waiting);
    }

    /// Publishes a will that waited, because its time came or its session ended.
    pub(crate) fn publish_waiting_will(
        &mut self,
        now: Time,
        owner: &Owner,
        serial: u64,
        waiting: &WaitingWill,
    ) {
        self.publish_will(now, owner, &waiting.will);
        // After what the will led to: a commit that a crash tears publishes it again, not never.
        self.ledger.forget(waiting.kept);
        let over = Record::WillOver { session: serial };
        self.ledger.note(|out| over.encode(out));
    }

    /// Publishes the will of a connection that ended badly (MQTT-3.1.2-8).
    fn publish_will(&mut self, now: Time, owner: &Owner, will: &Will) {
        let expiry = will.expiry_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let incoming = Incoming {
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            source: &owner.source(),
            properties: will.properties.as_deref(),
            from_session: None,
            receipt: None,
            expires: expiry.map_or(Time::NEVER, |expiry| now + expiry),
            hops: 0,
            cause: None,
        };
        self.fan_out(now, &incoming);
    }
}
