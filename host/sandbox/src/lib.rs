//! Namespaces, cgroups, seccomp and landlock around a worker process.
