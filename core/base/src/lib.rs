//! The words that every crate of the hub speaks: names, ids, topics, messages, time, quantities.
//!
//! Nothing here has behaviour of its own beyond checking its own form: a [`TopicName`] that exists
//! is a valid topic name, a [`DeviceName`] that exists is a valid device name.

mod error_chain;
mod id;
mod message;
mod name;
mod number_hash;
mod quantity;
mod source;
mod time;
mod token_bucket;
mod topic;

pub use error_chain::error_chain;
pub use id::{CallId, ConnectionId, LogPosition, MessageId, Revision, WorkerId};
pub use message::{Message, Properties, QoS};
pub use name::{DeviceName, FunctionName, NameError, RouteName};
pub use number_hash::{NumberHash, NumberHasher};
pub use quantity::{ByteSize, MilliCpu, QuantityError, format_duration, parse_duration};
pub use source::Source;
pub use time::Time;
pub use token_bucket::TokenBucket;
pub use topic::{
    MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS, SharedFilter, TopicError, TopicFilter, TopicName,
    topic_matches,
};
