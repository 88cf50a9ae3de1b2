//! A whole hub under clients that send anything, a clock that jumps, a disk that is full and a
//! process that dies.

use std::time::Duration;

use tomte_base::QoS;
use tomte_core_hub::HubView;
use tomte_mqtt::codec::{
    self, Ack, Connect, Disconnect, PublishHead, ReasonCode, RetainHandling, Subscribe,
    Subscription, Unsubscribe, Version, Will,
};

use crate::bed::{Bed, SLOTS};
use crate::input::Input;
use crate::memory;

/// Most memory that one script may take: queues, holds and traces have bounds of their own.
const MOST_MEMORY: usize = 8 << 20;

/// Longest time that a session is kept, and a little more.
const ALL_OVER: Duration = Duration::from_secs(8 * 86_400);

const TOPICS: [&str; 6] = ["a", "a/b", "h/x", "f/x", "$x/y", "a/long/topic/that/gets/an/alias"];
/// More levels than a hub allows.
const DEEP: &str = match str::from_utf8(&[b'/'; tomte_base::MAX_TOPIC_LEVELS]) {
    Ok(topic) => topic,
    Err(_) => panic!("slashes are UTF-8"),
};
const WILL_TOPICS: [&str; 8] =
    ["a", "a/b", "h/x", "f/x", "$x/y", "a/long/topic/that/gets/an/alias", DEEP, "a"];
const FILTERS: [&str; 8] = ["a", "#", "+/b", "h/#", "f/result", "$x/#", "a/#", "$share/g/a"];
const CLIENTS: [&str; 4] = ["x", "y", "", "z"];
const OWNERS: [&str; 4] = ["", "fan", "lamp", ""];

/// Runs the script that `data` is, then lets everything end and looks for what was left behind.
pub fn hub(data: &[u8]) {
    let ((), peak) = memory::peak_of(|| {
        let (mut bed, mut input) = (Bed::new(), Input::new(data));
        let routes = bed.hub.view().filters;
        while !input.is_empty() {
            step(&mut bed, &mut input);
        }
        check_nothing_left(&mut bed, routes);
    });
    assert!(peak <= MOST_MEMORY, "the hub took {peak} bytes");
}

/// Ends all connections and lets the longest session expire.
fn check_nothing_left(bed: &mut Bed, routes: usize) {
    (0..SLOTS).for_each(|at| bed.lose(at));
    bed.advance(ALL_OVER);
    bed.advance(ALL_OVER);
    let left = HubView { retained: 0, ..bed.hub.view() };
    let expect = HubView { filters: routes, ..HubView::default() };
    assert_eq!(left, expect, "something was left behind");
}

fn step(bed: &mut Bed, input: &mut Input<'_>) {
    let what = input.byte();
    let at = usize::from(what >> 6) % SLOTS;
    let mut out = Vec::new();
    match what & 0x1F {
        0 => bed.send(at, input.piece()),
        1 => bed.lose(at),
        2 => bed.advance(Duration::from_secs(u64::from(input.number()))),
        3 => bed.disk_full = true,
        4 => bed.roll(),
        5 => bed.crash(),
        6..=9 => connect(bed, at, input),
        other => {
            let version = bed.clients[at].as_ref().map_or(Version::V5, |client| client.version());
            packet(&mut out, other, version, input);
            bed.send(at, &out);
        }
    }
}

fn one_of<T: Copy>(list: &[T], input: &mut Input<'_>) -> T {
    list[usize::from(input.byte()) % list.len()]
}

