//! A hub with clients that speak real MQTT bytes, a journal in memory, and a clock that is moved.

mod client;
mod reading;

use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{
    ByteSize, DeviceName, FunctionName, LogPosition, MilliCpu, Time, TopicFilter, TopicName,
};
use tomte_mqtt::codec::Version;
use tomte_route::{Declared, Destination, RouteSpec, RouteTable, SourcePattern};
use tomte_scheduler::{Free, FunctionLimits, Mode, Priority, ResourceManager, SchedulerLimits};

use crate::outage::RETRY;
use crate::{
    CloseReason, Config, Effect, FunctionConfig, Hub, Limits, Owner, Peer, Recovery, Slot, Wanted,
};

pub(super) use client::{BOTH, QOS0, QOS1, QOS2, Step, encoded, encoded_publish};
pub(super) use reading::Words;

/// The route that passes on everything from everybody.
pub(super) const ALL: R = R("device:*", "#", None, "subscribers");

/// One route in short form: from, topic, condition, to.
pub(super) struct R(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) Option<&'static str>,
    pub(super) &'static str,
);

pub(super) fn config(routes: &[R], functions: &[(&str, Option<&str>)]) -> Config {
    let specs: Vec<RouteSpec> = routes.iter().map(spec).collect();
    config_of(specs, functions)
}

/// The configuration that passes on everything from everybody.
pub(super) fn open() -> Config {
    config(&[ALL], &[])
}

/// The same with other limits.
pub(super) fn limited(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = open();
    change(&mut config);
    config
}

pub(super) fn spec(route: &R) -> RouteSpec {
    RouteSpec {
        name: None,
        from: vec![SourcePattern::parse(route.0).unwrap()],
        topic: TopicFilter::new(route.1).unwrap(),
        when: route.2.map(str::to_owned),
        to: Destination::parse(route.3).unwrap(),
        on_unavailable: None,
        allow_cycle: true,
        rule: tomte_route::RuleSpec::default(),
    }
}

pub(super) fn config_of(specs: Vec<RouteSpec>, functions: &[(&str, Option<&str>)]) -> Config {
    let result_topic = |topic: &Option<&str>| topic.map(|topic| TopicName::new(topic).unwrap());
    let declared = Declared {
        devices: ["thermometer", "fan", "lamp"].map(|name| DeviceName::new(name).unwrap()).into(),
        functions: functions
            .iter()
            .map(|(name, topic)| (FunctionName::new(name).unwrap(), result_topic(topic)))
            .collect(),
    };
    let functions: BTreeMap<_, _> = functions
        .iter()
        .map(|(name, topic)| {
            let name = FunctionName::new(name).unwrap();
            let limits = function_limits(&name);
            (name, FunctionConfig { limits, result_topic: result_topic(topic) })
        })
        .collect();
    // No room in memory: whatever waits is read back from the journal.
    let queue_memory = ByteSize(0);
    let limits = Limits { traces_per_second: 1_000_000, queue_memory, ..Limits::default() };
    Config { table: RouteTable::compile(specs, &declared).unwrap(), functions, limits }
}

fn function_limits(name: &FunctionName) -> FunctionLimits {
    FunctionLimits {
        name: name.clone(),
        memory: ByteSize::mib(64),
        cpu: MilliCpu(0),
        timeout: Duration::from_secs(3),
        mode: Mode::OnDemand,
        max_concurrency: 4,
        max_workers: 4,
        reserve: 0,
        priority: Priority::Normal,
        idle_timeout: Duration::from_secs(60),
        max_queue: 1_000,
        version: "1".to_owned(),
    }
}

