use expect_test::{Expect, expect};
use proptest::prelude::*;
use tomte_base::{DeviceName, FunctionName, Properties, Source};

use super::*;

const PAYLOAD: &str = r#"{"celsius": 31, "low": 4.5, "name": "kitchen", "on": true, "none": null,
    "tags": ["a", "b"], "items": [{"v": 1, "w": [1, 2]}, {"v": 5, "w": [3]}, {"x": 7}],
    "deep": {"a": {"b": [10, 20]}}, "id": 9007199254740993, "big": 18446744073709551615}"#;

fn device(name: &str) -> Source {
    Source::Device(DeviceName::new(name).unwrap())
}

fn evaluate_on(text: &str, payload: &[u8]) -> Result<bool, EvaluationError> {
    let properties = Properties {
        user: vec![("unit".into(), "C".into()), ("site".into(), "x".into())],
        ..Properties::default()
    };
    let source = device("thermometer");
    let view = MessageView::new("sensors/1/temperature", payload, &source, Some(&properties));
    Condition::compile(text).unwrap_or_else(|error| panic!("{text}: {error}")).evaluate(&view)
}

fn check(text: &str, expect: bool) {
    assert_eq!(evaluate_on(text, PAYLOAD.as_bytes()), Ok(expect), "{text}");
}

fn check_failure(text: &str, expect: Expect) {
    let error = evaluate_on(text, PAYLOAD.as_bytes()).expect_err(text);
    expect.assert_eq(&error.to_string());
}

fn check_refusal(text: &str, expect: Expect) {
    let error = Condition::compile(text).expect_err(text);
    let advice = error.allowed().or_else(|| error.hint().map(str::to_owned));
    let advice = advice.map(|advice| format!("\n{advice}")).unwrap_or_default();
    expect.assert_eq(&format!("{error}{advice}"));
}

