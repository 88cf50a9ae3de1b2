//! The brokers that are measured: each run starts a fresh one.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use tempfile::TempDir;
use tomte_testkit::{Hub, free_port, peers};

use crate::engine::Engine;
use crate::usage::family_time;
use crate::{packet, tls};

/// How long a broker may take to its first CONNACK, and again until it is at rest.
const START: Duration = Duration::from_secs(20);
/// How long a broker must have next to nothing to do to be at rest.
const QUIET: Duration = Duration::from_millis(400);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contestant {
    /// The hub of this project, release build, with routes and permissions on.
    Hub,
    /// Mosquitto without persistence, limits and logs.
    Mosquitto,
}

impl Contestant {
    /// Returns the name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// Starts a fresh broker and waits for its first CONNACK.
    ///
    /// # Errors
    /// Fails when it does not start.
    pub(crate) fn start(self, durability: Durability) -> Result<Broker> {
        match self {
            Self::Hub => start_hub(durability),
            Self::Mosquitto => start_mosquitto(),
        }
    }
}

/// When the hub acknowledges. Mosquitto writes nothing, whatever is asked of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// After the write: a killed process loses nothing.
    Process,
    /// After fdatasync: a power cut loses nothing.
    Power,
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Power => "power",
        }
    }
}

/// A running broker. Dropping it ends it.
pub(crate) struct Broker {
    address: SocketAddr,
    tls_address: SocketAddr,
    tls_client: Arc<ClientConfig>,
    ready_after: Duration,
    pid: u32,
    _process: Running,
}

enum Running {
    Hub { _hub: Box<Hub> },
    Mosquitto { child: Child, _folder: TempDir },
}

impl Broker {
    /// Returns where it takes MQTT over plain TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it takes MQTT over TLS with client certificates, and a client's side of it.
    pub(crate) fn tls(&self) -> (SocketAddr, Arc<ClientConfig>) {
        (self.tls_address, Arc::clone(&self.tls_client))
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it has done what it does after its first CONNACK: the hub asks interpreters for their
    /// versions, which may take a core for a second.
    ///
    /// # Errors
    /// Fails when it goes on working.
    pub(crate) fn settle(&self) -> Result<()> {
        let (started, mut before) = (Instant::now(), family_time(self.pid)?);
        while started.elapsed() < START {
            std::thread::sleep(QUIET);
            let now = family_time(self.pid)?;
            if now - before < QUIET / 20 {
                return Ok(());
            }
            before = now;
        }
        bail!("the broker is still at work {START:?} after its start")
    }

    /// Returns the time from its start to its first CONNACK.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Mosquitto { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_mosquitto() -> Result<Broker> {
    let folder = tempfile::tempdir()?;
    let (port, tls_port) = (free_port()?, free_port()?);
    let tls_client = tls::make_identities(folder.path())?;
    let config = folder.path().join("mosquitto.conf");
    fs::write(&config, mosquitto_config(folder.path(), port, tls_port))?;
    let mut command = peers::debian("mosquitto");
    command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command.spawn().context("start mosquitto")?;
    let (pid, address) = (child.id(), local(port));
    // From here on it is ended whatever happens.
    let process = Running::Mosquitto { child, _folder: folder };
    let ready_after = first_connack(address, started)?;
    let tls_address = local(tls_port);
    Ok(Broker { address, tls_address, tls_client, ready_after, pid, _process: process })
}

fn mosquitto_config(folder: &Path, port: u16, tls_port: u16) -> String {
    let folder = folder.display();
    // It gives up its rights when it starts as root, and could not read its key then.
    format!(
        "user root\npersistence false\nmax_inflight_messages 0\nmax_queued_messages 0\n\
         set_tcp_nodelay true\nlog_dest none\nlog_type none\nallow_anonymous true\n\
         listener {port} 127.0.0.1\n\
         listener {tls_port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/server.pem\n\
         keyfile {folder}/server.key\nrequire_certificate true\nuse_identity_as_username true\n"
    )
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Connects again and again until there is a CONNACK; returns the time since `started`.
fn first_connack(address: SocketAddr, started: Instant) -> Result<Duration> {
    while started.elapsed() < START {
        if TcpStream::connect(address).is_ok() {
            let mut engine = Engine::new()?;
            if engine.open(address, &packet::connect("first"), None).is_ok() {
                return Ok(started.elapsed());
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bail!("{address} gave no CONNACK within {START:?}")
}

/// The event comes back as it is; the handler's own time is next to nothing.
const ECHO: &str = "def handler(event, context):\n    return event\n";

const MANIFEST: &str = r#"
[hub]
name = "bench"

[durability]
mode = "{durability}"

[limits]
max_connections = 16_000
receive_maximum = 4096

[listeners.mqtt]
bind = "127.0.0.1:{mqtt}"
anonymous = true

[listeners.mqtts]
bind = "127.0.0.1:{mqtts}"

[functions.echo]
runtime = "python3"
handler = "app.handler"
code = "functions/echo"
memory = "64MiB"
result_topic = "bench/answer"

[[routes]]
from = "device:*"
topic = "bench/#"
to = "subscribers"

[[routes]]
from = "device:*"
topic = "bench/call"
to = "function:echo"

[[routes]]
from = "function:echo"
topic = "bench/answer"
to = "subscribers"
"#;

/// Starts a hub once to deploy, and once more to be measured: a hub that starts has a deployment.
fn start_hub(durability: Durability) -> Result<Broker> {
    let manifest = MANIFEST.replace("{durability}", durability.name());
    let mut hub = Hub::start_with(&manifest, |project| {
        let folder = project.join("functions/echo");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("app.py"), ECHO)?)
    })?;
    let device = hub.device("bench")?;
    let [ca, certificate, key] = [&device.ca, &device.certificate, &device.key];
    let tls_client = tls::client(
        &fs::read_to_string(ca)?,
        &fs::read_to_string(certificate)?,
        &fs::read_to_string(key)?,
    )?;
    hub.kill9();
    let (address, tls_address) = (local(hub.mqtt), local(hub.mqtts));
    let started = Instant::now();
    hub.start_again()?;
    let ready_after = first_connack(address, started)?;
    let (pid, process) = (hub.pid(), Running::Hub { _hub: Box::new(hub) });
    Ok(Broker { address, tls_address, tls_client, ready_after, pid, _process: process })
}
