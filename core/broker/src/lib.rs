//! One topic tree for subscriptions and routes, retained messages, bounded queues.
