//! The real binary with clients and runtimes that nobody here wrote.