pub(super) struct Bed {
    pub(super) hub: Hub,
    pub(super) now: Time,
    seed: u128,
    /// What the journal holds.
    pub(super) log: Vec<(LogPosition, Vec<u8>)>,
    /// The journal's next commits fail. Once they do not, the next input comes after the hub has tried
    /// again.
    pub(super) disk_full: bool,
    /// Commits are gathered, as without safety: what was not written is lost when one fails.
    pub(super) gathers: bool,
    gathered: Vec<(LogPosition, Vec<u8>)>,
    /// Bytes of the records of commits that failed.
    pub(super) bytes_refused: usize,
    /// Records cannot be read back.
    pub(super) unreadable: bool,
    /// Records that the last recovery read again.
    pub(super) n_read_again: usize,
    /// Records are read back only by [`Bed::answer_fetches`].
    pub(super) reads_late: bool,
    versions: Vec<Version>,
    outputs: Vec<Vec<u8>>,
    pub(super) effects: Vec<Effect>,
    pub(super) closed: Vec<(Slot, CloseReason)>,
}

fn hub(now: Time, config: Config, seed: u128) -> Hub {
    let total = Free { memory: ByteSize::mib(1024), cpu: MilliCpu(2_000), workers: 16 };
    Hub::new(now, config, SchedulerLimits::default(), Box::new(ResourceManager::new(total)), seed)
}

impl Bed {
    pub(super) fn new(config: Config) -> Self {
        Self::seeded(config, 7)
    }

