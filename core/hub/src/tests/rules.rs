use std::collections::BTreeMap;
use std::time::Duration;

use tomte_base::{DeviceName, QoS, Source, TopicName};
use tomte_mqtt::codec::PublishHead;
use tomte_route::{Attribute, Attributes, Hold, Overflow, RouteSpec, RuleSpec};

use super::harness::{ALL, Bed, R, config_of, spec};
use crate::{Config, Counter, Slot};

/// A route that is a message rule.
fn rule(route: &R, only: &str, publish_as: &str, withhold: bool) -> RouteSpec {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let rule = RuleSpec { only: text(only), publish_as: text(publish_as), withhold };
    RouteSpec { rule, ..spec(route) }
}

/// `fan` has the codes A and B, `lamp` B and C, `thermometer` none; each has a key of its own.
fn with_attributes(specs: Vec<RouteSpec>) -> Config {
    let texts = |texts: &[&str]| {
        Attribute::List(texts.iter().map(|text| Attribute::Text((*text).to_owned())).collect())
    };
    let key = |name: &str| Attribute::Text(format!("key of {name}"));
    let device = |(name, codes): (&str, &[&str])| {
        let attributes: Attributes =
            [("codes".to_owned(), texts(codes)), ("key".to_owned(), key(name))].into();
        (DeviceName::new(name).unwrap(), attributes)
    };
    let devices: BTreeMap<_, _> =
        [("fan", &["A", "B"][..]), ("lamp", &["B", "C"])].into_iter().map(device).collect();
    let mut config = config_of(specs, &[("f", None)]);
    config.table = config.table.with_attributes(&devices);
    config
}

/// The clients of the three devices and of somebody without an identity, subscribed to all.
fn everybody(bed: &mut Bed) -> [Slot; 4] {
    ["fan", "lamp", "thermometer", ""].map(|owner| {
        let slot = bed.connect(owner, &format!("c-{owner}"), true);
        bed.subscribe(slot, "#", QoS::AtLeastOnce);
        bed.received(slot);
        slot
    })
}

fn publisher(bed: &mut Bed) -> Slot {
    let slot = bed.connect("thermometer", "publisher", true);
    bed.received(slot);
    slot
}

/// What each client received, as `topic payload`.
fn seen(bed: &mut Bed, slots: &[Slot]) -> Vec<Vec<String>> {
    let short = |word: &String| {
        let rest = word.strip_prefix("publish ")?;
        Some(rest.split(" qos=").next().unwrap().to_owned())
    };
    slots.iter().map(|slot| bed.received(*slot).iter().filter_map(short).collect()).collect()
}

fn hops(bed: &Bed, topic: &str) -> Vec<String> {
    let source = Source::Device(DeviceName::new("thermometer").unwrap());
    let chain = bed.hub.last_trace(&source, topic);
    let hops = chain.iter().flat_map(|trace| &trace.hops);
    hops.map(|hop| format!("{} {} {}", hop.subject, hop.verdict, hop.detail).trim().to_owned())
        .collect()
}

fn would(bed: &mut Bed, topic: &str, payload: &str) -> Vec<String> {
    let source = Source::Device(DeviceName::new("thermometer").unwrap());
    let topic = TopicName::new(topic).unwrap();
    let hops = bed.hub.explain(bed.now, &source, &topic, payload.as_bytes(), None);
    hops.iter().map(|hop| format!("{} {}", hop.subject, hop.verdict)).collect()
}

/// Proves a part of: MSG-1, MSG-2.
#[test]
fn a_code_in_a_level_chooses_who_gets_the_message_on_the_second_topic() {
    let by_code = rule(
        &R("device:thermometer", "order/+", None, "subscribers"),
        "levels[1] in receiver.codes",
        "run/{levels[1]}",
        true,
    );
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), by_code]));
    let all = everybody(&mut bed);
    let sender = publisher(&mut bed);
    for (code, expect) in [("A", [1, 0, 0, 0]), ("B", [1, 1, 0, 0]), ("C", [0, 1, 0, 0])] {
        let before = bed.hub.counters().get(Counter::Withheld);
        bed.publish(sender, &format!("order/{code}"), "go", QoS::AtLeastOnce, 1);
        let expect = expect.map(|n| vec![format!("run/{code} go"); n]);
        assert_eq!(seen(&mut bed, &all), expect, "{code}");
        let withheld = bed.hub.counters().get(Counter::Withheld) - before;
        assert_eq!(withheld, expect.iter().filter(|words| words.is_empty()).count() as u64);
    }
    // Other topics go as before.
    bed.publish(sender, "news", "x", QoS::AtLeastOnce, 2);
    assert_eq!(seen(&mut bed, &all), [["news x"], ["news x"], ["news x"], ["news x"]]);
}

