//! The whole hub as machines; the daemon and the simulator drive it.
