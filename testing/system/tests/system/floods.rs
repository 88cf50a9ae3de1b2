//! Too much of everything: connections, subscriptions, names, properties, messages for who does not
//! read. The hub's memory stays bounded, each refusal is counted, and the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, Stream};
use rustls_pki_types::ServerName;
use tomte_testkit::{Hub, until};

use crate::bad_clients::{CONNECT, Innocents, expect_close, open};
use crate::client::PATIENCE;
use crate::raw_client::{
    connect_as, connected, counter, is_closed, packet, publish, read_packet, string,
};
use crate::rust_client::tls_config;

const MIB: u64 = 1 << 20;

/// Held by a test while it has 10,000 connections open: the tests are one process, and the system may allow
/// it no more than 20,000 files.
static TEN_THOUSAND: Mutex<()> = Mutex::new(());

fn alone_with_ten_thousand() -> MutexGuard<'static, ()> {
    TEN_THOUSAND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hub that is only a broker, with these limits.
fn start(limits: &str) -> Hub {
    let manifest = format!(
        r##"
[hub]
name = "flooded"

[listeners]
mqtt = {{ bind = "127.0.0.1:{{mqtt}}", anonymous = true }}
mqtts = {{ bind = "127.0.0.1:{{mqtts}}" }}

[limits]
{limits}

[devices.one]

[[routes]]
from = "device:*"
topic = "#"
to = "subscribers"
"##
    );
    Hub::start(&manifest).unwrap()
}

/// Resident memory of the hub, in bytes.
fn memory(hub: &Hub) -> u64 {
    hub.status().unwrap().memory_bytes
}

fn wait_for_counter(hub: &Hub, name: &str, at_least: u64) {
    until(name, PATIENCE, || (counter(hub, name) >= at_least).then_some(()));
}

/// Proves a part of: MQT-4.
#[test]
fn ten_thousand_silent_connections_cost_little_and_go_when_their_time_is_over() {
    let _alone = alone_with_ten_thousand();
    let hub = start("max_connections = 11000\nmax_connecting = 11000\nconnect_timeout = \"8s\"");
    let mut innocents = Innocents::connect(&hub);
    let before = memory(&hub);
    let silent: Vec<TcpStream> = (0..10_000).map(|_| open(&hub)).collect();
    innocents.still_talk(&hub);
    let each = memory(&hub).saturating_sub(before) / 10_000;
    println!("{each} bytes for each silent connection");
    assert!(each < 2_048, "{each} bytes for each silent connection");
    let closed = "tomte_connections_closed_total{reason=\"connect_timeout\"}";
    wait_for_counter(&hub, closed, 10_000);
    drop(silent);
    innocents.still_talk(&hub);
}

/// Proves a part of: MQT-4.
#[test]
fn of_too_many_silent_connections_the_oldest_go_and_newcomers_are_served() {
    let hub = start("max_connecting = 100\nconnect_timeout = \"60s\"");
    let mut innocents = Innocents::connect(&hub);
    let mut silent: Vec<TcpStream> = (0..2_000).map(|_| open(&hub)).collect();
    wait_for_counter(&hub, "tomte_refusals_total{what=\"connection\"}", 1_900);
    assert!(is_closed(&mut silent[0]));
    innocents.still_talk(&hub);
    assert!(hub.status().unwrap().connections <= 110);
}

/// Proves a part of: MQT-4.
#[test]
fn connections_past_the_limit_are_closed_and_counted() {
    let hub = start("max_connections = 50");
    let mut innocents = Innocents::connect(&hub);
    let kept: Vec<TcpStream> = (0..40).map(|n| connected(&hub, 5, &format!("kept-{n}"))).collect();
    let refused = "tomte_refusals_total{what=\"connection\"}";
    let mut more: Vec<TcpStream> = (0..100).map(|_| open(&hub)).collect();
    wait_for_counter(&hub, refused, 50);
    assert!(is_closed(more.last_mut().unwrap()));
    drop(more);
    until("room", PATIENCE, || (hub.status().ok()?.connections < 45).then_some(()));
    innocents.still_talk(&hub);
    drop(kept);
}

