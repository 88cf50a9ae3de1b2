//! The append-only log that acknowledgements wait for.
