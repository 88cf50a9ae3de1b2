//! The loop with real sockets of the loopback and a machine that passes on everything.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tomte_core_hub::{Counter, Owner, Peer};
use tomte_journal::JournalConfig;
use tomte_scheduler::ResourceManager;
use tomte_wire::manifest;

use super::read::PARTIAL_BYTES;
use super::*;
use crate::config;
use crate::listener::{Admission, WithoutCertificate};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest packet but one byte.
const LARGEST_HALF: usize = (1 << 20) - 1;
/// Whoever subscribes gets what anybody publishes, and may leave much unread.
const MANIFEST: &str = r#"
[hub]
name = "tested"

[limits]
output_buffer = "64MiB"

[listeners]
mqtt = { bind = "127.0.0.1:0", anonymous = true }

[[routes]]
name = "all"
from = "anonymous"
topic = "topic"
to = "subscribers"
"#;
/// More bytes than the buffers of two sockets hold.
const LATE_BYTES: usize = 32 << 20;
/// CONNECT of MQTT 5 without a client identifier.
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0";
const PINGREQ: &[u8] = b"\xc0\0";
const PINGRESP: [u8; 2] = [0xd0, 0];

/// A loop that goes on while a test waits for something.
struct Bed {
    event_loop: EventLoop,
    inbox: Inbox,
    address: SocketAddr,
    _folder: TempDir,
}

