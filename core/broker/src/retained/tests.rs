use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tomte_base::{MAX_TOPIC_LEVELS, MessageId, QoS, Source, TopicName, topic_matches};

use super::*;

fn message(topic: &str, payload: usize, expires: Time) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId(1),
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::from(vec![0; payload]),
        qos: QoS::AtLeastOnce,
        retain: true,
        source: Source::Anonymous,
        received: Time(0),
        expires,
        properties: None,
        hops: 0,
        cause: None,
    })
}

fn stored(replaced: Option<Arc<Message>>) -> SetOutcome {
    SetOutcome::Stored { replaced }
}

fn topics_matching(retained: &Retained, filter: &str) -> Vec<String> {
    let filter = TopicFilter::new(filter).unwrap();
    let mut topics = Vec::new();
    retained.matching(&filter, |message| topics.push(message.topic.to_string()));
    topics.sort_unstable();
    topics
}

/// Checks which of `topics` a subscriber to `filter` gets.
fn check(topics: &[&str], filter: &str, expect: &[&str]) {
    let mut retained = Retained::new(RetainedLimits::default(), 0);
    for topic in topics {
        assert_eq!(retained.set(message(topic, 1, Time::NEVER)), stored(None));
    }
    assert_eq!(topics_matching(&retained, filter), expect, "{filter}");
}

#[test]
fn a_new_subscriber_gets_what_its_filter_matches() {
    let topics = ["a", "a/", "a/b", "a/b/c", "b", "/"];
    check(&topics, "#", &["/", "a", "a/", "a/b", "a/b/c", "b"]);
    check(&topics, "a/#", &["a", "a/", "a/b", "a/b/c"]);
    check(&topics, "a/b/c/#", &["a/b/c"]);
    check(&topics, "+", &["a", "b"]);
    check(&topics, "+/+", &["/", "a/", "a/b"]);
    check(&topics, "+/b/#", &["a/b", "a/b/c"]);
    check(&topics, "a/b", &["a/b"]);
    check(&topics, "c/#", &[]);
}

#[test]
fn leading_wildcards_do_not_match_dollar_topics() {
    let topics = ["$SYS/load", "$SYS", "a/$x"];
    check(&topics, "#", &["a/$x"]);
    check(&topics, "+", &[]);
    check(&topics, "+/#", &["a/$x"]);
    check(&topics, "$SYS/#", &["$SYS", "$SYS/load"]);
    check(&topics, "a/+", &["a/$x"]);
}

#[test]
fn the_last_message_of_a_topic_is_kept() {
    let mut retained = Retained::new(RetainedLimits::default(), 0);
    let (first, second) = (message("a/b", 1, Time::NEVER), message("a/b", 2, Time::NEVER));
    assert_eq!(retained.set(first.clone()), stored(None));
    assert_eq!(retained.set(second.clone()), stored(Some(first)));
    assert_eq!(retained.get("a/b"), Some(&second));
    assert_eq!((retained.get("a"), retained.get("a/b/c")), (None, None));
    assert_eq!(retained.bytes().0, message_bytes(&second) as u64);
    assert_eq!(retained.clear("a"), None);
    assert_eq!(retained.clear("a/b"), Some(second));
    assert_eq!((retained.len(), retained.bytes(), retained.levels.len()), (0, ByteSize(0), 1));
}

/// Proves: MQT-4.
#[test]
fn messages_past_the_count_are_refused_and_known_topics_still_change() {
    let mut retained =
        Retained::new(RetainedLimits { max_messages: 2, ..RetainedLimits::default() }, 0);
    assert_eq!(retained.set(message("a", 0, Time::NEVER)), stored(None));
    assert_eq!(retained.set(message("b", 0, Time::NEVER)), stored(None));
    let refused = SetOutcome::Refused(RetainedLimit::Messages);
    assert_eq!(retained.set(message("c/d", 0, Time::NEVER)), refused);
    assert_eq!((retained.get("c/d"), retained.levels.len()), (None, 3));
    assert!(matches!(
        retained.set(message("a", 9, Time::NEVER)),
        SetOutcome::Stored { replaced: Some(_) }
    ));
    assert!(retained.clear("b").is_some());
    assert_eq!(retained.set(message("c/d", 0, Time::NEVER)), stored(None));
}

