//! The world of one run: one clock, one queue of events, and all that they reach.

use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{Time, WorkerId};
use tomte_core_hub::{FetchFor, Wanted};
use tomte_journal::MemoryDisk;
use tomte_scheduler::WorkerExit;

use crate::client::{Answer, Client};
use crate::coverage::Coverage;
use crate::host::Host;
use crate::log::Log;
use crate::mark::Mark;
use crate::network::{Conn, ConnId};
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::workers::{Act as WorkerAct, Workers};

/// Something that reaches the hub.
#[derive(Debug)]
pub(crate) enum Input {
    Opened(ConnId),
    Bytes(ConnId, Vec<u8>),
    Closed(ConnId),
    /// The line takes bytes again.
    Writable(ConnId),
    WorkerReady(WorkerId),
    WorkerExited(WorkerId, WorkerExit),
    WorkerAnswered(WorkerId, usize, Result<Vec<u8>, Vec<u8>>),
    Deploy(usize),
    /// The thread that reads the journal comes to these records.
    Fetch(FetchFor, Vec<Wanted>),
    /// The thread that syncs is done: up to where, or it failed.
    Synced(Result<u64, String>),
    /// An operator calls a function.
    Call(&'static str),
    Revoke(&'static str),
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// It reaches the hub of this moment.
    Hub(Input),
    /// The same, but only in the process with this number.
    HubOf(u32, Input),
    Turn(u32),
    Sync(u32),
    Recover,
    Down(ConnId, Vec<u8>),
    DownEnd(ConnId),
    Act(usize),
    Ack(usize, ConnId, Answer),
    Worker(u32, WorkerId, WorkerAct),
    ReadAgain(ConnId),
    DiskHasRoom,
    /// An operator starts the process anew, since its journal takes nothing any more.
    Restart(u32),
    Tick,
    Calm,
}

pub(crate) struct World {
    pub(crate) now: Time,
    /// How far the hub's clock is ahead, by jumps.
    pub(crate) skew: Duration,
    events: BTreeMap<(Time, u64), Event>,
    n_events: u64,
    pub(crate) rng: Rng,
    pub(crate) settings: Settings,
    pub(crate) tables: Vec<Table>,
    pub(crate) table: usize,
    pub(crate) disk: MemoryDisk,
    pub(crate) host: Option<Host>,
    /// Processes that there were.
    pub(crate) incarnation: u32,
    pub(crate) conns: Vec<Conn>,
    pub(crate) clients: Vec<Client>,
    pub(crate) workers: Workers,
    pub(crate) oracle: Oracle,
    pub(crate) coverage: Coverage,
    pub(crate) log: Log,
    /// Things that clients have yet to do.
    pub(crate) acts_left: usize,
    /// Faults are over; what was promised must come true now.
    pub(crate) calm: bool,
    /// When bytes last left the hub.
    pub(crate) last_traffic: Time,
    pub(crate) found_retained: BTreeMap<String, Mark>,
    pub(crate) checker_subscribed: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings::choose(&mut rng);
        let tables = table::tables();
        let table = rng.below(tables.len() - 1);
        let acts_left = settings.n_acts;
        let mut world = Self {
            now: Time::from_millis(1_700_000_000_000),
            skew: Duration::ZERO,
            events: BTreeMap::new(),
            n_events: 0,
            oracle: Oracle::new(tables.clone(), table, &settings),
            rng,
            settings,
            tables,
            table,
            disk: MemoryDisk::new(),
            host: None,
            incarnation: 0,
            conns: Vec::new(),
            clients: Vec::new(),
            workers: Workers::default(),
            coverage: Coverage::default(),
            log: Log::default(),
            acts_left,
            calm: false,
            last_traffic: Time::default(),
            found_retained: BTreeMap::new(),
            checker_subscribed: false,
        };
        world.make_clients();
        world.at(world.now, Event::Recover);
        world.at(world.now + Duration::from_millis(50), Event::Tick);
        world
    }

    /// The time as the hub reads it.
    pub(crate) fn hub_now(&self) -> Time {
        self.now + self.skew
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        self.log.tell(self.now, line);
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.n_events += 1;
        self.events.insert((time.max(self.now), self.n_events), event);
    }

    pub(crate) fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + span, event);
    }

    /// When the next thing happens: an event, or a deadline of the hub. None when all is at rest.
    fn next_time(&self) -> Option<Time> {
        let event = self.events.first_key_value().map(|((time, _), _)| *time);
        let deadline = self.host.as_ref().and_then(|host| host.hub.next_deadline());
        let deadline = deadline
            .filter(|time| *time != Time::NEVER)
            .map(|time| Time(time.0.saturating_sub(self.hub_now().0 - self.now.0)));
        event.into_iter().chain(deadline).min()
    }

    /// Does the next thing. Tells whether there was one before `end`.
    pub(crate) fn step(&mut self, end: Time) -> bool {
        let Some(time) = self.next_time().filter(|time| *time <= end) else { return false };
        self.now = self.now.max(time);
        match self.events.first_key_value().map(|((time, _), _)| *time) {
            Some(at) if at <= self.now => {
                let (_, event) = self.events.pop_first().expect("there is a first one");
                self.on_event(event);
            }
            _ => self.turn(),
        }
        true
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Hub(input) => self.hand_to_hub(input),
            Event::HubOf(incarnation, input) if incarnation == self.incarnation => {
                self.hand_to_hub(input);
            }
            Event::Turn(incarnation) if incarnation == self.incarnation => self.turn(),
            Event::Sync(incarnation) if incarnation == self.incarnation => self.sync(),
            Event::Restart(incarnation) if incarnation == self.incarnation => self.restart(),
            Event::HubOf(..) | Event::Turn(_) | Event::Sync(_) | Event::Restart(_) => {}
            Event::Recover => self.recover(),
            Event::Down(conn, bytes) => self.arrive_down(conn, bytes),
            Event::DownEnd(conn) => self.client_lost(conn),
            Event::Act(client) => self.act(client),
            Event::Ack(client, conn, answer) => self.acknowledge(client, conn, answer),
            Event::Worker(incarnation, worker, act) if incarnation == self.incarnation => {
                self.worker_act(worker, act);
            }
            Event::Worker(..) => {}
            Event::ReadAgain(conn) => self.resume_reading(conn),
            Event::DiskHasRoom => self.disk_has_room(),
            Event::Tick => self.tick(),
            Event::Calm => self.calm_down(),
        }
    }

    /// Hands something to the hub's next turn.
    fn hand_to_hub(&mut self, input: Input) {
        if let Input::Bytes(conn, _) = &input
            && !self.conns[conn.0].alive
        {
            self.coverage.hit("network: bytes to the hub were lost");
            return;
        }
        let late = self.rng.span(Duration::from_micros(800));
        let Some(host) = &mut self.host else { return };
        host.inbox.push(input);
        self.wake_hub(late);
    }

    /// Sees to it that the hub has a turn soon.
    pub(crate) fn wake_hub(&mut self, late: Duration) {
        let Some(host) = &mut self.host else { return };
        if !std::mem::replace(&mut host.is_woken, true) {
            self.after(late, Event::Turn(self.incarnation));
        }
    }
}
