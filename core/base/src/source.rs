use std::fmt;

use crate::{DeviceName, FunctionName};

/// Where a message comes from. Routes choose by it; it is set by the hub, never by the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A device that proved its identity.
    Device(DeviceName),
    /// A client that was let in without an identity, where a listener allows it.
    Anonymous,
    /// What a function returned or published.
    Function(FunctionName),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Device(name) => write!(f, "device:{name}"),
            Source::Anonymous => write!(f, "anonymous"),
            Source::Function(name) => write!(f, "function:{name}"),
        }
    }
}
