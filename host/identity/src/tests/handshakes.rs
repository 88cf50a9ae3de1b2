use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, HandshakeKind, RootCertStore, SignatureScheme};

use super::*;
use crate::{IdentityRefusal, WithoutCertificate, anonymous_client_config};

/// Expects that the hub refuses the certificate with `error`, in both kinds of listener.
fn check_refused(hub: &Identity, client: &Arc<ClientConfig>, error: &CertificateError) {
    for clients in [WithoutCertificate::Refuse, WithoutCertificate::Allow] {
        let failed = connect(client, &hub.server_config_for(clients)).err().unwrap();
        assert_eq!(failed.hub, Some(Error::InvalidCertificate(error.clone())));
    }
}

#[test]
fn a_device_is_let_in_and_known_by_its_certificate() {
    let (_folder, hub) = hub();
    add(&hub, "fan");
    let thermometer = add(&hub, "thermometer");
    let connection = connect(&client_of(&thermometer), &hub.server_config()).unwrap();
    let peer = connection.peer().unwrap();
    assert_eq!(*peer, certificate(&thermometer));
    assert_eq!(hub.device_of(peer), Ok(name("thermometer")));
}

#[test]
fn both_versions_of_tls_and_the_protocol_names_of_mqtt_are_spoken() {
    let (_folder, hub) = hub();
    let device = add(&hub, "thermometer");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for protocol in [None, Some("mqtt"), Some("x-amzn-mqtt-ca"), Some("http/1.1")] {
            let provider = Arc::new(ring::default_provider());
            let mut client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots(&device))
                .with_client_auth_cert(
                    vec![certificate(&device)],
                    pem::private_key(&device.private_key_pem).unwrap(),
                )
                .unwrap();
            client.alpn_protocols = protocol.iter().map(|it| it.as_bytes().to_vec()).collect();
            let connection = connect(&Arc::new(client), &hub.server_config()).unwrap();
            assert_eq!(connection.server.protocol_version(), Some(version.version));
            assert_eq!(connection.server.alpn_protocol(), protocol.map(str::as_bytes));
        }
    }
}

fn roots(device: &DeviceCredentials) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(pem::certificate(&device.ca_pem).unwrap()).unwrap();
    roots
}

#[test]
fn a_client_without_a_certificate_is_let_in_only_where_the_listener_says_so() {
    let (_folder, hub) = hub();
    let client = anonymous_client_config(hub.ca_pem()).unwrap();
    let failed = connect(&client, &hub.server_config()).err().unwrap();
    assert_eq!(failed.hub, Some(Error::NoCertificatesPresented));
    let open = hub.server_config_for(WithoutCertificate::Allow);
    assert_eq!(connect(&client, &open).unwrap().peer(), None);
}

#[test]
fn a_device_of_another_hub_is_refused_also_under_a_name_that_is_known_here() {
    let (_folder, hub) = hub();
    let (_other_folder, other) = super::hub();
    add(&hub, "thermometer");
    let stranger =
        DeviceCredentials { ca_pem: hub.ca_pem().to_owned(), ..add(&other, "thermometer") };
    let failed = connect(&client_of(&stranger), &hub.server_config()).err().unwrap();
    // Both authorities have the same name here, so that it is the signature that does not fit.
    assert!(matches!(
        failed.hub,
        Some(Error::InvalidCertificate(
            CertificateError::BadSignature | CertificateError::UnknownIssuer
        ))
    ));
    assert_eq!(hub.device_of(&certificate(&stranger)), Err(IdentityRefusal::UnknownIssuer));
}

#[test]
fn a_client_refuses_another_hub() {
    let (_folder, hub) = hub();
    let (_other_folder, other) = super::hub();
    let device = DeviceCredentials { ca_pem: other.ca_pem().to_owned(), ..add(&hub, "fan") };
    let failed = connect(&client_of(&device), &hub.server_config()).err().unwrap();
    assert!(matches!(failed.client, Some(Error::InvalidCertificate(_))), "{failed:?}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let (_folder, hub) = hub();
    let device = hub.add_device(&name("old"), now() - 91 * DAY).unwrap();
    let failed = connect(&client_of(&device), &hub.server_config()).err().unwrap();
    assert!(
        matches!(
            failed.hub,
            Some(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
        ),
        "{failed:?}"
    );
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::Expired));
    let then = hub.device_of_at(&certificate(&device), now() - 2 * DAY);
    assert_eq!(then, Ok(name("old")));
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    let (_folder, hub) = hub();
    let device = hub.add_device(&name("new"), now() + 10 * DAY).unwrap();
    let failed = connect(&client_of(&device), &hub.server_config()).err().unwrap();
    assert!(
        matches!(
            failed.hub,
            Some(Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }))
        ),
        "{failed:?}"
    );
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::NotYetValid));
}

#[test]
fn a_clock_an_hour_behind_does_not_keep_a_new_device_out() {
    let (_folder, hub) = hub();
    let device = add(&hub, "new");
    let behind = now() - Duration::from_secs(3600);
    assert_eq!(hub.device_of_at(&certificate(&device), behind), Ok(name("new")));
}

