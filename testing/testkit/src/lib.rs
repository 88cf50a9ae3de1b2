//! What the tests share: a hub process, its control interface, and peers that nobody here wrote.
//!
//! A [`Hub`] is the real binary in a temporary folder; dropping it kills it and removes the folder.
//! [`peers`] starts mosquitto's programs, Python and Node.js with what `cargo xtask install-tools`
//! has installed. Nothing here sleeps to wait: it waits for an event, or asks again until a deadline.

mod binary;
mod control;
mod failing_calls;
mod forger;
mod hub;
pub mod mqtt;
pub mod peers;
mod ports;
mod process;
mod until;

pub use binary::tomte_binary;
pub use control::{Answer, Control, Lines};
pub use failing_calls::FailingCalls;
pub use forger::{Forged, Forger, Purpose};
pub use hub::{DeviceFiles, Hub};
pub use ports::free_port;
pub use process::{Output, Process};
pub use until::until;