/// Proves: MQT-4.
#[test]
fn messages_past_the_bytes_are_refused_and_leave_the_old_one() {
    let fits = message("a", 100, Time::NEVER);
    let max_bytes = ByteSize(message_bytes(&fits) as u64);
    let mut retained = Retained::new(RetainedLimits { max_bytes, ..RetainedLimits::default() }, 0);
    assert_eq!(retained.set(fits.clone()), stored(None));
    assert_eq!(retained.bytes(), max_bytes);
    let refused = SetOutcome::Refused(RetainedLimit::Bytes);
    assert_eq!(retained.set(message("a", 101, Time::NEVER)), refused);
    assert_eq!(retained.set(message("b", 0, Time::NEVER)), refused);
    assert_eq!(retained.get("a"), Some(&fits));
    assert_eq!(retained.set(message("a", 100, Time::NEVER)), stored(Some(fits)));
}

#[test]
fn all_that_a_message_carries_is_counted() {
    let plain = message("a", 0, Time::NEVER);
    let with = |properties: Properties| {
        let message = Message { properties: Some(Box::new(properties)), ..(*plain).clone() };
        message_bytes(&message) - message_bytes(&plain) - size_of::<Properties>()
    };
    let text = || "x".repeat(100);
    assert_eq!(with(Properties { content_type: Some(text()), ..Properties::default() }), 100);
    assert_eq!(with(Properties { response_topic: Some(text()), ..Properties::default() }), 100);
    let data = Some(Bytes::from(text()));
    assert_eq!(with(Properties { correlation_data: data, ..Properties::default() }), 100);
    let user = vec![(text(), text()); 3];
    assert_eq!(with(Properties { user, ..Properties::default() }), 3 * (200 + 48));
}

#[test]
fn messages_expire_in_order_and_no_sooner() {
    let mut retained = Retained::new(RetainedLimits::default(), 0);
    let ends = [("a", 30), ("b", 10), ("c/d", 20), ("e", 20)];
    for (topic, end) in ends {
        assert_eq!(retained.set(message(topic, 0, Time(end))), stored(None));
    }
    assert_eq!(retained.set(message("f", 0, Time::NEVER)), stored(None));
    assert_eq!(retained.next_expiry(), Some(Time(10)));
    assert_eq!(retained.expire(Time(9)), []);
    let mut expired = |now| {
        let removed = retained.expire(Time(now));
        let topics: Vec<_> = removed.iter().map(|message| message.topic.to_string()).collect();
        (topics.join(" "), retained.next_expiry())
    };
    assert_eq!(expired(10), ("b".to_owned(), Some(Time(20))));
    assert_eq!(expired(25), ("c/d e".to_owned(), Some(Time(30))));
    assert_eq!(expired(1_000), ("a".to_owned(), None));
    assert_eq!((retained.len(), retained.levels.len()), (1, 2));
}

#[test]
fn a_replaced_message_does_not_expire_its_successor() {
    let mut retained = Retained::new(RetainedLimits::default(), 0);
    assert_eq!(retained.set(message("a", 0, Time(10))), stored(None));
    let lasting = message("a", 1, Time::NEVER);
    assert!(matches!(retained.set(lasting.clone()), SetOutcome::Stored { replaced: Some(_) }));
    assert_eq!(retained.next_expiry(), None);
    assert_eq!(retained.expire(Time(1_000)), []);
    assert_eq!(retained.clear("a"), Some(lasting));
}

#[test]
fn topics_at_the_level_limit_are_kept_and_found() {
    let deep = "/".repeat(MAX_TOPIC_LEVELS - 1);
    let plus = vec!["+"; MAX_TOPIC_LEVELS].join("/");
    for filter in ["#", &plus, &deep] {
        check(&[&deep], filter, &[&deep]);
    }
    check(&[&deep], &plus[2..], &[]);
}

#[derive(Clone, Debug)]
enum Step {
    Set(String, usize, Time),
    Clear(String),
    Match(String),
    Expire(u64),
}

