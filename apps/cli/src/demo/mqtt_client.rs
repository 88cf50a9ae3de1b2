//! A small blocking MQTT client with mutual TLS: enough for the devices of the demo.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tomte_base::QoS;
use tomte_mqtt::codec::{
    Ack, Connect, Disconnect, Packet, PublishHead, ReasonCode, Subscribe, Subscription, Version,
    decode, encode_connect, encode_disconnect, encode_pingreq, encode_puback, encode_publish,
    encode_subscribe, frame_len,
};

/// Largest packet that a device takes, in bytes.
const MAX_PACKET_BYTES: u32 = 1 << 20;

/// Longest wait for an answer of the hub.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A packet is sent at least this often, so that the hub knows that we live.
const PING_EVERY: Duration = Duration::from_secs(15);

/// Longest silence that the hub shall bear, in seconds.
const KEEP_ALIVE_SECONDS: u16 = 45;

/// A connected device.
pub(crate) struct MqttClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
    last_sent: Instant,
    next_packet_id: u16,
}

/// What came from the hub.
pub(crate) enum Arrival {
    Message(Vec<u8>),
    Other,
}

impl MqttClient {
    /// Connects as `name` to `address` (`host:port`) with the files of `folder`.
    ///
    /// # Errors
    /// Fails when a file is unreadable, the address does not answer, one end does not trust the
    /// other, or the hub refuses the client.
    pub(crate) fn connect(name: &str, address: &str, folder: &Path) -> anyhow::Result<Self> {
        let (host, _) = address.rsplit_once(':').context("the address has no port")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server = ServerName::try_from(host.to_owned()).context("the host has no valid name")?;
        let tcp = TcpStream::connect(address);
        let tcp = tcp.with_context(|| format!("failed to connect to {address}"))?;
        tcp.set_nodelay(true)?;
        let tls = ClientConnection::new(Arc::new(tls_config(name, folder)?), server)?;
        let mut client = Self {
            stream: StreamOwned::new(tls, tcp),
            received: Vec::new(),
            last_sent: Instant::now(),
            next_packet_id: 1,
        };
        client.log_in(name)?;
        Ok(client)
    }

