use tomte_base::{Time, WorkerId};

use crate::claims::{Class, Turn};
use crate::pool::Pool;
use crate::worker::Worker;
use crate::{Free, Need, Priority, Scheduler};

/// The room that one look at the claims has to give away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Free at this moment.
    pub(crate) now: Free,
    /// Free once all workers that are stopping have gone, less what was promised to claims.
    pub(crate) soon: Free,
}

impl Room {
    /// Tells whether a worker can be started without taking what was promised to another claim.
    pub(crate) fn fits(&self, need: &Need) -> bool {
        self.now.fits(need) && self.soon.fits(need)
    }

    /// Takes the room of a worker that was started.
    pub(crate) fn take(&mut self, need: &Need) {
        self.now = self.now.without(need);
        self.soon = self.soon.without(need);
    }
}

/// An idle worker that might go for somebody else.
#[derive(Clone, Copy, Debug)]
struct Victim {
    worker: WorkerId,
    need: Need,
    value: Value,
}

/// What an idle worker is worth; the least goes first. A worker whose own function has a call for it
/// is worth most, then one of the reserve, then the priority of the function counts, then how
/// lately it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    has_work: bool,
    reserved: bool,
    priority: Priority,
    asked: Time,
    worker: WorkerId,
}

impl Scheduler {
    /// Returns the room as it is before any claim was looked at.
    pub(crate) fn room(&self) -> Room {
        let now = self.resources.free();
        Room { now, soon: now.and(&self.releasing) }
    }

    /// Chooses the idle workers that must go so that `need` fits into `soon`, the least valuable
    /// first and none without need. None when all that may go would not suffice.
    pub(crate) fn victims(&self, turn: &Turn, need: &Need, soon: Free) -> Option<Vec<WorkerId>> {
        let candidates = self.candidates(turn);
        let mut chosen: Vec<Victim> = Vec::new();
        let mut room = soon;
        for victim in candidates {
            if room.fits(need) {
                break;
            }
            room = room.with(&victim.need);
            chosen.push(victim);
        }
        if !room.fits(need) {
            return None;
        }
        spare_the_needless(&mut chosen, need, soon);
        Some(chosen.iter().map(|victim| victim.worker).collect())
    }

    /// Lists the idle workers that may go for this claim, the least valuable first.
    fn candidates(&self, turn: &Turn) -> Vec<Victim> {
        let others = self.idle.iter().filter(|key| **key != turn.pool);
        let mut candidates: Vec<Victim> =
            others.flat_map(|key| self.idle_workers(self.pool(*key), turn)).collect();
        candidates.sort_by_key(|victim| victim.value);
        candidates
    }

    fn idle_workers(&self, pool: &Pool, turn: &Turn) -> Vec<Victim> {
        let has_work = pool.runnable() > 0;
        if !may_take(pool, turn, has_work) {
            return Vec::new();
        }
        let surplus = pool.tally.live.saturating_sub(pool.limits.reserve);
        let idle = (0..).zip(&pool.tally.ready).filter_map(|(place, (asked, id))| {
            let worker = &self.workers[id];
            // A worker that was started for a call gets it: otherwise two functions could chase
            // each other's workers for ever and run nothing.
            let awaited = has_work && worker.assigned == 0;
            let value = Value {
                has_work,
                reserved: place >= surplus,
                priority: pool.limits.priority,
                asked: *asked,
                worker: *id,
            };
            (!awaited).then_some(Victim { worker: *id, need: worker.need, value })
        });
        idle.collect()
    }

    /// Returns the moment at which `need` fits at the latest, when all that run on demand are given
    /// up as they end. None when it would not fit even then.
    pub(crate) fn room_by(&self, turn: &Turn, need: &Need, soon: Free, now: Time) -> Option<Time> {
        let idle = self.candidates(turn).into_iter().map(|victim| (now, victim.need));
        let mut leaving: Vec<(Time, Need)> = idle.chain(self.busy_until(turn, now)).collect();
        leaving.sort_by_key(|(at, _)| *at);
        let mut room = soon;
        leaving.iter().find_map(|(at, leaves)| {
            room = room.with(leaves);
            room.fits(need).then_some(*at)
        })
    }

    /// Lists the workers on demand of others that are not idle, with the latest end of their work.
    fn busy_until(&self, turn: &Turn, now: Time) -> impl Iterator<Item = (Time, Need)> {
        let others = self.workers.values().filter(move |worker| {
            let on_demand = self.pool(worker.pool).is_on_demand();
            worker.pool != turn.pool && on_demand && !worker.is_stopping()
        });
        let away = others.filter(|worker| worker.ready_since().is_none());
        away.map(move |worker| (self.busy_at_most_until(worker, now), worker.need))
    }

    fn busy_at_most_until(&self, worker: &Worker, now: Time) -> Time {
        if worker.is_returning() {
            return now;
        }
        let deadline = |call| self.calls[call].run.map(|run| run.deadline);
        let running = worker.running().iter().filter_map(deadline).max();
        let timeout = self.pool(worker.pool).limits.timeout;
        running.unwrap_or(worker.started + self.limits.start_timeout + timeout)
    }
}

/// Tells whether a claim may take the idle workers of `pool`.
///
/// A reserve takes them only from functions of lower priority. A call takes any without work; those
/// with work only when it outranks that work or was passed over too long.
fn may_take(pool: &Pool, turn: &Turn, has_work: bool) -> bool {
    let outranks = |priority| turn.rank.priority() > priority;
    match (turn.rank.class, pool.queue.head()) {
        (Class::Reserve, _) => !has_work && outranks(pool.limits.priority),
        (Class::Call, Some((head, _))) if has_work => turn.overdue || outranks(head),
        (Class::Call, _) => true,
    }
}

/// Takes back each victim, the most valuable first, without which `need` fits as well.
fn spare_the_needless(chosen: &mut Vec<Victim>, need: &Need, soon: Free) {
    for place in (0..chosen.len()).rev() {
        let others = chosen.iter().enumerate().filter(|(other, _)| *other != place);
        let room = others.fold(soon, |room, (_, victim)| room.with(&victim.need));
        if room.fits(need) {
            chosen.remove(place);
        }
    }
}
