//! What a subscription and a retained message cost in memory, counted at the allocator.

#![expect(unsafe_code, reason = "a counting allocator is an unsafe trait")]
#![expect(clippy::print_stdout, reason = "the numbers are for people too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use tomte_base::{Message, MessageId, QoS, Source, Time, TopicFilter, TopicName};
use tomte_broker::{
    CACHED_TOPICS, LONGEST_CACHED_TOPIC_BYTES, MatchCache, Push, Queue, QueueLimits, Retained,
    RetainedLimits, SetOutcome, TopicTree,
};

/// Counts the bytes that the calling thread holds, and its allocations.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Adds to what the thread holds. A thread that is ending has no counters any more.
fn count(bytes: usize, sign: isize) {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    let _ = HELD.try_with(|held| held.set(held.get() + sign * bytes));
}

// SAFETY: every call is passed on to the system allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `memory` came from `alloc` above with this layout, so from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> isize {
    HELD.get()
}

/// Returns the bytes that each of `count` things takes, of those held since `before`.
fn each_since(before: isize, count: usize) -> f64 {
    (held() - before) as f64 / count as f64
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).expect("a filter of this test")
}

/// Fills a tree with `count` subscriptions of one client. Returns it with the bytes that each takes.
fn fill(count: usize, text: impl Fn(usize) -> String) -> (TopicTree<u64, u64>, f64) {
    let before = held();
    let mut tree = TopicTree::new(0);
    (0..count).for_each(|n| assert_eq!(tree.insert(&filter(&text(n)), 1, 1), None));
    let each = each_since(before, count);
    (tree, each)
}

/// Proves: MQT-4.
#[test]
fn a_million_subscriptions_of_one_client_take_little() {
    let (_tree, each) = fill(1_000_000, |n| format!("devices/{n}"));
    println!("a million subscriptions of one new level: {each:.0} bytes each");
    assert!(each < 104.0, "{each}");
}

#[test]
fn subscriptions_that_left_give_their_memory_back() {
    let before = held();
    let text = |n| format!("devices/{n}/sensors/+");
    let (mut tree, each) = fill(100_000, text);
    println!("100,000 subscriptions of three new levels: {each:.0} bytes each");
    assert!(each < 3.0 * 104.0, "{each}");
    let forth_and_back = (0..50_000).chain((50_000..100_000).rev());
    forth_and_back.for_each(|n| assert_eq!(tree.remove(&filter(&text(n)), 1), Some(1)));
    assert!(held() - before < 128 * 1024, "{} bytes are left", held() - before);
}

#[test]
fn many_sessions_with_one_filter_take_little_more_than_keys_and_values() {
    let before = held();
    let mut tree = TopicTree::<u64, u64>::new(0);
    let all = filter("alarms/#");
    (0..100_000).for_each(|key| assert_eq!(tree.insert(&all, key, key), None));
    let each = each_since(before, 100_000);
    println!("100,000 sessions with one filter: {each:.0} bytes each");
    assert!(each < 32.0, "{each}");
}

#[test]
fn matching_allocates_nothing() {
    let mut tree = TopicTree::<u64, u64>::new(0);
    for n in 0..1_000 {
        tree.insert(&filter(&format!("a/{n}/+/#")), n, n);
        tree.insert(&filter("a/+/c"), n, n);
    }
    let before = ALLOCATIONS.get();
    let mut found = 0;
    tree.matches("a/7/c", |_, _| found += 1);
    assert_eq!((found, ALLOCATIONS.get() - before), (1_001, 0));
}

fn message(topic: &str, payload: Bytes) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId(1),
        topic: TopicName::new(topic).expect("a topic of this test"),
        payload,
        qos: QoS::AtLeastOnce,
        retain: true,
        source: Source::Anonymous,
        received: Time(0),
        expires: Time(1),
        properties: None,
        hops: 0,
        cause: None,
    })
}

/// Retains `count` messages of 64 bytes and checks that no more memory is taken than is counted.
fn check_retained(count: usize, topic: impl Fn(usize) -> String, most_beside: f64) {
    let limits = RetainedLimits { max_messages: 1_000_000, ..RetainedLimits::default() };
    let messages: Vec<_> =
        (0..count).map(|n| message(&topic(n), Bytes::from(vec![0; 64]))).collect();
    let before = held();
    let mut retained = Retained::new(limits, 0);
    for message in &messages {
        assert_eq!(retained.set(message.clone()), SetOutcome::Stored { replaced: None });
    }
    let beside = each_since(before, count);
    let counted = retained.bytes().0 as f64 / count as f64;
    println!("a retained {}: {beside:.0} bytes beside the message, {counted:.0} counted", topic(0));
    assert!(beside < most_beside, "{beside}");
    let message_itself = (size_of::<Message>() + 2 * 16 + topic(0).len() + 64) as f64;
    assert!(counted > message_itself + beside, "{counted} counted, {message_itself} for itself");
    assert!(counted < message_itself + beside * 2.0, "{counted} counted is far too much");
}

/// Proves: MQT-4.
#[test]
fn a_retained_message_takes_little_beside_itself() {
    check_retained(100_000, |n| format!("devices/{n}"), 140.0);
    check_retained(50_000, |n| format!("{n}/a/b"), 3.0 * 140.0);
    check_retained(50_000, |n| format!("{n:0>100}"), 240.0);
}

/// Proves: MQT-4.
#[test]
fn a_flooded_match_cache_stays_within_its_stated_memory() {
    let before = held();
    let mut cache = MatchCache::<u64>::new(0);
    assert_eq!(held(), before);
    for n in 0..5 * CACHED_TOPICS {
        let topic = format!("{n:0>LONGEST_CACHED_TOPIC_BYTES$}");
        cache.insert(TopicName::new(&topic).unwrap(), 0, 0);
    }
    let each = each_since(before, CACHED_TOPICS);
    println!("a cached topic of {LONGEST_CACHED_TOPIC_BYTES} bytes: {each:.0} bytes");
    assert!(each < LONGEST_CACHED_TOPIC_BYTES as f64 + 72.0, "{each}");
}

#[test]
fn an_empty_queue_allocates_nothing() {
    let before = held();
    let mut queue = Queue::new(QueueLimits::default());
    assert_eq!(held(), before);
    (0..500).for_each(|n| assert_eq!(queue.push(n, 1, Time::NEVER), Push::Queued));
    assert!(held() > before);
    let mut dropped = Vec::new();
    while queue.pop(Time(0), &mut dropped).is_some() {}
    assert_eq!(held(), before);
}
