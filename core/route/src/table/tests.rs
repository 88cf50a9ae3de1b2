use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tomte_base::topic_matches;

use super::*;
use crate::{Attribute, Overflow, RuleSpec};

/// Reads `name: source, source; topic; condition -> destination`, the name and condition optional,
/// a `!` at the end for `allow_cycle`.
fn spec(line: &str) -> RouteSpec {
    let (line, allow_cycle) = match line.strip_suffix('!') {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (line, to) = line.split_once(" -> ").unwrap();
    let (name, line) = match line.split_once(": ") {
        Some((name, line)) => (Some(RouteName::new(name).unwrap()), line),
        None => (None, line),
    };
    let mut parts = line.split("; ");
    let from = parts.next().unwrap().split(", ").map(|from| from.parse().unwrap()).collect();
    RouteSpec {
        name,
        from,
        topic: TopicFilter::new(parts.next().unwrap()).unwrap(),
        when: parts.next().map(str::to_owned),
        to: to.parse().unwrap(),
        on_unavailable: None,
        allow_cycle,
        rule: RuleSpec::default(),
    }
}

fn declared() -> Declared {
    let function = |name: &str| (FunctionName::new(name).unwrap(), None);
    Declared {
        devices: ["fan", "thermometer", "lamp"].map(|name| DeviceName::new(name).unwrap()).into(),
        functions: ["f", "g", "h", "regulate"].map(function).into(),
    }
}

fn compile(lines: &[&str]) -> Result<RouteTable, Vec<RouteError>> {
    RouteTable::compile(lines.iter().map(|line| spec(line)).collect(), &declared())
}

fn check_refusal(lines: &[&str], expect: Expect) {
    let errors = compile(lines).expect_err("the table was accepted");
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect.assert_eq(&text.join("\n"));
}

fn source(text: &str) -> Source {
    match text.split_once(':') {
        Some(("device", name)) => Source::Device(DeviceName::new(name).unwrap()),
        Some((_, name)) => Source::Function(FunctionName::new(name).unwrap()),
        None => Source::Anonymous,
    }
}

fn may_subscribe(table: &RouteTable, who: &str, filter: &str) -> bool {
    table.may_subscribe(&source(who), &TopicFilter::new(filter).unwrap())
}

#[test]
fn routes_keep_their_order_names_and_labels() {
    let table = compile(&[
        "hot: device:thermometer; sensors/+/temperature; payload.celsius > 28 -> function:regulate",
        "function:regulate; actuators/fan -> device:fan",
    ])
    .unwrap();
    let [hot, second] = table.routes() else { panic!("{table:?}") };
    assert_eq!((hot.name.as_str(), hot.label.as_str()), ("hot", "routes[0] \"hot\""));
    assert_eq!((second.name.as_str(), second.label.as_str()), ("routes[1]", "routes[1]"));
    assert_eq!(hot.when.as_ref().unwrap().text(), "payload.celsius > 28");
    assert!(second.when.is_none());
}

#[test]
fn a_name_is_given_once() {
    check_refusal(
        &[
            "a: device:*; x -> subscribers",
            "b: device:*; x -> subscribers",
            "a: device:*; y -> device:fan",
        ],
        expect![[r#"routes[2] "a": name: the name "a" is taken by routes[0] "a""#]],
    );
}

#[test]
fn routes_from_and_to_nowhere_are_refused_all_at_once() {
    check_refusal(
        &[
            "device:termometer, function:f; a -> function:regulat",
            "device:*; a -> device:valve",
            "in: function:nobody; a -> subscribers",
        ],
        expect![[r#"
            routes[0]: from: no device "termometer" is declared; did you mean "thermometer"?
            routes[0]: to: no function "regulat" is declared; did you mean "regulate"?
            routes[1]: to: no device "valve" is declared
            routes[2] "in": from: no function "nobody" is declared"#]],
    );
}

#[test]
fn a_bad_condition_is_refused_with_its_place() {
    check_refusal(
        &["device:*; a -> subscribers", "hot: device:*; a; payload.x > -> subscribers"],
        expect![[r#"routes[1] "hot": when: column 12: the expression ends too early"#]],
    );
}

#[test]
fn a_circle_of_functions_is_refused_with_its_whole_path() {
    check_refusal(
        &[
            "device:*; in -> function:f",
            "one: function:f; a -> function:g",
            "function:g; b; payload.again -> function:h",
            "back: function:h, device:fan; c -> function:f",
        ],
        expect![[
            r#"routes[3] "back": to: messages would go round in a circle: function:f -> routes[1] "one" -> function:g -> routes[2] -> function:h -> routes[3] "back" -> function:f"#
        ]],
    );
}

#[test]
fn a_function_that_calls_itself_is_a_circle() {
    check_refusal(
        &["function:f; a -> function:f"],
        expect![[
            r#"routes[0]: to: messages would go round in a circle: function:f -> routes[0] -> function:f"#
        ]],
    );
    check_refusal(
        &["all: function:*; a -> function:g"],
        expect![[
            r#"routes[0] "all": to: messages would go round in a circle: function:g -> routes[0] "all" -> function:g"#
        ]],
    );
}

#[test]
fn separate_circles_are_all_reported() {
    check_refusal(
        &[
            "function:f; a -> function:g",
            "function:g; a -> function:f",
            "function:h; a -> function:regulate",
            "function:regulate; a -> function:h",
        ],
        expect![[r#"
            routes[1]: to: messages would go round in a circle: function:f -> routes[0] -> function:g -> routes[1] -> function:f
            routes[3]: to: messages would go round in a circle: function:h -> routes[2] -> function:regulate -> routes[3] -> function:h"#]],
    );
}

#[test]
fn a_circle_that_is_meant_is_accepted() {
    assert!(compile(&["function:f; a -> function:g", "function:g; a -> function:f!"]).is_ok());
    assert!(compile(&["function:f; a -> function:f!"]).is_ok());
    // The way around the route that allows it remains a circle of its own.
    let lines = [
        "function:f; a -> function:g",
        "function:g; a -> function:f!",
        "function:g; b -> function:f",
    ];
    assert!(compile(&lines).is_err());
}

#[test]
fn chains_and_diamonds_are_no_circles() {
    let lines = [
        "function:f; a -> function:g",
        "function:f; b -> function:h",
        "function:g; c -> function:regulate",
        "function:h; c -> function:regulate",
        "function:regulate; d -> device:fan",
        "function:*; log -> subscribers",
    ];
    assert!(compile(&lines).is_ok());
}

#[test]
fn only_messages_to_a_device_are_held() {
    let held = |to: &str, hold: Hold| {
        let mut spec = spec(&format!("device:*; a -> {to}"));
        spec.on_unavailable = Some(hold);
        RouteTable::compile(vec![spec], &declared()).map_err(|errors| errors[0].to_string())
    };
    let hold = Hold { hold: Duration::from_secs(1), max: 1, then: Overflow::DropOldest };
    assert!(held("device:fan", hold).is_ok());
    assert_eq!(
        held("subscribers", hold).unwrap_err(),
        "routes[0]: on_unavailable: only messages to a device can be held, this route goes to subscribers"
    );
    assert!(held("function:f", hold).is_err());
    assert_eq!(
        held("device:fan", Hold { max: 0, ..hold }).unwrap_err(),
        "routes[0]: on_unavailable.max: must not be zero"
    );
    assert!(held("device:fan", Hold { hold: Duration::ZERO, ..hold }).is_err());
}

#[test]
fn lists_are_bounded() {
    let many = |count: usize| vec![spec("device:*; a -> subscribers"); count];
    assert!(RouteTable::compile(many(MAX_ROUTES), &declared()).is_ok());
    let errors = RouteTable::compile(many(MAX_ROUTES + 1), &declared()).unwrap_err();
    assert_eq!(errors[0].reason, RouteErrorReason::TooManyRoutes { count: MAX_ROUTES + 1 });

    let from = |count: usize| {
        let mut spec = spec("device:*; a -> subscribers");
        spec.from = vec![SourcePattern::AnyDevice; count];
        RouteTable::compile(vec![spec], &declared())
    };
    assert!(from(MAX_SOURCES).is_ok());
    assert!(from(MAX_SOURCES + 1).is_err());
    assert!(from(0).is_err());
}

#[test]
fn a_route_shares_no_topic() {
    assert!(compile(&["device:*; $share/group/a -> subscribers"]).is_err());
    assert!(compile(&["device:*; $SYS/a -> subscribers"]).is_ok());
}

/// Proves: EVT-1, EVT-2.
#[test]
fn inputs_of_one_topic_differ_by_source() {
    let table = compile(&[
        "device:thermometer; t -> function:regulate",
        "function:regulate; t -> device:fan",
    ])
    .unwrap();
    let taken_from = |name: &str| -> Vec<String> {
        let routes = table.routes().iter().filter(|route| route.takes_from(&source(name)));
        routes.map(|route| route.to.to_string()).collect()
    };
    assert_eq!(taken_from("device:thermometer"), ["function:regulate"]);
    assert_eq!(taken_from("function:regulate"), ["device:fan"]);
    assert!(taken_from("device:lamp").is_empty());
    assert!(taken_from("anonymous").is_empty());
}

#[test]
fn without_routes_nothing_is_allowed() {
    let table = RouteTable::empty();
    assert!(table.routes().is_empty());
    assert!(!table.may_publish(&Source::Anonymous, "a"));
    assert!(!may_subscribe(&table, "anonymous", "#"));
}

#[test]
fn a_condition_does_not_decide_who_may_publish() {
    let table = compile(&["device:fan; a/+; payload.x > 1 -> subscribers"]).unwrap();
    assert!(table.may_publish(&source("device:fan"), "a/b"));
    assert!(!table.may_publish(&source("device:fan"), "a/b/c"));
    assert!(!table.may_publish(&source("device:lamp"), "a/b"));
}

#[test]
fn a_device_may_subscribe_to_what_could_reach_it() {
    let table =
        compile(&["device:*; a/+ -> device:fan", "function:f; b/# -> subscribers"]).unwrap();
    let may = |who: &str, filter: &str| may_subscribe(&table, who, filter);
    assert!(may("device:fan", "a/b") && may("device:fan", "+/x") && may("device:fan", "#"));
    assert!(!may("device:lamp", "a/b") && !may("device:fan", "a/b/c"));
    assert!(may("device:lamp", "b/1/2") && may("anonymous", "b") && may("device:lamp", "+/#"));
    assert!(!may("anonymous", "c/#"));
}

/// Proves: EVT-9.
#[test]
fn what_goes_to_nobody_cannot_be_subscribed_to() {
    let table = compile(&[
        "device:*; # -> subscribers",
        "function:f; news/# -> subscribers",
        "quiet: device:*; secret/+ -> nobody",
        "device:fan; news/today -> nobody",
        "device:*; loud/#; payload.db > 90 -> nobody",
    ])
    .unwrap();
    let may = |filter: &str| may_subscribe(&table, "device:lamp", filter);
    assert!(!may("secret/a") && !may("secret/+"));
    assert!(may("#") && may("secret/#") && may("+/a") && may("secret/a/b"), "a part is left");
    assert!(may("news/today"), "other devices and the function still feed it");
    assert!(may("loud/a"), "a condition decides for each message");
    let filter = TopicFilter::new("secret/a").unwrap();
    match table.feed(&source("anonymous"), &filter) {
        Feed::Withheld(route) => assert_eq!(route.label, "routes[2] \"quiet\""),
        other => panic!("{other:?}"),
    }
    let functions = compile(&["function:f; a -> subscribers", "device:*; a -> nobody"]).unwrap();
    assert!(may_subscribe(&functions, "device:lamp", "a"));
}

const SOURCES: [&str; 5] = ["device:fan", "device:lamp", "anonymous", "function:f", "function:g"];
const PATTERNS: [&str; 6] =
    ["device:*", "device:fan", "device:lamp", "anonymous", "function:*", "function:f"];
const DESTINATIONS: [&str; 3] = ["subscribers", "device:fan", "device:lamp"];
const FILTERS: [&str; 8] = ["#", "a", "a/b", "a/+", "+/b", "a/#", "+", "$s/a"];
const TOPICS: [&str; 7] = ["a", "b", "a/b", "a/c", "c/b", "a/b/c", "$s/a"];

/// What `device:*` and the like mean, spelled out.
fn naive_matches(pattern: &str, source: &str) -> bool {
    match pattern {
        "device:*" => source.starts_with("device:") || source == "anonymous",
        "function:*" => source.starts_with("function:"),
        _ => pattern == source,
    }
}

proptest! {
    /// Proves: EVT-9.
    #[test]
    fn permissions_agree_with_the_plain_reading_of_the_table(
        routes in prop::collection::vec(
            (
                prop::collection::vec(prop::sample::select(&PATTERNS), 1..3),
                prop::sample::select(&FILTERS),
                prop::sample::select(&DESTINATIONS),
            ),
            0..5,
        ),
        who in prop::sample::select(&SOURCES),
        wanted in prop::sample::select(&FILTERS),
    ) {
        let lines: Vec<String> = routes
            .iter()
            .map(|(from, topic, to)| format!("{}; {topic} -> {to}", from.join(", ")))
            .collect();
        let table = compile(&lines.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for topic in TOPICS {
            let expect = routes.iter().any(|(from, filter, _)| {
                topic_matches(filter, topic) && from.iter().any(|from| naive_matches(from, who))
            });
            prop_assert_eq!(table.may_publish(&source(who), topic), expect, "{} {}", who, topic);
        }
        // The topics include one that each pair of overlapping filters has in common.
        let feeds = |to: &str| to == "subscribers" || to == who;
        let expect = routes.iter().any(|(_, filter, to)| {
            feeds(to) && TOPICS.iter().any(|t| topic_matches(filter, t) && topic_matches(wanted, t))
        });
        prop_assert_eq!(may_subscribe(&table, who, wanted), expect);
    }
}

fn rule(line: &str, rule: RuleSpec) -> RouteSpec {
    RouteSpec { rule, ..spec(line) }
}

fn only(text: &str) -> RuleSpec {
    RuleSpec { only: Some(text.to_owned()), ..RuleSpec::default() }
}

fn publish_as(text: &str) -> RuleSpec {
    RuleSpec { publish_as: Some(text.to_owned()), ..RuleSpec::default() }
}

fn compile_specs(specs: Vec<RouteSpec>) -> Result<RouteTable, Vec<RouteError>> {
    RouteTable::compile(specs, &declared())
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let specs = vec![
        rule("device:fan; a/# -> function:f", only("true")),
        rule("device:fan; a/# -> subscribers", only("reciever.name == 'x'")),
        rule("device:fan; a/#; receiver.name == 'x' -> subscribers", RuleSpec::default()),
        rule("device:fan; a/# -> subscribers", only("receiver.name")),
        rule("device:fan; a/# -> subscribers", publish_as("b/{levels[1]}")),
        rule("device:fan; a/# -> nobody", publish_as("b")),
        rule("device:fan; a/# -> nobody", only("true")),
    ];
    let errors = compile_specs(specs).unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect![[r#"
        routes[0]: only: chooses among subscribers or devices, this route goes to function:f; use when
        routes[1]: only: column 1: there is no variable "reciever"; did you mean "receiver"?
        routes[2]: when: column 1: there is no variable "receiver"
        routes[4]: publish_as: {levels[1]} is not in every topic of a/#, which has 1 for sure
        routes[5]: publish_as: what goes to nobody does not go on under a second topic
        routes[6]: only: chooses among subscribers or devices, this route goes to nobody; use when"#]]
    .assert_eq(&text.join("\n"));
}

/// The topic does not matter: what a route from a function sends to a function closes the circle.
#[test]
fn a_circle_through_a_second_topic_is_one_all_the_same() {
    let specs = vec![
        rule("function:f; a -> function:g", publish_as("b")),
        rule("function:g; c -> function:f", publish_as("d")),
    ];
    let errors = compile_specs(specs).unwrap_err();
    assert!(matches!(errors[0].reason, RouteErrorReason::Cycle { .. }), "{errors:?}");
}

#[test]
fn a_route_feeds_the_topics_that_it_delivers_on() {
    let table = compile_specs(vec![
        rule("device:*; a/+ -> subscribers", publish_as("b/{levels[1]}")),
        rule("device:*; c -> device:fan", publish_as("d")),
    ])
    .unwrap();
    let may = |who: &str, filter: &str| {
        table.may_subscribe(&source(who), &TopicFilter::new(filter).unwrap())
    };
    assert!(may("device:lamp", "b/x") && may("device:lamp", "b/+") && may("device:fan", "d"));
    assert!(!may("device:lamp", "a/x") && !may("device:lamp", "d") && !may("device:fan", "c"));
    assert!(table.may_publish(&source("device:lamp"), "a/x"));
    assert!(!table.may_publish(&source("device:lamp"), "b/x"), "not by a client");
}

#[test]
fn a_rule_sees_the_attributes_of_each_receiver() {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let fan: Attributes = [
        ("codes".to_owned(), Attribute::List(vec![text("A"), text("B")])),
        ("floor".to_owned(), Attribute::Number(2.0)),
        ("armed".to_owned(), Attribute::Truth(true)),
    ]
    .into();
    let fan_name = DeviceName::new("fan").unwrap();
    let lamp_name = DeviceName::new("lamp").unwrap();
    let check = |only: &str, expect: [Option<bool>; 3]| {
        let condition = Condition::compile_for_receiver(only).unwrap();
        let table = RouteTable::empty().with_attributes(&[(fan_name.clone(), fan.clone())].into());
        let from = source("device:thermometer");
        let view = crate::MessageView::new("order/A", br#"{"floor": 2}"#, &from, None);
        let mut left = crate::condition::MAX_RULE_WORK;
        let mut choose = |device| {
            table.with_receiver(device, |receiver| condition.chooses(&view, receiver, &mut left))
        };
        let found = [choose(Some(&fan_name)), choose(Some(&lamp_name)), choose(None)];
        assert_eq!(found.map(Result::ok), expect, "{only}");
    };
    let (yes, no) = (Some(true), Some(false));
    check("levels[1] in receiver.codes", [yes, None, None]);
    check("has(receiver.codes) && 'C' in receiver.codes", [no, no, no]);
    check("receiver.floor == payload.floor && receiver.armed", [yes, None, None]);
    check("receiver.name == 'lamp'", [no, yes, no]);
    check("receiver.name == ''", [no, no, yes]);
    check("receiver.name.startsWith('f')", [yes, no, no]);
}

#[test]
fn the_work_for_all_receivers_of_a_message_has_one_bound() {
    let condition = Condition::compile_for_receiver("receiver.name == 'x'").unwrap();
    let from = source("anonymous");
    let view = crate::MessageView::new("t", b"", &from, None);
    let (mut left, mut n_asked) = (1_000, 0);
    while condition.chooses(&view, Receiver::anonymous(), &mut left) == Ok(false) {
        n_asked += 1;
    }
    assert!((50..500).contains(&n_asked), "{n_asked}");
    let refused = condition.chooses(&view, Receiver::anonymous(), &mut left);
    assert_eq!(refused, Err(crate::EvaluationError::TooCostly));
}
