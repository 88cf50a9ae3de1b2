//! One publisher and one subscriber with QoS 2, crashes, torn commits and a full disk at random,
//! against what a user expects: every message arrives once, in order.

use std::collections::VecDeque;

use proptest::prelude::*;
use tomte_base::{ByteSize, QoS};
use tomte_mqtt::codec::{Ack, Packet, PublishHead, Version};
use tomte_mqtt::session::{Pubrec, Qos2Receive, Redelivery, Session};

use super::harness::{Bed, encoded, encoded_publish, limited};
use crate::{Config, Effect, Slot};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The publisher has a new message.
    Send,
    /// The publisher or the subscriber takes the next packet, or connects.
    Publisher,
    Subscriber,
    /// Their connection is lost, with all that was not read.
    DropPublisher,
    DropSubscriber,
    /// The process dies while it commits what the next packet leads to: so many records are kept.
    CrashNext(usize),
    /// The disk is full while it commits what the next packet leads to.
    FailNext,
    /// The journal begins a new segment, and old ones go as soon as they may.
    Roll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Send),
        8 => Just(Step::Publisher),
        8 => Just(Step::Subscriber),
        1 => Just(Step::DropPublisher),
        1 => Just(Step::DropSubscriber),
        2 => (0usize..6).prop_map(Step::CrashNext),
        1 => Just(Step::FailNext),
        2 => Just(Step::Roll),
    ];
    proptest::collection::vec(step, 0..120)
}

fn open() -> Config {
    limited(|config| config.limits.journal_compact_above = ByteSize(1))
}

/// One end: its connection and the packets that it has not read yet.
#[derive(Default)]
struct Link {
    slot: Option<Slot>,
    inbox: VecDeque<String>,
}

struct World {
    bed: Bed,
    version: Version,
    links: [Link; 2],
    publisher: Session<u32>,
    subscriber: Session<()>,
    n_messages: u32,
    arrived: Vec<u32>,
    fault: Option<Step>,
}

const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;

impl World {
    fn new(version: Version) -> Self {
        let mut bed = Bed::new(open());
        let publisher = bed.connect_kept("publisher", version);
        let subscriber = bed.connect_kept("subscriber", version);
        bed.subscribe(subscriber, "a", QoS::ExactlyOnce);
        bed.received(publisher);
        bed.received(subscriber);
        let link = |slot| Link { slot: Some(slot), inbox: VecDeque::new() };
        let mut machine = Session::new();
        machine.set_window(3);
        Self {
            bed,
            version,
            links: [link(publisher), link(subscriber)],
            publisher: machine,
            subscriber: Session::new(),
            n_messages: 0,
            arrived: Vec::new(),
            fault: None,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send => self.send_new(),
            Step::Publisher => self.publisher_reads(),
            Step::Subscriber => self.subscriber_reads(),
            Step::DropPublisher => self.lose(PUBLISHER),
            Step::DropSubscriber => self.lose(SUBSCRIBER),
            Step::Roll => self.bed.hub.on_rolled(),
            Step::CrashNext(_) | Step::FailNext => self.fault = Some(step),
        }
    }

    fn lose(&mut self, who: usize) {
        if let Some(slot) = std::mem::take(&mut self.links[who]).slot {
            self.bed.drop_connection(slot);
        }
        self.collect();
    }

    /// Hands bytes of one end to the hub, with the fault that was asked for.
    fn input(&mut self, who: usize, bytes: &[u8]) {
        let Some(slot) = self.links[who].slot else { return };
        match self.fault.take() {
            Some(Step::CrashNext(n_kept)) => {
                self.bed.hub.on_bytes(self.bed.now, slot, bytes);
                let mut batch = Vec::new();
                self.bed.hub.drain_records(|at, record| batch.push((at, record.to_vec())));
                self.bed.log.extend(batch.into_iter().take(n_kept));
                self.bed.crash(open());
                self.links = Default::default();
            }
            Some(_) => {
                self.bed.disk_full = true;
                self.bed.send(slot, bytes);
                self.bed.disk_full = false;
                self.bed.turn();
            }
            None => self.bed.send(slot, bytes),
        }
        self.collect();
    }

    fn collect(&mut self) {
        for effect in std::mem::take(&mut self.bed.effects) {
            if let Effect::DropJournal(before) = effect {
                self.bed.log.retain(|(position, _)| *position >= before);
            }
        }
        for link in &mut self.links {
            let Some(slot) = link.slot else { continue };
            if self.bed.closed.iter().any(|(closed, _)| *closed == slot) {
                *link = Link::default();
            } else {
                link.inbox.extend(self.bed.received(slot));
            }
        }
    }

