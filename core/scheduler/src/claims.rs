use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tomte_base::Time;

use crate::Priority;
use crate::limits::{CLAIMS_LOOKED_AT, Patience};
use crate::pool::PoolKey;

/// What a worker is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// For a call that waits, or as the one worker of a pinned function.
    Call,
    /// To be ready when a call comes.
    Reserve,
}

/// The place of a claim: calls before reserves, then by priority, then the earlier first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) class: Class,
    priority: Reverse<Priority>,
    since: Time,
}

impl Rank {
    /// Makes the place of a claim for `class` with `priority`, raised at `since`.
    pub(crate) fn new(class: Class, priority: Priority, since: Time) -> Self {
        Self { class, priority: Reverse(priority), since }
    }

    /// Returns the priority.
    pub(crate) fn priority(&self) -> Priority {
        self.priority.0
    }
}

/// When a claim was first found to have no room, by the clock and by the choices made until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Blocked {
    since: Time,
    choices: u64,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    rank: Rank,
    blocked: Option<Blocked>,
}

/// A claim whose turn it is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) pool: PoolKey,
    pub(crate) rank: Rank,
    /// It was passed over too often or too long: it comes before all others, and takes room from
    /// work of any priority.
    pub(crate) overdue: bool,
}

/// The functions that want a worker and have none, in the order in which they are looked at.
///
/// A choice is a call or a start that used room in favour of somebody. A claim counts the choices
/// since it was blocked: that is how often it was passed over.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    by_pool: BTreeMap<PoolKey, Claim>,
    in_rank: BTreeSet<(Rank, PoolKey)>,
    blocked: BTreeSet<(Blocked, PoolKey)>,
    choices: u64,
}

impl Claims {
    /// Sets or ends the claim of `pool`, and tells whether that changed anything.
    pub(crate) fn set(&mut self, pool: PoolKey, rank: Option<Rank>) -> bool {
        let old = self.by_pool.get(&pool).copied();
        if old.map(|claim| claim.rank) == rank {
            return false;
        }
        if let Some(old) = old {
            self.in_rank.remove(&(old.rank, pool));
        }
        match rank {
            Some(rank) => {
                self.in_rank.insert((rank, pool));
                let blocked = old.and_then(|old| old.blocked);
                self.by_pool.insert(pool, Claim { rank, blocked });
                if rank.class == Class::Reserve {
                    self.served(pool);
                }
            }
            None => {
                self.served(pool);
                self.by_pool.remove(&pool);
            }
        }
        true
    }

    /// Notes that there was no room for `pool`.
    pub(crate) fn block(&mut self, pool: PoolKey, now: Time) {
        let blocked = Blocked { since: now, choices: self.choices };
        let Some(claim) = self.by_pool.get_mut(&pool) else { return };
        if claim.blocked.is_none() && claim.rank.class == Class::Call {
            claim.blocked = Some(blocked);
            self.blocked.insert((blocked, pool));
        }
    }

    /// Notes that `pool` got a worker or a call: it is passed over no longer. Tells whether it was.
    pub(crate) fn served(&mut self, pool: PoolKey) -> bool {
        let Some(claim) = self.by_pool.get_mut(&pool) else { return false };
        let Some(blocked) = claim.blocked.take() else { return false };
        self.blocked.remove(&(blocked, pool))
    }

    /// Tells whether there was no room for `pool` since it was last served.
    pub(crate) fn is_blocked(&self, pool: PoolKey) -> bool {
        self.by_pool.get(&pool).is_some_and(|claim| claim.blocked.is_some())
    }

    /// Counts a use of room in favour of somebody.
    pub(crate) fn count_choice(&mut self) {
        self.choices += 1;
    }

