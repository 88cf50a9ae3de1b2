//! One device of the demo: a process of its own, with its own certificate and connection.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde::{Deserialize, Serialize};

use super::cast::{Part, Sensor, role};
use super::mqtt_client::{Arrival, MqttClient};
use crate::exit::Exit;
use crate::hub_process::end_with_parent;
use crate::moments::now_us;
use crate::signals::on_interrupt;

/// The word that makes this program a device. It is no verb: help and completion do not know it.
pub(crate) const WORD: &str = "__device";

/// Longest wait before a device looks whether it shall end.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Set by SIGTERM.
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// What the demo tells a device on its command line.
#[derive(Debug, Parser)]
#[command(name = WORD)]
struct Device {
    name: String,
    /// `host:port` of the hub
    #[arg(long)]
    address: String,
    /// Where the certificates are
    #[arg(long)]
    folder: PathBuf,
}

/// What a device tells the demo, as lines of JSON on its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(crate) enum Report {
    /// It is connected and, where it receives, subscribed.
    Ready,
    /// It published a reading.
    Sent { reading: String, at_us: u64 },
    /// It received what a reading led to.
    Received { reading: String, at_us: u64 },
}

/// The part of a message to an actuator that says which reading led to it.
#[derive(Deserialize)]
struct Command {
    reading: Option<String>,
}

/// Plays a device when the command line asks for it.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let device = Device::parse_from(std::env::args_os().skip(1));
    let Err(error) = device.run() else { return Some(Exit::Ok.into()) };
    // The demo went before us when standard error is gone.
    let _ = writeln!(io::stderr(), "{error:#}");
    Some(Exit::Failed.into())
}

impl Device {
    fn run(self) -> anyhow::Result<()> {
        end_with_parent()?;
        let role = role(&self.name).with_context(|| format!("no device {:?}", self.name))?;
        on_interrupt(|| ASKED_TO_END.store(true, Ordering::Relaxed))?;
        let mut client = MqttClient::connect(&self.name, &self.address, &self.folder)
            .with_context(|| format!("{} cannot connect to the hub", self.name))?;
        match &role.part {
            Part::Sensor(sensor) => measure(&mut client, role.name, sensor)?,
            Part::Actuator { topic } => obey(&mut client, topic)?,
        }
        client.disconnect()
    }
}

fn measure(client: &mut MqttClient, name: &str, sensor: &Sensor) -> anyhow::Result<()> {
    tell(&Report::Ready)?;
    let began = Instant::now();
    for n in 0_u32.. {
        let due = sensor.every * n;
        while let Some(left) = due.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            client.next(left.min(LOOK_UP))?;
            if asked_to_end() {
                return Ok(());
            }
        }
        let reading = format!("{name}-{n}");
        let payload = sensor.payload(n, &reading);
        let at_us = now_us();
        client.publish(sensor.topic, payload.as_bytes())?;
        tell(&Report::Sent { reading, at_us })?;
    }
    Ok(())
}

fn obey(client: &mut MqttClient, topic: &str) -> anyhow::Result<()> {
    client.subscribe(topic)?;
    tell(&Report::Ready)?;
    while !asked_to_end() {
        let Some(Arrival::Message(payload)) = client.next(LOOK_UP)? else { continue };
        let at_us = now_us();
        if let Ok(Command { reading: Some(reading) }) = serde_json::from_slice(&payload) {
            tell(&Report::Received { reading, at_us })?;
        }
    }
    Ok(())
}

fn asked_to_end() -> bool {
    ASKED_TO_END.load(Ordering::Relaxed)
}

fn tell(report: &Report) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}
