//! Receivers that keep their sessions: one written here, and rumqttc.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet as TheirPacket, QoS};

use crate::packet::{self, Link, Packet};
use crate::tally::Tally;

/// What others see of a receiver, and ask of it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) name: String,
    /// The quality of service of its subscription.
    pub(crate) qos: u8,
    /// It is to be connected.
    pub(crate) present: AtomicBool,
    /// Its subscription is confirmed.
    pub(crate) subscribed: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) sessions_lost: AtomicU64,
    /// By publisher.
    pub(crate) tallies: Mutex<Vec<Tally>>,
}

impl Desk {
    pub(crate) fn new(name: &str, qos: u8, n_publishers: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            qos,
            present: AtomicBool::new(true),
            subscribed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sessions_lost: AtomicU64::new(0),
            tallies: Mutex::new(vec![Tally::default(); n_publishers]),
        })
    }

    fn wants_link(&self) -> bool {
        self.present.load(Ordering::Acquire) && !self.stop.load(Ordering::Acquire)
    }

    fn take(&self, topic: &str, payload: &[u8]) {
        let publisher = topic.strip_prefix("t/p").and_then(|index| index.parse::<usize>().ok());
        let text = String::from_utf8_lossy(payload);
        let number = text.split(' ').next().and_then(|number| number.parse().ok());
        let (Some(publisher), Some(number)) = (publisher, number) else { return };
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies[publisher].take(number);
    }
}

/// Runs the receiver that is written here until it is to stop.
pub(crate) fn run_own(desk: &Desk, port: u16) {
    let mut open = HashSet::new();
    while !desk.stop.load(Ordering::Acquire) {
        if !desk.wants_link() || receive(desk, port, &mut open).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn receive(desk: &Desk, port: u16, open: &mut HashSet<u16>) -> io::Result<()> {
    let (mut link, present) = Link::open(port, &desk.name, false, None)?;
    if desk.subscribed.load(Ordering::Acquire) {
        desk.sessions_lost.fetch_add(u64::from(!present), Ordering::Relaxed);
    } else {
        packet::subscribe(&mut link.out, "t/#", desk.qos);
    }
    while desk.wants_link() {
        link.flush()?;
        for packet in link.receive()? {
            match packet {
                Packet::Suback => desk.subscribed.store(true, Ordering::Release),
                Packet::Publish { topic, payload, qos: 2, id } => {
                    if open.insert(id) {
                        desk.take(&topic, &payload);
                    }
                    packet::ack(&mut link.out, 5, id);
                }
                Packet::Publish { topic, payload, qos, id } => {
                    desk.take(&topic, &payload);
                    if qos == 1 {
                        packet::ack(&mut link.out, 4, id);
                    }
                }
                Packet::Pubrel(id) => {
                    open.remove(&id);
                    packet::ack(&mut link.out, 7, id);
                }
                _ => {}
            }
        }
    }
    link.flush()
}

/// Runs a receiver made of rumqttc, with QoS 1, until it is to stop.
pub(crate) fn run_rumqttc(desk: &Desk, port: u16) {
    let mut options = MqttOptions::new(&desk.name, "127.0.0.1", port);
    options.set_clean_session(false);
    let (client, mut connection) = Client::new(options, 100);
    while !desk.stop.load(Ordering::Acquire) {
        match connection.recv_timeout(Duration::from_millis(50)) {
            Ok(Ok(Event::Incoming(TheirPacket::ConnAck(connack)))) => {
                if !desk.subscribed.load(Ordering::Acquire) {
                    let _it_is_asked_again = client.try_subscribe("t/#", QoS::AtLeastOnce);
                } else if !connack.session_present {
                    desk.sessions_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(Ok(Event::Incoming(TheirPacket::SubAck(_)))) => {
                desk.subscribed.store(true, Ordering::Release);
            }
            Ok(Ok(Event::Incoming(TheirPacket::Publish(publish)))) => {
                desk.take(&publish.topic, &publish.payload);
            }
            Ok(Err(_)) => std::thread::sleep(Duration::from_millis(5)),
            _ => {}
        }
    }
}
