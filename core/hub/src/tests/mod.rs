mod harness;
mod messages;
mod promises;
