//! The oracle sees what it must: each test breaks one promise by hand.

mod exactly_once;

use tomte_base::{DeviceName, LogPosition, Message, MessageId, QoS, Source, Time, TopicName};
use tomte_core_hub::{Counters, Destination, Owner, Record};
use tomte_journal::SyncMode;
use tomte_mqtt::codec::{
    self, Ack, Connack, Connect, Packet, PublishHead, ReasonCode, Suback, Subscribe, Subscription,
    Version,
};

use super::{Books, Oracle, Signs};
use crate::coverage::Coverage;
use crate::durable::Durable;
use crate::mark::Mark;
use crate::network::ConnId;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::table;

const NOW: Time = Time(1_000);
const SENDER: ConnId = ConnId(1);
const RECEIVER: ConnId = ConnId(2);

struct Bed {
    oracle: Oracle,
    durable: Durable,
    position: u64,
    /// The hub takes messages as new ones.
    takes: bool,
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

fn mark(number: u32) -> Mark {
    Mark { publisher: 0, number, via: 0 }
}

impl Bed {
    /// A sender, and a receiver whose session is kept and subscribed to everything.
    fn new() -> Self {
        let open = table::tables().len() - 1;
        let settings = Settings::choose(&mut Rng::new(1));
        let mut oracle = Oracle::new(table::tables(), open, &settings);
        oracle.on_open(SENDER, None, Version::V5);
        oracle.on_open(RECEIVER, Some("fan"), Version::V5);
        let mut bed = Self { oracle, durable: Durable::default(), position: 0, takes: true };
        bed.connect(SENDER, "s", 0);
        bed.connect(RECEIVER, "r", 3_600);
        bed
    }

    fn write(&mut self, record: Record) {
        self.position += 1;
        self.durable.take_in(self.position, record);
    }

    fn left(&mut self, id: ConnId, packet: &Packet<'_>) {
        self.oracle.on_left(id, packet, &self.durable, SyncMode::Process);
    }

    fn took(&mut self, id: ConnId, bytes: &[u8]) {
        let signs = Signs { connected: true, slow: false, received: self.takes };
        self.oracle.on_bytes(NOW, id, bytes, signs);
    }

    fn connect(&mut self, id: ConnId, client: &str, expiry_s: u32) {
        let mut connect = Connect::new(Version::V5, client);
        connect.clean_start = false;
        connect.properties.session_expiry_seconds = Some(expiry_s);
        self.took(id, &encoded(|out| codec::encode_connect(out, &connect)));
    }

    fn keep_session(&mut self) {
        let owner = Owner::Device(DeviceName::new("fan").unwrap());
        let client_id = "r".to_owned();
        self.write(Record::SessionOpened { session: 1, owner, client_id, expiry_s: 3_600 });
    }

    fn connack(&mut self, present: bool) {
        let connack = Connack { session_present: present, ..Connack::default() };
        self.left(RECEIVER, &Packet::Connack(Box::new(connack)));
    }

    fn subscribe(&mut self) {
        let subscriptions = vec![Subscription::new("#", QoS::AtLeastOnce)];
        let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
        self.took(RECEIVER, &encoded(|out| codec::encode_subscribe(out, Version::V5, &subscribe)));
    }

    fn suback(&mut self) {
        let reasons = vec![ReasonCode::GrantedQos1];
        self.left(RECEIVER, &Packet::Suback(Suback { packet_id: 1, reasons, ..Suback::default() }));
    }

    fn subscribed() -> Self {
        let mut bed = Self::new();
        bed.keep_session();
        bed.connack(false);
        bed.subscribe();
        bed.write(Record::Subscribed {
            session: 1,
            filter: tomte_base::TopicFilter::new("#").unwrap(),
            options: tomte_core_hub::Subscription::from_bits(1, 0).unwrap(),
        });
        bed.suback();
        bed
    }

    fn publish(&mut self, number: u32) {
        let payload = mark(number).payload(1, 0);
        let packet_id = u16::try_from(number).unwrap();
        let head =
            PublishHead { topic: "a", qos: QoS::AtLeastOnce, packet_id, ..PublishHead::default() };
        self.took(SENDER, &encoded(|out| codec::encode_publish(out, Version::V5, &head, &payload)));
    }

    fn keep_message(&mut self, number: u32) {
        let message = Message {
            id: MessageId(number.into()),
            topic: TopicName::new("a").unwrap(),
            payload: mark(number).payload(1, 0).into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            source: Source::Anonymous,
            received: NOW,
            expires: Time::NEVER,
            properties: None,
            hops: 0,
            cause: None,
        };
        let to =
            Destination::Session { session: 1, qos: QoS::AtLeastOnce, retain: false, sent: None };
        self.write(Record::Accepted { message, destinations: vec![to] });
    }

