//! Whole hubs under one virtual clock, network and disk, from one seed.
