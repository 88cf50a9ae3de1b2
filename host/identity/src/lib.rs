//! The hub's own certificate authority and the identities of devices.
