//! A hub that consists of nothing but the scheduler: a clock, workers and calls that do as planned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tomte_base::{ByteSize, CallId, FunctionName, MilliCpu, Time, WorkerId};

use super::audit::{Book, audit};
use crate::{
    Call, CallFailure, CallKind, Effect, Free, FunctionLimits, Mode, Need, Priority, Refusal,
    ResourceManager, Resources, Scheduler, SchedulerLimits, WorkerExit,
};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn name(name: &str) -> FunctionName {
    FunctionName::new(name).unwrap()
}

/// A function on demand whose limits are never met unless a test narrows them.
pub(crate) fn function(name: &str) -> FunctionLimits {
    FunctionLimits {
        name: self::name(name),
        memory: ByteSize::mib(100),
        cpu: MilliCpu(100),
        timeout: Duration::from_secs(60),
        mode: Mode::OnDemand,
        max_concurrency: 1_000,
        max_workers: 1_000,
        reserve: 0,
        priority: Priority::Normal,
        idle_timeout: Duration::from_secs(600),
        max_queue: 100_000,
        version: "v1".to_owned(),
    }
}

/// A request of normal priority that arrives when it is submitted and never expires.
pub(crate) fn call(id: u128, function: &str) -> Call {
    Call {
        id: CallId(id),
        function: name(function),
        priority: Priority::Normal,
        arrived: Time::default(),
        expires: Time::NEVER,
        source: "operator".to_owned(),
        kind: CallKind::Request,
        bytes: 10,
    }
}

/// Room for `memory` MiB, with processor and places to spare.
pub(crate) fn memory(memory: u64) -> Free {
    Free { memory: ByteSize::mib(memory), cpu: MilliCpu(1_000_000), workers: 1_000 }
}

/// The bookkeeping of the real manager, less what other programs on the machine took.
#[derive(Debug)]
struct ScriptedResources {
    books: ResourceManager,
    elsewhere: Arc<AtomicU64>,
}

impl Resources for ScriptedResources {
    fn free(&self) -> Free {
        let taken =
            Need { memory: ByteSize(self.elsewhere.load(Ordering::Relaxed)), ..Need::default() };
        let free = self.books.free();
        Free { workers: free.workers, ..free.without(&taken) }
    }

    fn total(&self) -> Free {
        self.books.total()
    }

    fn take(&mut self, worker: WorkerId, need: &Need) {
        assert!(self.free().fits(need), "worker {worker} takes {need} of {}", self.free());
        self.books.take(worker, need);
    }

    fn give_back(&mut self, worker: WorkerId) {
        self.books.give_back(worker);
    }
}

/// What the workers of a function do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// From the start of a worker until it asks for a call.
    pub(crate) start: Duration,
    /// From the assignment of a call to its answer.
    pub(crate) run: Duration,
    /// From an answer until it asks for the next call.
    pub(crate) pause: Duration,
    /// From being told to stop to the exit.
    pub(crate) stop: Duration,
    /// What else happens.
    pub(crate) mishap: Mishap,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// It exits when it should ask for its first call.
    DiesAtStart(WorkerExit),
    /// It never asks for its first call.
    NeverStarts,
    /// It exits when it should answer.
    DiesInCall(WorkerExit),
    /// It never answers.
    NeverAnswers,
    /// It asks again instead of answering.
    AsksWithoutAnswer,
    /// It answers and never asks again.
    NeverReturns,
    /// It goes only when it is told a second time.
    IgnoresStop,
}

impl Default for Plan {
    fn default() -> Self {
        let (start, run, pause, stop) = (ms(10), ms(100), ms(0), ms(5));
        Self { start, run, pause, stop, mishap: Mishap::None }
    }
}

#[derive(Debug)]
enum HostEvent {
    Asks(WorkerId),
    Answers(CallId, WorkerId),
    Exits(WorkerId, WorkerExit),
}

/// The scheduler, its clock, and all that it talks to.
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Time,
    pub(crate) book: Book,
    pub(crate) limits: SchedulerLimits,
    plans: BTreeMap<FunctionName, Plan>,
    plan_of: fn(&Plan, u64) -> Plan,
    planned: BTreeMap<(Time, u64), HostEvent>,
    planned_count: u64,
    told_to_stop: BTreeMap<WorkerId, u32>,
    elsewhere: Arc<AtomicU64>,
    trace: Vec<String>,
}

impl World {
    pub(crate) fn new(machine: Free, functions: Vec<FunctionLimits>) -> Self {
        Self::with_limits(SchedulerLimits::default(), machine, functions)
    }

