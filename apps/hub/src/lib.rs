//! The hub daemon: listeners, worker pool, timers, control interface.
