//! Devices as processes of their own, with MQTT libraries that nobody here wrote.

use std::collections::VecDeque;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tomte_testkit::{DeviceFiles, Process, peers};

/// How long anything between a device and the hub may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who made the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// paho-mqtt, Python.
    Paho,
    /// mqtt.js, Node.js.
    MqttJs,
    /// aiomqtt, Python.
    Aiomqtt,
    /// gmqtt, Python.
    Gmqtt,
    /// The AWS IoT Device SDK v2 for Python, on awscrt.
    AwsPython,
    /// The AWS IoT Device SDK v2 for JavaScript, on aws-crt.
    AwsNode,
}

impl Library {
    /// Every library, in no order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Paho, Self::MqttJs, Self::Aiomqtt, Self::Gmqtt, Self::AwsPython, Self::AwsNode];

    /// The highest quality of service that it has.
    pub(crate) fn best_qos(self) -> u8 {
        if matches!(self, Self::AwsPython | Self::AwsNode) { 1 } else { 2 }
    }
}

/// Whether the client has a session that outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Clean,
    Kept,
}

/// What carries the bytes of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The connection itself.
    Stream,
    /// WebSocket.
    WebSocket,
}

/// What every client is told.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) library: Library,
    /// 4 for MQTT 3.1.1, 5 for MQTT 5.
    pub(crate) version: u8,
    pub(crate) id: String,
    pub(crate) port: u16,
    pub(crate) identity: Option<DeviceFiles>,
    pub(crate) session: Session,
    pub(crate) carrier: Carrier,
}

impl Client {
    /// A client of the plain listener, without an identity.
    pub(crate) fn anonymous(library: Library, version: u8, id: &str, port: u16) -> Self {
        let (identity, session, carrier) = (None, Session::Clean, Carrier::Stream);
        Self { library, version, id: id.to_owned(), port, identity, session, carrier }
    }

    /// A client of the TLS listener with the identity of a device.
    pub(crate) fn device(library: Library, version: u8, files: &DeviceFiles, port: u16) -> Self {
        let (identity, session) = (Some(files.clone()), Session::Clean);
        let (id, carrier) = (files.name.clone(), Carrier::Stream);
        Self { library, version, id, port, identity, session, carrier }
    }

    /// The same with a session that is kept.
    pub(crate) fn with_kept_session(mut self) -> Self {
        self.session = Session::Kept;
        self
    }

    /// The same over WebSocket.
    pub(crate) fn over_websocket(mut self) -> Self {
        self.carrier = Carrier::WebSocket;
        self
    }

    /// Starts it; it subscribes and then prints what it gets.
    pub(crate) fn subscribe(&self, filter: &str, qos: u8) -> Running {
        self.subscribe_with(filter, qos, json!({}))
    }

    /// As [`Self::subscribe`], with `more` of what a client can be told.
    pub(crate) fn subscribe_with(&self, filter: &str, qos: u8, mut more: Value) -> Running {
        more["do"] = "subscribe".into();
        more["filter"] = filter.into();
        more["qos"] = qos.into();
        let mut running = self.start(more);
        let codes = running.expect("subscribed")["codes"].clone();
        assert_eq!(codes, json!([qos]), "{self:?} subscribes to {filter}");
        running
    }

    /// Starts it; it publishes each of `payloads`. Returns when all are sent, with QoS 1 acknowledged.
    pub(crate) fn publish(&self, topic: &str, qos: u8, payloads: &[&str]) -> Running {
        let mut running = self.start_publishing(topic, qos, payloads);
        for _ in payloads {
            running.expect(if qos == 0 { "sent" } else { "acknowledged" });
        }
        running
    }

    /// Starts it; it publishes each of `payloads`, and nothing is waited for.
    pub(crate) fn start_publishing(&self, topic: &str, qos: u8, payloads: &[&str]) -> Running {
        self.start(json!({"do": "publish", "topic": topic, "qos": qos, "payloads": payloads}))
    }

    /// Starts it; it publishes the numbers from 0 up to `count` with QoS 1, each filled up with blanks
    /// to `bytes`, and nothing is waited for. Paho only.
    pub(crate) fn start_publishing_numbers(
        &self,
        topic: &str,
        count: usize,
        bytes: usize,
    ) -> Running {
        assert_eq!(self.library, Library::Paho);
        self.start(
            json!({"do": "publish", "topic": topic, "qos": 1, "count": count, "bytes": bytes}),
        )
    }

    /// Publishes one retained message and waits for its acknowledgement.
    pub(crate) fn retain(&self, topic: &str, payload: &str) {
        let mut running = self.start(json!({
            "do": "publish", "topic": topic, "qos": 1, "payloads": [payload], "retain": true
        }));
        running.expect("acknowledged");
    }

    /// Starts it with what it shall do.
    pub(crate) fn start(&self, task: Value) -> Running {
        let mut options = json!({
            "version": self.version,
            "client": self.id,
            "host": "localhost",
            "port": self.port,
            "clean": self.session == Session::Clean,
            "carrier": match self.carrier {
                Carrier::Stream => "stream",
                Carrier::WebSocket => "websocket",
            },
        });
        if let Some(files) = &self.identity {
            options["tls"] = json!({
                "ca": files.ca, "certificate": files.certificate, "key": files.key
            });
        }
        for (key, value) in task.as_object().unwrap() {
            options[key] = value.clone();
        }
        let mut command = self.command();
        let process = Process::start(command.arg(options.to_string())).unwrap();
        Running { process, passed_over: VecDeque::new() }
    }

    fn command(&self) -> Command {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let (mut command, script) = match self.library {
            Library::Paho => (peers::python(), "paho_client.py"),
            Library::MqttJs => (peers::node(), "mqttjs_client.js"),
            Library::Aiomqtt => (peers::python(), "aiomqtt_client.py"),
            Library::Gmqtt => (peers::python(), "gmqtt_client.py"),
            Library::AwsPython => (peers::python(), "aws_client.py"),
            Library::AwsNode => (peers::node(), "aws_client.js"),
        };
        command.arg(format!("{folder}/{script}"));
        command
    }
}

/// A started client. Dropping it kills it, without a DISCONNECT.
pub(crate) struct Running {
    process: Process,
    /// What it said while something else was waited for. A broker may send a message before the
    /// SUBACK of the subscription that it is for.
    passed_over: VecDeque<Value>,
}

impl Running {
    /// Waits until the client says `event`, and returns what it says with it. What it says otherwise
    /// can still be waited for.
    pub(crate) fn expect(&mut self, event: &str) -> Value {
        if let Some(at) = self.passed_over.iter().position(|said| said["event"] == event) {
            return self.passed_over.remove(at).unwrap();
        }
        loop {
            let said = self.next().unwrap_or_else(|error| panic!("wait for {event}: {error:#}"));
            if said["event"] == event {
                return said;
            }
            assert!(said["event"] != "refused", "the client was refused: {said}");
            self.passed_over.push_back(said);
        }
    }

    /// Waits for the payload of the next message.
    pub(crate) fn payload(&mut self) -> String {
        self.expect("message")["payload"].as_str().unwrap().to_owned()
    }

    /// Reads to the end of what the client says, and counts how often it says `event`.
    pub(crate) fn count_until_gone(&mut self, event: &str) -> usize {
        while let Ok(said) = self.next() {
            self.passed_over.push_back(said);
        }
        self.passed_over.iter().filter(|said| said["event"] == event).count()
    }

    fn next(&mut self) -> anyhow::Result<Value> {
        let line = self.process.next_line(PATIENCE)?;
        Ok(serde_json::from_str(&line).unwrap_or(Value::String(line)))
    }
}