    pub(super) fn seeded(config: Config, seed: u128) -> Self {
        let now = Time::from_millis(1_000_000);
        Self {
            hub: hub(now, config, seed),
            seed,
            now,
            log: Vec::new(),
            disk_full: false,
            gathers: false,
            gathered: Vec::new(),
            bytes_refused: 0,
            unreadable: false,
            n_read_again: 0,
            reads_late: false,
            versions: Vec::new(),
            outputs: Vec::new(),
            effects: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// The process dies and starts again with what the journal holds.
    pub(super) fn crash(&mut self, config: Config) {
        let mut recovery = Recovery::default();
        for (position, record) in &self.log {
            recovery.on_record(*position, record).unwrap();
        }
        let next = self.log.last().map_or(LogPosition(1), |(position, _)| position.next());
        let first = self.log.first().map_or(next, |(position, _)| *position);
        let bytes = self.log.iter().map(|(_, record)| record.len() as u64).sum();
        self.hub = hub(self.now, config, self.seed);
        let log = self.log.clone();
        let (unreadable, mut n_read_again) = (self.unreadable, 0);
        self.hub.recover(self.now, recovery, vec![(first, bytes)], next, |position| {
            n_read_again += 1;
            record_at(&log, position).filter(|_| !unreadable)
        });
        self.n_read_again = n_read_again;
        self.versions.clear();
        self.outputs.clear();
        self.effects.clear();
        self.closed.clear();
        self.turn();
    }

    /// Opens a connection; `owner` is a device's name, or empty for an anonymous client.
    pub(super) fn open(&mut self, owner: &str, version: Version) -> Slot {
        let owner = match owner {
            "" => Owner::Anonymous,
            name => Owner::Device(DeviceName::new(name).unwrap()),
        };
        self.open_as(Peer::known(owner), version)
    }

    /// Opens a connection of what the host knows of it.
    pub(super) fn open_as(&mut self, peer: Peer, version: Version) -> Slot {
        self.wait_for_journal();
        let slot = Slot(u32::try_from(self.versions.len()).unwrap());
        self.versions.push(version);
        self.outputs.push(Vec::new());
        self.hub.on_opened(self.now, slot, peer);
        slot
    }

    pub(super) fn send(&mut self, slot: Slot, bytes: &[u8]) {
        self.wait_for_journal();
        let used = self.hub.on_bytes(self.now, slot, bytes);
        assert_eq!(used, bytes.len(), "the hub left bytes of whole packets");
        self.turn();
    }

    fn version(&self, slot: Slot) -> Version {
        self.versions[slot.0 as usize]
    }

    pub(super) fn drop_connection(&mut self, slot: Slot) {
        self.wait_for_journal();
        self.hub.on_closed(self.now, slot, &CloseReason::Lost);
        self.turn();
    }

    /// Waits until the hub tries the journal again, if there is room and it does not know.
    fn wait_for_journal(&mut self) {
        if self.hub.outage.is_closed() && !self.disk_full {
            self.advance(RETRY);
        }
    }

    pub(super) fn advance(&mut self, span: Duration) {
        self.now += span;
        self.hub.on_deadline(self.now);
        self.turn();
    }

    /// One turn of a host: commit, effects, outputs.
    pub(super) fn turn(&mut self) {
        while self.hub.must_commit(self.now) || self.hub.has_records() {
            let mut batch = Vec::new();
            self.hub.drain_records(|position, record| batch.push((position, record.to_vec())));
            if self.disk_full {
                self.bytes_refused += batch.iter().map(|(_, record)| record.len()).sum::<usize>();
                self.gathered.clear();
                self.hub.on_journal_failed(self.now, true);
                break;
            }
            let last = batch.last().expect("there were records").0;
            self.gathered.append(&mut batch);
            self.hub.on_durable(self.now, last);
            if !self.gathers {
                self.log.append(&mut self.gathered);
                self.hub.on_readable_again(last);
            }
        }
        for effect in self.hub.take_effects() {
            match effect {
                Effect::Close(slot, reason) => {
                    self.take_output(slot);
                    self.closed.push((slot, reason.clone()));
                    self.hub.on_closed(self.now, slot, &reason);
                }
                other => self.effects.push(other),
            }
        }
        if !self.reads_late {
            self.answer_fetches();
        }
        let mut dirty = Vec::new();
        self.hub.take_dirty(&mut dirty);
        for slot in dirty {
            self.take_output(slot);
        }
    }

    /// A sync of what the journal holds, which began before a commit failed, is told after it.
    pub(super) fn tell_sync_late(&mut self) {
        let last = self.log.last().map_or(LogPosition(0), |(position, _)| *position);
        self.hub.on_durable(self.now, last);
        self.hub.on_readable_again(last);
    }

    /// Reads the records that were asked for, as the host does.
    pub(super) fn answer_fetches(&mut self) {
        let (fetches, other) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition::<Vec<_>, _>(|effect| matches!(effect, Effect::Fetch(..)));
        self.effects = other;
        for fetch in &fetches {
            let Effect::Fetch(to, wanted) = fetch else { continue };
            let read = |wanted: &Wanted| {
                let record = record_at(&self.log, wanted.position);
                (*wanted, record.filter(|_| !self.unreadable))
            };
            let found = wanted.iter().map(read).collect();
            self.hub.on_fetched(self.now, *to, found);
        }
        if !fetches.is_empty() {
            self.turn();
        }
    }

    fn take_output(&mut self, slot: Slot) {
        if let Some(output) = self.hub.output(slot) {
            let bytes = std::mem::take(output);
            self.outputs[slot.0 as usize].extend(bytes);
        }
    }

    /// The assignments that were made since the last look, as (worker, call, payload).
    pub(super) fn assignments(&mut self) -> Vec<crate::Assignment> {
        let taken = std::mem::take(&mut self.effects);
        let (assigned, other) = taken.into_iter().partition(|e| matches!(e, Effect::Assign(_)));
        self.effects = other;
        let assigned: Vec<Effect> = assigned;
        assigned
            .into_iter()
            .map(|effect| match effect {
                Effect::Assign(assignment) => assignment,
                other => unreachable!("partitioned above: {other:?}"),
            })
            .collect()
    }

    /// Starts every worker that was asked for and lets it ask for a call.
    pub(super) fn start_workers(&mut self) {
        let taken = std::mem::take(&mut self.effects);
        for effect in taken {
            match effect {
                Effect::StartWorker { worker, .. } => self.hub.on_worker_ready(self.now, worker),
                other => self.effects.push(other),
            }
        }
        self.turn();
    }
}

/// The bytes of a record of the journal.
fn record_at(log: &[(LogPosition, Vec<u8>)], position: LogPosition) -> Option<Vec<u8>> {
    let at = log.binary_search_by_key(&position, |(position, _)| *position).ok()?;
    Some(log[at].1.clone())
}
