mod harness;
mod messages;