/// Proves a part of: MQT-4.
#[test]
fn a_flood_of_connects_leaves_nothing_behind() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    let flood = |n: usize| {
        for client in 0..n {
            let mut stream = open(&hub);
            let version = if client % 2 == 0 { 4 } else { 5 };
            stream.write_all(&connect_as(version, &format!("flood-{client}"), 0)).unwrap();
        }
    };
    flood(1_000);
    let before = memory(&hub);
    flood(5_000);
    until("the end of the flood", PATIENCE, || (hub.status().ok()?.connections <= 1).then_some(()));
    assert_eq!(hub.status().unwrap().sessions, 1, "the receiver's");
    let grown = memory(&hub).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes");
    innocents.still_talk(&hub);
}

/// Proves: MQT-5.
#[test]
fn ten_thousand_idle_clients_cost_two_kibibytes_each_at_most() {
    let _alone = alone_with_ten_thousand();
    let hub = start("max_connections = 11000");
    let mut innocents = Innocents::connect(&hub);
    let before = memory(&hub);
    let started = Instant::now();
    let idle: Vec<TcpStream> =
        (0..10_000).map(|n| connected(&hub, 5, &format!("idle-{n}"))).collect();
    let took = started.elapsed();
    let each = memory(&hub).saturating_sub(before) / 10_000;
    println!("{each} bytes for each idle client; 10,000 connected in {took:?}");
    assert!(each <= 2_048, "{each} bytes for each idle client");
    innocents.still_talk(&hub);
    drop(idle);
}

/// Proves a part of: MQT-5.
#[test]
fn a_thousand_idle_clients_with_tls_cost_sixteen_kibibytes_each_at_most() {
    let hub = start("");
    let files = hub.device("one").unwrap();
    let config = Arc::new(tls_config(&files));
    let connect = |n: usize| {
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut socket = TcpStream::connect(("127.0.0.1", hub.mqtts)).unwrap();
        let mut stream = Stream::new(&mut tls, &mut socket);
        stream.write_all(&connect_as(5, &format!("idle-{n}"), 0)).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        assert_eq!((connack[0], connack[3]), (0x20, 0));
        (tls, socket)
    };
    let mut idle: Vec<_> = (0..100).map(connect).collect();
    let before = memory(&hub);
    idle.extend((100..1_100).map(connect));
    let each = memory(&hub).saturating_sub(before) / 1_000;
    println!("{each} bytes for each idle client with TLS");
    assert!(each <= 16 * 1_024, "{each} bytes for each idle client with TLS");
}

/// A hub with nothing to do asks for no processor time: each of its threads waits for an event, and none
/// looks at intervals whether there is one.
#[test]
fn an_idle_hub_with_idle_clients_sleeps() {
    let hub = start("");
    let _idle: Vec<TcpStream> = (0..10).map(|n| connected(&hub, 5, &format!("idle-{n}"))).collect();
    let window = Duration::from_secs(2);
    let (mut since, mut before) = (Instant::now(), wake_ups(&hub));
    until("two seconds without a wake-up", PATIENCE, || {
        let now = wake_ups(&hub);
        if now != before {
            (since, before) = (Instant::now(), now);
        }
        (since.elapsed() >= window).then_some(())
    });
}

/// How often the threads of the hub have gone to sleep: each time, something had woken them.
fn wake_ups(hub: &Hub) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", hub.pid())).unwrap();
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        // A thread may have ended since.
        let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok()
    };
    threads.filter_map(of_thread).sum()
}

