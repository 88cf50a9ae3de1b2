//! The verbs, one file for each.

pub(crate) mod apply;
pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod completion;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod device;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod new;
pub(crate) mod plan;
pub(crate) mod routes;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod test;
pub(crate) mod why;
pub(crate) mod workers;

#[cfg(test)]
mod tests;
