use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::CertificateDer;
use tomte_base::DeviceName;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority's own certificate is valid.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3652 * 24 * 60 * 60);
/// How long the certificate of the hub itself is valid.
pub(crate) const SERVER_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Certificates are valid from this long before they are made, for clocks that are behind.
const BACKDATED: Duration = DAY;
/// Longest common name (RFC 5280, appendix A.1).
const COMMON_NAME_BYTES: usize = 64;

/// The hub's certificate authority: a P-256 key and a certificate signed with it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate with its private key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) private_key_pem: String,
}

impl Authority {
    /// Makes a private key for a new authority.
    pub(crate) fn generate_key() -> Result<String, rcgen::Error> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(|key| key.serialize_pem())
    }

    /// Makes the certificate of the authority that has the key `key_pem`.
    pub(crate) fn certify(
        key_pem: &str,
        hub_name: &str,
        now: SystemTime,
    ) -> Result<String, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, AUTHORITY_LIFE);
        params.distinguished_name = common_name(&format!("Tomte hub {hub_name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.self_signed(&key).map(|certificate| certificate.pem())
    }

    /// Takes an authority from its files.
    pub(crate) fn load(key_pem: &str, pem: &str) -> Result<Self, String> {
        let certificate = crate::pem::certificate(pem)?;
        let key = KeyPair::from_pem(key_pem).map_err(|error| error.to_string())?;
        let parsed = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| format!("it is no X.509 certificate ({error})"))?
            .1;
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err("it does not belong to the private key beside it".to_owned());
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| e.to_string())?;
        Ok(Self { issuer, certificate, pem: pem.to_owned() })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes a key and a certificate for a device.
    pub(crate) fn issue_device(
        &self,
        name: &DeviceName,
        life: Duration,
        now: SystemTime,
    ) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, life);
        params.distinguished_name = common_name(name.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// Makes a key and a certificate for the hub under all of `names`, host names and addresses.
    pub(crate) fn issue_server(
        &self,
        hub_name: &str,
        names: &[String],
        now: SystemTime,
    ) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        set_validity(&mut params, now, SERVER_LIFE);
        params.distinguished_name = common_name(hub_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let certificate_pem = certificate.pem();
        let private_key_pem = key.serialize_pem();
        Ok(Issued { certificate: certificate.into(), certificate_pem, private_key_pem })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    let end = name.floor_char_boundary(COMMON_NAME_BYTES);
    distinguished.push(DnType::CommonName, &name[..end]);
    distinguished
}

/// Certificates count whole seconds.
fn set_validity(params: &mut CertificateParams, now: SystemTime, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + whole_seconds(valid_from(now));
    params.not_after = epoch + whole_seconds(now + life);
}

/// Returns from when on a certificate is valid that is made `now`.
pub(crate) fn valid_from(now: SystemTime) -> SystemTime {
    now.checked_sub(BACKDATED).unwrap_or(UNIX_EPOCH)
}

/// Returns the time since 1970 in whole seconds; nothing for a moment before.
pub(crate) fn whole_seconds(time: SystemTime) -> Duration {
    Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Returns milliseconds since 1970, of the second that `time` is in.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    whole_seconds(time).as_secs().saturating_mul(1000)
}
