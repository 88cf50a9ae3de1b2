//! The bodies of the control interface: HTTP with JSON over the hub's own Unix socket.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/deployment` | | [`Deployment`], 404 when nothing was deployed yet |
//! | `PUT /v1/code/{digest}` | a zip, whose SHA-256 is `digest` in hex | 204; 200 when it was there already |
//! | `POST /v1/plan` | [`DeploymentRequest`] | [`PlanReport`] |
//! | `POST /v1/apply` | [`DeploymentRequest`] | [`ApplyReport`] |
//! | `GET /v1/devices` | | `[`[`Device`]`]` |
//! | `POST /v1/devices` | [`NewDevice`] | [`DeviceCredentials`] |
//! | `DELETE /v1/devices/{name}` | | 204 |
//! | `POST /v1/send` | [`SendRequest`] | [`Why`] |
//! | `POST /v1/calls/{function}` | the event, byte for byte | [`CallReport`] |
//! | `GET /v1/why?topic=&source=&payload=` | | [`Why`] |
//! | `GET /v1/flow` | | lines of [`FlowEvent`] until the client goes |
//! | `GET /v1/logs?function=&tail=&follow=` | | lines of [`LogLine`] |
//! | `GET /v1/routes` | | `[`[`RouteStatus`]`]` |
//! | `GET /v1/calls` | | `[`[`CallStatus`]`]` |
//! | `GET /v1/workers` | | `[`[`WorkerStatus`]`]` |
//! | `GET /metrics` | | Prometheus text |
//! | `POST /v1/stop` | | 202 |
//!
//! Every refusal is a status of 400 or above with a [`Problem`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// A stable word for programs, for example `unknown_function`.
    pub reason: String,
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do next; empty when there is nothing to advise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// What a hub is and does at the moment.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Status {
    /// The hub's name from the manifest.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Milliseconds since the hub accepted its first connection.
    pub uptime_ms: u64,
    /// The running revision, none before the first deployment.
    pub revision: Option<u64>,
    /// Listening addresses by protocol, for example `mqtts` to `0.0.0.0:8883`.
    pub listeners: BTreeMap<String, String>,
    /// Connected clients.
    pub connections: u64,
    /// Sessions, connected or kept.
    pub sessions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages that wait in queues of sessions and holds.
    pub queued_messages: u64,
    /// Functions by name.
    pub functions: BTreeMap<String, FunctionStatus>,
    /// Devices by name: whether each is connected.
    pub devices: BTreeMap<String, DeviceStatus>,
    /// Counters by name, drops and refusals with their reason as in the metrics.
    pub counters: BTreeMap<String, u64>,
    /// Bytes of journal on disk.
    pub journal_bytes: u64,
    /// Resident memory of the hub process in bytes.
    pub memory_bytes: u64,
    /// What the machine cannot enforce or lacks, in words.
    pub warnings: Vec<String>,
}

/// What one function is doing.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct FunctionStatus {
    /// The runtime as the manifest names it.
    pub runtime: String,
    /// SHA-256 of the code in hex.
    pub code: String,
    /// Calls that wait.
    pub queued: u64,
    /// Calls that run.
    pub running: u64,
    /// Calls that returned since the start of the hub.
    pub succeeded: u64,
    /// Calls that failed since the start of the hub.
    pub failed: u64,
    /// Workers that wait for a call.
    pub idle_workers: u64,
}

/// What one device is doing.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct DeviceStatus {
    /// A session of the device is connected.
    pub connected: bool,
    /// Messages that wait for it.
    pub queued: u64,
}

/// A deployment as it runs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Deployment {
    /// Its revision.
    pub revision: u64,
    /// The manifest, as it was written.
    pub manifest: String,
    /// Digest of the code of each function, SHA-256 in hex.
    pub code: BTreeMap<String, String>,
    /// When it was applied, milliseconds since the Unix epoch.
    pub applied_ms: u64,
}

