//! Every format that another program reads: the manifest, the bodies of the control interface.

pub mod control;
pub mod manifest;
