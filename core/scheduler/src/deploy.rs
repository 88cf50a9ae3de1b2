use std::collections::BTreeSet;

use tomte_base::{FunctionName, Time, WorkerId};

use crate::estimate::Estimates;
use crate::pool::{Pool, PoolKey};
use crate::{CallFailure, Effect, FunctionLimits, Mode, Refusal, Scheduler};

impl Scheduler {
    /// Sets the functions that are deployed from now on.
    ///
    /// Running calls go on. Those of a function that changed finish on their old worker, which then
    /// goes; calls that wait for it run on workers of the new version. Calls that wait for a function
    /// that is gone, or that can have no worker any more, fail.
    pub fn set_functions(
        &mut self,
        now: Time,
        functions: Vec<FunctionLimits>,
        out: &mut Vec<Effect>,
    ) {
        let mut gone: BTreeSet<FunctionName> = self.names.keys().cloned().collect();
        for limits in functions {
            gone.remove(&limits.name);
            self.set_function(now, limits);
        }
        for name in gone {
            self.remove_function(&name, out);
        }
        self.admit_pinned();
        self.fail_impossible(out);
        self.retire_all(now, out);
        self.claims_changed = true;
        self.settle(now, out);
    }

    fn set_function(&mut self, now: Time, limits: FunctionLimits) {
        if let Some(key) = self.names.get(&limits.name) {
            let pool = self.pools.get_mut(key).expect("a name has a pool");
            if pool.removed || pool.limits.version != limits.version {
                pool.backoff.worked();
                pool.estimates = Estimates::default();
                pool.deployed = now;
            }
            pool.removed = false;
            pool.limits = limits;
            return;
        }
        self.last_pool = PoolKey(self.last_pool.0 + 1);
        self.names.insert(limits.name.clone(), self.last_pool);
        self.pools.insert(self.last_pool, Pool::new(limits, now));
    }

    fn remove_function(&mut self, name: &FunctionName, out: &mut Vec<Effect>) {
        let key = self.names[name];
        self.pool_mut(key).removed = true;
        self.fail_waiting(key, &CallFailure::FunctionRemoved, out);
    }

    /// Decides which pinned functions fit on the machine together: those of higher priority first,
    /// then by name.
    fn admit_pinned(&mut self) {
        let mut left = self.resources.total();
        let mut pinned: Vec<&mut Pool> = self.pools.values_mut().collect();
        pinned.sort_by(|a, b| {
            let by_priority = b.limits.priority.cmp(&a.limits.priority);
            by_priority.then_with(|| a.limits.name.cmp(&b.limits.name))
        });
        for pool in pinned {
            let need = pool.limits.need();
            let counts = pool.limits.mode == Mode::Pinned && !pool.removed;
            pool.admitted = !counts || left.fits(&need);
            if counts && pool.admitted {
                left = left.without(&need);
            }
        }
        self.left_by_pinned = left;
    }

    /// Fails the calls that wait for functions that can have no worker, as they would be refused now.
    pub(crate) fn fail_impossible(&mut self, out: &mut Vec<Effect>) {
        let refused = |pool: &Pool| self.admit_size(pool).err();
        let impossible: Vec<(PoolKey, Refusal)> = self
            .pools
            .iter()
            .filter_map(|(key, pool)| refused(pool).map(|refusal| (*key, refusal)))
            .collect();
        for (key, refusal) in impossible {
            let failure = CallFailure::StartFailed { detail: refusal.to_string() };
            self.fail_waiting(key, &failure, out);
        }
    }

    /// Stops what may not stay after a change of the functions, and brings the rest in line.
    fn retire_all(&mut self, now: Time, out: &mut Vec<Effect>) {
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in workers {
            let limits = &self.pool(self.workers[&id].pool).limits;
            let current = self.workers[&id].version == limits.version;
            self.change_worker(id, |worker| worker.current = current);
            if !self.retire(id, now, out) {
                self.await_idle_timeout(id);
            }
        }
        let pools: Vec<PoolKey> = self.pools.keys().copied().collect();
        for key in pools {
            self.refresh(key, now);
            self.forget_if_gone(key);
        }
    }

    pub(crate) fn forget_if_gone(&mut self, key: PoolKey) {
        let Some(pool) = self.pools.get(&key) else { return };
        if pool.removed && pool.tally.all == 0 {
            self.names.remove(&pool.limits.name);
            self.pools.remove(&key);
        }
    }
}
