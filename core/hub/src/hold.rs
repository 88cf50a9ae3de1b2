//! Messages for devices that are away and have no session that would keep them.

use std::collections::BTreeMap;

use tomte_base::{ByteSize, DeviceName, Time, TopicFilter};
use tomte_broker::{Overflow, Push, Queue, QueueLimits};

use crate::session::Delivery;

/// Bytes that one hold keeps, whatever its number of messages.
const MAX_HOLD_BYTES: ByteSize = ByteSize::mib(16);

/// Holds of all devices. A device's hold exists only while something is in it.
#[derive(Default)]
pub(crate) struct Holds {
    by_device: BTreeMap<DeviceName, Queue<Delivery>>,
}

impl Holds {
    /// Puts `delivery` into the hold of `device`. Returns what the bounds pushed out.
    pub(crate) fn put(
        &mut self,
        device: &DeviceName,
        delivery: Delivery,
        until: Time,
        rule: &tomte_route::Hold,
    ) -> Vec<Delivery> {
        let bytes = delivery.message.payload.len() + delivery.message.topic.len();
        let queue =
            self.by_device.entry(device.clone()).or_insert_with(|| Queue::new(limits(rule)));
        match queue.push(delivery, bytes, until) {
            Push::Queued => Vec::new(),
            Push::QueuedDropping(old) => old.into_iter().collect(),
            Push::Dropped(new) | Push::Refused(new) => vec![new],
        }
    }

    /// Puts back what a session took and could not deliver, before what came since. The hold may
    /// pass its bounds by as much as was taken out of it.
    pub(crate) fn give_back(
        &mut self,
        device: &DeviceName,
        delivery: Delivery,
        until: Time,
        rule: &tomte_route::Hold,
    ) {
        let bytes = delivery.message.payload.len() + delivery.message.topic.len();
        let queue =
            self.by_device.entry(device.clone()).or_insert_with(|| Queue::new(limits(rule)));
        queue.push_front(delivery, bytes, until);
    }

    /// Takes what `filter` matches, oldest first. Expired ones go to `expired`.
    pub(crate) fn take(
        &mut self,
        now: Time,
        device: &DeviceName,
        filter: &TopicFilter,
        expired: &mut Vec<Delivery>,
    ) -> Vec<Delivery> {
        let Some(queue) = self.by_device.get_mut(device) else { return Vec::new() };
        queue.expire(now, expired);
        let mut taken = Vec::new();
        queue.remove_where(|delivery| filter.matches(&delivery.message.topic), &mut taken);
        if queue.is_empty() {
            self.by_device.remove(device);
        }
        taken
    }

    /// Removes what is past its time.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(DeviceName, Delivery)> {
        let mut gone = Vec::new();
        for (device, queue) in &mut self.by_device {
            let mut expired = Vec::new();
            queue.expire(now, &mut expired);
            gone.extend(expired.into_iter().map(|delivery| (device.clone(), delivery)));
        }
        self.by_device.retain(|_, queue| !queue.is_empty());
        gone
    }

    /// When the next one is past its time.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.by_device.values().filter_map(Queue::next_expiry).min()
    }

    pub(crate) fn len(&self, device: &DeviceName) -> usize {
        self.by_device.get(device).map_or(0, Queue::len)
    }

    pub(crate) fn total(&self) -> usize {
        self.by_device.values().map(Queue::len).sum()
    }
}

fn limits(rule: &tomte_route::Hold) -> QueueLimits {
    QueueLimits {
        max_messages: rule.max,
        max_bytes: MAX_HOLD_BYTES,
        overflow: match rule.then {
            tomte_route::Overflow::DropOldest => Overflow::DropOldest,
            tomte_route::Overflow::DropNewest => Overflow::DropNewest,
        },
    }
}
