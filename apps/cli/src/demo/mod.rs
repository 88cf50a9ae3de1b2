//! The parts of `tomte demo`: who takes part, what each device does, what came of it.

pub(crate) mod cast;
pub(crate) mod device;
pub(crate) mod mqtt_client;
pub(crate) mod stage;
pub(crate) mod tally;
