use tomte_base::{FunctionName, Time, WorkerId};

use crate::pool::PoolKey;
use crate::{CallFailure, Effect, Free, Need, Scheduler, StopReason};

/// Why a worker that an operator asked for is not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartRefusal {
    /// No such function is deployed.
    #[error("no such function is deployed")]
    UnknownFunction,
    /// The function has as many workers as it may have.
    #[error("the function has {limit} workers, it may have no more")]
    TooManyWorkers {
        /// Workers that the function may have.
        limit: u32,
    },
    /// There is no room at the moment.
    #[error("a worker needs {need}; {free} are free")]
    NoRoom {
        /// What a worker of the function needs.
        need: Need,
        /// What is free.
        free: Free,
    },
    /// The hub is going down.
    #[error("the hub is shutting down and starts no workers")]
    ShuttingDown,
}

impl Scheduler {
    /// Starts a worker that an operator asked for. It is kept like any other.
    ///
    /// # Errors
    /// Fails with a [`StartRefusal`] when the function is unknown, has all the workers that it may
    /// have, or there is no room.
    pub fn start_worker_for(
        &mut self,
        now: Time,
        function: &FunctionName,
        out: &mut Vec<Effect>,
    ) -> Result<WorkerId, StartRefusal> {
        self.settle(now, out);
        if self.shutting_down {
            return Err(StartRefusal::ShuttingDown);
        }
        let key = *self.names.get(function).ok_or(StartRefusal::UnknownFunction)?;
        let pool = self.pool(key);
        let (need, limit, free) = (pool.limits.need(), pool.limits.ceiling(), self.room().soon);
        if pool.removed {
            return Err(StartRefusal::UnknownFunction);
        }
        if pool.tally.all >= limit {
            return Err(StartRefusal::TooManyWorkers { limit });
        }
        if !self.room().fits(&need) || self.reserved_until.is_some() {
            return Err(StartRefusal::NoRoom { need, free });
        }
        let worker = self.start_worker(key, now, out);
        self.settle(now, out);
        Ok(worker)
    }

    /// Stops a worker that an operator wants gone, and tells whether there was such a worker. The
    /// calls that it runs fail.
    pub fn stop_worker_for(&mut self, now: Time, worker: WorkerId, out: &mut Vec<Effect>) -> bool {
        let found = self.workers.get(&worker).is_some_and(|worker| !worker.is_stopping());
        self.stop_worker(worker, StopReason::Operator, now, out);
        self.settle(now, out);
        found
    }

    /// Takes no more calls, fails those that wait, and lets those that run end; each worker is
    /// stopped when it has none. Called a second time it stops the others too. The scheduler is done
    /// when [`workers`](Self::workers) is empty.
    pub fn shutdown(&mut self, now: Time, out: &mut Vec<Effect>) {
        let insist = std::mem::replace(&mut self.shutting_down, true);
        let pools: Vec<PoolKey> = self.pools.keys().copied().collect();
        for key in pools {
            self.fail_waiting(key, &CallFailure::ShuttingDown, out);
            self.refresh(key, now);
        }
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in workers {
            if insist {
                self.stop_worker(id, StopReason::Shutdown, now, out);
            } else {
                self.retire(id, now, out);
            }
        }
        self.settle(now, out);
    }
}
