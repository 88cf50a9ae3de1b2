use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring;
use rustls::server::VerifierBuilderError;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::authority::{Authority, SERVER_LIFE};
use crate::files::{self, PUBLIC, SECRET};
use crate::pem;

const AUTHORITY_KEY: &str = "ca.key.pem";
const AUTHORITY_CERTIFICATE: &str = "ca.pem";
const SERVER: &str = "server.pem";

/// Why the identities of a hub could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdentityError {
    /// A file or folder could not be read.
    #[error("read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The authority has a certificate and no private key.
    #[error(
        "{path} is missing, without it no device can be added; restore it from a backup, or remove \
         the folder it belongs in and add all devices anew"
    )]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// A key or certificate could not be made.
    #[error("make a key and certificate for {whom}")]
    Generate {
        /// Whom they are for.
        whom: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// The checker of client certificates could not be made.
    #[error("make the checker of client certificates")]
    Verifier {
        /// Why.
        source: VerifierBuilderError,
    },
    /// TLS could not be set up.
    #[error("set up TLS")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
}

/// Reads the authority of `folder`, and makes it when there is none. The key is written first: a key
/// without a certificate has signed nothing, so that an interrupted start is simply continued.
pub(crate) fn open_authority(
    folder: &Path,
    hub_name: &str,
    now: SystemTime,
) -> Result<Authority, OpenIdentityError> {
    let key_path = folder.join(AUTHORITY_KEY);
    let path = folder.join(AUTHORITY_CERTIFICATE);
    let generate = |source| OpenIdentityError::Generate { whom: "the hub's authority", source };
    let certificate = authority_certificate(folder)?;
    let key = match read_if_there(&key_path)? {
        Some(key) => key,
        None if certificate.is_some() => {
            return Err(OpenIdentityError::KeyMissing { path: key_path });
        }
        None => write(&key_path, Authority::generate_key().map_err(generate)?, SECRET)?,
    };
    keep_secret(&key_path)?;
    let certificate = match certificate {
        Some(certificate) => certificate,
        None => {
            let made = Authority::certify(&key, hub_name, now).map_err(generate)?;
            write(&path, made, PUBLIC)?
        }
    };
    Authority::load(&key, &certificate).map_err(|what| OpenIdentityError::Damaged { path, what })
}

/// Reads the certificate of the authority, if there is one.
pub(crate) fn authority_certificate(folder: &Path) -> Result<Option<String>, OpenIdentityError> {
    read_if_there(&folder.join(AUTHORITY_CERTIFICATE))
}

/// The hub's own certificate, ready for use.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) key: CertifiedKey,
    /// When it expires.
    pub(crate) expires: SystemTime,
}

/// Reads the hub's own certificate, and makes a new one when there is none that `authority` has
/// signed, less than a third of its life is left, or the machine has names that it lacks.
pub(crate) fn open_server(
    folder: &Path,
    authority: &Authority,
    hub_name: &str,
    names: &[String],
    now: SystemTime,
) -> Result<Server, OpenIdentityError> {
    let path = folder.join(SERVER);
    let mut now = now;
    if let Some(text) = read_if_there(&path)?
        && let Ok(found) = FoundServer::read(&text, authority)
    {
        keep_secret(&path)?;
        if found.is_good(names, now) {
            return Ok(found.server);
        }
        // A clock that is behind the last certificate is wrong, and clients would see it.
        now = now.max(found.valid_from);
    }
    let issued = authority
        .issue_server(hub_name, names, now)
        .map_err(|source| OpenIdentityError::Generate { whom: "the hub", source })?;
    let text = write(&path, issued.certificate_pem + &issued.private_key_pem, SECRET)?;
    let found = FoundServer::read(&text, authority)
        .map_err(|what| OpenIdentityError::Damaged { path, what })?;
    Ok(found.server)
}

/// What the file of the hub's own certificate holds.
struct FoundServer {
    server: Server,
    valid_from: SystemTime,
    names: Vec<String>,
}

impl FoundServer {
    fn read(text: &str, authority: &Authority) -> Result<Self, String> {
        let certificate = pem::certificate(text)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| format!("it is no X.509 certificate ({error})"))?;
        let (_, issuer) = x509_parser::parse_x509_certificate(authority.certificate())
            .map_err(|error| format!("the authority has no X.509 certificate ({error})"))?;
        parsed
            .verify_signature(Some(issuer.public_key()))
            .map_err(|_| "the hub's authority has not signed it".to_owned())?;
        let names = names_of(&parsed);
        let valid_from = time_of(parsed.validity().not_before.timestamp());
        let expires = time_of(parsed.validity().not_after.timestamp());
        let private_key = pem::private_key(text)?;
        let provider = ring::default_provider();
        let key = CertifiedKey::from_der(vec![certificate.clone()], private_key, &provider)
            .map_err(|error| error.to_string())?;
        Ok(Self { server: Server { key, expires }, valid_from, names })
    }

    fn is_good(&self, names: &[String], now: SystemTime) -> bool {
        let left = self.server.expires.duration_since(now).unwrap_or_default();
        left > SERVER_LIFE / 3 && names.iter().all(|name| self.names.contains(name))
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    v4.or(v6).ok()
}

fn time_of(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}

fn read_if_there(path: &Path) -> Result<Option<String>, OpenIdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenIdentityError::Read { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, text: String, mode: u32) -> Result<String, OpenIdentityError> {
    match files::replace(path, &text, mode) {
        Ok(()) => Ok(text),
        Err(source) => Err(OpenIdentityError::Write { path: path.to_owned(), source }),
    }
}

/// Takes away what others may do with a key, whoever gave it to them.
fn keep_secret(path: &Path) -> Result<(), OpenIdentityError> {
    let read = |source| OpenIdentityError::Read { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(read)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(SECRET))
        .map_err(|source| OpenIdentityError::Write { path: path.to_owned(), source })
}
