use expect_test::{Expect, expect};
use tomte_wire::control::{Hop, LogLine};

use super::*;

/// 16:33:41.204 UTC on some day, in microseconds.
const START_US: u64 = 1_796_056_421_204_000;

fn view() -> FlowView {
    FlowView::new(Style { paint: Paint::plain(), zone: TimeZone::UTC })
}

fn event(after_us: u64, what: Flow) -> FlowEvent {
    FlowEvent { at_us: START_US + after_us, what }
}

fn published(after_us: u64, message: u64, cause: Option<u64>, who: &str, topic: &str) -> FlowEvent {
    let payload = format!("{{\"celsius\": {message}}}");
    let bytes = payload.len() as u64;
    let (source, topic) = (who.to_owned(), topic.to_owned());
    event(after_us, Flow::Published { message, cause, source, topic, payload, bytes })
}

fn hop(after_us: u64, message: u64, kind: &str, subject: &str, verdict: &str) -> FlowEvent {
    let bad = matches!(verdict, "failed" | "dropped" | "refused");
    let detail = if bad { "because   of that" } else { "" };
    let hop = Hop {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        verdict: verdict.to_owned(),
        detail: detail.to_owned(),
        bad,
        depth: 0,
        at_us: Some(after_us),
    };
    event(after_us, Flow::Hop { message, hop })
}

fn greenhouse() -> Vec<FlowEvent> {
    vec![
        published(0, 31, None, "device:thermometer", "sensors/1/temperature"),
        hop(20, 31, "route", "hot", "matched"),
        hop(530, 31, "function", "regulate", "ok"),
        published(560, 32, Some(31), "function:regulate", "actuators/fan"),
        hop(570, 32, "route", "", "matched"),
        hop(600, 32, "delivery", "fan", "sent"),
        hop(1_160, 32, "delivery", "fan", "acknowledged"),
    ]
}

fn check(events: Vec<FlowEvent>, width: usize, expect: Expect) {
    let mut view = view();
    events.into_iter().for_each(|event| view.take(event));
    expect.assert_eq(&view.due(START_US + 10_000_000, width).join("\n"));
}