fn qos(bits: u8) -> QoS {
    match bits % 3 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn connect(bed: &mut Bed, at: usize, input: &mut Input<'_>) {
    let bits = input.byte();
    bed.open(at, OWNERS[at]);
    let version = if bits & 1 == 0 { Version::V5 } else { Version::V311 };
    let mut connect = Connect::new(version, one_of(&CLIENTS, input));
    connect.clean_start = bits & 2 == 0;
    connect.keep_alive_seconds = u16::from(input.byte());
    if version == Version::V5 {
        let properties = &mut connect.properties;
        properties.session_expiry_seconds = Some(u32::from(input.number()));
        properties.receive_maximum = Some(u16::from(bits >> 5).max(1));
        properties.topic_alias_maximum = Some(u16::from(bits >> 6));
        properties.maximum_packet_bytes = (bits & 4 != 0).then_some(64);
    }
    if bits & 8 != 0 {
        connect.will = Some(Will {
            qos: qos(bits >> 4),
            retain: bits & 16 != 0,
            topic: one_of(&WILL_TOPICS, input),
            payload: input.piece(),
            delay_seconds: u32::from(input.byte()),
            ..Will::default()
        });
    }
    let mut bytes = Vec::new();
    codec::encode_connect(&mut bytes, &connect);
    bed.send(at, &bytes);
}

/// Writes one packet that clients send, with fields from the input.
fn packet(out: &mut Vec<u8>, kind: u8, version: Version, input: &mut Input<'_>) {
    let packet_id = u16::from(input.byte() % 8).max(1);
    let reason = if kind & 1 == 0 { ReasonCode::Success } else { ReasonCode::UnspecifiedError };
    let ack = Ack::with_reason(packet_id, reason);
    match kind {
        10..=15 => publish(out, packet_id, version, input),
        16 | 17 => codec::encode_puback(out, version, &ack),
        18 | 19 => codec::encode_pubrec(out, version, &ack),
        20 | 21 => codec::encode_pubrel(out, version, &Ack::success(packet_id)),
        22 | 23 => codec::encode_pubcomp(out, version, &Ack::success(packet_id)),
        24..=27 => subscribe(out, packet_id, version, input),
        28 => {
            let filters = vec![one_of(&FILTERS, input)];
            let unsubscribe = Unsubscribe { packet_id, filters, ..Unsubscribe::default() };
            codec::encode_unsubscribe(out, version, &unsubscribe);
        }
        29 => codec::encode_pingreq(out),
        30 => codec::encode_disconnect(out, version, &Disconnect::default()),
        _ => {
            let session_expiry_seconds = Some(u32::from(input.byte()));
            let with_will = Disconnect::with_reason(ReasonCode::DisconnectWithWill);
            let disconnect = Disconnect { session_expiry_seconds, ..with_will };
            codec::encode_disconnect(out, version, &disconnect);
        }
    }
}

fn publish(out: &mut Vec<u8>, packet_id: u16, version: Version, input: &mut Input<'_>) {
    let bits = input.byte();
    let topic_alias = Some(u16::from(bits >> 6)).filter(|alias| *alias > 0);
    let qos = qos(bits);
    let head = PublishHead {
        topic: one_of(&TOPICS, input),
        qos,
        packet_id,
        retain: bits & 4 != 0,
        dup: bits & 8 != 0 && qos != QoS::AtMostOnce,
        topic_alias,
        message_expiry_seconds: (bits & 16 != 0).then(|| u32::from(input.byte())),
        ..PublishHead::default()
    };
    codec::encode_publish(out, version, &head, input.piece());
}

fn subscribe(out: &mut Vec<u8>, packet_id: u16, version: Version, input: &mut Input<'_>) {
    let (bits, filter) = (input.byte(), one_of(&FILTERS, input));
    let handling = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let subscription = Subscription {
        no_local: bits & 4 != 0 && !filter.starts_with("$share"),
        retain_as_published: bits & 8 != 0,
        retain_handling: handling[usize::from(bits >> 4) % 3],
        ..Subscription::new(filter, qos(bits))
    };
    let subscribe = Subscribe {
        packet_id,
        subscription_identifier: (bits & 64 != 0).then_some(u32::from(bits)),
        subscriptions: vec![subscription, Subscription::new(input.text(), qos(bits))],
        ..Subscribe::default()
    };
    codec::encode_subscribe(out, version, &subscribe);
}
