//! The manifest: one TOML file that says all a hub shall do.
//!
//! There are two types for it. What was *written* is read by serde, key by key, and is the source of
//! the JSON Schema ([`json_schema`]). What is *meant* is the public [`Manifest`]: defaults filled in,
//! quantities read, routes compiled against the devices and functions that they name. [`parse`] leads
//! from one to the other and reports everything that is wrong on the way as [`Diagnostics`], with
//! line, column, key, what was expected and what to do.
//!
//! A manifest is checked in three steps, each of which reports all that it finds: the TOML itself;
//! the form (unknown keys, types, ranges), by walking the schema; the meaning.

mod describe;
mod diagnostic;
mod document;
mod form;
mod key_path;
mod meant;
mod resolve;
mod schema;
mod warnings;
mod written;

pub use describe::{changes, describe};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use meant::{
    DeviceConfig, Durability, Function, FunctionsMemory, HubConfig, Limits, Listener, Listeners,
    Manifest, Reserve, Runtime, Workers,
};
pub use schema::json_schema;
pub use tomte_scheduler::{Mode, Priority};
pub use warnings::warnings;

use diagnostic::Report;
use document::Document;

/// Longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// A manifest in which every key is explained and has its default.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Reads a manifest. `file_name` only appears in diagnostics.
///
/// # Errors
/// Fails with all [`Diagnostics`] of the first step that finds any.
pub fn parse(text: &str, file_name: &str) -> Result<Manifest, Diagnostics> {
    let mut report = Report::new(text, file_name);
    let Some(document) = Document::parse(text, &mut report) else {
        return Err(report.into_diagnostics());
    };
    form::check(&document, &mut report);
    if !report.is_empty() {
        return Err(report.into_diagnostics());
    }
    let manifest = document
        .deserialize(&mut report)
        .and_then(|written| resolve::manifest(written, &document, &mut report));
    manifest.ok_or_else(|| report.into_diagnostics())
}

#[cfg(test)]
mod tests;
