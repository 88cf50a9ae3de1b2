use std::collections::{HashMap, HashSet};

use tomte_base::QoS;
use tomte_mqtt::codec::Publish;

use crate::coverage::Coverage;
use crate::mark::Mark;
use crate::network::ConnId;

use super::duties::Duty;
use super::messages::Published;
use super::shares::{ALONE, came_by};
use super::{Key, Oracle};

/// Publishers from this number on are wills.
const WILLS: u32 = 1_000;

/// What one client received.
#[derive(Default)]
pub(super) struct Seen {
    /// The last number of each group, publisher and topic, by the quality of service on both ways.
    last: HashMap<(u32, u32, String, u8, u8), u32>,
    /// First deliveries on one connection.
    on_line: HashMap<(ConnId, u32, Mark), u32>,
    /// The last connection that brought something; an older one may still bring what is late.
    newest: Option<ConnId>,
    /// How often the client forgot its session.
    pub(super) epoch: u32,
    /// What the client has not answered, by packet identifier, and after how many crashes it came.
    pub(super) open: HashMap<u16, (Option<Mark>, u64)>,
    /// Messages of QoS 2 all the way.
    pub(super) once: HashSet<(u32, u32, Mark)>,
}

impl Oracle {
    /// A message reached a client.
    pub(crate) fn on_delivered(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        coverage: &mut Coverage,
    ) {
        if publish.dup {
            coverage.hit("delivery: sent again");
        }
        let Some((mark, _)) = Mark::read(publish.payload) else { return };
        let mark = mark.on(publish.topic);
        let Some(key) = self.key_of(id) else { return };
        let Some(published) = self.published.get(&mark).cloned() else {
            self.blame(|| format!("{} receives {mark}, which nobody published", key.1));
            return;
        };
        let group = came_by(publish);
        self.check_permission(&key, (group, mark), &published, publish);
        let seen = self.seen.entry(key.clone()).or_default();
        let is_late = seen.newest > Some(id);
        seen.newest = seen.newest.max(Some(id));
        if !publish.retain && !published.retain && mark.via == 0 {
            // The number of a will tells when its client came, not when it went.
            if !is_late && mark.maker() < WILLS {
                self.check_order(&key, (group, mark), &published, publish);
            }
            self.check_repetition(&key, (id, group, mark), &published, publish);
        }
        self.check_once(&key, (group, mark), publish);
        self.cover(&key, mark, publish, coverage);
        if group == ALONE {
            self.reached.insert((key, mark));
        } else {
            coverage.hit("delivery: by a group");
            // What a connection brings that the hub has closed may have left before the other.
            let is_closed = self.lines.get(&id).is_none_or(|line| line.is_dead);
            self.check_one_member(&key, (group, mark), &published, publish, is_closed);
            self.reached_shared.insert((group, key, mark));
        }
    }

    /// Connections of a hub that died still bring what was on its way.
    fn key_of(&self, id: ConnId) -> Option<Key> {
        self.keys.get(&id).cloned()
    }

    fn check_permission(
        &mut self,
        key: &Key,
        (group, mark): (u32, Mark),
        published: &Published,
        publish: &Publish<'_>,
    ) {
        if published.topic != publish.topic {
            let topic = publish.topic;
            self.blame(|| {
                format!("{mark} was published on {}, arrives on {topic}", published.topic)
            });
        }
        let at_the_time =
            published.to_all || key.0.is_some_and(|device| published.to_devices.contains(device));
        let Published { source, topic, value, .. } = published;
        // A retained message is sent when a route leads from it to the session now.
        // One that is passed on in its group goes where routes lead it now.
        let passed_on = group != ALONE && self.may_be_passed_on(mark);
        let later = (publish.retain && published.retain) || passed_on;
        let now = later
            && self
                .tables
                .iter()
                .any(|table| table.decide(source, topic, Some(*value)).permits(key.0));
        if !at_the_time && !now {
            self.blame(|| format!("no route permits {mark} on {topic} for {key:?}"));
        }
    }

    /// Tells whether several clients are one device: what one of them does not take goes to another.
    fn shares_device(&self, key: &Key) -> bool {
        self.keys.values().any(|other| key.0.is_some() && other.0 == key.0 && other.1 != key.1)
    }

    /// Messages of one publisher on one topic come in order, apart from what was sent twice, and from
    /// what waited in a hold for a session that took QoS 0 meanwhile or for another client.
    /// What a group passed on comes behind what its new member had.
    fn check_order(
        &mut self,
        key: &Key,
        (group, mark): (u32, Mark),
        published: &Published,
        publish: &Publish<'_>,
    ) {
        let known = match group {
            ALONE => self.reached.contains(&(key.clone(), mark)),
            group => self.reached_shared.contains(&(group, key.clone(), mark)),
        };
        let passed_on = group != ALONE && self.may_be_passed_on(mark);
        let (topic, publisher) = (published.topic.clone(), mark.publisher);
        let stream = (group, publisher, topic, published.qos as u8, publish.qos as u8);
        let has_died = self.n_crashes > published.n_crashes;
        // After a crash it is in the hold again, and comes when the session asks for it again.
        let held = published.is_held
            && (publish.qos < published.qos || has_died || self.shares_device(key));
        // A drop is not written down before it is needed: a crash may bring the message back.
        let back = has_died && self.has_dropped();
        // The copy on a second topic may be new where the message comes again: the table was another one.
        let first = Mark { publisher: mark.maker(), ..mark };
        let times = self.published.get(&first).map_or(published.times, |first| first.times);
        let last = self.seen.entry(key.clone()).or_default().last.entry(stream).or_default();
        let before = *last;
        if !passed_on {
            *last = before.max(mark.number);
        }
        if mark.number < before
            && !known
            && !publish.dup
            && times == 1
            && !held
            && !back
            && !passed_on
        {
            let topic = publish.topic;
            self.blame(|| format!("{} receives {mark} on {topic} after number {before}", key.1));
        }
    }

    /// A message that was published once comes once on one connection.
    fn check_repetition(
        &mut self,
        key: &Key,
        (id, group, mark): (ConnId, u32, Mark),
        published: &Published,
        publish: &Publish<'_>,
    ) {
        if publish.dup {
            return;
        }
        let seen = self.seen.entry(key.clone()).or_default();
        let times = seen.on_line.entry((id, group, mark)).or_default();
        *times += 1;
        if *times > published.times {
            let (times, taken) = (*times, published.times);
            self.blame(|| {
                format!("{} receives {mark} {times} times, it was published {taken} times", key.1)
            });
        }
    }

    fn cover(&self, key: &Key, mark: Mark, publish: &Publish<'_>, coverage: &mut Coverage) {
        if publish.retain {
            coverage.hit("delivery: retained");
        }
        if mark.via > 0 {
            coverage.hit("delivery: result of a function");
        }
        if mark.maker() != mark.publisher {
            coverage.hit("delivery: on a second topic");
        }
        if mark.maker() >= WILLS {
            coverage.hit("delivery: will");
        }
        if publish.qos > QoS::AtMostOnce
            && key.0.is_some_and(|device| {
                let device = crate::table::DEVICES.into_iter().find(|name| *name == device);
                device.is_some_and(|device| self.firm.contains(&Duty::Held(device, mark)))
            })
        {
            coverage.hit("hold: delivered on return");
        }
    }
}
