//! The real binary, driven as a person and their devices would: processes, sockets, files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod bad_clients;
mod bad_functions;
mod bad_machine;
mod bad_manifest;
mod certificates;
mod client;
mod clients;
mod command_line;
mod crash;
mod deployment;
mod durable;
mod failing_disk;
mod floods;
mod libraries;
mod main_job;
mod manifests;
mod message_rules;
mod paho_suite;
mod passwords;
mod raw_client;
mod reload;
mod rust_client;
mod shares;
mod websocket;
mod why;
