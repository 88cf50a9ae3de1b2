//! MQTT 3.1.1 and 5: bytes to packets and back; one connection and one session as machines.
//!
//! * [`codec`] reads and writes all fifteen packets of both versions, for either end.
//! * [`connection`] holds what lives as long as one network connection: deadlines, the limits of
//!   the two sides, topic aliases.
//! * [`session`] holds what outlives it: messages in flight, packet identifiers, the states of
//!   QoS 1 and 2.
//!
//! Nothing here reads a clock, opens a socket or keeps a buffer. What a peer sends is refused with
//! an error that names the clause of the standard which it breaks; the memory that it can cause is
//! bounded by the size of its packet and by the limits that each type names.
//!
//! Subscriptions, retained messages, wills and permissions are left to the hub.

// Files that the fuzz targets compile too name this crate as they do.
#[cfg(test)]
extern crate self as tomte_mqtt;

pub mod codec;
pub mod connection;
pub mod session;
