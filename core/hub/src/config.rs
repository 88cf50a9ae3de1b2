use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{ByteSize, FunctionName, MAX_TOPIC_BYTES, QoS, TopicName};
use tomte_broker::{LogLimits, QueueLimits, RetainedLimits};
use tomte_route::{MAX_ROUTES, RouteTable};
use tomte_scheduler::FunctionLimits;

/// Largest result of a function, in bytes.
const LARGEST_RESULT_BYTES: u64 = 6 << 20;
/// Bytes of a message in a record, at most, beside its topic, its payload and its properties.
const FIELDS_BYTES: usize = 256;
/// Bytes of a session in the record of a message that goes to it.
const SESSION_BYTES: u64 = 10;
/// The same of a held message or a call, at most: names have 128 bytes.
const ROUTE_BYTES: usize = 512;

/// What a deployment tells the machine.
#[derive(Debug)]
pub struct Config {
    /// The compiled routes.
    pub table: RouteTable,
    /// The functions that routes and operators can call.
    pub functions: BTreeMap<FunctionName, FunctionConfig>,
    /// Bounds and times.
    pub limits: Limits,
}

impl Config {
    pub(crate) fn log_limits(&self) -> LogLimits {
        LogLimits { compact_above: self.limits.journal_compact_above, ..LogLimits::default() }
    }
}

/// One function, as far as decisions need it.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// What the scheduler must know.
    pub limits: FunctionLimits,
    /// Where results are published, in the name of the function.
    pub result_topic: Option<TopicName>,
}

/// Bounds of everything that grows by what clients do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest packet that a client may send, in bytes.
    pub max_packet: u32,
    /// QoS 1 and 2 messages that a client may have unacknowledged, and that we have towards it
    /// unless it allows fewer.
    pub receive_maximum: u16,
    /// QoS 2 messages that clients have not released yet, in all sessions together. What the receive
    /// maximum allows, a session has in any case; more, because it left messages open on earlier
    /// connections, only up to here.
    pub max_unreleased: u32,
    /// Topic aliases that a client may use.
    pub topic_alias_maximum: u16,
    /// Topic aliases that are used towards a client that takes them.
    pub topic_alias_maximum_out: u16,
    /// Highest quality of service that a client may publish with.
    pub maximum_qos: QoS,
    /// Longest keep-alive that a client may ask for, none for any.
    pub keep_alive_max: Option<u16>,
    /// How long a connection may take to send CONNECT.
    pub connect_timeout: Duration,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once that have not sent a valid CONNECT yet.
    pub max_connecting: u32,
    /// Sessions at once, connected or kept.
    pub max_sessions: u32,
    /// Subscriptions of one session.
    pub max_subscriptions: u32,
    /// Bytes of the topic filters of one session.
    pub max_subscription_bytes: ByteSize,
    /// Bytes of the filters of all groups that share a subscription, as a record of the journal has
    /// them: a message that goes to all of them is one record.
    pub max_group_bytes: ByteSize,
    /// Longest time that a session is kept after its client went.
    pub max_session_expiry: Duration,
    /// The queue of one session.
    pub session_queue: QueueLimits,
    /// Bytes of all messages that the journal keeps for somebody, before the rule of `session_queue`
    /// applies to all queues together.
    pub max_queued: ByteSize,
    /// The same messages, each counted once for each of its receivers; exceeded by at most the
    /// receivers of one message.
    pub max_queued_deliveries: u32,
    /// Memory for messages that wait; others are in the journal only.
    pub queue_memory: ByteSize,
    /// Bytes that may wait in the output buffer of a connection before QoS 0 is dropped for it.
    pub output_high_water: usize,
    /// How long a connection may take nothing of what waits for it.
    pub slow_reader_timeout: Duration,
    /// Retained messages; with 0, clients are told that there are none.
    pub max_retained: u32,
    /// Bytes of retained payloads and topics.
    pub max_retained_bytes: ByteSize,
    /// Functions that a message may go through, one after the other.
    pub max_hops: u8,
    /// Bytes of journal above which live records are copied forward so that old segments can go.
    pub journal_compact_above: ByteSize,
    /// Messages whose way is remembered for `why`.
    pub traces: usize,
    /// Messages whose way is recorded, in one second, at most.
    pub traces_per_second: u32,
}

impl Limits {
    /// Returns how long a record of the journal can become at most, in bytes: a message with all that
    /// it goes to. The journal must take such a one.
    #[must_use]
    pub fn largest_record(&self) -> u64 {
        // Nothing grows as much as an empty user property: it has 5 bytes in a packet, 8 in a record.
        let packet = (u64::from(self.max_packet) * 8).div_ceil(5);
        // A packet may name its topic by an alias.
        let message = packet.max(LARGEST_RESULT_BYTES) + (MAX_TOPIC_BYTES + FIELDS_BYTES) as u64;
        let sessions = u64::from(self.max_sessions) * SESSION_BYTES;
        // A route leads to one function or to one device.
        let routes = (MAX_ROUTES * ROUTE_BYTES) as u64;
        message + sessions + self.max_group_bytes.0 + routes
    }

    pub(crate) fn retained(&self) -> RetainedLimits {
        RetainedLimits { max_messages: self.max_retained, max_bytes: self.max_retained_bytes }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet: 1 << 20,
            receive_maximum: 64,
            max_unreleased: 1 << 20,
            topic_alias_maximum: 16,
            topic_alias_maximum_out: 16,
            maximum_qos: QoS::ExactlyOnce,
            keep_alive_max: None,
            connect_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            max_connecting: 1_000,
            max_sessions: 20_000,
            max_subscriptions: 1_000,
            max_subscription_bytes: ByteSize::kib(256),
            max_group_bytes: ByteSize::mib(16),
            max_session_expiry: Duration::from_secs(7 * 86_400),
            session_queue: QueueLimits {
                max_messages: 1_000,
                max_bytes: ByteSize::mib(8),
                overflow: tomte_broker::Overflow::DropOldest,
            },
            max_queued: ByteSize::mib(1 << 10),
            max_queued_deliveries: 500_000,
            queue_memory: ByteSize::mib(4),
            output_high_water: 1 << 20,
            slow_reader_timeout: Duration::from_secs(60),
            max_retained: 10_000,
            max_retained_bytes: ByteSize::mib(16),
            max_hops: 16,
            journal_compact_above: ByteSize::mib(64),
            traces: 512,
            traces_per_second: 200,
        }
    }
}
