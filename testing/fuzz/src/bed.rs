//! A hub with a journal in memory, clients at its slots, and workers that answer at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tomte_base::{
    ByteSize, DeviceName, FunctionName, LogPosition, MilliCpu, Time, TopicFilter, TopicName,
};
use tomte_core_hub::{
    CloseReason, Config, Effect, FunctionConfig, Hub, Limits, Owner, Peer, Recovery, Slot, Wanted,
};
use tomte_route::{Declared, Destination, Hold, Overflow, RouteSpec, RouteTable, SourcePattern};
use tomte_scheduler::{Free, FunctionLimits, Mode, Priority, ResourceManager, SchedulerLimits};

use crate::client::Client;

/// Connections that can be open at once.
pub(crate) const SLOTS: usize = 4;

/// The greatest number that a record may have, as `a_number_that_no_hub_counts_up_to_is_refused` of
/// the hub shows, and how close to it a record may not come here.
const GREATEST_NUMBER: u64 = 1 << 62;
const LAST_NUMBERS: u64 = 1 << 20;

/// Packets towards a client that are not acknowledged, at most.
const RECEIVE_MAXIMUM: u16 = 5;

/// From, topic, to. Most topics go to whoever subscribed; a hold and a function have their own.
const ROUTES: [(&str, &str, &str); 4] = [
    ("device:*", "#", "subscribers"),
    ("function:*", "#", "subscribers"),
    ("device:*", "h/#", "device:fan"),
    ("device:*", "f/#", "function:regulate"),
];

/// The hub with all that a host has beside it.
pub(crate) struct Bed {
    pub(crate) hub: Hub,
    pub(crate) now: Time,
    pub(crate) clients: [Option<Client>; SLOTS],
    /// What the journal holds.
    log: Vec<(LogPosition, Vec<u8>)>,
    /// The journal's next commit fails.
    pub(crate) disk_full: bool,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let now = Time::from_millis(1_000_000);
        let clients = [const { None }; SLOTS];
        Self { hub: empty_hub(now), now, clients, log: Vec::new(), disk_full: false }
    }

    /// The process dies, and comes back with what the journal holds.
    pub(crate) fn crash(&mut self) {
        let mut recovery = Recovery::default();
        for (position, record) in &self.log {
            recovery.on_record(*position, record).expect("the hub reads what it wrote");
        }
        self.clients = [const { None }; SLOTS];
        self.hub = empty_hub(self.now);
        self.recover(recovery);
    }

    /// Takes over `recovery`, as read from the log.
    fn recover(&mut self, recovery: Recovery) {
        let next = self.log.last().map_or(LogPosition(1), |(position, _)| position.next());
        let first = self.log.first().map_or(next, |(position, _)| *position);
        let bytes = self.log.iter().map(|(_, record)| record.len() as u64).sum();
        let log = &self.log;
        self.hub.recover(self.now, recovery, vec![(first, bytes)], next, |at| record_at(log, at));
        self.turn();
    }

    /// Starts a hub with `records` in its journal, up to the first that it refuses or that has a number
    /// at the end of all numbers, after which no hub could count on.
    pub(crate) fn with_records(records: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut bed, mut recovery) = (Self::new(), Recovery::default());
        for (position, record) in (1..).map(LogPosition).zip(records) {
            if has_last_number(&record) || recovery.on_record(position, &record).is_err() {
                break;
            }
            bed.log.push((position, record));
        }
        bed.recover(recovery);
        bed
    }

    pub(crate) fn open(&mut self, at: usize, owner: &str) {
        if self.clients[at].is_some() {
            return;
        }
        let owner = match owner {
            "" => Owner::Anonymous,
            name => Owner::Device(DeviceName::new(name).expect("a name of this module")),
        };
        self.clients[at] = Some(Client::new(RECEIVE_MAXIMUM));
        self.hub.on_opened(self.now, slot(at), Peer::known(owner));
    }

    /// Hands over what a client sends, after what the hub left of it last time.
    pub(crate) fn send(&mut self, at: usize, bytes: &[u8]) {
        let Some(client) = &mut self.clients[at] else { return };
        let pending = client.sends(bytes);
        let used = self.hub.on_bytes(self.now, slot(at), pending);
        assert!(used <= pending.len(), "the hub used more than there was");
        client.used(used);
        self.turn();
    }

    pub(crate) fn lose(&mut self, at: usize) {
        if self.clients[at].take().is_some() {
            self.hub.on_closed(self.now, slot(at), &CloseReason::Lost);
            self.turn();
        }
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        self.now += span;
        self.hub.on_deadline(self.now);
        self.turn();
    }

    /// The journal begins a new segment, and what is not needed goes as soon as it may.
    pub(crate) fn roll(&mut self) {
        self.hub.on_rolled();
    }

    /// Turns of a host until nothing is left to do.
    pub(crate) fn turn(&mut self) {
        for _ in 0..10_000 {
            self.commit();
            let effects = self.hub.take_effects();
            let quiet = effects.is_empty() && !self.hub.has_records();
            for effect in effects {
                self.perform(effect);
            }
            self.write();
            if quiet {
                return;
            }
        }
        panic!("the hub does not come to rest");
    }

    fn commit(&mut self) {
        if !self.hub.must_commit(self.now) && !self.hub.has_records() {
            return;
        }
        let mut batch = Vec::new();
        self.hub.drain_records(|position, record| batch.push((position, record.to_vec())));
        if std::mem::take(&mut self.disk_full) {
            self.hub.on_journal_failed(self.now, true);
            return;
        }
        let Some((last, _)) = batch.last() else { return };
        let last = *last;
        self.log.append(&mut batch);
        self.hub.on_durable(self.now, last);
        self.hub.on_readable_again(last);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Close(slot, reason) => {
                self.write_to(slot);
                self.clients[slot.0 as usize] = None;
                self.hub.on_closed(self.now, slot, &reason);
            }
            Effect::StartWorker { worker, .. } => self.hub.on_worker_ready(self.now, worker),
            Effect::Assign(call) => {
                let answer = Ok(Bytes::from_static(b"{}"));
                self.hub.on_call_answered(self.now, call.call, call.worker, answer);
                self.hub.on_worker_ready(self.now, call.worker);
            }
            Effect::Fetch(to, wanted) => {
                let read = |wanted: &Wanted| (*wanted, record_at(&self.log, wanted.position));
                let found = wanted.iter().map(read).collect();
                self.hub.on_fetched(self.now, to, found);
            }
            Effect::DropJournal(before) => self.log.retain(|(position, _)| *position >= before),
            _ => {}
        }
    }

    fn write(&mut self) {
        let mut dirty = Vec::new();
        self.hub.take_dirty(&mut dirty);
        for slot in dirty {
            self.write_to(slot);
            self.hub.on_writable(self.now, slot);
        }
    }

    fn write_to(&mut self, slot: Slot) {
        let Some(output) = self.hub.output(slot) else { return };
        let bytes = std::mem::take(output);
        if let Some(client) = &mut self.clients[slot.0 as usize] {
            client.receives(&bytes);
        }
    }
}

