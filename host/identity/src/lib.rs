//! The hub's own certificate authority and the identities of devices.
//!
//! Each hub has a certificate authority of its own, so that devices can be added and can log in with
//! the internet gone. A device is known by the certificate that it presents: its fingerprint is
//! looked up among the device records, and nothing that a client says about itself counts. The
//! private key of a device is given out once and never kept.
//!
//! A device that cannot do TLS may have a password instead. It is told once; what is kept is its
//! argon2id hash, in the device's record.
//!
//! What is in the folder, for people to look at:
//!
//! ```text
//! ca.pem         certificate of the authority, for devices        10 years
//! ca.key.pem     its private key, for the hub alone
//! server.pem     certificate and private key of the hub itself     90 days, renewed when a third is left
//! devices/NAME.json   one record for each device
//! ```
//!
//! Whoever accepts a TLS connection must ask [`Identity::device_of`] before believing it: a
//! connection that resumes an earlier session is not asked for its certificate again, so that the
//! handshake alone does not notice a removal in between.

mod authority;
mod client;
mod device_record;
mod files;
mod fingerprint;
mod identity;
mod login;
mod machine_names;
mod open;
mod password;
mod pem;
mod registry;
mod server;
mod verifier;

#[cfg(test)]
mod tests;

pub use client::{ClientConfigError, anonymous_client_config, client_config};
pub use device_record::{DamagedRecord, DeviceRecord};
pub use identity::{
    AddDeviceError, DeviceCredentials, Identity, IdentityRefusal, ReadDevicesError,
    RemoveDeviceError, list_devices,
};
pub use login::{ChangeDeviceError, FormerCertificate};
pub use open::OpenIdentityError;
pub use password::{MAX_PASSWORD_BYTES, NoPasswordHash, Password, PasswordHash, PasswordRefusal};
pub use server::WithoutCertificate;
