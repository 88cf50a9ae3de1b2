use tomte_base::{CallId, Time, WorkerId};

use crate::agenda::Alarm;
use crate::claims::Turn;
use crate::machine::Run;
use crate::pool::PoolKey;
use crate::room::Room;
use crate::worker::Phase;
use crate::{CallFailure, Effect, Scheduler, StopReason, WorkerState};

impl Scheduler {
    /// Does all that can be done now. Every input ends with it.
    ///
    /// A worker whose idle time is over goes only after it had its chance of a call.
    pub(crate) fn settle(&mut self, now: Time, out: &mut Vec<Effect>) {
        let mut idle = Vec::new();
        while let Some(alarm) = self.agenda.pop_due(now) {
            match alarm {
                Alarm::Worker(worker) if self.is_idle(worker) => idle.push(worker),
                alarm => self.ring(alarm, now, out),
            }
        }
        self.decide(now, out);
        for worker in idle {
            self.stop_if_surplus(worker, now, out);
        }
        self.decide(now, out);
    }

    /// Starts and stops workers for the claims, then gives calls to the workers that wait.
    fn decide(&mut self, now: Time, out: &mut Vec<Effect>) {
        loop {
            while std::mem::take(&mut self.claims_changed) {
                self.serve_claims(now, out);
            }
            self.bind_all(now, out);
            if !self.claims_changed {
                return;
            }
        }
    }

    fn serve_claims(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.reserved_until = None;
        let mut room = self.room();
        for turn in self.claims.turns(now, self.limits.patience()) {
            self.start_what_fits(&turn, &mut room, now, out);
            if self.make_room(&turn, &mut room, now, out) {
                continue;
            }
            self.claims.block(turn.pool, now);
            if turn.overdue && self.reserve_room(&turn, room, now) {
                return;
            }
        }
    }

    fn start_what_fits(&mut self, turn: &Turn, room: &mut Room, now: Time, out: &mut Vec<Effect>) {
        let need = self.pool(turn.pool).limits.need();
        while self.wants(turn) > 0 && room.fits(&need) {
            self.start_worker(turn.pool, now, out);
            self.claims.count_choice();
            room.take(&need);
        }
    }

    /// Returns how many workers the claim still wants for what it was raised for. One that is overdue
    /// gets one, and then waits for its next turn like any other.
    fn wants(&self, turn: &Turn) -> u32 {
        match self.pool(turn.pool).demand() {
            _ if turn.overdue && !self.claims.is_blocked(turn.pool) => 0,
            Some((class, count)) if class == turn.rank.class => {
                if turn.overdue {
                    1
                } else {
                    count
                }
            }
            _ => 0,
        }
    }

    /// Promises room that is being given back to the claim, and stops idle workers where that is
    /// not enough. Returns whether the claim has what it wants, or will have.
    fn make_room(
        &mut self,
        turn: &Turn,
        room: &mut Room,
        now: Time,
        out: &mut Vec<Effect>,
    ) -> bool {
        let need = self.pool(turn.pool).limits.need();
        for _ in 0..self.wants(turn) {
            if !room.soon.fits(&need) {
                let Some(victims) = self.victims(turn, &need, room.soon) else { return false };
                for worker in victims {
                    room.soon = room.soon.with(&self.workers[&worker].need);
                    self.stop_worker(worker, StopReason::MadeRoom, now, out);
                }
            }
            room.soon = room.soon.without(&need);
        }
        true
    }

    /// Keeps others from using the room that an overdue claim waits for, if it can ever have it.
    fn reserve_room(&mut self, turn: &Turn, room: Room, now: Time) -> bool {
        let need = self.pool(turn.pool).limits.need();
        self.reserved_until = self.room_by(turn, &need, room.soon, now);
        self.reserved_until.is_some()
    }

    fn bind_all(&mut self, now: Time, out: &mut Vec<Effect>) {
        let bindable: Vec<PoolKey> = self.bindable.iter().copied().collect();
        for key in bindable {
            while self.pool(key).is_bindable() {
                let Some(worker) = self.next_worker(key, now) else { break };
                self.assign(key, worker, now, out);
            }
        }
    }

