//! What the topic tree holds for one topic: routes, sessions with their subscriptions, groups.

use std::sync::Arc;

use tomte_base::TopicName;

use crate::Hub;
use crate::session::Subscription;

/// What stands in the topic tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// An entry of the route table, by index.
    Route(u32),
    /// A subscription of a session, by index.
    Session(u32),
    /// A group that shares a subscription, by index.
    Share(u32),
}

impl Key {
    pub(crate) fn route(index: usize) -> Self {
        Self::Route(u32::try_from(index).expect("a manifest has fewer routes"))
    }
}

/// What the tree holds for one topic.
#[derive(Debug)]
pub(crate) struct MatchSet {
    pub(crate) topic: TopicName,
    /// Routes in the order of the manifest.
    pub(crate) routes: Vec<u32>,
    pub(crate) sessions: Vec<MatchedSession>,
    /// Sessions with No Local on some of these filters, in the order of their indices, with what the
    /// others bring them of what they publish themselves.
    own: Vec<(u32, Option<MatchedSession>)>,
    /// Groups in the order of their indices.
    pub(crate) shares: Vec<u32>,
}

/// A session that subscribed to the topic, by one or more filters.
#[derive(Clone, Debug)]
pub(crate) struct MatchedSession {
    pub(crate) session: u32,
    pub(crate) options: Subscription,
    pub(crate) ids: Option<Arc<[u32]>>,
}

impl MatchSet {
    /// Returns what of a session's subscriptions a message from `from` reaches, if any (MQTT-3.8.3-3).
    pub(crate) fn reached<'a>(
        &'a self,
        matched: &'a MatchedSession,
        from: Option<u32>,
    ) -> Option<&'a MatchedSession> {
        if from != Some(matched.session) {
            return Some(matched);
        }
        match self.own.binary_search_by_key(&matched.session, |(session, _)| *session) {
            Ok(at) => self.own[at].1.as_ref(),
            Err(_) => Some(matched),
        }
    }
}

impl Hub {
    /// Returns what the tree holds for `topic`, from the cache where nothing changed.
    pub(crate) fn match_set(&mut self, topic: &str) -> Arc<MatchSet> {
        let generation = self.tree.generation();
        if let Some(set) = self.matches.get(topic, generation) {
            return Arc::clone(set);
        }
        let set = Arc::new(self.look_up(topic));
        self.matches.insert(set.topic.clone(), generation, Arc::clone(&set));
        set
    }

    fn look_up(&self, topic: &str) -> MatchSet {
        let (mut routes, mut shares) = (Vec::new(), Vec::new());
        let mut sessions = Vec::<(u32, Subscription)>::new();
        self.tree.matches(topic, |key, options| match key {
            Key::Route(route) => routes.push(route),
            Key::Session(session) => sessions.push((session, *options)),
            Key::Share(share) => shares.push(share),
        });
        routes.sort_unstable();
        shares.sort_unstable();
        sessions.sort_unstable_by_key(|(session, _)| *session);
        let own = sessions.chunk_by(|(a, _), (b, _)| a == b).filter_map(own_messages).collect();
        let sessions =
            sessions.chunk_by(|(a, _), (b, _)| a == b).map(merge_subscriptions).collect();
        let topic = TopicName::new(topic).expect("publishers' topics were checked");
        MatchSet { topic, routes, sessions, own, shares }
    }
}

/// One copy for a session with several matching filters: the highest quality of service and all
/// identifiers (MQTT 5, 3.3.4).
fn merge_subscriptions(group: &[(u32, Subscription)]) -> MatchedSession {
    let (session, mut options) = group[0];
    for (_, other) in &group[1..] {
        options.qos = options.qos.max(other.qos);
        options.retain_as_published |= other.retain_as_published;
    }
    let ids: Arc<[u32]> = group.iter().filter_map(|(_, o)| o.id).map(|id| id.get()).collect();
    MatchedSession { session, options, ids: Some(ids).filter(|ids| !ids.is_empty()) }
}

/// What subscriptions of one session without No Local bring it of its own messages; none where it makes
/// no difference.
fn own_messages(group: &[(u32, Subscription)]) -> Option<(u32, Option<MatchedSession>)> {
    let others: Vec<_> = group.iter().copied().filter(|(_, options)| !options.no_local).collect();
    let merged = (!others.is_empty()).then(|| merge_subscriptions(&others));
    (others.len() < group.len()).then_some((group[0].0, merged))
}
