//! Who is in which group, and whose turn it is.

use std::collections::HashMap;

use tomte_base::{SharedFilter, TopicFilter};
use tomte_broker::ShareGroup;

use crate::match_set::MatchedSession;

/// One member of a group.
pub(crate) struct Member {
    pub(crate) matched: MatchedSession,
    /// Its session outlived its connections when it joined.
    pub(crate) is_kept: bool,
}

/// A group.
pub(crate) struct Share {
    /// As clients write it, with `$share/` and the name.
    pub(crate) filter: TopicFilter,
    pub(crate) turns: ShareGroup<u32>,
    pub(crate) members: HashMap<u32, Member>,
    /// Members whose sessions outlive their connections, perhaps too many.
    pub(crate) n_kept: usize,
}

impl Share {
    pub(crate) fn members(&self) -> impl Iterator<Item = &MatchedSession> {
        self.turns.members().iter().map(|session| &self.members[session].matched)
    }

    pub(crate) fn leave(&mut self, session: u32) {
        if let Some(gone) = self.members.remove(&session) {
            self.turns.leave(session);
            self.n_kept -= usize::from(gone.is_kept);
        }
    }
}

/// All groups. A group exists while it has a member.
#[derive(Default)]
pub(crate) struct Shares {
    pub(crate) by_filter: HashMap<TopicFilter, u32>,
    pub(crate) shares: Vec<Option<Share>>,
    free: Vec<u32>,
    /// What all of them have in the record of a message, in bytes.
    bytes: usize,
}

/// Bytes of a group in the record of a message that goes to it, beside those of its filter.
const FIELDS_BYTES: usize = 14;

impl Shares {
    pub(crate) fn get(&self, share: u32) -> Option<&Share> {
        self.shares.get(share as usize).and_then(Option::as_ref)
    }

    pub(crate) fn named(&mut self, filter: &TopicFilter) -> Option<(u32, &mut Share)> {
        let share = *self.by_filter.get(filter)?;
        Some((share, self.shares[share as usize].as_mut()?))
    }

    /// Returns how many bytes all groups have in the record of a message, with that of `filter`.
    pub(crate) fn bytes_with(&self, filter: &str) -> usize {
        let is_new = !self.by_filter.contains_key(filter);
        self.bytes + if is_new { filter.len() + FIELDS_BYTES } else { 0 }
    }

    /// Returns the group, and whether it had to be made.
    pub(crate) fn named_or_new(&mut self, filter: &TopicFilter) -> (u32, bool) {
        if let Some(share) = self.by_filter.get(filter) {
            return (*share, false);
        }
        let new = Share {
            filter: filter.clone(),
            turns: ShareGroup::new(),
            members: HashMap::new(),
            n_kept: 0,
        };
        let share = self.free.pop().unwrap_or_else(|| {
            self.shares.push(None);
            u32::try_from(self.shares.len() - 1).expect("subscriptions are bounded")
        });
        self.shares[share as usize] = Some(new);
        self.bytes += filter.len() + FIELDS_BYTES;
        self.by_filter.insert(filter.clone(), share);
        (share, true)
    }

    pub(crate) fn remove(&mut self, share: u32) {
        if let Some(gone) = self.shares[share as usize].take() {
            self.by_filter.remove(&gone.filter);
            self.bytes -= gone.filter.len() + FIELDS_BYTES;
            self.free.push(share);
        }
    }
}

/// Returns the filter that topics are matched against: what follows the name of a group.
pub(crate) fn matched_filter(filter: &TopicFilter) -> TopicFilter {
    if !is_shared(filter) {
        return filter.clone();
    }
    SharedFilter::parse(filter).map_or_else(|_| filter.clone(), |shared| shared.filter)
}

/// Tells whether a subscription is one of a group.
pub(crate) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}
