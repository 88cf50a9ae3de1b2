//! Files by digest for code; deployments behind one pointer.
//!
//! [`CodeStore`] keeps the code of functions: a zip goes in under the SHA-256 of its bytes, and a
//! folder with its content comes out, whole or not at all. Zips come from anywhere, so that every
//! entry is checked before anything is written; [`pack`] makes them, the same bytes for the same
//! folder. [`Deployments`] keeps the revisions of the configuration and says which one is in force;
//! a kill or a power cut at any moment leaves the one before or the new one.
//!
//! Both write beside, sync, and rename. Neither locks its folder: one process writes at a time.

mod code_store;
mod deployments;
mod durable;
mod entry_path;
mod limits;
mod links;
mod pack;
mod unpack;
mod zip_directory;
mod zip_format;
mod zip_plan;

#[cfg(test)]
mod tests;

pub use code_store::{CodeStore, PutCodeError, PutOutcome};
pub use deployments::{Deployments, InstallError, Listed, ReadDeploymentError, Stored};
pub use entry_path::BadPath;
pub use limits::CodeLimits;
pub use links::LinkProblem;
pub use pack::{PackError, Packed, pack};
pub use unpack::UnpackError;
pub use zip_plan::ZipRefused;