    pub(crate) fn with_limits(
        limits: SchedulerLimits,
        machine: Free,
        functions: Vec<FunctionLimits>,
    ) -> Self {
        let elsewhere = Arc::new(AtomicU64::new(0));
        let books = ResourceManager::new(machine);
        let resources = ScriptedResources { books, elsewhere: Arc::clone(&elsewhere) };
        let mut world = Self {
            scheduler: Scheduler::new(limits.clone(), Box::new(resources)),
            now: Time::default(),
            book: Book::default(),
            limits,
            plans: BTreeMap::new(),
            plan_of: |plan, _| plan.clone(),
            planned: BTreeMap::new(),
            planned_count: 0,
            told_to_stop: BTreeMap::new(),
            elsewhere,
            trace: Vec::new(),
        };
        world.deploy(functions);
        world
    }

    /// Sets what the workers of a function do from now on.
    pub(crate) fn plan(&mut self, function: &str, plan: Plan) {
        self.plans.insert(name(function), plan);
    }

    /// Lets `vary` change the plan of each start, call and stop by a number that differs each time.
    pub(crate) fn vary_plans(&mut self, vary: fn(&Plan, u64) -> Plan) {
        self.plan_of = vary;
    }

    pub(crate) fn deploy(&mut self, functions: Vec<FunctionLimits>) {
        self.book.deploy(&functions);
        self.step(|scheduler, now, out| scheduler.set_functions(now, functions, out));
    }

    pub(crate) fn submit(&mut self, call: Call) -> Result<(), Refusal> {
        let call = Call { arrived: self.now, ..call };
        let id = call.id;
        self.book.submitted(&call, self.now);
        let refusal = self.act(|scheduler, now, out| scheduler.submit(now, call, out));
        if let Err(refusal) = &refusal {
            self.book.refused(id);
            self.note(format!("refuse {}: {refusal}", short(id)));
        }
        audit(&self.scheduler, &self.book, self.now);
        refusal
    }

    /// Submits calls with these ids to one function.
    pub(crate) fn submit_all(&mut self, function: &str, ids: impl IntoIterator<Item = u128>) {
        for id in ids {
            self.submit(call(id, function)).unwrap();
        }
    }

    pub(crate) fn cancel(&mut self, id: u128) -> bool {
        self.step(|scheduler, now, out| scheduler.cancel(now, CallId(id), out))
    }

    pub(crate) fn shutdown(&mut self) {
        self.step(Scheduler::shutdown);
    }

    /// Sets how many MiB other programs hold, and tells the scheduler.
    pub(crate) fn take_elsewhere(&mut self, mib: u64) {
        self.elsewhere.store(mib << 20, Ordering::Relaxed);
        self.step(|scheduler, now, out| scheduler.on_resources_changed(now, out));
    }

    /// Ends a worker as a crash would.
    pub(crate) fn kill(&mut self, worker: u64) {
        self.happen(HostEvent::Exits(WorkerId(worker), WorkerExit::Signal(9)));
    }

