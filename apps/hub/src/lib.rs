//! The hub daemon: sockets, the worker pool, the journal and the control interface around the
//! machine of `tomte-core-hub`.
//!
//! Three kinds of threads: the *event loop* owns the machine and every MQTT socket
//! (`event_loop.rs`); a small *tokio runtime* serves workers and the control interface; a few
//! helpers wait for the disk and for exits of workers. They meet in one queue of [`event::Event`]s
//! towards the loop and one of effects away from it.

mod clock;
mod config;
mod control;
mod convert;
mod deploy;
mod event;
mod event_loop;
mod farewell;
mod fetcher;
mod flow_stream;
mod hangup;
mod listener;
mod logs;
mod once;
mod password_checker;
mod problem;
mod refusals;
mod reload;
mod run;
mod runtime_api;
mod slice;
mod socket;
mod state;
mod syncer;
mod websocket;
mod workers;

pub use once::test_function;
pub use run::{HubOptions, run};
pub use state::StateFolder;