    /// Chooses the worker that takes the next call of `key`: the one that was used last, so that the
    /// others can be given up. None when their room is reserved.
    pub(crate) fn next_worker(&self, key: PoolKey, now: Time) -> Option<WorkerId> {
        let pool = self.pool(key);
        let ends = now + pool.limits.timeout;
        let held = pool.is_on_demand() && self.reserved_until.is_some_and(|until| ends > until);
        let mut ready = pool.tally.ready.iter().rev().map(|(_, worker)| *worker);
        ready.find(|worker| !held || self.workers[worker].assigned == 0)
    }

    fn assign(&mut self, key: PoolKey, id: WorkerId, now: Time, out: &mut Vec<Effect>) {
        let patience = self.limits.patience();
        let Some(call) = self.pool_mut(key).queue.choose(now, patience) else { return };
        let (deadline, warm) =
            (now + self.pool(key).limits.timeout, self.workers[&id].assigned > 0);
        let bytes = self.note_run(call, Run { worker: id, started: now, deadline, warm });
        self.count_out_of_queue(bytes);
        self.pool_mut(key).running += 1;
        self.change_worker(id, |worker| {
            worker.assigned += 1;
            worker.last_assigned = now;
            if let Phase::Serving { open, running, .. } = &mut worker.phase {
                *open -= 1;
                running.push(call);
            }
        });
        self.set_worker_alarm(id, Time::NEVER);
        self.claims.served(key);
        if self.pool(key).is_on_demand() {
            self.claims.count_choice();
        }
        self.refresh(key, now);
        self.counters.calls_assigned += 1;
        self.counters.warm_assignments += u64::from(warm);
        out.push(Effect::Assign { call, worker: id, deadline });
    }

    /// Turns a call that waits into one that runs, and returns the size of its payload.
    fn note_run(&mut self, call: CallId, run: Run) -> usize {
        let record = self.calls.get_mut(&call).expect("a queued call has a record");
        record.run = Some(run);
        self.agenda.set(Alarm::Call(call), &mut record.alarm, run.deadline);
        record.call.bytes
    }

    fn ring(&mut self, alarm: Alarm, now: Time, out: &mut Vec<Effect>) {
        match alarm {
            Alarm::Call(call) => self.on_call_alarm(call, now, out),
            Alarm::Worker(worker) => self.on_worker_alarm(worker, now, out),
            Alarm::Pool(key) => {
                self.pool_mut(key).alarm = Time::NEVER;
                self.refresh(key, now);
            }
        }
    }

    fn on_call_alarm(&mut self, call: CallId, now: Time, out: &mut Vec<Effect>) {
        let record = self.calls.get_mut(&call).expect("a call that is gone has no alarm");
        record.alarm = Time::NEVER;
        let (key, run) = (record.pool, record.run);
        match run {
            None => self.fail(call, CallFailure::Expired, out),
            Some(run) => {
                let after = run.deadline.since(run.started);
                self.fail(call, CallFailure::TimedOut { after }, out);
                self.stop_worker(run.worker, StopReason::Timeout, now, out);
            }
        }
        self.refresh(key, now);
    }

    fn on_worker_alarm(&mut self, id: WorkerId, now: Time, out: &mut Vec<Effect>) {
        let worker = self.workers.get_mut(&id).expect("a worker that is gone has no alarm");
        worker.alarm = Time::NEVER;
        match worker.phase {
            Phase::Starting => self.give_up_start(id, now, out),
            Phase::Serving { .. } => self.stop_worker(id, StopReason::Failed, now, out),
            Phase::Stopping { reason } => {
                self.set_worker_alarm(id, now + self.limits.stop_grace);
                self.counters.stops_repeated += 1;
                out.push(Effect::StopWorker { worker: id, reason });
            }
        }
    }

    /// Tells whether a worker waits for a call, and takes note that its alarm has rung if so.
    fn is_idle(&mut self, id: WorkerId) -> bool {
        let worker = self.workers.get_mut(&id).expect("a worker that is gone has no alarm");
        let idle = worker.state() == WorkerState::Idle;
        if idle {
            worker.alarm = Time::NEVER;
        }
        idle
    }

    fn stop_if_surplus(&mut self, id: WorkerId, now: Time, out: &mut Vec<Effect>) {
        let worker = &self.workers[&id];
        let pool = self.pool(worker.pool);
        if worker.state() == WorkerState::Idle && pool.tally.live > pool.limits.reserve {
            self.stop_worker(id, StopReason::Idle, now, out);
        }
    }
}