#[test]
fn a_removed_device_is_refused_at_once_by_listeners_that_run() {
    let (_folder, hub) = hub();
    let device = add(&hub, "thermometer");
    let (client, listener) = (client_of(&device), hub.server_config());
    connect(&client, &listener).unwrap();
    assert!(hub.remove_device(&name("thermometer")).unwrap());
    // A client that was never here before: the other one would resume its session.
    let failed = connect(&client_of(&device), &listener).err().unwrap();
    assert_eq!(failed.hub, Some(Error::InvalidCertificate(CertificateError::Revoked)));
    check_refused(&hub, &client_of(&device), &CertificateError::Revoked);
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::Revoked));
}

#[test]
fn a_resumed_session_still_shows_the_certificate_so_that_a_removal_is_noticed() {
    let (_folder, hub) = hub();
    let device = add(&hub, "thermometer");
    let (client, listener) = (client_of(&device), hub.server_config());
    connect(&client, &listener).unwrap();
    hub.remove_device(&name("thermometer")).unwrap();
    let resumed = connect(&client, &listener).unwrap();
    assert_eq!(resumed.server.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(resumed.client.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(hub.device_of(resumed.peer().unwrap()), Err(IdentityRefusal::Revoked));
}

#[test]
fn a_session_begun_without_a_certificate_is_not_resumed_where_one_is_needed() {
    let (_folder, hub) = hub();
    let client = anonymous_client_config(hub.ca_pem()).unwrap();
    let open = hub.server_config_for(WithoutCertificate::Allow);
    connect(&client, &open).unwrap();
    let resumed = connect(&client, &open).unwrap();
    assert_eq!(resumed.server.handshake_kind(), Some(HandshakeKind::Resumed));
    let failed = connect(&client, &hub.server_config()).err().unwrap();
    assert_eq!(failed.hub, Some(Error::NoCertificatesPresented));
}

#[test]
fn the_certificate_before_a_removal_and_a_new_addition_stays_refused() {
    let (_folder, hub) = hub();
    let before = add(&hub, "thermometer");
    hub.remove_device(&name("thermometer")).unwrap();
    let after = add(&hub, "thermometer");
    check_refused(&hub, &client_of(&before), &CertificateError::Revoked);
    connect(&client_of(&after), &hub.server_config()).unwrap();
}

/// Presents a certificate with a key that does not belong to it.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn the_certificate_of_one_device_with_the_key_of_another_is_refused() {
    let (_folder, hub) = hub();
    let (thermometer, fan) = (add(&hub, "thermometer"), add(&hub, "fan"));
    let key = ring::sign::any_ecdsa_type(&pem::private_key(&fan.private_key_pem).unwrap()).unwrap();
    let stolen = Thief(Arc::new(CertifiedKey::new(vec![certificate(&thermometer)], key)));
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&fan))
        .with_client_cert_resolver(Arc::new(stolen));
    check_refused(&hub, &Arc::new(client), &CertificateError::BadSignature);
    let mixed = client_config(&fan.ca_pem, &thermometer.certificate_pem, &fan.private_key_pem);
    assert!(mixed.unwrap_err().to_string().contains("certificate of the device"));
}

#[test]
fn a_certificate_of_the_authority_that_no_record_names_is_refused() {
    let (folder, hub) = hub();
    let device = add(&hub, "thermometer");
    std::fs::remove_file(folder.path().join("devices/thermometer.json")).unwrap();
    hub.reload().unwrap();
    check_refused(&hub, &client_of(&device), &CertificateError::ApplicationVerificationFailure);
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::NoName));
}

#[test]
fn the_certificate_of_the_hub_itself_stands_for_no_device() {
    let (folder, hub) = hub();
    let text = std::fs::read_to_string(folder.path().join("server.pem")).unwrap();
    let client = client_config(hub.ca_pem(), &text, &text).unwrap();
    let failed = connect(&client, &hub.server_config()).err().unwrap();
    assert!(matches!(failed.hub, Some(Error::InvalidCertificate(_))), "{failed:?}");
    assert!(hub.device_of(&pem::certificate(&text).unwrap()).is_err());
    assert!(hub.device_of(&pem::certificate(hub.ca_pem()).unwrap()).is_err());
    assert!(hub.device_of(&CertificateDer::from(vec![1, 2, 3])).is_err());
}

/// What browsers offer for a page, and some libraries for a WebSocket too.
#[test]
fn a_client_that_would_rather_have_http_2_is_given_http_1() {
    let (_folder, hub) = hub();
    let mut client = (*client_of(&add(&hub, "browser"))).clone();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connection = connect(&Arc::new(client), &hub.server_config()).unwrap();
    assert_eq!(connection.server.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_client_that_speaks_only_http_2_is_told_that_there_is_no_such_protocol() {
    let (_folder, hub) = hub();
    let mut client = (*client_of(&add(&hub, "browser"))).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let failed = connect(&Arc::new(client), &hub.server_config()).err().unwrap();
    assert_eq!(failed.hub, Some(Error::NoApplicationProtocol));
}
