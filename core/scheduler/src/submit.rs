use std::time::Duration;

use tomte_base::{CallId, Time};

use crate::agenda::Alarm;
use crate::machine::Record;
use crate::pool::{Pool, PoolKey};
use crate::queue::Ticket;
use crate::{Call, CallFailure, Effect, Refusal, Scheduler, StopReason};

impl Scheduler {
    /// Accepts a call, or refuses it at once.
    ///
    /// # Errors
    /// Fails with a [`Refusal`] when the function is unknown, could never have a worker, or the
    /// bounds of the queue are reached. A call that can start at this moment is not refused for a
    /// full queue.
    pub fn submit(&mut self, now: Time, call: Call, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        self.settle(now, out);
        match self.admit(&call, now) {
            Ok(key) => {
                self.enqueue(key, call, now);
                self.settle(now, out);
                Ok(())
            }
            Err(refusal) => {
                self.counters.count_refusal(&refusal);
                Err(refusal)
            }
        }
    }

    fn admit(&self, call: &Call, now: Time) -> Result<PoolKey, Refusal> {
        if self.shutting_down {
            return Err(Refusal::ShuttingDown);
        }
        if self.calls.contains_key(&call.id) {
            return Err(Refusal::DuplicateCall);
        }
        let key = *self.names.get(&call.function).ok_or(Refusal::UnknownFunction)?;
        let pool = self.pool(key);
        if pool.removed {
            return Err(Refusal::UnknownFunction);
        }
        self.admit_size(pool)?;
        let starts_at_once =
            pool.running < pool.limits.concurrency() && self.next_worker(key, now).is_some();
        if starts_at_once { Ok(key) } else { self.admit_to_queue(pool, call).map(|()| key) }
    }

    /// Refuses what could never have a worker.
    pub(crate) fn admit_size(&self, pool: &Pool) -> Result<(), Refusal> {
        let (need, total) = (pool.limits.need(), self.resources.total());
        if !total.fits(&need) {
            return Err(Refusal::TooLargeForMachine { need, total });
        }
        let left = self.left_by_pinned;
        if !pool.admitted || (pool.is_on_demand() && !left.fits(&need)) {
            return Err(Refusal::NoRoomBesidePinned { need, left });
        }
        Ok(())
    }

    fn admit_to_queue(&self, pool: &Pool, call: &Call) -> Result<(), Refusal> {
        let limits = &self.limits;
        if self.queued_calls >= limits.max_queued_calls {
            return Err(Refusal::QueueFull { limit: limits.max_queued_calls });
        }
        if self.queued_bytes.saturating_add(call.bytes as u64) > limits.max_queued_bytes.0 {
            return Err(Refusal::QueueBytesFull { limit: limits.max_queued_bytes });
        }
        if pool.queue.len() >= pool.limits.max_queue {
            return Err(Refusal::FunctionQueueFull { limit: pool.limits.max_queue });
        }
        Ok(())
    }

    fn enqueue(&mut self, key: PoolKey, call: Call, now: Time) {
        self.last_ticket += 1;
        let ticket = Ticket { arrived: call.arrived, number: self.last_ticket };
        self.queued_calls += 1;
        self.queued_bytes += call.bytes as u64;
        self.counters.calls_accepted += 1;
        self.pool_mut(key).queue.push(call.priority, ticket, call.id, now);
        let mut record = Record { call, pool: key, ticket, alarm: Time::NEVER, run: None };
        let (id, expires) = (record.call.id, record.call.expires);
        // It may still start at the very moment at which it expires.
        let after = expires + Duration::from_nanos(1);
        self.agenda.set(Alarm::Call(id), &mut record.alarm, after);
        self.calls.insert(id, record);
        self.refresh(key, now);
    }

    /// Takes a call back, and tells whether it was waiting or running. It fails as
    /// [`CallFailure::Cancelled`]; when it was running its worker is stopped.
    pub fn cancel(&mut self, now: Time, call: CallId, out: &mut Vec<Effect>) -> bool {
        let found = self.calls.get(&call).map(|record| (record.pool, record.run));
        if let Some((key, run)) = found {
            self.fail(call, CallFailure::Cancelled, out);
            if let Some(run) = run {
                self.stop_worker(run.worker, StopReason::Cancelled, now, out);
            }
            self.refresh(key, now);
        }
        self.settle(now, out);
        found.is_some()
    }
}
