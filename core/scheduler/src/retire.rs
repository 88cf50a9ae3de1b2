use tomte_base::{Time, WorkerId};

use crate::worker::Worker;
use crate::{Effect, Mode, Scheduler, StopReason};

impl Scheduler {
    /// Stops a worker that runs nothing and may not stay. Returns whether it is stopping.
    pub(crate) fn retire(&mut self, id: WorkerId, now: Time, out: &mut Vec<Effect>) -> bool {
        if let Some(reason) = self.retirement(&self.workers[&id]) {
            self.stop_worker(id, reason, now, out);
        }
        self.workers[&id].is_stopping()
    }

    fn retirement(&self, worker: &Worker) -> Option<StopReason> {
        let pool = self.pool(worker.pool);
        let one_too_many = pool.tally.live > pool.limits.ceiling();
        let reasons = [
            (self.shutting_down, StopReason::Shutdown),
            (pool.removed, StopReason::Removed),
            (!worker.current, StopReason::Outdated),
            (!pool.admitted, StopReason::MadeRoom),
            (one_too_many, StopReason::Idle),
        ];
        let reason = reasons.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason);
        reason.filter(|_| worker.running().is_empty() && !worker.is_stopping())
    }

    /// Sets the moment at which an idle worker on demand goes.
    pub(crate) fn await_idle_timeout(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        let limits = &self.pool(worker.pool).limits;
        let Some(since) = worker.ready_since() else { return };
        let goes = match limits.mode {
            Mode::OnDemand => since + limits.idle_timeout,
            Mode::Pinned => Time::NEVER,
        };
        self.set_worker_alarm(id, goes);
    }
}