/// A configuration that a hub is asked to run.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeploymentRequest {
    /// The manifest, as it was written.
    pub manifest: String,
    /// Digest of the code of each function, SHA-256 in hex; `apply` wants each to be uploaded before.
    pub code: BTreeMap<String, String>,
}

/// What would change.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PlanReport {
    /// The running revision, none before the first deployment.
    pub from: Option<u64>,
    /// What changes, in the order of the manifest; empty when nothing does.
    pub changes: Vec<Change>,
    /// Digests that the hub does not have yet.
    pub missing_code: Vec<String>,
    /// What would run, but not as asked, for example a newer Python than the manifest names.
    pub warnings: Vec<String>,
}

/// One difference between what runs and what is asked.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Change {
    /// `add`, `change` or `remove`.
    pub kind: ChangeKind,
    /// What it is about, for example `functions.regulate` or `routes[0] "hot"`.
    pub what: String,
    /// The keys that differ, each as `key: old -> new`.
    pub details: Vec<String>,
}

/// The kind of a [`Change`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// It was there and differs.
    Change,
    /// It goes.
    Remove,
}

/// What an apply did.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ApplyReport {
    /// The revision that runs now.
    pub revision: u64,
    /// What changed.
    pub plan: PlanReport,
}

/// A device that can connect.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// SHA-256 of its certificate in hex; none for a device that has only a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the certificate ends, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// It may log in with a password.
    #[serde(default)]
    pub has_password: bool,
    /// A session of the device is connected.
    pub connected: bool,
    /// The running manifest declares it.
    pub declared: bool,
}

/// A device to be given an identity.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NewDevice {
    /// Its name.
    pub name: String,
}

/// The identity of a new device. The key is shown once and not kept by the hub.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeviceCredentials {
    /// The device.
    pub device: Device,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub private_key: String,
    /// The certificate of the hub's CA, PEM.
    pub ca_certificate: String,
    /// Where to connect, `host:port` of the TLS listener.
    pub address: String,
}

/// A password for a device.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct NewPassword {
    /// The password; none to have one made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The device is new, and has no certificate; otherwise it is there already.
    #[serde(default)]
    pub add: bool,
}

/// What a device logs in with that has a password. It is shown once; the hub keeps a hash.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct DevicePassword {
    /// The device. Its name is the user name.
    pub device: Device,
    /// The password.
    pub password: String,
    /// The certificate of the hub's CA, PEM, to know the hub by where it listens with TLS.
    pub ca_certificate: String,
    /// Addresses that take passwords by protocol, for example `mqtt` to `127.0.0.1:1883`.
    pub addresses: BTreeMap<String, String>,
}

/// A new certificate for a device that has one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct NewCertificate {
    /// The certificate before it ends at once, and not a week later.
    #[serde(default)]
    pub at_once: bool,
}

/// A message to publish in the name of a device or function.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SendRequest {
    /// Who sends: `device:thermometer`, `function:regulate` or `anonymous`.
    pub source: String,
    /// The topic.
    pub topic: String,
    /// The payload, base64.
    pub payload_base64: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Retain it.
    pub retain: bool,
    /// Wait this long for the chain of functions and deliveries to come to rest, in milliseconds.
    pub wait_ms: u64,
}

/// What happened, or would happen, to a message, hop by hop.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Why {
    /// `device:thermometer`.
    pub source: String,
    /// The topic.
    pub topic: String,
    /// The message's number, none when it is only supposed.
    pub message: Option<u64>,
    /// When it was accepted, milliseconds since the Unix epoch; none when it is only supposed.
    pub at_ms: Option<u64>,
    /// The hops in order.
    pub hops: Vec<Hop>,
}

/// One hop of a message.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Hop {
    /// `connection`, `admission`, `route`, `function`, `delivery`, `hold` or `retain`.
    pub kind: String,
    /// What it is about: a function, a device, or empty.
    pub subject: String,
    /// `ok`, `matched`, `not matched`, `queued`, `dropped`, `refused`, `failed`, ...
    pub verdict: String,
    /// The rest, in words.
    pub detail: String,
    /// This hop stopped the message or lost a copy of it.
    pub bad: bool,
    /// How deep in the chain of functions: 0 for the message itself.
    pub depth: u8,
    /// Microseconds from acceptance of the first message to the end of this hop, when it happened.
    pub at_us: Option<u64>,
}