/// Proves a part of: MQT-4.
#[test]
fn a_reader_that_does_not_read_is_bounded_counted_and_closed() {
    let hub = start("slow_reader_timeout = \"3s\"\noutput_buffer = \"1MiB\"");
    let mut innocents = Innocents::connect(&hub);
    let mut slow = connected(&hub, 5, "slow");
    slow.write_all(&packet(0x82, &[&[0, 1, 0], &string("flood")[..], &[0]].concat())).unwrap();
    assert_eq!(read_packet(&mut slow)[0], 0x90);
    let before = memory(&hub);
    let mut flood = connected(&hub, 5, "flood");
    let message = packet(0x30, &[&string("flood")[..], &[0], &[b'x'; 10_000]].concat());
    let dropped = "tomte_messages_dropped_total{reason=\"slow_reader\"}";
    let closed = "tomte_connections_closed_total{reason=\"slow_reader\"}";
    let mut most = 0;
    until("the slow reader to be closed", PATIENCE, || {
        for _ in 0..200 {
            flood.write_all(&message).unwrap();
        }
        most = most.max(memory(&hub).saturating_sub(before));
        (counter(&hub, closed) > 0).then_some(())
    });
    println!("at most {most} bytes more");
    assert!(most < 16 * MIB, "{most} bytes more");
    assert!(counter(&hub, dropped) > 0);
    innocents.still_talk(&hub);
}

/// Proves a part of: MQT-4.
#[test]
fn a_million_subscriptions_of_one_client_are_refused_past_the_limit() {
    let hub = start("max_subscriptions = 1000");
    let mut innocents = Innocents::connect(&hub);
    let mut greedy = connected(&hub, 5, "greedy");
    let before = memory(&hub);
    let mut codes = [0_u32; 256];
    for group in 0..1_000_u32 {
        let mut body = vec![0, 1, 0];
        for n in 0..1_000 {
            body.extend(string(&format!("g/{group}/{n}")));
            body.push(1);
        }
        greedy.write_all(&packet(0x82, &body)).unwrap();
        let suback = read_packet(&mut greedy);
        assert_eq!(suback[0], 0x90);
        for code in &suback[suback.len() - 1_000..] {
            codes[usize::from(*code)] += 1;
        }
    }
    assert_eq!((codes[1], codes[0x97]), (1_000, 999_000));
    let grown = memory(&hub).saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes");
    assert_eq!(counter(&hub, "tomte_refusals_total{what=\"subscribe\"}"), 999_000);
    innocents.still_talk(&hub);
}

/// A client that subscribes to all that is retained again and again in one go, and leaves without
/// reading: others are served meanwhile, and what it sent last is taken all the same.
///
/// Proves a part of: MQT-4.
#[test]
fn a_client_that_subscribes_to_everything_very_often_holds_nobody_up() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    let mut keeper = connected(&hub, 5, "keeper");
    for n in 0..3_000 {
        let topic = string(&format!("kept/{n}"));
        keeper.write_all(&packet(0x31, &[&topic[..], &[0, b'x']].concat())).unwrap();
    }
    let mut watcher = connected(&hub, 5, "watcher");
    watcher.write_all(&packet(0x82, &[&[0, 1, 0], &string("last")[..], &[0]].concat())).unwrap();
    assert_eq!(read_packet(&mut watcher)[0], 0x90);
    let mut greedy = connected(&hub, 5, "greedy");
    let everything = packet(0x82, &[&[0, 1, 0], &string("kept/#")[..], &[0]].concat());
    let last = publish(5, "last", b"word", 0, 0);
    let goodbye = packet(0xe0, &[]);
    greedy.write_all(&[everything.repeat(300), last.clone(), goodbye].concat()).unwrap();
    greedy.shutdown(std::net::Shutdown::Write).unwrap();
    innocents.still_talk(&hub);
    assert_eq!(read_packet(&mut watcher), last);
}

/// The longest topic that MQTT can write has 65,535 bytes; a longer one is a packet that lies.
///
/// Proves a part of: MQT-4.
#[test]
fn the_longest_names_and_the_largest_properties_are_held_by_the_packet_limit() {
    let hub = start("max_packet = \"1MiB\"\nmax_subscriptions = 1000");
    let mut innocents = Innocents::connect(&hub);
    let before = memory(&hub);
    for _ in 0..20 {
        let mut client = connected(&hub, 5, "long");
        let longest = "t".repeat(65_535);
        client.write_all(&packet(0x32, &[&string(&longest)[..], &[0, 7, 0]].concat())).unwrap();
        assert_eq!(read_packet(&mut client)[0], 0x40);
        let pair = [&[0x26][..], &string("k"), &string(&"v".repeat(1_000))].concat();
        let properties = pair.repeat(1_000);
        let mut body = [&string("t")[..], &[0, 8]].concat();
        body.extend(&packet(0, &properties)[1..]);
        client.write_all(&packet(0x32, &body)).unwrap();
        assert_eq!(read_packet(&mut client)[0], 0x40);
        // A megabyte of topic, announced: it is not waited for.
        client.write_all(b"\x30\x80\x80\x80\x02").unwrap();
        let goodbye = read_packet(&mut client);
        assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x95), "packet too large");
        assert!(is_closed(&mut client));
    }
    let grown = memory(&hub).saturating_sub(before);
    println!("{grown} bytes more");
    assert!(grown < 16 * MIB, "{grown} bytes");
    innocents.still_talk(&hub);
}

