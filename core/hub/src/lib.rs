//! The whole hub as one machine: connections, sessions, routes, calls, holds, and what the journal
//! must keep.
//!
//! The daemon and the simulator drive the same [`Hub`]: they hand it bytes, results and the time,
//! and carry out what it asks for. It promises that an acknowledgement leaves only after
//! [`Hub::on_durable`] has covered the record that it waits for, that every queue has a bound, and
//! that every drop and refusal has a [`Counter`].
//!
//! What a question leads to: *What happens when a device connects?* `connect.rs`; *publishes?*
//! `publish.rs`; *with a password?* `password.rs`; *subscribes?* `subscribe.rs`;
//! *shares a subscription?* `shares.rs`;
//! *sends or gets QoS 2?* `exactly_once.rs`; *vanishes?* `wills.rs`; *who gets a message?*
//! `fan_out.rs`, `rules.rs`, `parts.rs`; *how does it reach them?* `deliver.rs`, `encode.rs`; *where does it
//! wait?* `stored.rs`, `bodies.rs`; *how does a function run?* `calls.rs`; *what does a deployment
//! change?* `deploy.rs`; *what survives?* `record/`,
//! `recover/`; *what when the disk fails?* `outage.rs`; *what happens when its time has come?* `timers.rs`;
//! *why did it not arrive?* `flow.rs`, `explain.rs`.

mod bodies;
mod calls;
mod chosen;
mod config;
mod connect;
mod connecting;
mod connection;
mod counter;
mod deliver;
mod deploy;
mod effect;
mod encode;
mod exactly_once;
mod explain;
mod fan_out;
mod flow;
mod hold;
mod hub;
mod keep;
mod ledger;
mod match_set;
mod outage;
mod packet_ids;
mod parts;
mod password;
mod publish;
mod record;
mod recover;
mod rules;
mod seed;
mod session;
mod share_groups;
mod shares;
mod stalled;
mod stored;
mod subscribe;
mod timers;
mod views;
mod wills;

pub use calls::{CallError, CallOutcome, EndedCalls};
pub use config::{Config, FunctionConfig, Limits};
pub use connection::{CloseReason, Peer, Slot};
pub use counter::{Counter, Counters};
pub use effect::{Assignment, CallReply, Effect, FetchFor, Wanted};
pub use flow::{FlowEvent, Hop, HopKind, Trace};
pub use hub::Hub;
pub use password::{CheckId, PasswordCheck, Secret};
pub use publish::{Publication, Refused};
pub use record::{BadRecord, Destination, Record};
pub use recover::{RecoverError, Recovery};
pub use session::{Owner, Subscription};
pub use views::{DeviceView, HubView, RouteView};
pub use wills::Will;

#[cfg(test)]
mod tests;