    /// Lets time pass, with all that happens meanwhile.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.advance_to(next);
        }
        self.now = end;
    }

    /// Lets time pass until no call waits or runs, at most for `limit`.
    pub(crate) fn run_until_done(&mut self, limit: Duration) {
        let end = self.now + limit;
        while !self.book.is_done() {
            let next = self.next_moment().filter(|next| *next <= end);
            self.advance_to(next.unwrap_or_else(|| panic!("calls are left: {:?}", self.book.open)));
        }
    }

    fn next_moment(&self) -> Option<Time> {
        let host = self.planned.keys().next().map(|(at, _)| *at);
        [host, self.scheduler.next_deadline()].into_iter().flatten().min()
    }

    fn advance_to(&mut self, next: Time) {
        self.now = self.now.max(next);
        if self.scheduler.next_deadline().is_some_and(|due| due <= self.now) {
            self.step(|scheduler, now, out| scheduler.on_deadline(now, out));
        }
        while let Some(entry) = self.planned.first_entry().filter(|e| e.key().0 <= self.now) {
            let event = entry.remove();
            self.happen(event);
        }
    }

    fn happen(&mut self, event: HostEvent) {
        match event {
            HostEvent::Asks(worker) if self.book.lives(worker) => {
                self.book.asks(worker);
                self.step(|scheduler, now, out| scheduler.on_worker_ready(now, worker, out));
            }
            HostEvent::Answers(call, worker) if self.book.runs(call, worker) => {
                self.note(format!("done {}", short(call)));
                self.book.finished(call);
                self.step(|s, now, out| s.on_call_finished(now, call, worker, out));
                self.after_answer(worker);
            }
            HostEvent::Exits(worker, why) if self.book.lives(worker) => {
                self.note(format!("exit {worker}"));
                self.book.exited(worker);
                self.step(|s, now, out| s.on_worker_exited(now, worker, why, out));
            }
            _ => {}
        }
    }

    fn after_answer(&mut self, worker: WorkerId) {
        let plan = self.plan_for(worker);
        if plan.mishap != Mishap::NeverReturns {
            self.after(plan.pause, HostEvent::Asks(worker));
        }
    }

    /// Does one thing to the scheduler, performs its effects, and checks all that must always hold.
    pub(crate) fn step<T>(
        &mut self,
        act: impl FnOnce(&mut Scheduler, Time, &mut Vec<Effect>) -> T,
    ) -> T {
        let result = self.act(act);
        audit(&self.scheduler, &self.book, self.now);
        result
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Scheduler, Time, &mut Vec<Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let result = act(&mut self.scheduler, self.now, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
        result
    }

    fn perform(&mut self, effect: Effect) {
        self.note(describe(&effect));
        self.book.note(&effect, self.now);
        match effect {
            Effect::StartWorker { worker, .. } => self.begin(worker),
            Effect::StopWorker { worker, .. } => self.end(worker),
            Effect::Assign { call, worker, .. } => self.run(call, worker),
            Effect::Fail { .. } => {}
        }
    }

    fn begin(&mut self, worker: WorkerId) {
        let plan = self.plan_for(worker);
        match plan.mishap {
            Mishap::NeverStarts => {}
            Mishap::DiesAtStart(why) => self.after(plan.start, HostEvent::Exits(worker, why)),
            _ => self.after(plan.start, HostEvent::Asks(worker)),
        }
    }

    fn run(&mut self, call: CallId, worker: WorkerId) {
        let plan = self.plan_for(worker);
        match plan.mishap {
            Mishap::NeverAnswers => {}
            Mishap::DiesInCall(why) => self.after(plan.run, HostEvent::Exits(worker, why)),
            Mishap::AsksWithoutAnswer => self.after(plan.run, HostEvent::Asks(worker)),
            _ => self.after(plan.run, HostEvent::Answers(call, worker)),
        }
    }

    fn end(&mut self, worker: WorkerId) {
        let plan = self.plan_for(worker);
        let told = self.told_to_stop.entry(worker).or_default();
        *told += 1;
        if plan.mishap != Mishap::IgnoresStop || *told > 1 {
            self.after(plan.stop, HostEvent::Exits(worker, WorkerExit::Code(0)));
        }
    }

    fn plan_for(&mut self, worker: WorkerId) -> Plan {
        self.planned_count += 1;
        let plan = self.plans.get(self.book.function_of(worker)).cloned().unwrap_or_default();
        (self.plan_of)(&plan, self.planned_count)
    }

    fn after(&mut self, span: Duration, event: HostEvent) {
        self.planned_count += 1;
        self.planned.insert((self.now + span, self.planned_count), event);
    }

    fn note(&mut self, line: String) {
        self.trace.push(format!("{} {line}", self.now.as_millis()));
    }

    /// Returns what happened since the last time, one line for each thing: the time in milliseconds,
    /// what, and on whom.
    pub(crate) fn take_trace(&mut self) -> String {
        std::mem::take(&mut self.trace).join("\n")
    }

    /// Checks what happened since the last time. Space at the ends of lines does not count.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &str) {
        let lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
        assert_eq!(self.take_trace().lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    }

    /// Returns the ids of the calls in the order in which they were given to workers.
    pub(crate) fn order(&self) -> Vec<u128> {
        let assigned = self.trace.iter().filter_map(|line| line.split_once(" run c"));
        assigned.map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// Returns when call `id` was given to a worker, in milliseconds.
    pub(crate) fn started_at(&self, id: u128) -> Option<u64> {
        let run = format!(" run c{id} ");
        let line = self.trace.iter().find(|line| line.contains(&run))?;
        line.split(' ').next()?.parse().ok()
    }

    /// Returns how a call failed.
    pub(crate) fn failure(&self, id: u128) -> Option<CallFailure> {
        self.book.failure(CallId(id)).cloned()
    }

    /// Returns how many workers of `function` exist.
    pub(crate) fn worker_count(&self, function: &str) -> u32 {
        self.scheduler.function(&name(function)).unwrap_or_default().workers
    }
}

fn short(call: CallId) -> String {
    format!("c{}", call.0)
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::StartWorker { worker, function, version } => {
            format!("start {worker} {function} {version}")
        }
        Effect::StopWorker { worker, reason } => format!("stop {worker} {}", reason.as_str()),
        Effect::Assign { call, worker, .. } => format!("run {} on {worker}", short(*call)),
        Effect::Fail { call, failure, .. } => format!("fail {}: {failure}", short(*call)),
    }
}
