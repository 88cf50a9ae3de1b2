//! The real binary with clients and runtimes that nobody here wrote.
//!
//! Everything is in `tests`: one test binary, one module for each subject. `peers` has the devices:
//! small programs for MQTT libraries in Python and JavaScript, started as processes of their own.
