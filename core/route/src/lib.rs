//! The manifest's routes, compiled: criteria, destinations, loops.