    fn connect(&mut self, who: usize) {
        let slot = self.bed.connect_kept(["publisher", "subscriber"][who], self.version);
        self.links[who].slot = Some(slot);
        self.collect();
        let connack = self.links[who].inbox.pop_front();
        assert_eq!(connack.as_deref(), Some("connack Success present=true"));
    }

    fn send_new(&mut self) {
        if self.links[PUBLISHER].slot.is_none() {
            return;
        }
        if let Some(id) = self.publisher.send(QoS::ExactlyOnce, self.n_messages) {
            self.n_messages += 1;
            self.publish(id, self.n_messages - 1, false);
        }
    }

    fn publish(&mut self, packet_id: u16, message: u32, dup: bool) {
        let qos = QoS::ExactlyOnce;
        let head = PublishHead { topic: "a", qos, packet_id, dup, ..PublishHead::default() };
        self.input(PUBLISHER, &encoded_publish(self.version, &head, &message.to_string()));
    }

    fn pubrel(&mut self, id: u16) {
        self.input(PUBLISHER, &encoded(self.version, &Packet::Pubrel(Ack::success(id))));
    }

    fn publisher_reads(&mut self) {
        if self.links[PUBLISHER].slot.is_none() {
            self.connect(PUBLISHER);
            self.publisher.set_window(3);
            let again: Vec<(u16, Option<u32>)> = self
                .publisher
                .resume()
                .map(|redelivery| match redelivery {
                    Redelivery::Publish { id, message, .. } => (id, Some(*message)),
                    Redelivery::Pubrel { id } => (id, None),
                })
                .collect();
            for (id, message) in again {
                match message {
                    Some(message) => self.publish(id, message, true),
                    None => self.pubrel(id),
                }
            }
            return;
        }
        let Some(word) = self.links[PUBLISHER].inbox.pop_front() else { return };
        let (kind, id, failed) = parse_answer(&word);
        match kind {
            "pubrec" => match self.publisher.on_pubrec(id, failed) {
                Ok(Pubrec::Ended(message)) => panic!("{message} is refused, and may come twice"),
                Ok(_) if !failed => self.pubrel(id),
                // The second answer to a message that was sent twice.
                Ok(_) | Err(_) => {}
            },
            "pubcomp" => drop(self.publisher.on_pubcomp(id)),
            _ => panic!("a publisher does not get {word}"),
        }
    }

    fn subscriber_reads(&mut self) {
        if self.links[SUBSCRIBER].slot.is_none() {
            return self.connect(SUBSCRIBER);
        }
        let Some(word) = self.links[SUBSCRIBER].inbox.pop_front() else { return };
        let answer = if let Some((id, message)) = parse_publish(&word) {
            match self.subscriber.receive_qos2(id) {
                Qos2Receive::First => self.arrive(message),
                Qos2Receive::Duplicate => {}
            }
            Packet::Pubrec(Ack::success(id))
        } else {
            let (kind, id, _) = parse_answer(&word);
            assert_eq!(kind, "pubrel", "{word}");
            self.subscriber.on_pubrel(id);
            Packet::Pubcomp(Ack::success(id))
        };
        self.input(SUBSCRIBER, &encoded(self.version, &answer));
    }

    fn arrive(&mut self, message: u32) {
        let last = self.arrived.last().copied();
        assert!(last.is_none_or(|last| last < message), "{message} came after {last:?}");
        self.arrived.push(message);
    }

    /// No more faults: all that was sent comes to its end.
    fn settle(&mut self) {
        self.fault = None;
        for _ in 0..1_000 {
            self.publisher_reads();
            self.subscriber_reads();
        }
        assert!(self.publisher.is_empty(), "the publisher still waits");
        assert!(self.subscriber.is_empty(), "the subscriber still waits");
        for message in 0..self.n_messages {
            assert!(self.arrived.contains(&message), "{message} never came");
        }
        assert!(self.bed.hub.stored.is_empty());
        for session in self.bed.hub.sessions.iter().flatten() {
            assert!(session.machine.is_empty());
            assert!(session.ids.sent.is_empty() && session.ids.received.is_empty());
        }
    }
}

fn parse_answer(word: &str) -> (&str, u16, bool) {
    let parts: Vec<&str> = word.split(' ').collect();
    let failed = !matches!(parts[2], "Success" | "NoMatchingSubscribers");
    (parts[0], parts[1].parse().unwrap(), failed)
}

fn parse_publish(word: &str) -> Option<(u16, u32)> {
    let parts: Vec<&str> = word.strip_prefix("publish a ")?.split(' ').collect();
    let id = parts[2].strip_prefix("id=")?.parse().ok()?;
    Some((id, parts[0].parse().ok()?))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Proves: MQT-2.
    #[test]
    fn every_message_arrives_once_and_in_order_whatever_fails(
        steps in steps(),
        is_v5 in any::<bool>(),
    ) {
        let mut world = World::new(if is_v5 { Version::V5 } else { Version::V311 });
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}
