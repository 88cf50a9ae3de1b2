use std::collections::BTreeMap;

use tomte_base::{DeviceName, FunctionName};

/// A configuration, taken apart. Two are equal when no hub could tell them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The parts, in the order of the manifest.
    pub sections: Vec<Item>,
}

/// One part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What people call it: `functions.regulate`, `routes[0] "hot"`.
    pub what: String,
    /// What it is; decides what a change disturbs.
    pub kind: Kind,
    /// Its keys and values as text, defaults included.
    pub fields: BTreeMap<String, String>,
}

/// What an [`Item`] describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The hub itself.
    Hub,
    /// A listener, by protocol.
    Listener(String),
    /// All limits.
    Limits,
    /// When messages are safe.
    Durability,
    /// A device.
    Device(DeviceName),
    /// A function.
    Function(FunctionName),
    /// A route, by name if it has one. Its place is not part of its identity.
    Route(Option<String>),
}
