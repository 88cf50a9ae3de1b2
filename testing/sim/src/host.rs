//! The daemon's part: the hub machine, its journal, its sockets, and what waits for the next turn.

use std::collections::VecDeque;
use std::path::Path;

use tomte_base::{ByteSize, LogPosition, MilliCpu, error_chain};
use tomte_core_hub::{CloseReason, Hub, Record, Recovery, Slot};
use tomte_journal::{Journal, JournalConfig, MemoryDisk, RecordReader, SyncHandle};
use tomte_scheduler::{Free, ResourceManager, SchedulerLimits};

use crate::durable::Durable;
use crate::network::ConnId;
use crate::world::{Input, World};

/// A connection as the daemon keeps it.
pub(crate) struct Socket {
    pub(crate) conn: ConnId,
    /// The beginning of a packet whose rest has not come yet.
    pub(crate) partial: Vec<u8>,
    pub(crate) closing: Option<CloseReason>,
}

/// One process of the hub.
pub(crate) struct Host {
    pub(crate) hub: Hub,
    pub(crate) journal: Journal<MemoryDisk>,
    pub(crate) sync: SyncHandle<MemoryDisk>,
    pub(crate) sync_is_due: bool,
    pub(crate) inbox: Vec<Input>,
    pub(crate) is_woken: bool,
    pub(crate) sockets: Vec<Option<Socket>>,
    /// Records that are written, but not yet as safe as the mode asks.
    pub(crate) written: VecDeque<(u64, Record)>,
    pub(crate) durable: Durable,
    /// Operators' calls whose reply has not come.
    pub(crate) requests: Vec<u64>,
    pub(crate) next_request: u64,
    /// PUBLISH packets that left.
    pub(crate) n_sent: u64,
    /// The journal is closed for writing, and somebody was called.
    pub(crate) is_poisoned: bool,
    /// Sockets that are closed once the output of the turn is written.
    pub(crate) closing: Vec<Slot>,
}

/// What the journal gave back.
struct Opened {
    recovery: Recovery,
    durable: Durable,
    journal: Journal<MemoryDisk>,
    segments: Vec<(LogPosition, u64)>,
    next: LogPosition,
}

fn open(world: &mut World) -> Result<Opened, String> {
    let config = JournalConfig {
        segment_bytes: world.settings.segment_bytes,
        mode: world.settings.mode,
        ..JournalConfig::new(Path::new("journal"))
    };
    let (mut recovery, mut durable) = (Recovery::default(), Durable::default());
    let opened = Journal::open_on(world.disk.clone(), &config, |position, bytes| {
        recovery.on_record(LogPosition(position), bytes)?;
        let record = Record::decode(bytes).expect("the recovery has just read it");
        durable.take_in(position, record);
        Ok(())
    });
    let (journal, recovered) = opened.map_err(|error| error_chain(&error))?;
    if recovered.truncated.is_some() {
        world.coverage.hit("disk: a torn end was cut off");
    }
    let segments = recovered.segments.iter();
    let segments = segments.map(|s| (LogPosition(s.first_position), s.bytes)).collect();
    Ok(Opened { recovery, durable, journal, segments, next: LogPosition(recovered.next_position) })
}

impl Host {
    /// Starts the process: reads the journal, makes the hub.
    pub(crate) fn start(world: &mut World) -> Result<Self, String> {
        let now = world.hub_now();
        let Opened { recovery, durable, journal, segments, next } = open(world)?;
        let total = Free { memory: ByteSize::mib(640), cpu: MilliCpu(2_000), workers: 5 };
        let config = world.tables[world.table].config(&world.settings.limits);
        let scheduling = SchedulerLimits { max_queued_calls: 100, ..SchedulerLimits::default() };
        let seed = u128::from(world.rng.next()) << 64 | u128::from(world.rng.next());
        let resources = Box::new(ResourceManager::new(total));
        let mut hub = Hub::new(now, config, scheduling, resources, seed);
        let reader = journal.reader();
        let (rng, coverage, bad_read) =
            (&mut world.rng, &mut world.coverage, world.settings.bad_read);
        hub.recover(now, recovery, segments, next, |position| {
            let fails = rng.chance(bad_read);
            if fails {
                coverage.hit("recovery: a record could not be read back");
            }
            read_one(&reader, position).filter(|_| !fails)
        });
        Ok(Self {
            sync: journal.sync_handle(),
            hub,
            journal,
            sync_is_due: false,
            inbox: Vec::new(),
            is_woken: false,
            sockets: Vec::new(),
            written: VecDeque::new(),
            durable,
            requests: Vec::new(),
            next_request: 1,
            n_sent: 0,
            is_poisoned: false,
            closing: Vec::new(),
        })
    }

    pub(crate) fn socket(&mut self, slot: Slot) -> Option<&mut Socket> {
        self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut)
    }

    /// Puts a connection into a free place, the lowest one, as systems do.
    pub(crate) fn place(&mut self, conn: ConnId) -> Slot {
        let socket = Some(Socket { conn, partial: Vec::new(), closing: None });
        let index = match self.sockets.iter().position(Option::is_none) {
            Some(free) => {
                self.sockets[free] = socket;
                free
            }
            None => {
                self.sockets.push(socket);
                self.sockets.len() - 1
            }
        };
        Slot(u32::try_from(index).expect("few connections"))
    }

    /// Records up to `position` are as safe as the mode asks.
    pub(crate) fn make_safe(&mut self, position: u64) {
        while self.written.front().is_some_and(|(at, _)| *at <= position) {
            let (at, record) = self.written.pop_front().expect("looked at it");
            self.durable.take_in(at, record);
        }
    }
}

/// Reads one record again.
pub(crate) fn read_one(
    reader: &RecordReader<MemoryDisk>,
    position: LogPosition,
) -> Option<Vec<u8>> {
    let mut found = None;
    reader.read([position.0], |_, record| found = record.ok().map(<[u8]>::to_vec));
    found
}