impl Bed {
    fn new(mode: SyncMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let limits = manifest::Limits::default();
        let resources = Box::new(ResourceManager::new(config::machine(&limits)));
        let scheduling = config::scheduling(&limits);
        let manifest = manifest::parse(MANIFEST, "tomte.toml").unwrap();
        let config = config::of(&manifest, &BTreeMap::new());
        let hub = Hub::new(clock.now(), config, scheduling, resources, 7);
        let journal_config = JournalConfig { mode, ..JournalConfig::new(folder.path()) };
        let (journal, _) = Journal::open(journal_config, |_, _| Ok(())).unwrap();
        let keys = folder.path().join("identity");
        let identity = Identity::open(&keys, "tested", SystemTime::now()).unwrap();
        let without = WithoutCertificate { anonymous: true, passwords: false };
        let admission = Admission { tls: None, without, origins: Arc::default() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind("mqtt", any, admission).unwrap();
        let address = listener.address;
        let (effects, _nobody_performs_them) = tokio::sync::mpsc::unbounded_channel();
        let parts = Parts {
            hub,
            clock,
            effects,
            listeners: vec![listener],
            journal,
            mode,
            identity: Arc::new(identity),
            max_connections: 1_000,
        };
        let (event_loop, inbox) = EventLoop::new(parts).unwrap();
        Self { event_loop, inbox, address, _folder: folder }
    }

    fn turn_until(&mut self, what: &str, is_there: impl Fn(&EventLoop) -> bool) {
        let at_last = self.event_loop.clock.now() + PATIENCE;
        // Then the last wait ends.
        self.event_loop.stopping = Some(at_last);
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while !is_there(&self.event_loop) {
            assert!(self.event_loop.clock.now() < at_last, "waited in vain for {what}");
            self.event_loop.turn(&mut events).unwrap();
        }
        self.event_loop.stopping = None;
    }

    /// Goes on until `clients` have done their part.
    fn serve<T: Send>(&mut self, clients: impl FnOnce(SocketAddr) -> T + Send) -> T {
        let (waker, address, is_over) =
            (Arc::clone(&self.inbox.waker), self.address, AtomicBool::new(false));
        std::thread::scope(|scope| {
            let clients = scope.spawn(|| {
                let result = catch_unwind(AssertUnwindSafe(|| clients(address)));
                is_over.store(true, Ordering::Release);
                waker.wake().unwrap();
                result
            });
            self.turn_until("the clients", |_| is_over.load(Ordering::Acquire));
            let result = clients.join().expect("panics are caught");
            result.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.event_loop.hub.counters().get(counter)
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        client.send(CONNECT);
        let [packet, length] = client.take();
        assert_eq!(packet, 0x20);
        client.0.read_exact(&mut vec![0; usize::from(length)]).unwrap();
        client
    }

    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What comes until the connection ends.
    fn take_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// The first `bytes` bytes of a message that has one more.
    fn send_half(&mut self, bytes: usize) {
        let n_length = if bytes < 16_000 { 2 } else { 3 };
        let mut rest = bytes - n_length;
        let mut half = vec![0x30];
        for place in 1..=n_length {
            let more = if place == n_length { 0 } else { 0x80 };
            half.push(u8::try_from(rest & 0x7f).unwrap() | more);
            rest >>= 7;
        }
        half.extend(b"\0\x05topic\0");
        half.resize(bytes, b'x');
        self.send(&half);
    }
}

#[test]
fn of_too_many_half_packets_the_largest_ends_and_a_small_one_is_finished() {
    let mut bed = Bed::new(SyncMode::None);
    let n_greedy = PARTIAL_BYTES / (LARGEST_HALF + 1);
    let (mut honest, mut greedy) = bed.serve(|address| {
        let honest = Client::connect(address);
        let mut greedy: Vec<_> = (0..n_greedy).map(|_| Client::connect(address)).collect();
        for (n, client) in greedy.iter_mut().enumerate() {
            client.send_half(if n == 7 { LARGEST_HALF } else { LARGEST_HALF - 10 });
        }
        (honest, greedy)
    });
    let fits = n_greedy * LARGEST_HALF - (n_greedy - 1) * 10;
    bed.turn_until("half packets that fit", |it| it.partial_bytes == fits);
    assert_eq!(bed.counted(Counter::Unfinished), 0);
    bed.serve(|_| {
        honest.send_half(PARTIAL_BYTES - fits + 1);
        assert_eq!(greedy[7].take(), [0xe0, 1, 0x97], "quota exceeded");
        assert_eq!(greedy[7].take_all(), b"");
        honest.send(b"x");
        honest.send(PINGREQ);
        assert_eq!(honest.take(), PINGRESP);
    });
    assert_eq!(bed.counted(Counter::Unfinished), 1);
    assert_eq!(bed.event_loop.partial_bytes, fits - LARGEST_HALF);
}

/// The end of what a client sends is there with what is refused.
#[test]
fn who_closes_its_side_at_once_is_still_told_why_it_is_refused() {
    let mut bed = Bed::new(SyncMode::None);
    let told = bed.serve(|address| {
        let refused: [&[u8]; 2] =
            [b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n", b"\x10\x0d\0\x04MQTT\x09\x02\0\0\0\0\0"];
        refused.map(|bytes| {
            let mut client = Client::open(address);
            client.send(bytes);
            client.0.shutdown(std::net::Shutdown::Write).unwrap();
            client.take_all()
        })
    });
    assert!(told[0].starts_with(b"HTTP/1.1 4"), "{told:?}");
    assert_eq!(told[1][0], 0x20, "{told:?}");
}

/// A socket is watched for room only once it had none.
#[test]
fn who_reads_late_gets_all_that_waited() {
    let mut bed = Bed::new(SyncMode::None);
    let mut late = bed.serve(|address| {
        let mut late = Client::connect(address);
        late.send(b"\x82\x0b\0\x01\0\0\x05topic\0");
        assert_eq!(late.take(), [0x90, 4, 0, 1, 0, 0]);
        late
    });
    let watches = |it: &EventLoop| it.sockets.iter().flatten().any(|socket| socket.watches_room);
    assert!(!watches(&bed.event_loop));
    let n_messages = LATE_BYTES / LARGEST_HALF;
    bed.serve(|address| {
        let mut sender = Client::connect(address);
        for _ in 0..n_messages {
            sender.send_half(LARGEST_HALF);
            sender.send(b"x");
        }
        sender.send(PINGREQ);
        assert_eq!(sender.take(), PINGRESP);
    });
    assert!(watches(&bed.event_loop), "{LATE_BYTES} bytes are more than the system takes");
    bed.serve(|_| {
        let mut message = vec![0; LARGEST_HALF + 1];
        for _ in 0..n_messages {
            late.0.read_exact(&mut message).unwrap();
            assert_eq!((message[0], message.last()), (0x30, Some(&b'x')));
        }
    });
}

/// The event that tells of a connection comes once, and is used up by the attempt that failed.
#[test]
fn who_could_not_be_accepted_is_let_in_a_little_later_and_counted() {
    let mut bed = Bed::new(SyncMode::None);
    let mut client = Client::open(bed.address);
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    bed.event_loop.poll.poll(&mut events, Some(PATIENCE)).unwrap();
    assert!(!events.is_empty());
    let now = bed.event_loop.clock.now();
    let no_descriptor = io::Error::from(rustix::io::Errno::MFILE);
    bed.event_loop.accept_failed(now, 0, &no_descriptor);
    let wait = bed.event_loop.timeout().expect("there is something to do");
    assert!(wait > Duration::from_millis(50), "it does not spin: {wait:?}");
    bed.serve(|_| {
        client.send(CONNECT);
        assert_eq!(client.take::<1>(), [0x20]);
    });
    assert_eq!(bed.counted(Counter::FailedAccepts), 1);
    assert_eq!(bed.event_loop.accept_again_at, None, "once is enough");
}

#[test]
fn a_connection_that_cannot_be_watched_is_refused_and_counted() {
    let mut bed = Bed::new(SyncMode::None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, address) = listener.accept().unwrap();
    let mut stream = mio::net::TcpStream::from_std(accepted);
    // It is watched already, which the system allows once.
    let registry = bed.event_loop.poll.registry();
    registry.register(&mut stream, Token(0), mio::Interest::READABLE).unwrap();
    let now = bed.event_loop.clock.now();
    bed.event_loop.open(now, 0, stream, address);
    assert_eq!(bed.counted(Counter::RefusedConnection), 1);
    assert_eq!(Client(client).take_all(), b"");
    bed.serve(Client::connect);
}

/// A commit was refused because of the failure, and the journal was begun anew, before the loop heard of it.
#[test]
fn what_is_safe_is_acknowledged_although_an_older_failure_is_told_with_it() {
    let mut bed = Bed::new(SyncMode::Power);
    let event_loop = &mut bed.event_loop;
    let (now, slot) = (event_loop.clock.now(), Slot(0));
    event_loop.hub.on_opened(now, slot, Peer::known(Owner::Anonymous));
    let kept = b"\x10\x16\0\x04MQTT\x05\0\0\0\x05\x11\0\0\x0e\x10\0\x04kept";
    assert_eq!(event_loop.hub.on_bytes(now, slot, kept), kept.len());
    event_loop.commit(now);
    assert!(!event_loop.hub.may_write(slot), "CONNACK waits for the disk");
    let mut events = Events::with_capacity(1);
    event_loop.poll.poll(&mut events, Some(PATIENCE)).unwrap();
    assert!(events.iter().any(|event| event.token() == WAKER), "the disk has it");
    event_loop.syncer.tell_failed();
    event_loop.commit(now);
    assert!(event_loop.hub.may_write(slot));
    assert_eq!(bed.counted(Counter::JournalFailures), 0);
}