/// Proves: EVT-5.
#[test]
fn a_threshold_divides_values() {
    for (value, expect) in [("29", false), ("30", false), ("30.001", true), ("31", true)] {
        let payload = format!(r#"{{"celsius": {value}}}"#);
        let matched = evaluate_on("payload.celsius > 30", payload.as_bytes());
        assert_eq!(matched, Ok(expect), "{value}");
    }
}

/// Proves: EVT-5.
#[test]
fn conditions_see_content_topic_source_size_and_properties() {
    check("payload.celsius > 28", true);
    check("payload.celsius == 31 && payload.low < payload.celsius", true);
    check("payload.name == 'kitchen' || false", true);
    check("payload.on", true);
    check("!payload.on", false);
    check("payload.none == null", true);
    check("payload.tags[1] == 'b' && 'a' in payload.tags", true);
    check("payload.deep.a.b[0] + 5.0 == 15.0", true);
    check("payload['name'].startsWith('kit')", true);
    check("has(payload.celsius) && !has(payload.fahrenheit)", true);
    check("topic == 'sensors/1/temperature'", true);
    check("levels[1] == '1' && size(levels) == 3", true);
    check("source == 'device:thermometer' && source.endsWith('meter')", true);
    check("size > 100 && size < 1000", true);
    check("properties.unit == 'C' && !('fan' in properties)", true);
    check("payload.celsius > 40 ? payload.on : payload.low < 5.0", true);
    check("int(payload.celsius) % 2 == 1", true);
    check("string(payload.name) + '!' == 'kitchen!'", true);
    check("type(payload.celsius) == double && type(payload.tags) == list", true);
}

#[test]
fn macros_look_into_lists_and_maps() {
    check("payload.items.exists(i, has(i.v) && i.v > 4)", true);
    check("payload.items.all(i, has(i.v))", false);
    check("payload.items.exists_one(i, has(i.x))", true);
    check("payload.items.filter(i, has(i.v)).size() == 2", true);
    check("payload.items.exists(i, has(i.w) && i.w.exists(w, w == 3))", true);
    check("payload.exists(key, key == 'celsius')", true);
    check("levels.exists(payload, payload == 'temperature')", true);
    check("[1, 2, 3].all(n, n < 4)", true);
}

#[test]
fn whole_numbers_are_doubles_unless_that_would_change_them() {
    check("payload.celsius * 1.8 + 32.0 > 87.7", true);
    check("payload.id == 9007199254740993 && payload.id != 9007199254740992", true);
    check("payload.big == 18446744073709551615u", true);
}

/// Proves: EVT-5.
#[test]
fn what_cannot_be_told_is_a_failure_with_its_reason() {
    check_failure("payload.fahrenheit > 1", expect![[r#"there is no key "fahrenheit""#]]);
    check_failure("payload.name > 28", expect![[r#"> does not work on string and int"#]]);
    check_failure(
        "payload.celsius + 1 > 28",
        expect![[
            r#"+ does not work on double and int; numbers of a payload are doubles: write 1.0 for 1, or convert with int()"#
        ]],
    );
    check_failure("payload.tags[7] == 'a'", expect![[r#"the list has no element 7"#]]);
    check_failure(
        "payload.celsius.deeper == 1",
        expect![[r#"a value of type double has no keys"#]],
    );
    check_failure("size / 0 == 1", expect![[r#"division by zero"#]]);
    check_failure("size % 0 == 1", expect![[r#"remainder of a division by zero"#]]);
    check_failure(
        "9223372036854775807 + size > 0",
        expect![[r#"the result is too large a number"#]],
    );
    check_failure(
        "payload.celsius",
        expect![[r#"the condition yields double, not true or false"#]],
    );
    check_failure(
        "int(payload.name) == 1",
        expect![[r#"int(): string parse error: invalid digit found in string"#]],
    );
    check_failure(
        "payload.name.exists(x, true)",
        expect![[r#"string where a list or map is needed"#]],
    );
    check_failure("payload.items.all(i, i.v > 0)", expect![[r#"there is no key "v""#]]);
}

#[test]
fn a_payload_that_is_not_json_fails_only_where_it_is_read() {
    let error = evaluate_on("payload.x > 1", b"31 degrees").unwrap_err();
    expect![[r#"the payload is not JSON: trailing characters at line 1 column 4"#]]
        .assert_eq(&error.to_string());
    assert!(matches!(evaluate_on("payload == ''", b""), Err(EvaluationError::NotJson { .. })));
    assert!(matches!(evaluate_on("payload == 1", &[0xff]), Err(EvaluationError::NotJson { .. })));
    assert_eq!(evaluate_on("size == 0 || payload.x > 1", b""), Ok(true));
    assert_eq!(evaluate_on("topic == 'other' && payload.x > 1", b"{"), Ok(false));
    assert_eq!(evaluate_on("size == 3", b"\xff\xfe\xfd"), Ok(true));
}

#[test]
fn bad_texts_are_refused_with_place_and_advice() {
    check_refusal("payload.celsius >", expect![[r#"column 18: the expression ends too early"#]]);
    check_refusal(
        "payload.celsius = 28",
        expect![[r#"
            column 17: unexpected '= '
            == compares"#]],
    );
    check_refusal(
        "payload.x > 1 and payload.y > 2",
        expect![[r#"
            column 15: unexpected 'and'
            && is the word for and"#]],
    );
    check_refusal("", expect![[r#"column 1: the expression ends too early"#]]);
    check_refusal("'open", expect![[r#"column 1: unexpected ''open'"#]]);
    check_refusal(
        "true &&\n  payloat.x > 1",
        expect![[r#"
        line 2, column 3: there is no variable "payloat"; did you mean "payload"?
        payload, topic, levels, source, size, properties"#]],
    );
    check_refusal(
        "'ä' == topic && temperature > 3",
        expect![[r#"
            column 17: there is no variable "temperature"
            payload, topic, levels, source, size, properties"#]],
    );
    check_refusal(
        "topic.matches('a.*')",
        expect![[r#"
            column 7: there is no function "matches"
            contains, startsWith, endsWith, size, int, uint, double, string, bool, type, has, all, exists, exists_one, existsOne, filter"#]],
    );
    check_refusal(
        "contains(topic, 'a')",
        expect![[r#"column 1: "contains" is called as text.contains(part)"#]],
    );
    check_refusal(
        "topic.startWith('a')",
        expect![[r#"
            column 7: there is no function "startWith"; did you mean "startsWith"?
            contains, startsWith, endsWith, size, int, uint, double, string, bool, type, has, all, exists, exists_one, existsOne, filter"#]],
    );
    check_refusal("has(payload)", expect![[r#"column 5: has() asks for a key: has(payload.key)"#]]);
    check_refusal(
        "payload.items.all(i)",
        expect![[r#"column 15: "all" is called as list.all(x, condition)"#]],
    );
    check_refusal(
        "payload.items.map(i, i.v) == [1]",
        expect![[r#"
            column 15: conditions have no map()
            all, exists, exists_one, filter"#]],
    );
    check_refusal(
        "payload.items.map(i, i.v > 1, i.v) == [1]",
        expect![[r#"
            column 15: conditions have no map()
            all, exists, exists_one, filter"#]],
    );
    check_refusal("payload.?x == 1", expect![[r#"column 8: unsupported syntax '.?'"#]]);
    check_refusal(
        "Point{x: 1} == payload",
        expect![[r#"column 6: conditions have no messages such as Name{...}"#]],
    );
    check_refusal(
        "_f(1) == 2",
        expect![[r#"
            column 1: there is no function "_f"
            contains, startsWith, endsWith, size, int, uint, double, string, bool, type, has, all, exists, exists_one, existsOne, filter"#]],
    );
    check_refusal(
        "now() > 3",
        expect![[r#"
            column 1: there is no function "now"
            contains, startsWith, endsWith, size, int, uint, double, string, bool, type, has, all, exists, exists_one, existsOne, filter"#]],
    );
}

#[test]
fn what_can_never_be_true_or_false_is_refused() {
    for (text, what) in [
        ("payload.celsius * 2.0", "a number"),
        ("size(levels)", "a number"),
        ("-1", "a number"),
        ("'hot'", "a text"),
        ("topic", "a text"),
        ("[true]", "a list"),
        ("{'a': true}", "a map"),
        ("levels.filter(l, l == 'a')", "a list"),
        ("null", "null"),
    ] {
        let error = Condition::compile(text).expect_err(text);
        assert_eq!(error.reason, ConditionErrorReason::NotBoolean { what }, "{text}");
    }
}

fn reason(text: &str) -> Option<ConditionErrorReason> {
    Condition::compile(text).err().map(|error| error.reason)
}

#[test]
fn the_text_is_bounded() {
    let text = |length: usize| format!("topic == '{}'", "a".repeat(length - 11));
    assert_eq!(reason(&text(MAX_TEXT_BYTES)), None);
    let length = MAX_TEXT_BYTES + 1;
    assert_eq!(reason(&text(length)), Some(ConditionErrorReason::TooLong { length }));
}

#[test]
fn operators_are_bounded() {
    let text = |marks: usize| format!("{}true", "!".repeat(marks));
    assert_eq!(reason(&text(MAX_MARKS)), None);
    assert_eq!(reason(&text(MAX_MARKS + 1)), Some(ConditionErrorReason::TooManyMarks));
}

#[test]
fn brackets_are_bounded() {
    let text = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(reason(&text(MAX_BRACKETS)), None);
    assert_eq!(reason(&text(MAX_BRACKETS + 1)), Some(ConditionErrorReason::TooDeep));
}

#[test]
fn the_depth_of_the_expression_is_bounded() {
    // A sum of n + 1 numbers is n + 1 deep, the comparison around it adds one.
    let text = |plus: usize| format!("1{} == 1", " + 1".repeat(plus));
    assert_eq!(reason(&text(MAX_DEPTH - 2)), None);
    assert_eq!(reason(&text(MAX_DEPTH - 1)), Some(ConditionErrorReason::TooDeep));
}

/// A stack overflow would end the test run; the threads of tests have 2 MiB.
#[test]
fn the_deepest_accepted_expressions_fit_the_stack() {
    let wrappers: [fn(&str) -> String; 11] = [
        |inner| format!("({inner})"),
        |inner| format!("!{inner}"),
        |inner| format!("!({inner})"),
        |inner| format!("true && ({inner})"),
        |inner| format!("{inner} || false"),
        |inner| format!("(true ? {inner} : false)"),
        |inner| format!("[{inner}][0]"),
        |inner| format!("{{'a': {inner}}}.a"),
        |inner| format!("[1].all(x, {inner})"),
        |inner| format!("bool({inner})"),
        |inner| format!("({inner}) == true"),
    ];
    for wrap in wrappers {
        for then in wrappers {
            let mut text = "true".to_owned();
            let mut accepted = 0;
            while let Ok(condition) = Condition::compile(&text) {
                let source = Source::Anonymous;
                let view = MessageView::new("a", b"{}", &source, None);
                assert!(condition.evaluate(&view).is_ok(), "{text}");
                text = if accepted % 2 == 0 { wrap(&text) } else { then(&text) };
                accepted += 1;
            }
            assert!((3..=2 * MAX_MARKS).contains(&accepted), "{text}");
        }
    }
}

#[test]
fn the_nesting_of_macros_is_bounded() {
    check("[1].all(a, [2].all(b, a < b))", true);
    let text = "[1].all(a, [2].all(b, [3].all(c, a < c)))";
    assert_eq!(reason(text), Some(ConditionErrorReason::TooManyMacros));
}

#[test]
fn the_size_of_a_read_payload_is_bounded() {
    let payload = |length: usize| format!("\"{}\"", "a".repeat(length - 2)).into_bytes();
    assert_eq!(evaluate_on("payload != ''", &payload(MAX_JSON_BYTES)), Ok(true));
    let length = MAX_JSON_BYTES + 1;
    assert_eq!(
        evaluate_on("payload != ''", &payload(length)),
        Err(EvaluationError::PayloadTooLarge { length })
    );
    assert_eq!(evaluate_on("size > 10", &payload(length)), Ok(true));
}

#[test]
fn the_depth_of_a_read_payload_is_bounded() {
    let payload = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    assert_eq!(evaluate_on("size(payload) == 1", &payload(127)), Ok(true));
    let error = evaluate_on("size(payload) == 1", &payload(128)).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

/// Lists of numbers, `count` of them in all.
fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    format!(r#"{{"list": [{}]}}"#, numbers.join(","))
}

#[test]
fn one_look_at_a_large_list_is_cheap_enough() {
    let payload = numbers(10_000);
    assert_eq!(evaluate_on("payload.list.exists(n, n == 9999)", payload.as_bytes()), Ok(true));
    assert_eq!(
        evaluate_on("payload.list.all(n, n >= 0 && n < 10000)", payload.as_bytes()),
        Ok(true)
    );
    assert_eq!(evaluate_on("payload == payload", payload.as_bytes()), Ok(true));
}

#[test]
fn the_work_of_an_evaluation_is_bounded() {
    let payload = numbers(10_000);
    for text in [
        "payload.list.all(a, payload.list.all(b, a != b || a == b))",
        "payload.list.filter(a, payload.list.exists_one(b, b == a)).size() == 0",
        "payload.list.all(a, payload == payload)",
        "payload.list.all(a, size([payload, payload, payload]) == 3)",
        "payload.list.all(a, payload.list.all(b, true)) || true",
        "payload.list.exists(a, payload.list.all(b, a < 0) || a < 0) || true",
    ] {
        let result = evaluate_on(text, payload.as_bytes());
        assert_eq!(result, Err(EvaluationError::TooCostly), "{text}");
    }
    let copies = vec!["payload"; 60].join(", ");
    let text = format!("size([{copies}]) == 60");
    assert_eq!(evaluate_on(&text, payload.as_bytes()), Err(EvaluationError::TooCostly));
    assert_eq!(evaluate_on(&text, numbers(100).as_bytes()), Ok(true));
}

#[test]
fn loops_over_literals_fit_the_budget() {
    let list = vec!["1"; 40].join(",");
    let text = format!("[{list}].all(a, [{list}].all(b, a + b + a + b == 4))");
    assert_eq!(evaluate_on(&text, b"{}"), Ok(true));
}

#[test]
fn one_view_serves_many_conditions() {
    let source = Source::Function(FunctionName::new("regulate").unwrap());
    let view = MessageView::new("a/b", br#"{"x": 3}"#, &source, None);
    for (text, expect) in [
        ("payload.x == 3", true),
        ("payload.x == 4", false),
        ("source == 'function:regulate'", true),
        ("size(properties) == 0", true),
    ] {
        assert_eq!(Condition::compile(text).unwrap().evaluate(&view), Ok(expect), "{text}");
    }
    assert_eq!(view.topic(), "a/b");
    assert_eq!(view.source(), &source);
}

#[test]
fn conditions_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Condition>();
}

/// Texts that are CEL, or nearly.
fn almost_cel() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("payload".to_owned()),
        Just("payload.celsius".to_owned()),
        Just("payload.items".to_owned()),
        Just("levels".to_owned()),
        Just("topic".to_owned()),
        Just("size".to_owned()),
        Just("properties".to_owned()),
        Just("x".to_owned()),
        "-?[0-9]{1,19}u?",
        "[0-9]{1,3}\\.[0-9]{1,3}(e-?[0-9]{1,3})?",
        "'[a-z\\\\nä]{0,4}'",
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("b'\\xff'".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " in ",
        ]);
        let function = prop::sample::select(vec![
            "int", "uint", "double", "string", "bool", "type", "size", "has", "", "!", "-",
        ]);
        let method = prop::sample::select(vec!["contains", "startsWith", "endsWith", "size"]);
        let macros = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a}{o}{b})")),
            (function, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), method, inner.clone()).prop_map(|(a, m, b)| format!("{a}.{m}({b})")),
            (inner.clone(), macros, inner.clone()).prop_map(|(a, m, b)| format!("{a}.{m}(x,{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), "[a-z]{1,3}").prop_map(|(a, f)| format!("{a}.{f}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}?{b}:{c})")),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|l| format!("[{}]", l.join(","))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{{a}:{b}}}")),
        ]
    })
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof!["-?[1-9][0-9]{0,20}", Just("1e300".to_owned()), Just("\"a\"".to_owned())];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|l| format!("[{}]", l.join(","))),
            prop::collection::vec(("items|celsius|[a-c]", inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.into_iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,60}|[ -~\n\t]{0,60}|[\\x00-\\x7f]{0,30}") {
        let _ = Condition::compile(&text);
    }

    #[test]
    fn signs_in_any_order_are_compiled_or_refused(
        text in prop::collection::vec(prop::sample::select(vec![
            "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "!", "-", "+", "*", "/", "%", "<", ">",
            "=", "==", "&&", "||", "'", "\"", "\\", "r'", "b\"", "'''", "\n", "//", "`", "@", "#",
            "in", "null", "true", "has(", ".all(x,", ".exists(", "payload", "x", "1", "0x", "1e", "1u",
            ".5", "9223372036854775808", " ", "size", "type", "é", "\u{1F600}", "\u{0}", "\\u", "\\777",
        ]), 0..24)
    ) {
        let _ = Condition::compile(&text.concat());
    }

    #[test]
    fn whatever_compiles_can_be_evaluated(text in almost_cel(), payload in any_json()) {
        if let Ok(condition) = Condition::compile(&text) {
            let source = device("thermometer");
            let view = MessageView::new("a/b/c", payload.as_bytes(), &source, None);
            let _ = condition.evaluate(&view);
        }
    }
}
