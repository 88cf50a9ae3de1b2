//! What a manifest says, key by key, before any of it is understood.
//!
//! The comments here are the reference of the manifest: they become the descriptions of the JSON
//! Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// All that a hub shall do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Manifest {
    /// The hub itself.
    pub(super) hub: Hub,
    /// Where clients connect. Without this table: MQTT over TLS on port 8883 of all addresses.
    pub(super) listeners: Listeners,
    /// Bounds of everything that grows by what clients and functions do.
    pub(super) limits: Limits,
    /// When a message is safe.
    pub(super) durability: Durability,
    /// The devices that may connect, by name: what the certificate of each says.
    pub(super) devices: BTreeMap<String, Device>,
    /// The functions, by name.
    pub(super) functions: BTreeMap<String, Function>,
    /// The routes, in the order in which a message is delivered. No route, no delivery.
    pub(super) routes: Vec<Route>,
}

/// The hub itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hub {
    /// Its name: letters, digits, `-`, `_`, `.` and `:`. Default `"tomte"`.
    pub(super) name: Option<String>,
}

/// Where clients connect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listeners {
    /// MQTT over TLS, for devices with a certificate of this hub. Default on `0.0.0.0:8883`; `false`
    /// switches it off.
    pub(super) mqtts: Option<Mqtts>,
    /// MQTT over plain TCP, for clients without an identity or with a password. Default off.
    pub(super) mqtt: Option<Mqtt>,
    /// Web pages that may connect over WebSocket although they come from another host than the hub,
    /// for example `["https://dashboard.example"]`. Default none.
    pub(super) origins: Option<Vec<String>>,
    /// Metrics over HTTP for Prometheus. Default off.
    pub(super) http: Option<Http>,
}

/// MQTT over TLS, or `false`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Mqtts {
    /// `true` for the default address, `false` for no listener.
    Switch(bool),
    /// The listener.
    Table(MqttsTable),
}

/// MQTT over TLS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MqttsTable {
    /// The address. Default `"0.0.0.0:8883"`.
    pub(super) bind: Option<Address>,
    /// Lets clients in that show no certificate: `true` where only this machine can connect,
    /// `"anywhere"` for any address. Default `false`.
    pub(super) anonymous: Option<LetIn>,
    /// Lets clients in that show no certificate but the name and the password of a device. Default
    /// `false`.
    pub(super) password: Option<bool>,
}

/// MQTT over plain TCP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    /// The address, for example `"127.0.0.1:1883"`.
    pub(super) bind: Address,
    /// Lets clients in without an identity: `true` where only this machine can connect, `"anywhere"`
    /// for any address. Default `false`. This or `password` must be set.
    #[serde(default)]
    pub(super) anonymous: Option<LetIn>,
    /// Lets clients in that show the name and the password of a device: `true` where only this
    /// machine can connect, `"anywhere"` for any address, where others on the way can read both.
    /// Default `false`.
    #[serde(default)]
    pub(super) password: Option<LetIn>,
}

/// Whether such clients are let in.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum LetIn {
    /// `true` or `false`.
    Switch(bool),
    /// From any address.
    Word(Anywhere),
}

/// From any address.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum Anywhere {
    /// From any address.
    #[serde(rename = "anywhere")]
    Anywhere,
}

/// Metrics over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    /// The address, for example `"127.0.0.1:9464"`.
    pub(super) bind: Address,
}