/// Proves a part of: MSG-1.
#[test]
fn the_content_may_choose_and_without_withholding_the_others_get_it_as_before() {
    let hot = R("device:thermometer", "t", Some("payload.hot"), "subscribers");
    let by_content = rule(&hot, "receiver.name == payload.to", "alarm", false);
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), by_content]));
    let all = everybody(&mut bed);
    let sender = publisher(&mut bed);
    let payload = r#"{"hot":true,"to":"fan"}"#;
    bed.publish(sender, "t", payload, QoS::AtMostOnce, 0);
    let first = format!("t {payload}");
    let fan = vec![format!("alarm {payload}"), first.clone()];
    assert_eq!(seen(&mut bed, &all), [fan, vec![first.clone()], vec![first.clone()], vec![first]]);
    let cold = r#"{"hot":false,"to":"fan"}"#;
    bed.publish(sender, "t", cold, QoS::AtMostOnce, 0);
    assert!(seen(&mut bed, &all).iter().all(|words| *words == [format!("t {cold}")]));
}

/// Proves a part of: MSG-3.
#[test]
fn a_wrong_identifier_reaches_nobody() {
    let order = rule(
        &R("device:thermometer", "order/+", None, "subscribers"),
        "properties.key == receiver.key",
        "run/{levels[1]}",
        true,
    );
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), order]));
    let all = everybody(&mut bed);
    let sender = publisher(&mut bed);
    let send = |bed: &mut Bed, id, key: Option<&str>| {
        let user = key.map(|key| ("key".to_owned(), key.to_owned())).into_iter().collect();
        let properties = tomte_base::Properties { user, ..tomte_base::Properties::default() };
        let head = PublishHead {
            topic: "order/open",
            qos: QoS::AtLeastOnce,
            packet_id: id,
            properties: Some(&properties),
            ..PublishHead::default()
        };
        bed.publish_with(sender, head, "x");
        bed.received(sender)
    };
    let nobody: [&[&str]; 4] = [&[], &[], &[], &[]];
    for key in [Some("key of fa"), Some(""), Some("[]"), None] {
        assert_eq!(send(&mut bed, 1, key), ["puback 1 NoMatchingSubscribers"], "{key:?}");
        assert_eq!(seen(&mut bed, &all), nobody, "{key:?}");
    }
    assert_eq!(bed.hub.counters().get(Counter::Withheld), 16);
    assert_eq!(bed.hub.counters().get(Counter::DropNoSubscriber), 0, "it was withheld");
    assert_eq!(send(&mut bed, 2, Some("key of lamp")), ["puback 2 Success"]);
    let lamp: [&[&str]; 4] = [&[], &["run/open x"], &[], &[]];
    assert_eq!(seen(&mut bed, &all), lamp);
}

#[test]
fn a_rule_on_its_own_topic_delivers_once_to_whom_it_chooses() {
    let fans = rule(&R("device:*", "t", None, "subscribers"), "\"A\" in receiver.codes", "", false);
    let lamps =
        rule(&R("device:*", "t", None, "subscribers"), "\"C\" in receiver.codes", "", false);
    let to_lamp = spec(&R("device:*", "t", None, "device:lamp"));
    let mut bed = Bed::new(with_attributes(vec![fans, lamps, to_lamp]));
    let all = ["fan", "lamp", "thermometer"].map(|owner| {
        let slot = bed.connect(owner, owner, true);
        bed.subscribe(slot, "t", QoS::AtMostOnce);
        bed.received(slot);
        slot
    });
    let sender = publisher(&mut bed);
    bed.publish(sender, "t", "x", QoS::AtMostOnce, 0);
    assert_eq!(seen(&mut bed, &all), [vec!["t x"], vec!["t x"], vec![]]);
    assert_eq!(bed.hub.counters().get(Counter::Withheld), 1);
}

