//! What the oracle sees of QoS 2 and of wills that wait.

use std::time::Duration;

use tomte_mqtt::codec::Will;

use super::*;

const AGAIN: ConnId = ConnId(3);

impl Bed {
    /// A sender whose session is kept, too.
    fn kept_sender() -> Self {
        let mut bed = Self::subscribed();
        bed.oracle.on_open(AGAIN, None, Version::V5);
        bed.connect(AGAIN, "s", 3_600);
        let (owner, client_id) = (Owner::Anonymous, "s".to_owned());
        bed.write(Record::SessionOpened { session: 2, owner, client_id, expiry_s: 3_600 });
        bed.left(AGAIN, &Packet::Connack(Box::default()));
        bed
    }

    /// The sender sends a QoS 2 message.
    fn send(&mut self, number: u32, dup: bool) {
        let (payload, packet_id) = (mark(number).payload(1, 0), u16::try_from(number).unwrap());
        let qos = QoS::ExactlyOnce;
        let head = PublishHead { topic: "a", qos, packet_id, dup, ..PublishHead::default() };
        self.took(AGAIN, &encoded(|out| codec::encode_publish(out, Version::V5, &head, &payload)));
    }

    fn keep_received(&mut self, packet_id: u16) {
        self.write(Record::Received { session: 2, packet_id });
    }

    fn pubrec(&mut self, packet_id: u16) {
        self.left(AGAIN, &Packet::Pubrec(Ack::success(packet_id)));
    }

    fn deliver_once(&mut self, number: u32) {
        let payload = mark(number).payload(1, 0);
        let (qos, packet_id) = (QoS::ExactlyOnce, 9);
        let head = PublishHead { topic: "a", qos, packet_id, ..PublishHead::default() };
        let bytes = encoded(|out| codec::encode_publish(out, Version::V5, &head, &payload));
        let Ok(Packet::Publish(publish)) = codec::decode(&bytes, Version::V5) else {
            panic!("it was encoded as one")
        };
        self.oracle.on_delivered(RECEIVER, &publish, &mut Coverage::default());
    }
}

#[test]
fn nothing_is_wrong_with_a_message_that_is_sent_twice_and_taken_once() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.keep_message(1);
    bed.keep_received(1);
    bed.pubrec(1);
    bed.takes = false;
    bed.send(1, true);
    bed.pubrec(1);
    bed.deliver_once(1);
    assert_eq!(bed.verdict(), "nothing");
}

#[test]
fn a_message_that_is_passed_on_again_is_found() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.keep_received(1);
    bed.pubrec(1);
    bed.send(1, true);
    assert!(bed.verdict().contains("s sends 1 again, it is passed on again"));
}

#[test]
fn a_new_message_that_is_taken_for_an_old_one_is_found() {
    let mut bed = Bed::kept_sender();
    bed.takes = false;
    bed.send(1, false);
    assert!(bed.verdict().contains("s sends 1, it is not passed on"));
}

#[test]
fn a_pubrec_before_the_journal_knows_the_packet_is_found() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.pubrec(1);
    assert!(bed.verdict().contains("PUBREC 1 for s leaves before"));
}

#[test]
fn a_pubcomp_while_the_journal_knows_the_packet_is_found() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.keep_received(1);
    bed.pubrec(1);
    bed.took(AGAIN, &encoded(|out| codec::encode_pubrel(out, Version::V5, &Ack::success(1))));
    bed.left(AGAIN, &Packet::Pubcomp(Ack::success(1)));
    assert!(bed.verdict().contains("PUBCOMP 1 for s leaves, the journal still knows it"));
}

#[test]
fn an_acknowledged_message_of_qos_2_that_never_arrives_is_found() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.keep_message(1);
    bed.keep_received(1);
    bed.pubrec(1);
    assert!(bed.verdict().contains("0.1 must reach the session r"));
}

#[test]
fn a_message_that_arrives_twice_is_found_unless_the_client_forgot_its_session() {
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.deliver_once(1);
    bed.oracle.on_session_forgotten(Some("fan"), "r");
    bed.deliver_once(1);
    assert_eq!(bed.oracle.violation(), Some("r receives 0.1 2 times, it was published 1 times"));
    let mut bed = Bed::kept_sender();
    bed.send(1, false);
    bed.send(1, true);
    bed.deliver_once(1);
    bed.deliver_once(1);
    assert!(bed.verdict().contains("r receives 0.1 of QoS 2 twice"));
}

#[test]
fn a_will_that_comes_before_its_time_is_found() {
    let mut bed = Bed::kept_sender();
    let (payload, after) = (mark(7).payload(1, 0), NOW + Duration::from_secs(5));
    let mut connect = Connect::new(Version::V5, "w");
    connect.will =
        Some(Will { topic: "a", payload: &payload, delay_seconds: 5, ..Will::default() });
    connect.properties.session_expiry_seconds = Some(60);
    let id = ConnId(4);
    bed.oracle.on_open(id, None, Version::V5);
    bed.took(id, &encoded(|out| codec::encode_connect(out, &connect)));
    bed.oracle.on_closed(NOW, id);
    bed.oracle.on_deadline(NOW + Duration::from_secs(4));
    assert!(!bed.oracle.published.contains_key(&mark(7)));
    bed.oracle.on_deadline(after);
    assert!(bed.oracle.published.contains_key(&mark(7)));
    bed.deliver(7);
    assert_eq!(bed.verdict(), "nothing");
}