fn texts(wild: bool) -> impl Strategy<Value = String> {
    let level = if wild { "[ab$+]|" } else { "[ab$]|" };
    let tail = if wild { "(/#)?" } else { "" };
    let joined = (prop::collection::vec(level, 1..4), tail).prop_map(|(l, t)| l.join("/") + &t);
    let text = joined.prop_filter("topics have a character", |topic| !topic.is_empty());
    let hash = if wild { "#" } else { "$" };
    prop_oneof![8 => text, 1 => Just(hash.to_owned())]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expiry = prop_oneof![(0..100u64).prop_map(Time), Just(Time::NEVER)];
    let step = prop_oneof![
        4 => (texts(false), 0..300usize, expiry).prop_map(|(t, p, e)| Step::Set(t, p, e)),
        2 => texts(false).prop_map(Step::Clear),
        3 => texts(true).prop_map(Step::Match),
        1 => (0..100u64).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 1..150)
}

/// The same rules over a plain map.
struct Model {
    limits: RetainedLimits,
    messages: BTreeMap<String, Arc<Message>>,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.messages.values().map(|message| message_bytes(message) as u64).sum()
    }

    fn set(&mut self, message: Arc<Message>) -> SetOutcome {
        let before = self.messages.clone();
        let replaced = self.messages.insert(message.topic.to_string(), message);
        let refusal = if self.messages.len() > self.limits.max_messages as usize {
            RetainedLimit::Messages
        } else if self.bytes() > self.limits.max_bytes.0 {
            RetainedLimit::Bytes
        } else {
            return stored(replaced);
        };
        self.messages = before;
        SetOutcome::Refused(refusal)
    }

    fn matching(&self, filter: &str) -> Vec<String> {
        self.messages.keys().filter(|topic| topic_matches(filter, topic)).cloned().collect()
    }

    fn expire(&mut self, now: Time) -> usize {
        let before = self.messages.len();
        self.messages.retain(|_, message| message.expires > now);
        before - self.messages.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn retained_messages_behave_as_a_map_of_topics(steps in steps()) {
        let limits = RetainedLimits { max_messages: 20, max_bytes: ByteSize(8_000) };
        let mut retained = Retained::new(limits, 0);
        let mut model = Model { limits, messages: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Set(topic, payload, end) => {
                    let message = message(&topic, payload, end);
                    prop_assert_eq!(retained.set(message.clone()), model.set(message));
                }
                Step::Clear(topic) => {
                    prop_assert_eq!(retained.get(&topic), model.messages.get(&topic));
                    prop_assert_eq!(retained.clear(&topic), model.messages.remove(&topic));
                }
                Step::Match(filter) => {
                    prop_assert_eq!(topics_matching(&retained, &filter), model.matching(&filter));
                }
                Step::Expire(now) => {
                    prop_assert_eq!(retained.expire(Time(now)).len(), model.expire(Time(now)));
                }
            }
            prop_assert_eq!(retained.len(), model.messages.len());
            prop_assert_eq!(retained.bytes().0, model.bytes());
            let soonest = model.messages.values().map(|message| message.expires).min();
            prop_assert_eq!(retained.next_expiry(), soonest.filter(|end| *end != Time::NEVER));
        }
        for topic in model.messages.keys() {
            prop_assert!(retained.clear(topic).is_some());
        }
        prop_assert_eq!(retained.levels.len(), 1, "empty nodes are left");
    }
}

#[test]
fn past_lowered_limits_a_topic_still_takes_what_is_no_larger() {
    let mut retained = Retained::new(RetainedLimits::default(), 0);
    for topic in ["a", "b"] {
        let _set = retained.set(message(topic, 5, Time::NEVER));
    }
    retained.set_limits(RetainedLimits { max_messages: 1, max_bytes: ByteSize(1) });
    assert!(!retained.set(message("a", 5, Time::NEVER)).is_refused());
    assert!(!retained.set(message("a", 1, Time::NEVER)).is_refused());
    assert!(retained.set(message("a", 2, Time::NEVER)).is_refused());
    assert!(retained.set(message("c", 1, Time::NEVER)).is_refused());
    assert_eq!(retained.len(), 2);
}