fn slot(at: usize) -> Slot {
    Slot(u32::try_from(at).expect("slots are few"))
}

fn empty_hub(now: Time) -> Hub {
    let total = Free { memory: ByteSize::mib(1024), cpu: MilliCpu(2_000), workers: 16 };
    let resources = Box::new(ResourceManager::new(total));
    Hub::new(now, config(), SchedulerLimits::default(), resources, 7)
}

fn config() -> Config {
    let (regulate, result) = (FunctionName::new("regulate"), TopicName::new("f/result"));
    let (regulate, result) = (regulate.expect("a name"), result.expect("a topic"));
    let declared = Declared {
        devices: ["fan", "lamp"].map(|name| DeviceName::new(name).expect("a name")).into(),
        functions: [(regulate.clone(), Some(result.clone()))].into(),
    };
    let function =
        FunctionConfig { limits: function_limits(regulate.clone()), result_topic: Some(result) };
    let limits = Limits {
        receive_maximum: RECEIVE_MAXIMUM,
        journal_compact_above: ByteSize(1),
        queue_memory: ByteSize(300),
        max_packet: 64 << 10,
        ..Limits::default()
    };
    let table = RouteTable::compile(ROUTES.iter().map(spec).collect(), &declared);
    Config {
        table: table.expect("the routes of this module compile"),
        functions: BTreeMap::from([(regulate, function)]),
        limits,
    }
}

fn spec((from, topic, to): &(&str, &str, &str)) -> RouteSpec {
    let hold = Hold { hold: Duration::from_secs(60), max: 3, then: Overflow::DropOldest };
    RouteSpec {
        name: None,
        from: vec![SourcePattern::parse(from).expect("a source")],
        topic: TopicFilter::new(topic).expect("a filter"),
        when: None,
        to: Destination::parse(to).expect("a destination"),
        on_unavailable: to.starts_with("device:").then_some(hold),
        allow_cycle: true,
        rule: tomte_route::RuleSpec::default(),
    }
}

fn function_limits(name: FunctionName) -> FunctionLimits {
    FunctionLimits {
        name,
        memory: ByteSize::mib(64),
        cpu: MilliCpu(0),
        timeout: Duration::from_secs(3),
        mode: Mode::OnDemand,
        max_concurrency: 1,
        max_workers: 2,
        reserve: 0,
        priority: Priority::Normal,
        idle_timeout: Duration::from_secs(60),
        max_queue: 100,
        version: "1".to_owned(),
    }
}

/// The bytes of a record of the journal.
fn has_last_number(record: &[u8]) -> bool {
    record.windows(size_of::<u64>()).any(|bytes| {
        let number = u64::from_le_bytes(bytes.try_into().expect("a window has this length"));
        (GREATEST_NUMBER - LAST_NUMBERS..=GREATEST_NUMBER).contains(&number)
    })
}

fn record_at(log: &[(LogPosition, Vec<u8>)], position: LogPosition) -> Option<Vec<u8>> {
    let at = log.binary_search_by_key(&position, |(position, _)| *position).ok()?;
    Some(log[at].1.clone())
}