    /// Lists the claims to look at: those that are overdue, longest blocked first, then by rank.
    pub(crate) fn turns(&self, now: Time, patience: Patience) -> Vec<Turn> {
        let overdue = self.overdue(now, patience);
        let by_rank = self.in_rank.iter().filter(|(_, pool)| !overdue.contains(pool));
        let first = overdue.iter().map(|pool| (self.by_pool[pool].rank, *pool, true));
        let then = by_rank.map(|(rank, pool)| (*rank, *pool, false));
        let turn = |(rank, pool, overdue)| Turn { pool, rank, overdue };
        first.chain(then).take(CLAIMS_LOOKED_AT).map(turn).collect()
    }

    fn overdue(&self, now: Time, patience: Patience) -> Vec<PoolKey> {
        let is_overdue =
            |b: &Blocked| patience.is_over(self.choices - b.choices, now.since(b.since));
        let blocked = self.blocked.iter().take(CLAIMS_LOOKED_AT);
        blocked.take_while(|(blocked, _)| is_overdue(blocked)).map(|(_, pool)| *pool).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Patience = Patience { passes: 3, time: Duration::from_secs(5) };

    fn rank(class: Class, priority: Priority, since: u64) -> Option<Rank> {
        Some(Rank::new(class, priority, Time::from_millis(since)))
    }

    fn order(claims: &Claims, now: u64) -> Vec<(u32, bool)> {
        let turns = claims.turns(Time::from_millis(now), PATIENCE);
        turns.iter().map(|turn| (turn.pool.0, turn.overdue)).collect()
    }

    fn three_claims() -> Claims {
        let mut claims = Claims::default();
        claims.set(PoolKey(1), rank(Class::Reserve, Priority::Urgent, 0));
        claims.set(PoolKey(2), rank(Class::Call, Priority::Low, 1));
        claims.set(PoolKey(3), rank(Class::Call, Priority::High, 2));
        claims
    }

    #[test]
    fn calls_come_before_reserves_and_then_the_higher_priority() {
        assert_eq!(order(&three_claims(), 0), [(3, false), (2, false), (1, false)]);
    }

    #[test]
    fn a_claim_passed_over_three_times_comes_first_until_it_is_served() {
        let mut claims = three_claims();
        claims.block(PoolKey(2), Time::from_millis(2));
        (0..3).for_each(|_| claims.count_choice());
        assert_eq!(order(&claims, 3), [(2, true), (3, false), (1, false)]);
        claims.served(PoolKey(2));
        assert_eq!(order(&claims, 3), [(3, false), (2, false), (1, false)]);
    }

    #[test]
    fn a_claim_passed_over_once_five_seconds_ago_comes_first() {
        let mut claims = three_claims();
        claims.block(PoolKey(2), Time::from_millis(0));
        assert!(!order(&claims, 6_000).contains(&(2, true)), "nobody passed it");
        claims.count_choice();
        assert!(!order(&claims, 4_999).contains(&(2, true)));
        assert_eq!(order(&claims, 5_000)[0], (2, true));
    }

    #[test]
    fn a_reserve_is_never_overdue() {
        let mut claims = three_claims();
        claims.block(PoolKey(1), Time::from_millis(0));
        (0..9).for_each(|_| claims.count_choice());
        assert_eq!(order(&claims, 60_000)[2], (1, false));
    }

    #[test]
    fn a_claim_for_calls_that_becomes_one_for_the_reserve_is_not_overdue() {
        let mut claims = three_claims();
        claims.block(PoolKey(2), Time::from_millis(0));
        (0..9).for_each(|_| claims.count_choice());
        claims.set(PoolKey(2), rank(Class::Reserve, Priority::Low, 1));
        assert_eq!(order(&claims, 0), [(3, false), (1, false), (2, false)]);
    }

    #[test]
    fn no_more_claims_are_looked_at_than_the_limit() {
        let mut claims = Claims::default();
        for pool in 0..1_000 {
            claims.set(PoolKey(pool), rank(Class::Call, Priority::Normal, 0));
            claims.block(PoolKey(pool), Time::default());
        }
        assert_eq!(order(&claims, 0).len(), CLAIMS_LOOKED_AT);
        (0..3).for_each(|_| claims.count_choice());
        assert_eq!(order(&claims, 0).len(), CLAIMS_LOOKED_AT);
    }
}