/// One thing that happened in the hub, for the live view.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FlowEvent {
    /// When, microseconds since the Unix epoch.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: Flow,
}

/// What a [`FlowEvent`] tells.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Flow {
    /// A client connected.
    Connected {
        /// `device:fan` or `anonymous`.
        client: String,
    },
    /// A client went.
    Disconnected {
        /// `device:fan` or `anonymous`.
        client: String,
        /// Why.
        reason: String,
    },
    /// A message was accepted.
    Published {
        /// Its number.
        message: u64,
        /// The message that led to it.
        cause: Option<u64>,
        /// Who sent it.
        source: String,
        /// Its topic.
        topic: String,
        /// The first bytes of its payload as text.
        payload: String,
        /// Length of the payload in bytes.
        bytes: u64,
    },
    /// Something happened to a message.
    Hop {
        /// The message's number.
        message: u64,
        /// What happened.
        hop: Hop,
    },
    /// A message or packet was dropped or refused.
    Dropped {
        /// The message's number, where it got one.
        message: Option<u64>,
        /// Who sent it or should have got it.
        client: String,
        /// The topic, where there is one.
        topic: String,
        /// The reason, as in the metrics.
        reason: String,
    },
    /// A function wrote a line to its log.
    Log(LogLine),
    /// A new revision runs.
    Deployed {
        /// Its revision.
        revision: u64,
    },
    /// The reader was too slow, and this many events were left out.
    Lagged {
        /// Events left out.
        events: u64,
    },
}

/// A line that a function wrote.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogLine {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The function.
    pub function: String,
    /// The call that ran, where it is known.
    pub call: Option<String>,
    /// `stdout`, `stderr` or `platform`.
    pub stream: String,
    /// The text, without the line end.
    pub text: String,
}

/// How a call ended.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CallReport {
    /// The call's id.
    pub call: String,
    /// `succeeded`, `handled` (the code returned an error) or `unhandled` (the platform ended it).
    pub outcome: String,
    /// What the function returned, or its error as JSON; base64.
    pub payload_base64: String,
    /// Microseconds in the queue.
    pub queued_us: u64,
    /// Microseconds from hand-out to answer.
    pub ran_us: u64,
    /// The worker that ran it, none when it never ran.
    pub worker: Option<u64>,
    /// The worker had run a call before.
    pub warm: bool,
}

/// One route and what went through it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RouteStatus {
    /// Its name or place.
    pub name: String,
    /// Where messages come from.
    pub from: Vec<String>,
    /// The topic filter.
    pub topic: String,
    /// The condition, if any.
    pub when: Option<String>,
    /// Where messages go.
    pub to: String,
    /// Messages that matched since the start of the hub.
    pub matched: u64,
}

/// One call that waits or runs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CallStatus {
    /// Its id.
    pub call: String,
    /// The function.
    pub function: String,
    /// Who called: `route:hot`, `operator`.
    pub source: String,
    /// `queued` or `running`.
    pub state: String,
    /// `low`, `normal`, `high` or `urgent`.
    pub priority: String,
    /// When it arrived, milliseconds since the Unix epoch.
    pub arrived_ms: u64,
    /// When it must be done, milliseconds since the Unix epoch; none while it waits without limit.
    pub deadline_ms: Option<u64>,
    /// `request` (somebody waits for the answer) or `event` (nobody does).
    pub kind: String,
    /// The worker that runs it.
    pub worker: Option<u64>,
}

/// One worker.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its id.
    pub worker: u64,
    /// The function that it is made for.
    pub function: String,
    /// `starting`, `idle`, `busy` or `stopping`.
    pub state: String,
    /// Process id on the hub's machine.
    pub pid: Option<u32>,
    /// Calls that it has finished.
    pub calls: u64,
}
