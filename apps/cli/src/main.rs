//! The tomte command.
fn main() {}