    /// Subscribes to `filter` with QoS 1.
    ///
    /// # Errors
    /// Fails when the connection does, or the hub refuses the subscription.
    pub(crate) fn subscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        let packet_id = self.packet_id();
        let subscriptions = vec![Subscription::new(filter, QoS::AtLeastOnce)];
        let subscribe = Subscribe { packet_id, subscriptions, ..Subscribe::default() };
        self.send(|out| encode_subscribe(out, Version::V5, &subscribe))?;
        let granted = self.wait_for(|packet| match packet {
            Packet::Suback(suback) => Some(suback.reasons.iter().all(|reason| !is_error(*reason))),
            _ => None,
        })?;
        if !granted {
            bail!("the hub refuses the subscription to {filter}: no route could ever feed it");
        }
        Ok(())
    }

    /// Publishes with QoS 1; does not wait for the acknowledgement.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        let packet_id = self.packet_id();
        let qos = QoS::AtLeastOnce;
        let head = PublishHead { qos, topic, packet_id, ..PublishHead::default() };
        self.send(|out| encode_publish(out, Version::V5, &head, payload))
    }

    /// Says goodbye: the hub then knows that the end was meant.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub(crate) fn disconnect(mut self) -> anyhow::Result<()> {
        self.send(|out| encode_disconnect(out, Version::V5, &Disconnect::default()))?;
        self.stream.conn.send_close_notify();
        Ok(self.stream.flush()?)
    }

    /// Waits up to `longest` for the next packet; acknowledges it when it is a message.
    ///
    /// # Errors
    /// Fails when the connection ends.
    pub(crate) fn next(&mut self, longest: Duration) -> anyhow::Result<Option<Arrival>> {
        if self.last_sent.elapsed() >= PING_EVERY {
            self.send(encode_pingreq)?;
        }
        let longest = longest.min(PING_EVERY);
        let (arrival, ack) = match self.read_packet(longest, |packet| match packet {
            Packet::Publish(publish) => {
                (Arrival::Message(publish.payload.to_vec()), publish.packet_id)
            }
            _ => (Arrival::Other, 0),
        })? {
            Some(found) => found,
            None => return Ok(None),
        };
        if ack != 0 {
            self.send(|out| encode_puback(out, Version::V5, &Ack::success(ack)))?;
        }
        Ok(Some(arrival))
    }

    fn log_in(&mut self, name: &str) -> anyhow::Result<()> {
        let mut connect = Connect::new(Version::V5, name);
        connect.keep_alive_seconds = KEEP_ALIVE_SECONDS;
        self.send(|out| encode_connect(out, &connect))?;
        let reason = self.wait_for(|packet| match packet {
            Packet::Connack(connack) => Some(connack.reason),
            _ => None,
        })?;
        if is_error(reason) {
            bail!("the hub refuses the connection: {reason:?}");
        }
        Ok(())
    }

    fn wait_for<T>(&mut self, find: impl Fn(&Packet<'_>) -> Option<T>) -> anyhow::Result<T> {
        let asked = Instant::now();
        while let Some(left) = ANSWER_TIMEOUT.checked_sub(asked.elapsed()) {
            if let Some(Some(found)) = self.read_packet(left, |packet| find(packet))? {
                return Ok(found);
            }
        }
        bail!("the hub did not answer in {} s", ANSWER_TIMEOUT.as_secs())
    }

    fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        let mut packet = Vec::new();
        encode(&mut packet);
        self.stream.write_all(&packet).context("failed to send to the hub")?;
        self.last_sent = Instant::now();
        Ok(())
    }

    /// Reads one packet, or nothing when none is complete within `longest`.
    fn read_packet<T>(
        &mut self,
        longest: Duration,
        take: impl FnOnce(&Packet<'_>) -> T,
    ) -> anyhow::Result<Option<T>> {
        let began = Instant::now();
        loop {
            if let Some(length) = frame_len(&self.received, MAX_PACKET_BYTES)?
                && self.received.len() >= length
            {
                let taken = take(&decode(&self.received[..length], Version::V5)?);
                self.received.drain(..length);
                return Ok(Some(taken));
            }
            let left = longest.saturating_sub(began.elapsed());
            if left.is_zero() || !self.read_some(left)? {
                return Ok(None);
            }
        }
    }

    /// Reads what is there; false when nothing came in time.
    fn read_some(&mut self, longest: Duration) -> anyhow::Result<bool> {
        // The system takes no timeout of zero, and rounds to its own ticks.
        self.stream.sock.set_read_timeout(Some(longest.max(Duration::from_millis(1))))?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => bail!("the hub closed the connection"),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error).context("failed to read from the hub"),
        }
        Ok(true)
    }

    fn packet_id(&mut self) -> u16 {
        let id = self.next_packet_id;
        self.next_packet_id = id.checked_add(1).unwrap_or(1);
        id
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// From 0x80 on, reason codes are errors (MQTT 5, 2.4).
fn is_error(reason: ReasonCode) -> bool {
    reason as u8 >= 0x80
}

fn tls_config(name: &str, folder: &Path) -> anyhow::Result<ClientConfig> {
    let file = |file: String| folder.join(file);
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&file("ca.crt".to_owned()))? {
        roots.add(certificate)?;
    }
    let key = file(format!("{name}.key"));
    let key = PrivateKeyDer::from_pem_file(&key)
        .with_context(|| format!("failed to read {}", key.display()))?;
    let own = certificates(&file(format!("{name}.crt")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config?.with_root_certificates(roots).with_client_auth_cert(own, key)?)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let failed = || format!("failed to read {}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).with_context(failed)?;
    certificates.collect::<Result<Vec<_>, _>>().with_context(failed)
}
