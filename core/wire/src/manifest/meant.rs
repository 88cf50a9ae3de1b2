use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tomte_base::{ByteSize, DeviceName, FunctionName, QoS, TopicName};
use tomte_route::{Attributes, Overflow, RouteSpec, RouteTable};
use tomte_scheduler::{Mode, Priority};

/// What a manifest means: complete, checked, every name in it declared.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The hub itself.
    pub hub: HubConfig,
    /// Where clients connect.
    pub listeners: Listeners,
    /// Bounds.
    pub limits: Limits,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// The devices.
    pub devices: BTreeMap<DeviceName, DeviceConfig>,
    /// The functions.
    pub functions: BTreeMap<FunctionName, Function>,
    /// The routes as they were written.
    pub routes: Vec<RouteSpec>,
    /// The routes, compiled.
    pub table: RouteTable,
}

/// The hub itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Its name.
    pub name: String,
}

/// Where clients connect. At least one listener for MQTT is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// MQTT over TLS.
    pub mqtts: Option<Listener>,
    /// MQTT over plain TCP.
    pub mqtt: Option<Listener>,
    /// Metrics over HTTP.
    pub http: Option<SocketAddr>,
    /// Origins of web pages that may connect from other hosts, in lower case.
    pub origins: Vec<String>,
}

/// A listener for MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address.
    pub bind: SocketAddr,
    /// Clients without an identity are let in.
    pub anonymous: bool,
    /// Clients with the name and the password of a device are let in.
    pub password: bool,
}

/// Bounds of everything that grows by what clients and functions do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest MQTT packet that a client may send.
    pub max_packet: ByteSize,
    /// Connections at once.
    pub max_connections: u32,
    /// Connections at once that have not sent a valid CONNECT yet.
    pub max_connecting: u32,
    /// Sessions at once, connected or kept.
    pub max_sessions: u32,
    /// Subscriptions of one session.
    pub max_subscriptions: u32,
    /// Bytes of the topic filters of one session.
    pub subscription_bytes: ByteSize,
    /// QoS 1 and 2 messages in flight on one connection, in each direction.
    pub receive_maximum: u16,
    /// Topic aliases that a client may use.
    pub topic_alias_maximum: u16,
    /// Topic aliases that the hub uses towards a client that takes them.
    pub topic_alias_maximum_out: u16,
    /// Highest quality of service that a client may publish with.
    pub maximum_qos: QoS,
    /// Longest keep-alive in seconds, none for any.
    pub keep_alive_max: Option<u16>,
    /// How long a connection may take to send CONNECT.
    pub connect_timeout: Duration,
    /// Longest time that a session is kept after its client went.
    pub session_expiry_max: Duration,
    /// Messages that wait for one session.
    pub session_messages: u32,
    /// Bytes that wait for one session.
    pub session_bytes: ByteSize,
    /// Which message the full queue of a session loses.
    pub session_overflow: Overflow,
    /// Bytes of all messages that wait on disk, for sessions, holds and calls together.
    pub queued_bytes: ByteSize,
    /// The same messages, each counted once for each of its receivers.
    pub queued_deliveries: u32,
    /// Bytes that wait in the output of a connection before QoS 0 is dropped for it.
    pub output_buffer: ByteSize,
    /// How long a connection may take nothing of what waits for it.
    pub slow_reader_timeout: Duration,
    /// Retained messages; with 0, clients are told that there are none.
    pub retained_messages: u32,
    /// Bytes of retained messages.
    pub retained_bytes: ByteSize,
    /// Functions that a message may go through, one after the other.
    pub max_hops: u8,
    /// Largest event and largest result of a call.
    pub call_payload: ByteSize,
    /// Calls that wait, of all functions together.
    pub queued_calls: u32,
    /// Bytes of the events of calls that wait.
    pub queued_call_bytes: ByteSize,
    /// Memory of all workers together.
    pub functions_memory: FunctionsMemory,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet: ByteSize::mib(1),
            max_connections: 10_000,
            max_connecting: 1_000,
            max_sessions: 20_000,
            max_subscriptions: 1_000,
            subscription_bytes: ByteSize::kib(256),
            receive_maximum: 64,
            topic_alias_maximum: 16,
            topic_alias_maximum_out: 16,
            maximum_qos: QoS::ExactlyOnce,
            keep_alive_max: None,
            connect_timeout: Duration::from_secs(10),
            session_expiry_max: Duration::from_secs(7 * 86_400),
            session_messages: 1_000,
            session_bytes: ByteSize::mib(8),
            session_overflow: Overflow::DropOldest,
            queued_bytes: ByteSize::mib(1 << 10),
            queued_deliveries: 500_000,
            output_buffer: ByteSize::mib(1),
            slow_reader_timeout: Duration::from_secs(60),
            retained_messages: 10_000,
            retained_bytes: ByteSize::mib(16),
            max_hops: 16,
            call_payload: ByteSize::mib(6),
            queued_calls: 100_000,
            queued_call_bytes: ByteSize::mib(64),
            functions_memory: FunctionsMemory::Auto,
        }
    }
}

/// How much memory all workers may have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FunctionsMemory {
    /// What the machine can spare.
    #[default]
    Auto,
    /// This much.
    Fixed(ByteSize),
}

impl fmt::Display for FunctionsMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(size) => size.fmt(f),
        }
    }
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The message survives the death of the hub.
    #[default]
    Process,
    /// The message survives a power cut.
    Power,
    /// Nothing.
    None,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Power => "power",
            Self::None => "none",
        })
    }
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceConfig {
    /// What people should know about it.
    pub description: Option<String>,
    /// What message rules see of it.
    pub attributes: Attributes,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// What runs it.
    pub runtime: Runtime,
    /// The runtime as it was written, for the worker's `AWS_EXECUTION_ENV` and for people.
    pub runtime_name: String,
    /// What is called: `app.handler`; `bootstrap` for `provided` unless another word was written.
    pub handler: String,
    /// The folder or zip of its code, relative to the manifest, without `.` and `..`.
    pub code: String,
    /// Memory of each worker.
    pub memory: ByteSize,
    /// Longest time of a call.
    pub timeout: Duration,
    /// When its workers run.
    pub mode: Mode,
    /// Calls that run at once.
    pub max_concurrency: u32,
    /// Whose calls come first.
    pub priority: Priority,
    /// How many workers there are.
    pub workers: Workers,
    /// How long a worker without calls is kept.
    pub idle_timeout: Duration,
    /// Environment variables of its workers.
    pub environment: BTreeMap<String, String>,
    /// Where results are published.
    pub result_topic: Option<TopicName>,
    /// What people should know about it.
    pub description: Option<String>,
}

/// What runs a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// A module for Python 3.
    Python {
        /// `Some(11)` for 3.11, none for any.
        minor: Option<u8>,
    },
    /// A module for Node.js.
    Node {
        /// `Some(20)` for 20.x, none for any.
        major: Option<u8>,
    },
    /// An executable called `bootstrap`.
    Provided,
}

/// How many workers a function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Workers that are held ready while nothing calls.
    pub reserve: Reserve,
    /// Workers at once.
    pub max: u32,
}

/// How many workers are held ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// The hub decides; in this version it holds none.
    #[default]
    Auto,
    /// This many.
    Fixed(u32),
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(count) => count.fmt(f),
        }
    }
}