#[test]
fn rules_that_withhold_add_up_and_pass_over_those_that_do_not() {
    let one = rule(&R("device:*", "t", None, "subscribers"), "\"A\" in receiver.codes", "", true);
    let two = rule(&R("device:*", "t", None, "device:lamp"), "", "", true);
    let lost = spec(&R("device:*", "t", None, "device:thermometer"));
    let mirror = rule(&R("device:*", "#", None, "subscribers"), "", "mirror/{topic}", false);
    let called = spec(&R("device:*", "t", None, "function:f"));
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), one, two, lost, mirror, called]));
    let all = everybody(&mut bed);
    let sender = publisher(&mut bed);
    bed.publish(sender, "t", "x", QoS::AtMostOnce, 0);
    assert_eq!(seen(&mut bed, &all), [vec!["t x"], vec!["t x"], vec![], vec![]]);
    bed.start_workers();
    assert_eq!(bed.assignments().len(), 1, "functions are called all the same");
    bed.publish(sender, "u", "y", QoS::AtMostOnce, 0);
    let both = ["mirror/u y", "u y"];
    assert_eq!(seen(&mut bed, &all), [both, both, both, both]);
}

/// However the second topics of rules lead to each other.
#[test]
fn a_second_topic_never_goes_through_the_routes_again() {
    let there = rule(&R("device:*", "a", None, "subscribers"), "", "b", false);
    let back = rule(&R("device:*", "b", None, "subscribers"), "", "a", false);
    let itself = rule(&R("device:*", "+", None, "subscribers"), "", "{topic}", false);
    let mut bed = Bed::new(with_attributes(vec![there, back, itself]));
    let all = everybody(&mut bed);
    let sender = publisher(&mut bed);
    bed.publish(sender, "a", "x", QoS::AtMostOnce, 0);
    for words in seen(&mut bed, &all) {
        assert_eq!(words, ["b x", "a x"]);
    }
}

#[test]
fn a_second_topic_decides_who_may_subscribe() {
    let orders = R("device:lamp", "order/+", None, "subscribers");
    let mut bed = Bed::new(with_attributes(vec![rule(&orders, "", "run/{levels[1]}", false)]));
    let fan = bed.connect("fan", "f", true);
    for filter in ["run/a", "run/+", "order/a", "run/a/b"] {
        bed.subscribe(fan, filter, QoS::AtMostOnce);
    }
    let granted = ["Success", "Success", "NotAuthorized", "NotAuthorized"];
    assert_eq!(bed.received(fan)[1..], granted.map(|word| format!("suback [{word}]")));
}

#[test]
fn a_function_gets_the_message_under_its_second_topic() {
    let order = rule(&R("device:*", "order/+", None, "function:f"), "", "do/{levels[1]}", false);
    let mut bed = Bed::new(with_attributes(vec![order]));
    let sender = publisher(&mut bed);
    bed.publish(sender, "order/open", "x", QoS::AtLeastOnce, 1);
    bed.start_workers();
    let [call] = &bed.assignments()[..] else { panic!("one call was expected") };
    assert_eq!(call.subject.as_deref(), Some("do/open"));
}

#[test]
fn an_order_for_a_device_that_is_away_is_held_under_its_second_topic_and_outlives_a_crash() {
    let mut order = rule(
        &R("device:*", "order/+", None, "device:fan"),
        "properties.key == receiver.key",
        "run/{levels[1]}",
        true,
    );
    order.on_unavailable =
        Some(Hold { hold: Duration::from_secs(600), max: 10, then: Overflow::DropOldest });
    let table = || with_attributes(vec![order.clone()]);
    let mut bed = Bed::new(table());
    let sender = publisher(&mut bed);
    for (id, key) in [(1, "wrong"), (2, "key of fan")] {
        let user = vec![("key".to_owned(), key.to_owned())];
        let properties = tomte_base::Properties { user, ..tomte_base::Properties::default() };
        let head = PublishHead {
            topic: "order/on",
            qos: QoS::AtLeastOnce,
            packet_id: id,
            properties: Some(&properties),
            ..PublishHead::default()
        };
        bed.publish_with(sender, head, key);
    }
    assert_eq!(bed.hub.counters().get(Counter::Withheld), 1);
    bed.crash(table());
    let fan = bed.connect("fan", "f", true);
    bed.subscribe(fan, "run/+", QoS::AtLeastOnce);
    assert_eq!(seen(&mut bed, &[fan]), [["run/on key of fan"]]);
}