#[test]
fn a_chain_is_one_block_with_the_time_of_each_hop() {
    check(
        greenhouse(),
        110,
        expect![[r#"
            16:33:41.204  thermometer   sensors/1/temperature  → regulate 0.5 ms             {"celsius": 31}
            16:33:41.204  └ regulate    actuators/fan          → fan 0.6 ms · 1.2 ms in all  {"celsius": 32}"#]],
    );
}

#[test]
fn long_lines_are_cut_to_the_terminal() {
    check(
        greenhouse(),
        86,
        expect![[r#"
            16:33:41.204  thermometer   sensors/1/temperature  → regulate 0.5 ms             {"ce…
            16:33:41.204  └ regulate    actuators/fan          → fan 0.6 ms · 1.2 ms in all  {"ce…"#]],
    );
    for width in 0..120 {
        let mut view = view();
        greenhouse().into_iter().for_each(|event| view.take(event));
        for line in view.rest(width) {
            assert!(crate::text_width::columns(&line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn chains_that_overlap_do_not_mix() {
    let events = vec![
        published(0, 1, None, "device:a", "x"),
        published(10, 2, None, "device:b", "y"),
        hop(500, 1, "function", "f", "ok"),
        hop(600, 2, "function", "f", "ok"),
        published(700, 3, Some(1), "function:f", "z"),
        hop(900, 3, "delivery", "d", "queued"),
    ];
    check(
        events,
        100,
        expect![[r#"
            16:33:41.204  a             x               → f 0.5 ms    {"celsius": 1}
            16:33:41.204  └ f           z               → d queued    {"celsius": 3}
            16:33:41.204  b             y               → f 0.6 ms    {"celsius": 2}"#]],
    );
}

#[test]
fn what_failed_or_was_dropped_says_why() {
    let dropped = |message, client: &str| Flow::Dropped {
        message,
        client: client.to_owned(),
        topic: "x".to_owned(),
        reason: "queue_full".to_owned(),
    };
    let events = vec![
        published(0, 1, None, "device:a", "x"),
        hop(500, 1, "function", "f", "failed"),
        event(600, dropped(Some(1), "device:b")),
        event(700, dropped(None, "device:c")),
    ];
    check(
        events,
        100,
        expect![[r#"
            16:33:41.204  a             x               → f failed: because of that, b dropped: queue_full  {"c…
            16:33:41.204  c             dropped x: queue_full"#]],
    );
}

#[test]
fn a_message_that_nobody_gets_says_so() {
    check(
        vec![
            published(0, 1, None, "device:a", "x"),
            published(9, 2, None, "device:a", "x"),
            hop(10, 2, "route", "", "not matched"),
            hop(11, 2, "route", "", "not matched"),
            hop(12, 2, "admission", "", "dropped"),
            published(20, 3, None, "device:a", "x"),
            hop(21, 3, "admission", "", "dropped"),
        ],
        100,
        expect![[r#"
            16:33:41.204  a             x               → nobody      {"celsius": 1}
            16:33:41.204  a             x               → nobody: 2 routes do not match  {"celsius": 2}
            16:33:41.204  a             x               → dropped: because of that  {"celsius": 3}"#]],
    );
}

#[test]
fn connections_logs_and_deployments_have_lines_of_their_own() {
    let log = LogLine {
        at_ms: 0,
        function: "regulate".to_owned(),
        call: None,
        stream: "stdout".to_owned(),
        text: "31 degrees\x1b[2J".to_owned(),
    };
    let client = || "device:fan".to_owned();
    check(
        vec![
            event(0, Flow::Connected { client: client() }),
            event(1, Flow::Log(log)),
            event(2, Flow::Disconnected { client: client(), reason: "timeout".to_owned() }),
            event(3, Flow::Deployed { revision: 2 }),
            event(4, Flow::Lagged { events: 9 }),
        ],
        100,
        expect![[r#"
            16:33:41.204  fan           connected
            16:33:41.204  regulate      │ 31 degrees [2J
            16:33:41.204  fan           disconnected: timeout
            16:33:41.204  hub           revision 2 runs
            16:33:41.204  hub           9 events came too fast to be shown"#]],
    );
}

#[test]
fn a_chain_waits_until_it_is_quiet() {
    let mut view = view();
    view.take(published(0, 1, None, "device:a", "x"));
    assert!(view.due(START_US + QUIET_US - 1, 100).is_empty());
    view.take(hop(QUIET_US / 2, 1, "function", "f", "ok"));
    assert!(view.due(START_US + QUIET_US, 100).is_empty());
    assert_eq!(view.due(START_US + QUIET_US / 2 + QUIET_US, 100).len(), 1);
}

#[test]
fn a_chain_waits_for_a_function_that_starts_cold() {
    let mut view = view();
    view.take(published(0, 1, None, "device:a", "x"));
    view.take(hop(10, 1, "route", "hot", "matched"));
    assert!(view.due(START_US + 2 * QUIET_US, 100).is_empty());
    view.take(hop(240_000, 1, "function", "f", "ok"));
    assert_eq!(view.due(START_US + 240_000 + QUIET_US, 100).len(), 1);
}

#[test]
fn what_comes_too_late_gets_a_line_of_its_own() {
    let mut view = view();
    view.take(published(0, 1, None, "device:a", "x"));
    view.take(hop(10, 1, "route", "hot", "matched"));
    let early = view.due(START_US + PATIENCE_US, 100);
    expect![[r#"16:33:41.204  a             x               → …           {"celsius": 1}"#]]
        .assert_eq(&early.join("\n"));
    view.take(hop(900_000, 1, "function", "f", "ok"));
    expect!["16:33:42.104  a             x               → f 900 ms"]
        .assert_eq(&view.rest(100).join("\n"));
}

#[test]
fn too_many_lines_in_a_second_are_counted() {
    let mut view = view();
    for message in 0..300 {
        view.take(published(0, message, None, "device:a", "x"));
    }
    let second = START_US / 1_000_000 * 1_000_000 + 2_000_000;
    assert_eq!(view.due(second, 100).len(), 200);
    view.take(published(2_000_000, 300, None, "device:a", "x"));
    let lines = view.due(second + 1_000_000, 100);
    assert!(lines[0].ends_with("… 100 more lines in the last second"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn memory_is_bounded() {
    let mut view = view();
    for message in 0..10_000 {
        view.take(published(0, message, None, "device:a", "x"));
        view.due(START_US, 100);
    }
    assert!(view.pending.len() <= MAX_OPEN_CHAINS);
    assert_eq!(view.known.len(), MAX_REMEMBERED);
}

#[test]
fn colour_says_what_is_good_and_what_is_lost() {
    let mut view = FlowView::new(Style { paint: Paint::colored(), zone: TimeZone::UTC });
    view.take(published(0, 1, None, "device:a", "x"));
    view.take(hop(500, 1, "function", "f", "ok"));
    view.take(hop(600, 1, "function", "g", "failed"));
    let lines = view.rest(100).join("\n").replace('\x1b', "");
    expect![[r#"[2m16:33:41.204[0m  [36ma[0m             [35mx[0m               [2m→ [0m[36mf[0m [32m0.5 ms[0m[2m, [0m[1;31mg failed: because of that[0m  [2m{"celsius": 1}[0m"#]].assert_eq(&lines);
}