/// Bounds. Whatever goes over one is refused or dropped, and counted with its reason.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// Largest MQTT packet that a client may send. Default `"1MiB"`, at least `"16B"`, at most
    /// `"268435460B"`, the largest that MQTT can describe.
    pub(super) max_packet: Option<SizeText>,
    /// Connections at once. Default 10000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) max_connections: Option<i64>,
    /// Connections at once that have not sent a valid CONNECT yet. One more closes the oldest of
    /// them. Default 1000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) max_connecting: Option<i64>,
    /// Sessions at once, connected or kept. Default 20000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) max_sessions: Option<i64>,
    /// Subscriptions of one session. Default 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_subscriptions: Option<i64>,
    /// Bytes of the topic filters of one session, names of groups included. Default `"256KiB"`.
    pub(super) subscription_bytes: Option<SizeText>,
    /// QoS 1 and 2 messages in flight on one connection, in each direction. Default 64.
    #[schemars(range(min = 1, max = 65_535))]
    pub(super) receive_maximum: Option<i64>,
    /// Topic aliases that a client of MQTT 5 may use. Default 16.
    #[schemars(range(min = 0, max = 65_535))]
    pub(super) topic_alias_maximum: Option<i64>,
    /// Topic aliases that the hub uses towards a client of MQTT 5 that takes them. Default 16.
    #[schemars(range(min = 0, max = 65_535))]
    pub(super) topic_alias_maximum_out: Option<i64>,
    /// Highest quality of service that a client may publish with. Default 2.
    #[schemars(range(min = 0, max = 2))]
    pub(super) maximum_qos: Option<i64>,
    /// Longest keep-alive; a client of MQTT 5 that asks for more is told this one. Default none.
    pub(super) keep_alive_max: Option<SpanText>,
    /// How long a connection may take to send CONNECT. Default `"10s"`.
    pub(super) connect_timeout: Option<SpanText>,
    /// Longest time that a session is kept after its client went. Default `"7d"`; with
    /// `"4294967295s"`, the most that MQTT can describe, sessions may last for ever.
    pub(super) session_expiry_max: Option<SpanText>,
    /// Messages that wait for one session. Default 1000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) session_messages: Option<i64>,
    /// Bytes that wait for one session. Default `"8MiB"`.
    pub(super) session_bytes: Option<SizeText>,
    /// Which message the full queue of a session loses. Default `"drop-oldest"`.
    pub(super) session_overflow: Option<Overflow>,
    /// Bytes of all messages that wait on disk, for sessions, holds and calls together. Default
    /// `"1GiB"`.
    pub(super) queued_bytes: Option<SizeText>,
    /// The same messages, each counted once for each of its receivers: what the hub has in memory of
    /// them. Default 500000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(super) queued_deliveries: Option<i64>,
    /// Bytes that wait in the output of a connection before QoS 0 is dropped for it. Default `"1MiB"`.
    pub(super) output_buffer: Option<SizeText>,
    /// A connection that takes nothing of what waits for it for so long is closed. Default `"60s"`.
    pub(super) slow_reader_timeout: Option<SpanText>,
    /// Retained messages. Default 10000; with 0, clients are told that there are none.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(super) retained_messages: Option<i64>,
    /// Bytes of retained messages. Default `"16MiB"`.
    pub(super) retained_bytes: Option<SizeText>,
    /// Functions that a message may go through, one after the other. Default 16.
    #[schemars(range(min = 1, max = 255))]
    pub(super) max_hops: Option<i64>,
    /// Largest event and largest result of a call. Default and most `"6MiB"`.
    pub(super) call_payload: Option<SizeText>,
    /// Calls that wait, of all functions together. Default 100000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) queued_calls: Option<i64>,
    /// Bytes of the events of calls that wait. Default `"64MiB"`.
    pub(super) queued_call_bytes: Option<SizeText>,
    /// Memory of all workers of all functions together. Default `"auto"`: what the machine can spare.
    pub(super) functions_memory: Option<AutoOrSize>,
}

/// `"auto"` or a size.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct AutoOrSize(pub(super) String);

impl JsonSchema for AutoOrSize {
    fn schema_name() -> Cow<'static, str> {
        "AutoOrSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "\"auto\", or a size such as \"512MiB\"" })
    }
}

/// Which message a full queue loses.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Overflow {
    /// The one that waited longest.
    DropOldest,
    /// The one that arrives.
    DropNewest,
}

/// When a message is safe.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Durability {
    /// What an acknowledgement promises. Default `"process"`.
    pub(super) mode: Option<DurabilityMode>,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DurabilityMode {
    /// The message survives the death of the hub at any moment; a power cut may take the last
    /// tenth of a second.
    Process,
    /// The message survives a power cut. Costs a sync of the disk for each group of messages.
    Power,
    /// Nothing. Messages are kept in memory only.
    None,
}

/// A device.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Device {
    /// What people should know about it.
    pub(super) description: Option<String>,
    /// What message rules see of it as `receiver.KEY`: codes, places, identifiers. Texts, numbers,
    /// truth values or lists of them.
    pub(super) attributes: BTreeMap<String, Attribute>,
}

/// What message rules see of a device: a text, a number, a truth value, or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Attribute {
    /// One value.
    One(Scalar),
    /// Several.
    Many(Vec<Scalar>),
}

/// A text, a number or a truth value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// True or false.
    Truth(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// A function.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Function {
    /// What runs it: `"python3"` or `"python3.8"` to `"python3.14"`, `"nodejs"` or `"nodejs18.x"` to
    /// `"nodejs24.x"`, or `"provided"`, `"provided.al2"`, `"provided.al2023"` for an executable
    /// called `bootstrap`.
    pub(super) runtime: String,
    /// What is called: `"app.handler"` for the function `handler` of the module `app`. Not needed by
    /// `provided`.
    #[serde(default)]
    pub(super) handler: Option<String>,
    /// The code: a folder or a `.zip`, relative to the manifest.
    pub(super) code: String,
    /// Memory of each worker. Default `"128MiB"`.
    #[serde(default)]
    pub(super) memory: Option<SizeText>,
    /// Longest time of a call. Default `"3s"`, at most `"15m"` unless the function is pinned.
    #[serde(default)]
    pub(super) timeout: Option<SpanText>,
    /// When its workers run. Default `"on-demand"`.
    #[serde(default)]
    pub(super) mode: Option<Mode>,
    /// Calls that run at once. Default 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max_concurrency: Option<i64>,
    /// Whose calls come first. Default `"normal"`.
    #[serde(default)]
    pub(super) priority: Option<Priority>,
    /// Whether running calls can be suspended and stored. Default `"none"`.
    #[serde(default)]
    pub(super) checkpoint: Option<Checkpoint>,
    /// How many workers there are.
    #[serde(default)]
    pub(super) workers: Workers,
    /// How long a worker without calls is kept. Default `"5m"`.
    #[serde(default)]
    pub(super) idle_timeout: Option<SpanText>,
    /// Environment variables of its workers; together at most 4 KiB.
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    /// Where results are published, as messages from this function. Default nowhere.
    #[serde(default)]
    pub(super) result_topic: Option<String>,
    /// What people should know about it.
    #[serde(default)]
    pub(super) description: Option<String>,
}