#[test]
fn a_kept_session_that_is_chosen_gets_the_message_after_a_crash() {
    let by_code = R("device:*", "order/+", None, "subscribers");
    let by_code = rule(&by_code, "levels[1] in receiver.codes", "run", true);
    let table = || with_attributes(vec![spec(&ALL), by_code.clone()]);
    let mut bed = Bed::new(table());
    for name in ["fan", "thermometer"] {
        let slot = bed.connect(name, name, false);
        bed.subscribe(slot, "#", QoS::AtLeastOnce);
        bed.drop_connection(slot);
    }
    let sender = publisher(&mut bed);
    bed.publish(sender, "order/A", "x", QoS::AtLeastOnce, 1);
    assert_eq!(bed.received(sender), ["puback 1 Success"]);
    bed.crash(table());
    let back = ["fan", "thermometer"].map(|name| bed.connect(name, name, false));
    assert_eq!(seen(&mut bed, &back), [vec!["run x"], vec![]]);
}

#[test]
fn no_crash_comes_between_a_qos2_message_and_its_second_topic() {
    let by_code = R("device:*", "order/+", None, "subscribers");
    let by_code = rule(&by_code, "levels[1] in receiver.codes", "run", true);
    let table = || with_attributes(vec![spec(&ALL), by_code.clone()]);
    let mut bed = Bed::new(table());
    let fan = bed.connect("fan", "fan", false);
    bed.subscribe(fan, "#", QoS::ExactlyOnce);
    bed.drop_connection(fan);
    let sender = bed.connect("thermometer", "sender", false);
    let before = bed.log.len();
    bed.publish(sender, "order/A", "x", QoS::ExactlyOnce, 1);
    let whole = bed.log.clone();
    assert!(whole.len() > before);
    for cut in before..=whole.len() {
        let mut bed = Bed::new(table());
        bed.log = whole[..cut].to_vec();
        bed.crash(table());
        let sender = bed.connect("thermometer", "sender", false);
        let (topic, qos) = ("order/A", QoS::ExactlyOnce);
        let head = PublishHead { topic, qos, packet_id: 1, dup: true, ..PublishHead::default() };
        bed.publish_with(sender, head, "x");
        let fan = bed.connect("fan", "fan", false);
        assert_eq!(seen(&mut bed, &[fan]), [["run x"]], "cut after {cut} records");
    }
}

/// What a rule withholds cannot be had by subscribing later.
#[test]
fn retained_messages_keep_to_the_rules() {
    let secret = R("device:*", "s/#", None, "subscribers");
    let secret = rule(&secret, "\"A\" in receiver.codes", "", true);
    let renamed = rule(&R("device:*", "r", None, "subscribers"), "", "second", true);
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), secret, renamed]));
    let sender = publisher(&mut bed);
    for topic in ["s/x", "open", "r"] {
        let head = PublishHead { topic, retain: true, ..PublishHead::default() };
        bed.publish_with(sender, head, "kept");
    }
    let [fan, lamp, ..] = ["fan", "lamp"].map(|name| {
        let slot = bed.connect(name, name, true);
        bed.subscribe(slot, "#", QoS::AtMostOnce);
        slot
    });
    let mut words = seen(&mut bed, &[fan, lamp]);
    words.iter_mut().for_each(|words| words.sort());
    assert_eq!(words, [vec!["open kept", "s/x kept"], vec!["open kept"]]);
}

#[test]
fn a_group_gives_the_message_only_to_a_member_that_is_chosen() {
    let by_code = R("device:*", "order/+", None, "subscribers");
    let by_code = rule(&by_code, "levels[1] in receiver.codes", "run", true);
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), by_code]));
    let members = ["fan", "lamp", "thermometer"].map(|name| {
        let slot = bed.connect(name, name, true);
        bed.subscribe(slot, "$share/g/#", QoS::AtLeastOnce);
        bed.received(slot);
        slot
    });
    let sender = publisher(&mut bed);
    for id in 1..=2 {
        bed.publish(sender, "order/A", &id.to_string(), QoS::AtLeastOnce, id);
    }
    assert_eq!(seen(&mut bed, &members), [vec!["run 1", "run 2"], vec![], vec![]]);
    // Nobody else inherits what a rule chose the first one for, though a route takes its topic.
    bed.drop_connection(members[0]);
    assert_eq!(seen(&mut bed, &members[1..]), [Vec::<String>::new(), vec![]]);
    assert_eq!(bed.hub.counters().get(Counter::PassedOn), 0);
    bed.publish(sender, "order/C", "3", QoS::AtLeastOnce, 3);
    assert_eq!(seen(&mut bed, &members[1..]), [vec!["run 3"], vec![]]);
}

