//! Chores of the workspace: tests, checks, generated files.
fn main() {}
