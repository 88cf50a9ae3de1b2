//! The brokers that are measured: each run starts a fresh one.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tomte_testkit::{Hub, free_port, peers};

use crate::engine::Engine;
use crate::packet;

/// How long a broker may take to its first CONNACK.
const START: Duration = Duration::from_secs(20);

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
    pub(crate) fn start(self) -> Result<Broker> {
        match self {
            Self::Hub => start_hub(),
            Self::Mosquitto => start_mosquitto(),
        }
    }
}

/// A running broker. Dropping it ends it.
pub(crate) struct Broker {
    address: SocketAddr,
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

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
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
    let port = free_port()?;
    let config = folder.path().join("mosquitto.conf");
    fs::write(
        &config,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n\
             log_dest none\nlog_type none\n"
        ),
    )?;
    let mut command = peers::mosquitto("mosquitto");
    command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command.spawn().context("start mosquitto")?;
    let (pid, address) = (child.id(), local(port));
    // From here on it is ended whatever happens.
    let process = Running::Mosquitto { child, _folder: folder };
    let ready_after = first_connack(address, started)?;
    Ok(Broker { address, ready_after, pid, _process: process })
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
fn start_hub() -> Result<Broker> {
    let mut hub = Hub::start_with(MANIFEST, |project| {
        let folder = project.join("functions/echo");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("app.py"), ECHO)?)
    })?;
    hub.kill9();
    let address = local(hub.mqtt);
    let started = Instant::now();
    hub.start_again()?;
    let ready_after = first_connack(address, started)?;
    let pid = hub.pid();
    Ok(Broker { address, ready_after, pid, _process: Running::Hub { _hub: Box::new(hub) } })
}