#[test]
fn a_group_passes_a_renamed_message_on_where_no_rule_chose() {
    let mirror = rule(&R("device:*", "a", None, "subscribers"), "", "b", false);
    let mut bed = Bed::new(with_attributes(vec![mirror]));
    let members = ["fan", "lamp"].map(|name| {
        let slot = bed.connect(name, name, true);
        bed.subscribe(slot, "$share/g/b", QoS::AtLeastOnce);
        bed.received(slot);
        slot
    });
    let sender = publisher(&mut bed);
    bed.publish(sender, "a", "x", QoS::AtLeastOnce, 1);
    bed.drop_connection(members[0]);
    assert_eq!(seen(&mut bed, &members[1..]), [["b x"]]);
}

/// Proves a part of: WHY-1.
#[test]
fn why_tells_from_whom_and_by_which_rule_a_message_was_withheld() {
    let mut by_code = rule(
        &R("device:thermometer", "order/+", None, "subscribers"),
        "levels[1] in receiver.codes",
        "run/{levels[1]}",
        true,
    );
    by_code.name = Some(tomte_base::RouteName::new("orders").unwrap());
    let mut bed = Bed::new(with_attributes(vec![spec(&ALL), by_code]));
    everybody(&mut bed);
    let watcher = bed.connect("lamp", "watcher", true);
    bed.subscribe(watcher, "order/+", QoS::AtMostOnce);
    let sender = publisher(&mut bed);
    bed.publish(sender, "order/A", "go", QoS::AtMostOnce, 0);
    let told = hops(&bed, "order/A");
    let rule = "routes[1] \"orders\"";
    assert_eq!(
        told,
        [
            "routes[0] matched to subscribers".to_owned(),
            format!(
                "{rule} matched to subscribers, only levels[1] in receiver.codes, as run/{{levels[1]}}, withheld from all others"
            ),
            format!("{rule} withholds other routes to subscribers and devices are passed over"),
            format!("lamp withheld {rule} does not choose it"),
            format!("lamp withheld {rule}: only levels[1] in receiver.codes is false"),
            format!(
                "thermometer withheld {rule}: only levels[1] in receiver.codes cannot be told: there is no key \"codes\""
            ),
            format!(
                "anonymous c- withheld {rule}: only levels[1] in receiver.codes cannot be told: there is no key \"codes\""
            ),
            "fan sent".to_owned(),
        ]
    );
    assert_eq!(
        would(&mut bed, "order/C", "go"),
        [
            "routes[0] matches".to_owned(),
            "routes[0] would be passed over".to_owned(),
            format!("{rule} matches"),
            "device:fan would be withheld".to_owned(),
            "device:lamp would be delivered".to_owned(),
            "device:thermometer would be withheld".to_owned(),
            "anonymous would be withheld".to_owned(),
        ]
    );
}

#[test]
fn a_second_topic_that_gets_too_deep_is_counted_and_told() {
    let mirror = rule(&R("device:*", "#", None, "subscribers"), "", "mirror/{topic}", false);
    let mut bed = Bed::new(with_attributes(vec![mirror]));
    let sender = publisher(&mut bed);
    let deepest = vec!["a"; tomte_base::MAX_TOPIC_LEVELS].join("/");
    bed.publish(sender, &deepest, "x", QoS::AtMostOnce, 0);
    assert_eq!(bed.hub.counters().get(Counter::ConditionErrors), 1);
    assert!(hops(&bed, &deepest)[1].contains("publish_as mirror/{topic}: the topic has"));
}

#[test]
fn the_work_of_a_rule_is_bounded_for_all_receivers_together() {
    let costly = "levels.all(a, levels.all(b, a + b != receiver.name))";
    let busy = rule(&R("device:*", "#", None, "subscribers"), costly, "", false);
    let mut bed = Bed::new(with_attributes(vec![busy]));
    for n in 0..300 {
        let slot = bed.connect("fan", &format!("f{n}"), true);
        bed.subscribe(slot, "#", QoS::AtMostOnce);
    }
    let sender = publisher(&mut bed);
    let topic = vec!["a"; 30].join("/");
    bed.publish(sender, &topic, "x", QoS::AtMostOnce, 0);
    let (sent, withheld) =
        (bed.hub.counters().get(Counter::Delivered), bed.hub.counters().get(Counter::Withheld));
    assert_eq!(sent + withheld, 300);
    assert!(sent > 5 && withheld > 100, "{sent} got it before the work was used up");
}
