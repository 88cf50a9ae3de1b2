//! A device that uses rumqttc, in this process.

use std::fs;
use std::sync::Arc;

use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tomte_testkit::DeviceFiles;

use crate::client::PATIENCE;

/// A connected client that waits for what it asks for.
pub(crate) struct RustClient {
    client: Client,
    connection: Connection,
}

impl RustClient {
    /// Connects over TCP, without an identity.
    pub(crate) fn plain(id: &str, port: u16) -> Self {
        Self::connect(MqttOptions::new(id, "localhost", port))
    }

    /// Connects over TLS with the identity of a device.
    pub(crate) fn secure(id: &str, port: u16, files: &DeviceFiles) -> Self {
        let mut options = MqttOptions::new(id, "localhost", port);
        let tls = TlsConfiguration::Rustls(Arc::new(tls_config(files)));
        options.set_transport(Transport::tls_with_config(tls));
        Self::connect(options)
    }

    fn connect(mut options: MqttOptions) -> Self {
        options.set_keep_alive(PATIENCE);
        let (client, connection) = Client::new(options, 100);
        let mut connected = Self { client, connection };
        connected.wait(|packet| matches!(packet, Packet::ConnAck(_)).then_some(()));
        connected
    }

    /// Subscribes with QoS 1 and waits for the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    }

    /// Publishes with QoS 1. The acknowledgement is waited for with the next message.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
    }

    /// Waits for the next message and returns its topic and payload.
    pub(crate) fn message(&mut self) -> (String, String) {
        self.wait(|packet| match packet {
            Packet::Publish(publish) => {
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                Some((publish.topic.clone(), payload))
            }
            _ => None,
        })
    }

    fn wait<T>(&mut self, take: impl Fn(&Packet) -> Option<T>) -> T {
        loop {
            let event = self.connection.recv_timeout(PATIENCE).expect("an event in time").unwrap();
            let Event::Incoming(packet) = event else { continue };
            if let Some(found) = take(&packet) {
                return found;
            }
        }
    }
}

pub(crate) fn tls_config(files: &DeviceFiles) -> ClientConfig {
    let read = |path| fs::read(path).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(&files.ca)) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let chain = CertificateDer::pem_slice_iter(&read(&files.certificate))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap()
}
