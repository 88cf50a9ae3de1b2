//! What one seed chooses before its run begins. Each fault is off in some runs, so that rare ones
//! are not always hidden behind common ones.

use std::time::Duration;

use tomte_base::ByteSize;
use tomte_broker::{Overflow, QueueLimits};
use tomte_core_hub::Limits;
use tomte_journal::SyncMode;

use crate::rng::Rng;

/// Faults and habits of a run, as chances in 1,000 where nothing else is said.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) mode: SyncMode,
    pub(crate) limits: Limits,
    pub(crate) segment_bytes: u64,
    pub(crate) n_clients: usize,
    /// Things that clients do before the run calms down.
    pub(crate) n_acts: usize,
    /// Longest pause of a client between two things that it does.
    pub(crate) pause: Duration,
    /// Crash of the hub, for each turn.
    pub(crate) crash: usize,
    /// Each crash comes in the middle of a commit, and tears it.
    pub(crate) always_torn: bool,
    /// Something happens to the disk, for each tick.
    pub(crate) disk_fault: usize,
    /// A connection is cut, for each tick.
    pub(crate) cut: usize,
    /// Another configuration, for each tick.
    pub(crate) deploy: usize,
    /// The clock jumps, for each tick.
    pub(crate) jump: usize,
    /// A client stops reading, for each thing that it does.
    pub(crate) stall: usize,
    /// A client never answers a delivery.
    pub(crate) forget_ack: usize,
    /// The process dies again soon after it came back, for each time.
    pub(crate) relapse: usize,
    /// A record cannot be read back, for each one that is.
    pub(crate) bad_read: usize,
    /// A worker does something else than answering.
    pub(crate) bad_worker: usize,
    /// A stranger connects and sends rubbish, for each tick.
    pub(crate) stranger: usize,
}

impl Settings {
    pub(crate) fn choose(rng: &mut Rng) -> Self {
        let on = |rng: &mut Rng, chance: usize| if rng.chance(650) { chance } else { 0 };
        let mode = if rng.chance(500) { SyncMode::Process } else { SyncMode::Power };
        Self {
            mode,
            limits: limits(rng),
            segment_bytes: *rng.pick(&[2_000, 6_000, 20_000, 1 << 20]),
            n_clients: rng.range(3, 7),
            n_acts: rng.range(80, 400),
            pause: Duration::from_millis(*rng.pick(&[5, 40, 300, 2_000])),
            crash: on(rng, 12),
            relapse: on(rng, 250),
            always_torn: rng.chance(200),
            disk_fault: on(rng, 250),
            cut: on(rng, 300),
            deploy: on(rng, 150),
            jump: on(rng, 60),
            stall: on(rng, 40),
            forget_ack: on(rng, 30),
            bad_read: if rng.chance(100) { 30 } else { 0 },
            bad_worker: on(rng, 300),
            stranger: on(rng, 100),
        }
    }
}

fn limits(rng: &mut Rng) -> Limits {
    let small_queue = rng.chance(300);
    let overflow = *rng.pick(&[Overflow::DropOldest, Overflow::DropOldest, Overflow::DropNewest]);
    let max_messages = if small_queue { rng.range(2, 12) } else { 100_000 };
    Limits {
        max_packet: 4_096,
        receive_maximum: u16::try_from(rng.range(2, 12)).expect("small"),
        max_connections: 40,
        max_sessions: if rng.chance(200) { 5 } else { 100 },
        max_session_expiry: Duration::from_secs(7_200),
        session_queue: QueueLimits {
            max_messages: u32::try_from(max_messages).expect("small"),
            max_bytes: ByteSize::mib(64),
            overflow,
        },
        queue_memory: ByteSize(*rng.pick(&[0, 0, 3_000, 1 << 20])),
        output_high_water: *rng.pick(&[600, 4_000, 64_000]),
        max_hops: 4,
        journal_compact_above: ByteSize(*rng.pick(&[4_000, 30_000, 1 << 20])),
        traces: 16,
        ..Limits::default()
    }
}
