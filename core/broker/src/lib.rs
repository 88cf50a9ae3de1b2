//! The data structures of the broker: who gets a message, what is kept for whom, and for how long.
//!
//! Everything here is plain memory with a stated bound. Nothing knows MQTT packets, sessions or the
//! route table: `core/hub` joins these parts with them.
//!
//! | question | answered by |
//! |---|---|
//! | who gets a message on this topic? | [`TopicTree`], and [`MatchCache`] for topics that return |
//! | what does a new subscriber get at once? | [`Retained`] |
//! | what waits for a session that is away or slow? | [`Queue`] |
//! | which member of a shared subscription is next? | [`ShareGroup`] |
//! | which part of the journal is no longer needed? | [`LogIndex`] |
//!
//! Hashing is seeded by the owner: equal seeds and equal inputs give equal results, so that a
//! simulation can be repeated, and a hub draws a seed at start so that a client cannot prepare
//! topics that collide.

mod level_arena;
mod log_index;
mod match_cache;
mod queue;
mod retained;
mod shared;
mod text_hash;
mod topic_tree;

pub use log_index::{LogIndex, LogLimits};
pub use match_cache::{CACHED_TOPICS, LONGEST_CACHED_TOPIC_BYTES, MatchCache};
pub use queue::{Overflow, Push, Queue, QueueLimits};
pub use retained::{Retained, RetainedLimit, RetainedLimits, SetOutcome, message_bytes};
pub use shared::{Choice, Readiness, ShareGroup};
pub use topic_tree::TopicTree;
