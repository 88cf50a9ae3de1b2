mod exactly_once;
mod exactly_once_model;
mod harness;
mod messages;
mod promises;
mod protocol;
mod wills;
