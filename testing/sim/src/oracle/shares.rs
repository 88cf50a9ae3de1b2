use tomte_base::{QoS, Time, topic_matches};
use tomte_mqtt::codec::Publish;

use crate::mark::Mark;
use crate::table::Decision;

use super::duties::Duty;
use super::messages::{Incoming, Published};
use super::{Key, Oracle};

/// A shared subscription: the identifier that all its members give it, which tells by which way a
/// message came, the filter as clients write it, and what topics are matched against.
pub(crate) struct Group {
    pub(crate) id: u32,
    pub(crate) filter: &'static str,
    topics: &'static str,
}

pub(crate) const GROUPS: [Group; 3] = [
    Group { id: 11, filter: "$share/g/s/#", topics: "s/#" },
    Group { id: 12, filter: "$share/h/+/a", topics: "+/a" },
    Group { id: 13, filter: "$share/g/r/#", topics: "r/#" },
];

/// The identifier of a subscription of its own.
pub(super) const ALONE: u32 = 0;

/// The identifier of the group with this filter.
pub(crate) fn group_of(filter: &str) -> Option<u32> {
    GROUPS.iter().find(|group| group.filter == filter).map(|group| group.id)
}

/// By which group a message came.
pub(super) fn came_by(publish: &Publish<'_>) -> u32 {
    let is_group = |id: &u32| GROUPS.iter().any(|group| group.id == *id);
    publish.properties.subscription_identifiers().find(is_group).unwrap_or(ALONE)
}

impl Oracle {
    /// So many messages were passed on to another member so far, by all processes.
    pub(crate) fn note_passed_on(&mut self, n: u64) {
        self.n_passed_on = n;
    }

    /// Groups with a member whose session surely keeps what it gets.
    pub(super) fn promise_shares(
        &self,
        now: Time,
        incoming: &Incoming<'_>,
        decision: &Decision,
        mark: Mark,
        duties: &mut Vec<Duty>,
    ) {
        for group in GROUPS.iter().filter(|group| topic_matches(group.topics, incoming.topic)) {
            let members =
                || self.sessions.iter().filter(|(_, kept)| kept.subs.contains_key(group.filter));
            let mut keeping = members().filter(|(key, kept)| {
                decision.permits(key.0)
                    && kept.subs[group.filter].is_confirmed
                    && kept.is_persistent()
                    && kept.is_confirmed
                    && kept.is_alive(now)
            });
            // QoS 2 that left for a session which ends with its connection is nobody else's matter.
            let may_end = incoming.qos == QoS::ExactlyOnce
                && members().any(|(_, kept)| !kept.is_persistent());
            if !may_end && keeping.next().is_some() {
                duties.push(Duty::Shared(group.id, mark));
            }
        }
    }

    /// Tells whether a message may have gone from one member to another since it was published.
    pub(super) fn may_be_passed_on(&self, mark: Mark) -> bool {
        self.published.get(&mark).is_none_or(|known| known.n_passed_on < self.n_passed_on)
    }

    /// One member gets a message of its group, unless its session ended; QoS 2 that left for it goes
    /// to no other even then (MQTT-4.8.2-5).
    pub(super) fn check_one_member(
        &mut self,
        key: &Key,
        (group, mark): (u32, Mark),
        published: &Published,
        publish: &Publish<'_>,
        is_closed: bool,
    ) {
        let is_passed_on = self.may_be_passed_on(mark);
        let is_once = publish.qos == QoS::ExactlyOnce;
        let (first, once) =
            self.got_shared.entry((group, mark)).or_insert_with(|| (key.clone(), is_once));
        if first != key && published.times == 1 && (*once && !is_closed || !is_passed_on) {
            let first = first.1.clone();
            self.blame(|| format!("{first} and {} of one group receive {mark}", key.1));
        }
    }
}