    fn puback(&mut self, number: u32) {
        let packet_id = u16::try_from(number).unwrap();
        self.left(SENDER, &Packet::Puback(Ack::success(packet_id)));
    }

    fn deliver(&mut self, number: u32) {
        let payload = mark(number).payload(1, 0);
        let head = PublishHead {
            topic: "a",
            qos: QoS::AtLeastOnce,
            packet_id: 9,
            ..PublishHead::default()
        };
        let bytes = encoded(|out| codec::encode_publish(out, Version::V5, &head, &payload));
        let Ok(Packet::Publish(publish)) = codec::decode(&bytes, Version::V5) else {
            panic!("it was encoded as one")
        };
        self.oracle.on_delivered(RECEIVER, &publish, &mut Coverage::default());
    }

    /// What is found wrong in the end.
    fn verdict(mut self) -> String {
        if self.oracle.violation().is_none() {
            self.oracle.check_promises(NOW, true);
        }
        self.oracle.violation().unwrap_or("nothing").to_owned()
    }
}

#[test]
fn nothing_is_wrong_with_a_message_that_is_kept_acknowledged_and_delivered() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.keep_message(1);
    bed.puback(1);
    bed.deliver(1);
    assert_eq!(bed.verdict(), "nothing");
}

#[test]
fn an_acknowledged_message_that_never_arrives_is_found() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.keep_message(1);
    bed.puback(1);
    assert!(bed.verdict().contains("0.1 must reach the session r"));
}

#[test]
fn a_message_that_was_never_acknowledged_may_be_lost() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.oracle.on_crash(0);
    assert_eq!(bed.verdict(), "nothing");
}

#[test]
fn an_acknowledgement_before_the_journal_has_the_message_is_found() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.puback(1);
    bed.deliver(1);
    assert!(bed.verdict().contains("0.1 was not in the journal"));
}

#[test]
fn a_connack_before_the_journal_has_the_session_is_found() {
    let mut bed = Bed::new();
    bed.connack(false);
    assert!(bed.verdict().contains("CONNACK for r leaves before"));
}

#[test]
fn a_suback_before_the_journal_has_the_subscription_is_found() {
    let mut bed = Bed::new();
    bed.keep_session();
    bed.connack(false);
    bed.subscribe();
    bed.suback();
    assert!(bed.verdict().contains("SUBACK for r leaves before"));
}

#[test]
fn a_session_that_is_lost_is_found() {
    let mut bed = Bed::subscribed();
    bed.oracle.on_crash(0);
    bed.oracle.on_recovered(NOW, 3);
    bed.oracle.on_open(RECEIVER, Some("fan"), Version::V5);
    bed.connect(RECEIVER, "r", 3_600);
    bed.connack(false);
    assert!(bed.verdict().contains("the session r was kept"));
}

#[test]
fn messages_out_of_order_are_found() {
    let mut bed = Bed::subscribed();
    for number in [1, 2] {
        bed.publish(number);
    }
    bed.deliver(2);
    bed.deliver(1);
    assert!(bed.verdict().contains("receives 0.1 on a after number 2"));
}

#[test]
fn a_message_that_comes_twice_for_no_reason_is_found() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.deliver(1);
    bed.deliver(1);
    assert!(bed.verdict().contains("receives 0.1 2 times"));
}

#[test]
fn a_message_that_nobody_published_is_found() {
    let mut bed = Bed::subscribed();
    bed.deliver(1);
    assert!(bed.verdict().contains("which nobody published"));
}

#[test]
fn a_message_that_no_route_permits_is_found() {
    let mut bed = Bed::subscribed();
    // Under the first table nobody takes this topic.
    bed.oracle.on_deploy(0);
    bed.publish(1);
    bed.deliver(1);
    assert!(bed.verdict().contains("no route permits 0.1"));
}

#[test]
fn acknowledgements_in_another_order_are_found() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    bed.publish(2);
    bed.puback(2);
    assert!(bed.verdict().contains("PUBACK 2 leaves"));
}

#[test]
fn counters_that_do_not_agree_are_found() {
    let mut bed = Bed::subscribed();
    bed.publish(1);
    let counters = Counters::default();
    bed.oracle.on_books(&Books { counters: &counters, n_calls: 0, n_sent: 0 });
    assert!(bed.verdict().contains("messages received: 0 were counted, 1 were seen"));
}

#[test]
fn a_journal_that_lost_what_was_safe_is_found() {
    let mut bed = Bed::subscribed();
    bed.oracle.on_crash(3);
    bed.oracle.on_recovered(NOW, LogPosition(2).0);
    assert!(bed.verdict().contains("the journal ends at 2, but 3 was safe"));
}