/// Proves a part of: MQT-4.
#[test]
fn wildcards_in_a_published_topic_end_the_connection_with_the_reason_of_the_standard() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    for topic in ["a/#", "+", "a/+/b", ""] {
        let mut client = connected(&hub, 5, "wild");
        client.write_all(&packet(0x30, &[&string(topic)[..], &[0]].concat())).unwrap();
        let goodbye = read_packet(&mut client);
        assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x82), "protocol error: {topic:?}");
    }
    let closed = "tomte_connections_closed_total{reason=\"protocol_error\"}";
    assert_eq!(counter(&hub, closed), 4);
    innocents.still_talk(&hub);
}

/// Every packet of a client, cut at every byte, in both versions: the connection waits for the rest,
/// and ends with its socket. `core/mqtt` cuts every packet of every type in its own tests.
///
/// Proves a part of: MQT-4.
#[test]
fn packets_cut_at_every_byte_leave_nothing_behind() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    for version in [4_u8, 5] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let packets = [
            connect_as(version, "cut", 9),
            packet(0x32, &[&string("cut/topic")[..], &[0, 1], none, b"payload"].concat()),
            packet(0x82, &[&[0, 1], none, &string("cut/#")[..], &[1]].concat()),
            packet(0xa2, &[&[0, 1], none, &string("cut/#")[..]].concat()),
        ];
        for (kind, whole) in packets.iter().enumerate() {
            for cut in 1..whole.len() {
                let mut stream =
                    if kind == 0 { open(&hub) } else { connected(&hub, version, "cut") };
                stream.write_all(&whole[..cut]).unwrap();
            }
        }
    }
    until("the cut connections to end", PATIENCE, || {
        (hub.status().ok()?.connections <= 1).then_some(())
    });
    assert_eq!(counter(&hub, "tomte_connections_closed_total{reason=\"protocol_error\"}"), 0);
    innocents.still_talk(&hub);
}

/// A peer that is gone without a word: one and a half times its keep-alive.
///
/// Proves a part of: MQT-4.
#[test]
fn a_client_that_falls_silent_is_closed_after_one_and_a_half_keep_alives() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    let mut silent = open(&hub);
    silent.write_all(&connect_as(5, "silent", 2)).unwrap();
    assert_eq!(read_packet(&mut silent)[0], 0x20);
    let started = Instant::now();
    let goodbye = read_packet(&mut silent);
    assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x8d), "keep alive timeout");
    let took = started.elapsed();
    assert!((Duration::from_millis(2_500)..PATIENCE).contains(&took), "{took:?}");
    assert_eq!(counter(&hub, "tomte_connections_closed_total{reason=\"keep_alive\"}"), 1);
    innocents.still_talk(&hub);
}

/// Proves a part of: MQT-4.
#[test]
fn refused_websockets_and_bad_frames_are_counted() {
    let hub = start("");
    let mut innocents = Innocents::connect(&hub);
    expect_close(&hub, "no upgrade", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(counter(&hub, "tomte_refusals_total{what=\"websocket\"}"), 1);
    let mut request = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        .to_vec();
    // A frame without a mask.
    request.extend(b"\x82\x01x");
    expect_close(&hub, "a bad frame", &[&request[..], CONNECT].concat());
    assert_eq!(counter(&hub, "tomte_connections_closed_total{reason=\"protocol_error\"}"), 1);
    innocents.still_talk(&hub);
}