/// When the workers of a function run.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// Started for calls, stopped when they have been idle.
    OnDemand,
    /// One worker, started at deployment and kept.
    Pinned,
}

/// Whose calls come first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    /// What can wait.
    Low,
    /// What is usual.
    Normal,
    /// What comes before the usual.
    High,
    /// What comes before all else.
    Urgent,
}

/// Whether running calls can be suspended and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Checkpoint {
    /// They cannot.
    None,
    /// Where the code says that it can be. Not available yet.
    Cooperative,
    /// Anywhere, for Wasm. Not available yet.
    Transparent,
    /// Anywhere, as an image of the process. Not available yet.
    OsImage,
}

/// How many workers a function has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Workers {
    /// Workers that are held ready while nothing calls: a number, or `"auto"`, which holds none in
    /// this version. Default `"auto"`.
    pub(super) reserve: Option<Reserve>,
    /// Workers at once. Default as many as `max_concurrency`.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max: Option<i64>,
}

/// `"auto"` or a number.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Reserve {
    /// This many.
    Fixed(#[schemars(range(min = 0, max = 10_000))] i64),
    /// The hub decides; in this version it holds none.
    Word(Auto),
}

/// The hub decides; in this version it holds none.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum Auto {
    /// The hub decides; in this version it holds none.
    #[serde(rename = "auto")]
    Auto,
}

/// A route. A message goes where each route that matches it says, in the order of the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// A name for logs, plans and `why`. Default its place: `routes[0]`.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Where messages come from: `device:NAME`, `device:*`, `function:NAME`, `function:*`,
    /// `anonymous`, or a list of them.
    pub(super) from: OneOrMany,
    /// The topics that are taken; `+` stands for one level, a last `#` for all further ones.
    pub(super) topic: String,
    /// A condition in CEL over `payload`, `topic`, `levels`, `source`, `size` and `properties`. A
    /// message for which it cannot be told does not match. Default none.
    #[serde(default)]
    pub(super) when: Option<String>,
    /// Where messages go: `device:NAME`, `function:NAME`, `subscribers`, or `nobody`. What goes to
    /// nobody reaches nobody, whatever other routes say, and cannot be subscribed to.
    pub(super) to: String,
    /// Who of the receivers gets a message: a condition in CEL like `when`, which also sees
    /// `receiver`, a map with the `name` of the receiving device and its attributes. A receiver for
    /// which it cannot be told does not get it. Default everybody.
    #[serde(default)]
    pub(super) only: Option<String>,
    /// The topic on which the message goes on, to those who subscribed to that one: a text in which
    /// `{levels[N]}` stands for a level of its own topic, counted from 0, and `{topic}` for all of
    /// it. Default its own topic.
    #[serde(default)]
    pub(super) publish_as: Option<String>,
    /// Withholds the message from whom this route does not choose: routes to subscribers and devices
    /// that do not say this too are passed over. Default `false`.
    #[serde(default)]
    pub(super) withhold: bool,
    /// What happens to messages for a device that is away and has no session that keeps them.
    /// Default: they are dropped and counted.
    #[serde(default)]
    pub(super) on_unavailable: Option<OnUnavailable>,
    /// Accepts that functions lead to each other in a circle through this route. Default `false`.
    #[serde(default)]
    pub(super) allow_cycle: bool,
}

/// A text or a list of texts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// How messages wait for a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnUnavailable {
    /// How long a message waits at most, for example `"10m"`.
    pub(super) hold: SpanText,
    /// How many messages wait at most. Default 1000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max: Option<i64>,
    /// Which message goes when one more arrives. Default `"drop-oldest"`.
    #[serde(default)]
    pub(super) then: Option<Overflow>,
}

/// Defines a text with a form of its own, which errors show.
macro_rules! text_form {
    ($name:ident, $form:literal, $pattern:literal) => {
        #[doc = concat!("A text: ", $form)]
        #[derive(Clone, Debug, Deserialize)]
        #[serde(transparent)]
        pub(super) struct $name(pub(super) String);

        impl $name {
            pub(super) const FORM: &str = $form;
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "title": $form, "pattern": $pattern })
            }
        }
    };
}

text_form!(
    SizeText,
    "a size such as \"64MiB\"; units are B, KiB, MiB, GiB, kB, MB, GB",
    "^\\s*[0-9]+\\s*(B|KiB|MiB|GiB|kB|MB|GB)?\\s*$"
);
text_form!(
    SpanText,
    "a time such as \"3s\"; units are ms, s, m, h, d",
    "^\\s*[0-9]+\\s*(ms|s|m|h|d)\\s*$"
);
text_form!(
    Address,
    "an address and a port such as \"127.0.0.1:1883\" or \"[::1]:1883\"",
    "^.+:[0-9]+$"
);
