use std::time::Duration;

use tomte_base::{QoS, Time};
use tomte_mqtt::codec::Will;

use crate::durable::WillLeft;
use crate::network::ConnId;
use crate::table::DEVICES;

use super::duties::Cause;
use super::lines::source_of;
use super::messages::Incoming;
use super::{Key, Oracle};

/// The will of a connected client.
#[derive(Clone, Debug)]
pub(super) struct LeftWill {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    pub(super) delay: Duration,
}

impl LeftWill {
    pub(super) fn of(will: &Will<'_>) -> Self {
        Self {
            topic: will.topic.to_owned(),
            payload: will.payload.to_vec(),
            qos: will.qos,
            retain: will.retain,
            delay: Duration::from_secs(will.delay_seconds.into()),
        }
    }
}

/// A will whose delay runs.
pub(super) struct WaitingWill {
    due: Time,
    will: LeftWill,
}

impl Oracle {
    /// A connection ended: what it left is published, or waits with its session.
    pub(super) fn leave_will(&mut self, now: Time, id: ConnId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let (Some(will), Some(key)) = (line.will.take(), line.key.clone()) else { return };
        let keeps = self.kept_of(id).is_some_and(|kept| kept.is_persistent());
        if keeps && !will.delay.is_zero() {
            self.wills.insert(key, WaitingWill { due: now + will.delay, will });
        } else {
            self.take_will(now, &key, &will);
        }
    }

    /// A client comes back before its will was due: it is over, or, when the session is ended, its
    /// time has come.
    pub(super) fn end_delay(&mut self, now: Time, key: &Key, is_clean: bool) {
        if let Some(waiting) = self.wills.remove(key)
            && is_clean
        {
            self.take_will(now, key, &waiting.will);
        }
    }

    /// The hub looks at its clock.
    pub(crate) fn on_deadline(&mut self, now: Time) {
        let due: Vec<(Key, WaitingWill)> =
            self.wills.extract_if(.., |_, waiting| waiting.due <= now).collect();
        for (key, waiting) in due {
            self.n_delayed_wills += 1;
            self.take_will(now, &key, &waiting.will);
        }
    }

    /// The journal had a will when the process died, and with it the connection of its client, if
    /// that was not lost before.
    pub(crate) fn on_will_after_crash(&mut self, now: Time, left: &WillLeft) {
        let name = left.owner.device().map(|name| name.as_str());
        let device = DEVICES.into_iter().find(|device| Some(*device) == name);
        let will = LeftWill {
            topic: left.will.topic.to_string(),
            payload: left.will.payload.to_vec(),
            qos: left.will.qos,
            retain: left.will.retain,
            delay: Duration::from_secs(left.will.delay_s.into()),
        };
        match &left.waits {
            Some((client_id, due)) => {
                let due = due.unwrap_or(now + will.delay);
                self.wills.insert((device, client_id.clone()), WaitingWill { due, will });
            }
            None => self.take_will(now, &(device, String::new()), &will),
        }
    }

    /// How many wills were published after a delay.
    pub(crate) fn n_delayed_wills(&self) -> u64 {
        self.n_delayed_wills
    }

    /// The hub publishes a will.
    fn take_will(&mut self, now: Time, key: &Key, will: &LeftWill) {
        self.expected.wills += 1;
        let incoming = Incoming {
            source: source_of(key.0),
            from: None,
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            expires: false,
            cause: Cause::Nobody,
        };
        self.take_message(now, incoming);
    }
}
